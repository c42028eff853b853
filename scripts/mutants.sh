#!/usr/bin/env bash
# Shows that the simulation bites: breaks the engine in one place at a time, in a copy, and expects the
# simulation to fail. `make mutants` runs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR="${MUTANTS_TARGET_DIR:-$root/target/mutants}"
export SIM_SEEDS="${SIM_SEEDS:-1000}"

# file below host/crates/engine/src | text to replace | replacement | what it breaks
mutants=(
  'lib.rs|//! The partition engine|//! The partition engine|nothing: this one must pass'
  'partition/mod.rs|if *self.is_changed { Gate::ThisTurn } else { Gate::Turn(self.last_seq) }|Gate::Turn(CommitSeq(0))|answers leave before the commit'
  'partition/orchestration.rs|state.record.status.is_finished() && state.record.execution_id != execution_id|state.record.status.is_finished()|a copy of a start runs an ended execution again'
  'partition/orchestration.rs|self.open.remove(&scheduled_id)?;|self.open.remove(&scheduled_id);|a copy of a reply is taken twice'
  'partition/orchestration.rs|take_if(\|running\| running.token == token)|take()|a late outcome is applied'
  'partition/entity.rs|if self.running != Some(token) {|if self.running.is_none() {|a late outcome of an entity is applied'
  'partition/entity.rs|effects.changes.push(Change::Consumed(message_id));|drop(message_id);|a message is applied and not consumed'
  'partition/eviction.rs|slot.is_used \|\| slot.is_changed \|\| slot.last_seq > durable|slot.is_used|an instance is let go of before it is stored'
  'partition/eviction.rs|if slot.is_changed \|\| slot.last_seq > durable {|if false {|an ended instance is let go of before it is stored'
  'commit/queue.rs|let low = self.stored.first().map_or(self.next_message_id, \|id\| id.0);|let low = self.next_message_id;|recovery begins behind living messages'
)

failed=0
for mutant in "${mutants[@]}"; do
  escaped=${mutant//\\|/$'\x01'}
  IFS='|' read -r file old new what <<<"$escaped"
  old=${old//$'\x01'/|} new=${new//$'\x01'/|}
  rm -rf "$copy/tree" && mkdir "$copy/tree"
  (cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - 2>/dev/null) | tar -xf - -C "$copy/tree"
  FILE="$copy/tree/host/crates/engine/src/$file" OLD=$old NEW=$new python3 - <<'PY'
import os, sys
path, old, new = os.environ["FILE"], os.environ["OLD"], os.environ["NEW"]
text = open(path).read()
if text.count(old) < 1:
    sys.exit(f"the text to break is not in {path}: {old}")
# The step of the watermark hides what is behind it; the mutants see it at once.
text = text.replace("const LOW_WATERMARK_STEP: u64 = 4_096;", "const LOW_WATERMARK_STEP: u64 = 1;")
open(path, "w").write(text.replace(old, new))
PY
  if [[ $what == nothing* ]]; then
    (cd "$copy/tree" && cargo test --quiet --release -p everstate-engine --test sim) >"$copy/log" 2>&1 \
      || { tail -20 "$copy/log"; echo "the engine fails unbroken"; exit 1; }
  elif (cd "$copy/tree" && cargo test --quiet --release -p everstate-engine --test sim) >"$copy/log" 2>&1; then
    echo "NOT CAUGHT: $what"
    failed=1
  elif grep -qE "^seed [0-9]+ failed|test result: FAILED" "$copy/log"; then
    echo "caught ($(grep -oE '^seed [0-9]+' "$copy/log" | head -1)): $what"
  else
    tail -20 "$copy/log"
    echo "DID NOT RUN: $what"
    failed=1
  fi
done
exit $failed
