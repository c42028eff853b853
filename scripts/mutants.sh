#!/usr/bin/env bash
# Shows that the simulation bites: breaks the engine in one place at a time, in a copy, and expects the
# simulation to fail. `make mutants` runs it; MUTANTS_ONLY=text runs those that say so.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR="${MUTANTS_TARGET_DIR:-$root/target/mutants}"
# What counts is how long it takes to build one, again and again.
export CARGO_INCREMENTAL=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export SIM_SEEDS="${SIM_SEEDS:-8000}"

# file below host/crates/engine/src | text to replace | replacement | what it breaks
# `\|` stands for `|`, `\n` for the end of a line.
mutants=(
  'lib.rs|//! The partition engine|//! The partition engine|nothing: this one must pass'
  'partition/mod.rs|if *self.is_changed { Gate::ThisTurn } else { Gate::Turn(self.last_seq) }|Gate::Turn(CommitSeq(0))|answers leave before the commit'
  'partition/orchestration/mod.rs|                && !state.has_started\n||a copy of a start begins an execution again'
  'partition/orchestration/mod.rs|take_if(\|running\| running.token == token)|take()|a late outcome is applied'
  'partition/entity.rs|if self.running != Some(token) {|if self.running.is_none() {|a late outcome of an entity is applied'
  'partition/entity.rs|effects.changes.push(Change::Consumed(key));\n    }\n    match|}\n    match|a message is applied and not consumed'
  'partition/eviction.rs|slot.is_used \|\| slot.is_changed \|\| slot.last_seq > durable|slot.is_used|an instance is let go of before it is stored'
  'partition/eviction.rs|if slot.is_changed \|\| slot.last_seq > durable {|if false {|an ended instance is let go of before it is stored'
  'commit/queue.rs|let low = self.stored.first().map_or(self.next_message_id, \|id\| id.0);|let low = self.next_message_id;|recovery begins behind living messages'

  'partition/orchestration/open.rs|        self.0.remove(&number)\n    }|        self.0.get(\&number).cloned()\n    }|a result is taken twice'
  'partition/orchestration/events.rs|!state.awaits_result(body) {|true {|a result that comes after a failure is lost'
  'partition/mod.rs|    effects.changes.push(Change::Consumed(message_key));\n||an activity that has run stays in the queue'
  'partition/orchestration/mod.rs|let Some(state) = state else { return consume(key, turn, effects) };|let Some(state) = state else { return };|an activity that nobody waits for stays in the queue'

  'partition/orchestration/ending.rs|        self.open.cancel_timers(&mut effects.changes);\n||a timer is not taken back at the end'
  'partition/orchestration/actions.rs|effects.changes.extend(self.open.cancel_timer(*number));|drop(self.open.cancel_timer(*number));|a timer that was given up is not taken back'
  'partition/orchestration/events.rs|=> now = now.max(*fire_at),|=> _ = fire_at,|a timer fires early'
  'commit/queue.rs|MessageKey::Delayed(key) => self.delayed.remove(&key),|MessageKey::Delayed(_) => None,|a delayed message that was delivered is written'
  'commit/queue.rs|self.delayed_consumed.insert(key);|drop(key);|a delayed message that was delivered stays'
  'commit/queue.rs|let must_fall = low.is_some_and(\|low\| low < self.delayed_low_written);|let must_fall = false;|the watermark of delayed messages is too high'
  'commit/queue.rs|Timestamp::from_millis(u64::MAX)|Timestamp::default()|the watermark of delayed messages is not known after a start'
  'partition/orchestration/mod.rs|start.start_at.filter(\|start_at\| *start_at > moment.now)|start.start_at.filter(\|_\| false)|a scheduled start begins at once'

  'partition/orchestration/ending.rs|            start_at: None,\n            events,|            start_at: None,\n            events: events.into_iter().skip(1).collect(),|an event is lost at continue-as-new'
  'partition/orchestration/ending.rs|        before.abandon(effects);\n||a timer is not taken back at continue-as-new'
  'partition/orchestration/mod.rs|MessageBody::RaiseEvent { .. } => true,|MessageBody::RaiseEvent { .. } => state.record.status != RuntimeStatus::Suspended,|an event is lost while suspended'
  'partition/orchestration/mod.rs|MessageBody::RaiseEvent { .. } => true,|MessageBody::RaiseEvent { .. } => state.has_started,|an event is lost before the start'
  'partition/orchestration/events.rs|std::iter::once(started).chain(raised)|raised.chain(std::iter::once(started))|carried events come before the start'

  'partition/orchestration/ending.rs|        execution_id: parent.execution_id,|        execution_id: everstate_types::ExecutionId::new(parent.request_id),|a child tells its result to another execution'
  'partition/orchestration/ending.rs|            effects.sent.push(child_result(parent, state.result()));\n||a child does not tell its result'
  'partition/orchestration/ending.rs|        if recurse {|        if false \&\& recurse {|a recursive termination does not reach the children'
  'partition/orchestration/mod.rs|            effects.sent.push(ending::child_result(parent, Err(Box::new(failure))));|            let _ = (parent, failure);|a parent does not learn that its child cannot start'

  'partition/orchestration/rewind.rs|                carried.push(kind.clone());\n||a rewind forgets a good result'
  'partition/orchestration/rewind.rs|if failed.contains(&number) =>|if failed.contains(\&number) \|\| true =>|a rewind repeats an entity call'
  'partition/orchestration/rewind.rs|                    effects.sent.push(self.activity_message(id, number, request_id, \&call));\n|                    drop(call);\n|a rewind does not repeat what failed'
  'partition/orchestration/rewind.rs|                    effects.delayed.push((key, message));\n|                    drop(message);\n|a rewind forgets a timer'
  'partition/orchestration/rewind.rs|                    effects.changes.retain(\|change\| *change != taken_back);\n|                    drop(taken_back);\n|a rewind forgets a timer that was taken back in the same turn'
  'partition/orchestration/mod.rs|matches!(key, MessageKey::Delayed(_)) \&\& self.runs_with(key)|false|a timer that comes twice is consumed before its turn'
  'partition/orchestration/rewind.rs|        state.record.rewinds += 1;\n||a rewind gives new work old GUIDs'
  'partition/orchestration/mod.rs|            && !state.awaits_proceed\n||a rewound orchestration runs before it knows what it had'

  'commit/queue.rs|            row.indexed = indexed;\n|            drop(indexed);\n|a purge leaves the index'
  'commit/queue.rs|            row.indexed = staged.indexed;\n||the index is merged wrongly'
  'commit/queue.rs|                row.history_stored = staged.history_stored;\n                row.replaces = staged.replaces;|                row.history_stored = staged.history_stored;|a replaced history stays after a second change'
  'commit/queue.rs|                // Nothing of that execution is stored; what it replaced stays replaced.\n                row.replaces = staged.replaces;|                row.replaces = Some(execution_id);|a replaced history stays after a second replacement'
  'partition/orchestration/lifecycle.rs|        if recurse {|        if false \&\& recurse {|a recursive purge leaves the children'

  'partition/orchestration/ending.rs|            self.inbox.push_front(message);|            effects.changes.push(Change::Consumed(message.0));|a turn that diverged consumes its messages'
  'partition/orchestration/ending.rs|        state.open = OpenActions::of(\&state.record, \&state.history);\n||a turn that diverged takes its results'
  'partition/orchestration/mod.rs|in std::mem::take(&mut self.deferred) {|in std::mem::take(\&mut self.deferred).into_iter().skip(1) {|a deferred change is dropped'
  'partition/orchestration/ending.rs|        self.apply_deferred(moment, turn, effects);\n||a deferred change is forgotten at a termination'
  'partition/orchestration/mod.rs|            && state.record.status != RuntimeStatus::Suspended\n||a suspended orchestration runs'
  'partition/orchestration/lifecycle.rs|        if !has_diverged {|        if false {|a resumed orchestration does not run'
  'partition/orchestration/mod.rs|                    self.terminate(moment, None, false, turn, effects);\n||replacing does not terminate'
  'partition/orchestration/mod.rs|                    effects.replies.push((reply_to, Reply::Started(instance_id), turn.gate()));\n                    return;|                    return self.begin(Orchestration::pending(moment, \&start), turn, effects);|using what exists begins a new one'
)

