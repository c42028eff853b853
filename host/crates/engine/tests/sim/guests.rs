//! Scripted guests: what orchestrators and entities do, as pure functions of what they are given.
//!
//! - `Append`: calls `append` at the ledger of its input, and returns what the ledger said.
//! - `Both`: calls `append` at two ledgers at once and waits for both, then signals a third.
//! - `Relay`: calls `relay` at a ledger, which signals another one and starts an `Append` there.
//! - `Fails`: calls an operation that fails after it appended, and fails itself.
//!
//! A ledger's state is its tokens, separated by commas, as JSON text.

use everstate_engine::guest::{
    EntityEffect, EntityOutcome, EntityWorkItem, OperationOutcome, OrchestrationOutcome,
    OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::{Action, EntityId, EventKind, Failure, FunctionName, InstanceId, Payload};
use rand::RngExt as _;
use rand::rngs::StdRng;

pub(crate) fn ledger(number: usize) -> EntityId {
    EntityId::new("ledger", &number.to_string()).expect("a valid id")
}

/// `ledger number:token`, the input of all orchestrators.
pub(crate) fn target(input: &str) -> (usize, &str) {
    let (ledger, token) = input.split_once(':').expect("ledger:token");
    (ledger.parse().expect("a number"), token)
}

pub(crate) fn run_orchestration(
    ledgers: usize,
    item: &OrchestrationWorkItem,
) -> OrchestrationOutcome {
    let events = || item.history.iter().chain(item.new_events.iter());
    let input = events()
        .find_map(|event| match &event.kind {
            EventKind::ExecutionStarted { input, .. } => Some(input.as_str().to_owned()),
            _ => None,
        })
        .expect("the first turn brings the start");
    let done: Vec<_> = events()
        .filter_map(|event| match &event.kind {
            EventKind::EntityOperationCompleted { scheduled_id, output, .. } => {
                Some((*scheduled_id, Ok(output.clone().expect("operations return something"))))
            }
            EventKind::EntityOperationFailed { scheduled_id, failure, .. } => {
                Some((*scheduled_id, Err(failure.clone())))
            }
            _ => None,
        })
        .collect();
    let is_first_turn = item.history.is_empty();
    let (number, token) = target(&input);
    let call = |number: usize, operation: &str, suffix: &str| Action::CallEntity {
        entity: ledger(number % ledgers),
        operation: operation.to_owned(),
        input: Some(Payload::from(format!("{token}{suffix}"))),
    };
    let mut actions = Vec::new();
    let result = match item.name.as_str() {
        "Both" => {
            if is_first_turn {
                actions.push(call(number, "append", ""));
                actions.push(call(number + 1, "append", "-b"));
            } else if done.len() == 2 {
                actions.push(Action::SignalEntity {
                    entity: ledger((number + 2) % ledgers),
                    operation: "append".to_owned(),
                    input: Some(Payload::from(format!("{token}-c"))),
                });
            }
            match done.as_slice() {
                [_, _] => OrchestrationResult::Completed(Payload::from("both")),
                _ => OrchestrationResult::Waiting,
            }
        }
        name => {
            if is_first_turn {
                actions.push(call(number, operation_of(name), ""));
            }
            match done.into_iter().next() {
                Some((_, Ok(output))) => OrchestrationResult::Completed(output),
                Some((_, Err(failure))) => OrchestrationResult::Failed(failure),
                None => OrchestrationResult::Waiting,
            }
        }
    };
    OrchestrationOutcome { actions, custom_status: None, result }
}

fn operation_of(orchestrator: &str) -> &'static str {
    match orchestrator {
        "Append" => "append",
        "Relay" => "relay",
        "Fails" => "append-and-fail",
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
            "read" => Ok(Some(state.clone().unwrap_or_else(|| Payload::from("")))),
            "delete" => {
                state = None;
                Ok(None)
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
