//! What stands for the code of the guests: scripts for orchestrators, and activities that fail until
//! they are repaired. Entities are in `entities.rs`.

use everstate_engine::guest::{
    ActivityWorkItem, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::{ComponentHash, Failure, FunctionName, HistoryEvent, InstanceId, Payload};

use crate::replay::{Replayed, replay};
use crate::scripts::{fate, script};

/// Code that does not follow the histories of `Shifty` and `Swerver`, once they are of some length.
pub(crate) const BROKEN: ComponentHash = ComponentHash([7; 32]);

/// Code that follows every history.
pub(crate) const SOUND: ComponentHash = ComponentHash([8; 32]);

/// An orchestrator that no code has.
pub(crate) const NOBODY: &str = "Nobody";

pub(crate) fn run_orchestration(
    ledgers: usize,
    item: &OrchestrationWorkItem,
) -> OrchestrationOutcome {
    let is_changing = matches!(item.name.as_str(), "Shifty" | "Swerver");
    let fitting = usize::try_from(fate(item.instance_id.as_str()) % 18).expect("a small number");
    if is_changing && item.component == BROKEN && item.history.len() > fitting {
        let failure = Failure::new("NonDeterminism", "the code is broken");
        return OrchestrationOutcome::of(OrchestrationResult::Diverged(failure));
    }
    let (id, name) = (&item.instance_id, &item.name);
    run_script(ledgers, (id, name), &item.history, &item.new_events).outcome
}

/// Runs an orchestrator over what happened before and what happened now.
pub(crate) fn run_script(
    ledgers: usize,
    (id, name): (&InstanceId, &FunctionName),
    history: &[HistoryEvent],
    new_events: &[HistoryEvent],
) -> Replayed {
    let run = |context, input: &str| script(name.as_str(), context, input);
    replay((id, ledgers), run, history, new_events)
}

/// Runs an activity for the `runs`-th time. `is_repaired`: it will not fail.
pub(crate) fn run_activity(
    item: &ActivityWorkItem,
    runs: usize,
    is_repaired: bool,
) -> Result<Payload, Failure> {
    let input = item.input.as_str();
    match item.name.as_str() {
        "steady" => Ok(Payload::from(format!("{input}.{runs}"))),
        "flaky" if !is_repaired && item.attempt <= fate(input) % 5 => {
            Err(Failure::new("Flaky", format!("attempt {} failed", item.attempt)))
        }
        "flaky" => Ok(Payload::from(format!("attempt {}", item.attempt))),
        other => panic!("no script for {other}"),
    }
}
