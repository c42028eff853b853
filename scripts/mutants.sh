#!/usr/bin/env bash
# Shows that the simulation bites: breaks the engine in one place at a time, in a copy, and expects the
# simulation to fail, or the other tests of the engine where a seed would be lucky to. `make mutants` runs
# it; MUTANTS_ONLY=text runs those that say so.
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
  'partition/eviction.rs|slot.is_used \|\| slot.is_changed \|\| slot.last_seq > durable|slot.is_used|an instance is let go of before it is stored'
  'partition/eviction.rs|if slot.is_changed \|\| slot.last_seq > durable {|if false {|an ended instance is let go of before it is stored'
  'commit/queue.rs|let low = self.stored.first().map_or(self.next_message_id, \|id\| id.0);|let low = self.next_message_id;|recovery begins behind living messages'

  'partition/orchestration/open.rs|        self.0.remove(&number)\n    }|        self.0.get(\&number).cloned()\n    }|a result is taken twice'
  'partition/mod.rs|    effects.changes.push(Change::Consumed(message_key));\n||an activity that has run stays in the queue'
  'partition/orchestration/mod.rs|let Some(state) = state else { return consume(key, turn, effects) };|let Some(state) = state else { return };|an activity that nobody waits for stays in the queue'

  'partition/orchestration/ending.rs|        self.open.cancel_timers(&mut effects.changes);\n||a timer is not taken back at the end'
  'partition/orchestration/actions.rs|effects.changes.extend(self.open.cancel_timer(*number));|drop(self.open.cancel_timer(*number));|a timer that was given up is not taken back'
  'partition/orchestration/events.rs|=> now = now.max(*fire_at),|=> _ = fire_at,|a timer fires early'
  'commit/queue.rs|MessageKey::Delayed(key) => self.delayed.remove(&key),|MessageKey::Delayed(_) => None,|a delayed message that was delivered is written'
  'commit/queue.rs|self.delayed_consumed.insert(key);|drop(key);|a delayed message that was delivered stays'
  'commit/queue.rs|let must_fall = low.is_some_and(\|low\| low < self.delayed_low_written);|let must_fall = false;|the watermark of delayed messages is too high'
  'commit/queue.rs|Timestamp::from_millis(u64::MAX)|Timestamp::default()|the watermark of delayed messages is not known after a start'

  'partition/orchestration/ending.rs|            start_at: None,\n            events,|            start_at: None,\n            events: events.into_iter().skip(1).collect(),|an event is lost at continue-as-new'
  'partition/orchestration/ending.rs|        before.abandon(effects);\n||a timer is not taken back at continue-as-new'
  'partition/orchestration/mod.rs|MessageBody::RaiseEvent { .. } => true,|MessageBody::RaiseEvent { .. } => state.record.status != RuntimeStatus::Suspended,|an event is lost while suspended'
  'partition/orchestration/mod.rs|MessageBody::RaiseEvent { .. } => true,|MessageBody::RaiseEvent { .. } => state.has_started,|an event is lost before the start'
  'partition/orchestration/events.rs|std::iter::once(started).chain(raised)|raised.chain(std::iter::once(started))|carried events come before the start'

  'partition/orchestration/ending.rs|        execution_id: parent.execution_id,|        execution_id: everstate_types::ExecutionId::new(parent.request_id),|a child tells its result to another execution'
  'partition/orchestration/ending.rs|            effects.sent.push(child_result(parent, state.result()));\n||a child does not tell its result'
  'partition/orchestration/ending.rs|        if recurse {|        if false \&\& recurse {|a recursive termination does not reach the children'
  'partition/orchestration/ending.rs|            effects.sent.push(child_result(parent, Err(Box::new(failure))));|            let _ = (parent, failure);|a parent does not learn that its child cannot start'

  'partition/orchestration/rewind.rs|                carried.push(kind.clone());\n||a rewind forgets a good result'
  'partition/orchestration/rewind.rs|if failed.contains(&number) =>|if failed.contains(\&number) \|\| true =>|a rewind repeats an entity call'
  'partition/orchestration/rewind.rs|                    effects.sent.push(self.activity_message(id, number, request_id, \&call));\n|                    drop(call);\n|a rewind does not repeat what failed'
  'partition/orchestration/rewind.rs|                    effects.delayed.push((key, message));\n|                    drop(message);\n|a rewind forgets a timer'
  'partition/orchestration/rewind.rs|                    effects.changes.retain(\|change\| *change != taken_back);\n|                    drop(taken_back);\n|a rewind forgets a timer that was taken back in the same turn'
  'partition/orchestration/mod.rs|matches!(key, MessageKey::Delayed(_)) \&\& self.runs_with(key)|false|a timer that comes twice is consumed before its turn'
  'partition/orchestration/rewind.rs|        state.record.rewinds += 1;\n||a rewind gives new work old GUIDs'
  'partition/orchestration/mod.rs|            && !state.awaits_proceed\n||a rewound orchestration runs before it knows what it had'

  'commit/queue.rs|            row.indexed = indexed;\n|            drop(indexed);\n|a purge leaves the index'
  'commit/queue.rs|            }\n            row.indexed = staged.indexed;\n|            }\n|the index is merged wrongly'
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

  'partition/orchestration/mod.rs|if start.is_recorded {|if false {|an orchestration that was purged begins again'
  'partition/orchestration/mod.rs|let start = ExecutionStart { is_recorded: true, ..start };|let start = ExecutionStart { is_recorded: false, ..start };|a start does not say that its record was there'
  'partition/orchestration/mod.rs|if start.start_at.is_some_and(\|start_at\| start_at > moment.now) {|if false {|a scheduled start begins at once'
  'partition/orchestration/events.rs|let is_kept = state.record.status == RuntimeStatus::Failed && state.awaits_result(body);|let is_kept = false;|a result that comes after a failure is lost'

  'partition/entity.rs|self.running.take_if(\|running\| running.token == token)|self.running.take()|a late outcome of an entity is applied'
  'partition/entity.rs|    if let Some(key) = done.message_key {\n        consume(key, turn, effects);\n    }\n|    let _ = done.message_key;\n|a message is applied and not consumed'
  'partition/entity.rs|.map_while(InboxItem::as_waiting_operation)|.filter_map(InboxItem::as_waiting_operation)|an abandoned call is counted as one that ran'
  'partition/entity.rs|            self.store(freed, turn, effects);\n        }\n        for|            self.store(None, turn, effects);\n        }\n        for|a large value is never freed'
  'partition/entity.rs|std::mem::replace(&mut self.record.large, large)|std::mem::replace(&mut self.record.large, large).or(large)|a large value is freed that is referred to'
  'partition/entity.rs|let is_same_value = state.value == self.record.state.value;|let is_same_value = false;|an operation that changes nothing frees the value'
  'partition/entity.rs|let fields = record.as_ref().map(\|record\| record.state.fields.clone());|let fields = self.indexed.clone().or_else(\|\| record.as_ref().map(\|record\| record.state.fields.clone()));|the fields that an entity is found by are stale'
  'commit/queue.rs|            row.indexed = staged.indexed;\n            row.freed|            row.freed|the fields that an entity is found by are merged wrongly'
  'commit/queue.rs|            row.freed.extend(staged.freed);\n||a value that was replaced twice in one window stays'
  'partition/entity.rs|effects.reads.push(EntityRead { item, reply_to, gate: turn.gate() });|effects.reads.push(EntityRead { item, reply_to, gate: super::input::Gate::Turn(crate::storage::CommitSeq(0)) });|a read leaves before what it saw is durable'
  'partition/input.rs|match at.filter(\|due\| *due > moment.now) {|match at.filter(\|_\| false) {|a scheduled signal is sent at once'
  'partition/entity.rs|                if self.record.state.value.is_none() {\n                    self.become|                if true {\n                    self.become|a receipt is not looked at'
  'partition/lifetime.rs|        self.arm_expiry(moment, Some(turn.limits.idempotency_window_ms), turn.id, effects);\n        self.store(None, turn, effects);|        self.arm_expiry(moment, Some(turn.limits.idempotency_window_ms), turn.id, effects);|a receipt is not stored'
  'partition/entity.rs|                    effects.send_at(moment, at, call.request_id, signal(target, call));\n                }\n|                    let _ = (at, call, target);\n                }\n|a signal with a key is not sent'
  'partition/lifetime.rs|Some(turn.limits.idempotency_window_ms)|Some(u64::MAX)|a receipt is kept for ever'
  'partition/orchestration/actions.rs|if refusal.is_none() {|if true {|a signal to an entity that there is not is sent'

  'partition/lifetime.rs|let end = later(self.record.last_operation_at, expiry.time_to_live_ms);|let end = due;|an entity expires though it was used'
  'partition/lifetime.rs|let is_used = self.is_busy() \|\| self.record.lock.is_some();|let is_used = self.is_busy();|an entity expires while it is locked'
  'partition/lifetime.rs|let is_used = self.is_busy() \|\| self.record.lock.is_some();|let is_used = self.record.lock.is_some();|an entity expires while something runs'
  'partition/lifetime.rs|        self.replace_expiry(Some(Expiry { due, ..expiry }), turn.id, effects);\n|        let _ = due;\n|nobody looks a second time whether an entity was used'
  'partition/lifetime.rs|            (Some(armed), Some(wanted)) if armed.due <= wanted.due => {|            (Some(armed), Some(wanted)) => {|a shorter time to live is not heeded'
  'partition/lifetime.rs|let now = moment.now.max(due);|let now = moment.now;|an expiry gets lost when the clock is set back'
  'partition/lifetime.rs|self.record.state.value.is_some() && age > age_max|self.record.state.value.is_some() && age > age_max.saturating_mul(1_000)|a use that changes nothing is noted too late'

  'partition/entity.rs|self.push(InboxItem::Lock(key, request))|self.inbox.insert(self.running.filter(\|running\| !running.is_holders).map_or(0, \|running\| running.count), InboxItem::Lock(key, request))|a lock is granted before what came earlier'
  'partition/entity.rs|            let is_holders = self.record.lock.is_some();\n|            let is_holders = self.record.lock.is_some() && !self.holder_inbox.is_empty();\n|others come in while the holder does nothing'
  'partition/entity.rs|        let is_holders = reply_to.as_deref().is_some_and(\|sender\| self.is_held_by(sender));\n|        let is_holders = false;\n|a call of the holder waits behind others'
  'partition/lock.rs|if self.record.lock.take_if(\|lock\| lock.request_id == request_id).is_some() {|if false {|a lock is not given back'
  'partition/lock.rs|if self.record.lock.take_if(\|lock\| lock.request_id == request_id).is_some() {|if self.record.lock.take().is_some() {|a lock is given back by somebody else'
  'partition/lock.rs|            self.let_others_in(0);\n||what the holder sends behind its release is forgotten'
  'partition/lock.rs|            self.let_others_in(0);\n            self.store(None, turn, effects);\n|            self.let_others_in(0);\n|a lock that was given back stays on disk'
  'partition/lock.rs|        self.store(None, turn, effects);\n        let message|        let message|a lock is granted and not stored'
  'partition/lock.rs|let message = match rest.split_first() {|let message = match rest.split_first().filter(\|_\| false) {|a lock is granted when the first entity is held'
  'partition/lock.rs|        if let Some((next, rest)) = rest.split_first() {\n            let body = MessageBody::ReleaseLock|        if let Some((next, rest)) = rest.split_first().filter(\|_\| false) {\n            let body = MessageBody::ReleaseLock|giving up a lock is not passed on'
  'partition/lock.rs|if let Some(place) = self.inbox.iter().position(is_request) {|if let Some(place) = self.inbox.iter().position(is_request).filter(\|_\| false) {|a request that was given up is granted'
  'partition/lock.rs|if is_held && !self.holder_inbox.is_empty() {|if false {|a lock goes back before the calls of its holder are done'
  'partition/entity.rs|            self.let_others_in(0);\n||a broken lock leaves the calls of its holder behind'
  'partition/lock.rs|self.let_others_in(running.map_or(0, \|running\| running.count));|let _ = running;\n        self.let_others_in(0);|a broken lock moves the call that runs'
  'partition/lock.rs|        self.store(None, turn, effects);\n        true|        true|a broken lock comes back after a crash'
  'partition/orchestration/ending.rs|        self.release_lock(effects);\n        self.section = None;|        self.section = None;|a lock is kept at the end of its holder'
  'partition/orchestration/ending.rs|        before.abandon(effects);\n|        before.section = None;\n        before.abandon(effects);\n|a lock is kept when its holder continues as new'
  'partition/orchestration/ending.rs|        state.record.status = RuntimeStatus::Terminated;\n|        state.record.status = RuntimeStatus::Terminated;\n        state.section = None;\n|a lock is kept when its holder is terminated'
  'partition/orchestration/ending.rs|        state.release_lock(effects);\n        state.record.lock_epoch += 1;\n|        state.record.lock_epoch += 1;\n|a lock is kept when the code of its holder does not fit'
  'partition/orchestration/ending.rs|state.record.awaits_lock = state.section.as_ref().is_some_and(\|held\| held.is_granted);|state.record.awaits_lock = false;|a holder goes on with new code and without its lock'
  'partition/orchestration/lifecycle.rs|            state.request_lock_again(turn.id, effects);\n||a holder that is resumed does not ask for its lock'
  'partition/orchestration/lifecycle.rs|state.request_lock_again(turn.id, effects);|state.request_lock(turn.id, effects);|a holder that is resumed twice asks twice'
  'partition/orchestration/section.rs|        self.release_lock(effects);\n        self.record.lock_epoch += 1;\n|        self.record.lock_epoch += 1;\n|a holder that is resumed twice keeps what it asked for first'
  'partition/orchestration/section.rs|            self.open.insert(number, self.lock_guid(number), OpenKind::Lock);\n        }\n        self.request_lock|        }\n        self.request_lock|a holder that is resumed does not know the lock that it gets'
  'partition/orchestration/section.rs|        if section.is_granted && !self.record.awaits_lock {|        if section.is_granted {|a lock that is asked for again is not given up in order'
  'partition/orchestration/section.rs|effects.sent.push(release(self.lock_guid(number), entity, &[]));|let _ = &effects;|a lock that the code gives back is kept'
  'partition/orchestration/section.rs|            self.give_up(&section, effects);\n        }\n        self.section|        }\n        self.section|a lock that the code gives up is kept'
  'partition/orchestration/section.rs|            self.open.forget(Some(number));\n||a lock that was given up is told'
  'partition/orchestration/section.rs|match refusal {|match refusal.filter(\|_\| false) {|an entity that there is not is locked'
  'partition/orchestration/rewind.rs|        state.request_lock(turn.id, effects);\n||a rewind does not ask for the lock'
  'partition/orchestration/rewind.rs|state.record.awaits_lock = state.section.as_ref().is_some_and(\|held\| held.is_granted);|state.record.awaits_lock = false;|a rewound orchestration runs before it has its lock'
  'partition/orchestration/rewind.rs|        state.record.lock_epoch += 1;\n||a rewind asks for the lock under the old GUID'
  'partition/orchestration/rewind.rs|if self.record.awaits_lock {\n                        //|if false {\n                        //|a rewind repeats a call of a critical section before the lock is back'
  'partition/orchestration/mod.rs|                self.send_own_calls(turn, effects);\n||a rewind forgets a call of a critical section'
  'partition/orchestration/events.rs|            section.is_granted \|= section.is_granted_by(&kind);\n|            let _ = section;\n|a section does not know that its lock is granted'
  'partition/orchestration/mod.rs|            && !state.record.awaits_lock\n||a turn begins before the lock is back'
  'partition/orchestration/mod.rs|                    state.record.awaits_lock = false;\n                    let row = state.append(Vec::new());\n|                    let row = state.append(Vec::new());\n                    state.record.awaits_lock = false;\n|that a lock is back is not stored'

  'partition/orchestration/waiting.rs|WaitFor::Change(seen) => seen != state.seen(),|WaitFor::Change(_) => state.record.status.is_finished(),|who waits for a change is told at the end'
  'partition/orchestration/lifecycle.rs|        state.record.component = Some(component);\n        let mut events|        let mut events|a migration does not change the code'
  'partition/orchestration/lifecycle.rs|            effects.sent.push(Message { target: turn.id.clone(), body });\n        }\n        let row = state.append(events);|            drop(body);\n        }\n        let row = state.append(events);|an orchestration that is migrated before its start begins with its old code'
  'partition/orchestration/lifecycle.rs|        effects.forgotten.push(turn.id.clone());\n        self.look_for_newer_code|        self.look_for_newer_code|a migrated orchestration goes on in the guest that it has'
  'partition/orchestration/lifecycle.rs|status.is_finished() \&\& state.record.updated_at <= *before|status.is_finished() \|\| state.record.updated_at <= *before|retention takes what ended a moment ago'
  'partition/lifetime.rs|            self.store(freed, turn, effects);\n        }\n        effects.replies.push((reply_to, Reply::EntityPurged|            drop(freed);\n        }\n        effects.replies.push((reply_to, Reply::EntityPurged|an entity that was removed comes back after a crash'
  'partition/lifetime.rs|            self.replace_expiry(None, turn.id, effects);\n            self.record = EntityRecord::default();|            self.record = EntityRecord::default();|the expiry of an entity that was removed stays'
  'partition/lifetime.rs|        if reply_to.is_abandoned() {\n            return;\n        }\n        let existed|        let existed|an entity is removed for a client that has gone'
  'partition/entity.rs|Request::PurgeEntity { reply_to, .. } => match self.next_holder() {|Request::PurgeEntity { reply_to, .. } => match self.next_holder().filter(\|_\| false) {|an entity is removed under its lock'

  'partition/orchestration/transfer.rs|if !is_copy {|if true {|a result that came twice is exported twice'
  'partition/orchestration/transfer.rs|            next.open.forget(kind.completed_action());\n||what an import brings the result of is asked for again'
  'partition/orchestration/transfer.rs|next.unanswerable() {|next.unanswerable().filter(\|_\| false) {|an orchestration is imported that nobody can answer'
  'partition/orchestration/transfer.rs|            self.terminate(moment, None, false, turn, effects);\n||an import over what runs does not end it'
  'partition/orchestration/transfer.rs|                next.ask_again(turn.id, \&[], None, effects);\n||what an imported orchestration waits for is not asked for'
  'partition/orchestration/transfer.rs|if next.awaits_proceed \|\| !waiting.is_empty() {|if next.awaits_proceed {|what had come in at an orchestration is lost with its import'
  'partition/entity_transfer.rs|let freed = if is_same_value { large } else { before };|let freed = before;|an import of what is there already leaves its value behind'
  'partition/entity_transfer.rs|self.is_busy() \|\| self.record.lock.is_some()|self.record.lock.is_some()|an entity at work is replaced'
)

mkdir "$copy/tree"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null) | tar -xf - -C "$copy/tree"
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
  if (cd "$copy/tree" && cargo test --quiet --release -p everstate-engine --test sim &&
    cargo test --quiet --release -p everstate-engine --lib --test histories) >"$copy/log" 2>&1; then
    [[ $what == nothing* ]] || { echo "NOT CAUGHT: $what"; failed=1; }
  elif [[ $what == nothing* ]]; then
    tail -20 "$copy/log"
    echo "the engine fails unbroken"
    exit 1
  elif grep -qE "^seed [0-9]+ failed|test result: FAILED" "$copy/log"; then
    seed=$(grep -oE '^seed [0-9]+' "$copy/log" | head -1 || true)
    echo "caught (${seed:-not by the simulation}): $what"
  else
    tail -20 "$copy/log"
    echo "DID NOT RUN: $what"
    failed=1
  fi
done
exit $failed
