//! What stands for the code of the guests: scripts for orchestrators, entities whose state is a list
//! of tokens, and activities that fail until they are repaired.
//!
//! A ledger's state is its tokens, separated by commas, as JSON text.

use everstate_engine::guest::{
    ActivityWorkItem, EntityEffect, EntityOutcome, EntityWorkItem, OperationOutcome,
    OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::{
    ComponentHash, EntityId, Failure, FunctionName, HistoryEvent, InstanceId, Payload,
};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::replay::{Replayed, replay};
use crate::scripts::{fate, script};

/// Code that does not follow the histories of `Shifty`.
pub(crate) const BROKEN: ComponentHash = ComponentHash([7; 32]);

/// Code that follows every history.
pub(crate) const SOUND: ComponentHash = ComponentHash([8; 32]);

/// An orchestrator that no code has.
pub(crate) const NOBODY: &str = "Nobody";

pub(crate) fn ledger(number: usize) -> EntityId {
    EntityId::new("ledger", &number.to_string()).expect("a valid id")
}

pub(crate) fn run_orchestration(
    ledgers: usize,
    item: &OrchestrationWorkItem,
) -> OrchestrationOutcome {
    if item.name.as_str() == "Shifty" && item.component == BROKEN && !item.history.is_empty() {
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

/// Runs some of the operations: the executor may give fewer results than were asked for.
pub(crate) fn run_entity(ledgers: usize, rng: &mut StdRng, item: &EntityWorkItem) -> EntityOutcome {
    let count = rng.random_range(1..=item.operations.len());
    let mut state = item.state.clone();
    let mut results = Vec::new();
    for operation in &item.operations[..count] {
        let input = operation.input.as_ref().map_or("", Payload::as_str);
        let mut effects = Vec::new();
        let result = match operation.operation.as_str() {
            "append" => Ok(Some(append(&mut state, input))),
            "append-and-fail" => Err(Failure::new("Scripted", "it failed after its append")),
            "relay" => {
                effects = relay(ledgers, &item.entity, input);
                Ok(Some(append(&mut state, input)))
            }
            other => panic!("no script for {other}"),
        };
        results.push(OperationOutcome { result, effects });
    }
    EntityOutcome { results, state }
}

/// Adds a token and tells how many there are.
fn append(state: &mut Option<Payload>, token: &str) -> Payload {
    let text = match state {
        Some(text) => format!("{},{token}", text.as_str()),
        None => token.to_owned(),
    };
    let count = text.split(',').count();
    *state = Some(Payload::from(text));
    Payload::from(count.to_string())
}

fn relay(ledgers: usize, entity: &EntityId, token: &str) -> Vec<EntityEffect> {
    let number: usize = entity.key().parse().expect("a number");
    let next = (number + 1) % ledgers;
    let signal = EntityEffect::Signal {
        entity: ledger(next),
        operation: "append".to_owned(),
        input: Some(Payload::from(format!("{token}-s"))),
    };
    let start = EntityEffect::Start {
        name: FunctionName::new("Append").expect("a valid name"),
        instance_id: InstanceId::orchestration(&format!("{token}-child")).expect("a valid id"),
        input: Payload::from(format!("{next}:{token}-o")),
    };
    vec![signal, start]
}