mkdir "$copy/tree"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - 2>/dev/null) | tar -xf - -C "$copy/tree"
cp -r "$copy/tree/host/crates/engine/src" "$copy/whole"

failed=0
for mutant in "${mutants[@]}"; do
  escaped=${mutant//\\|/$'\x01'}
  IFS='|' read -r file old new what <<<"$escaped"
  old=${old//$'\x01'/|} new=${new//$'\x01'/|}
  [[ $what == *"${MUTANTS_ONLY:-}"* ]] || continue
  rm -rf "$copy/tree/host/crates/engine/src" && cp -r "$copy/whole" "$copy/tree/host/crates/engine/src"
  FILE="$copy/tree/host/crates/engine/src/$file" OLD=$old NEW=$new python3 - <<'PY'
import os, sys
path = os.environ["FILE"]
old, new = (os.environ[name].replace("\\n", "\n").replace("\\&", "&") for name in ("OLD", "NEW"))
text = open(path).read()
if text.count(old) < 1:
    sys.exit(f"the text to break is not in {path}: {old}")
open(path, "w").write(text.replace(old, new))
PY
  if (cd "$copy/tree" && cargo test --quiet --release -p everstate-engine --test sim) >"$copy/log" 2>&1; then
    [[ $what == nothing* ]] || { echo "NOT CAUGHT: $what"; failed=1; }
  elif [[ $what == nothing* ]]; then
    tail -20 "$copy/log"
    echo "the engine fails unbroken"
    exit 1
  elif grep -qE "^seed [0-9]+ failed|test result: FAILED" "$copy/log"; then
    echo "caught ($(grep -oE '^seed [0-9]+' "$copy/log" | head -1)): $what"
  else
    tail -20 "$copy/log"
    echo "DID NOT RUN: $what"
    failed=1
  fi
done
exit $failed
