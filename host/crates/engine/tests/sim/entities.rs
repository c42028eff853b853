//! What stands for the code of the entities.
//!
//! - A `ledger` keeps its tokens for ever, separated by commas; it is found by how many it has and by
//!   the last one.
//! - A `lease` does the same, until it is dropped, or was not used for its time to live.
//!
//! An input with `@` says when it is due.

use std::collections::HashSet;
use std::sync::Arc;

use everstate_engine::guest::{
    EntityEffect, EntityOptions, EntityOutcome, EntityWorkItem, OperationOutcome,
};
use everstate_types::{
    EntityId, EntityState, Failure, FunctionName, InstanceId, Payload, Timestamp,
};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::model::root;
use crate::scripts::fate;

/// How many leases there are.
pub(crate) const LEASES: usize = 2;

/// What an entity's code knows of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) ledgers: usize,
    /// The clock of the machine.
    pub(crate) now: u64,
    /// How long leases live.
    pub(crate) lease_ms: u64,
    /// The beginnings of tokens whose operations do not fail any more.
    pub(crate) repaired: &'a HashSet<String>,
}

pub(crate) fn ledger(number: usize) -> EntityId {
    EntityId::new("ledger", &number.to_string()).expect("a valid id")
}

pub(crate) fn lease(number: usize) -> EntityId {
    EntityId::new("lease", &number.to_string()).expect("a valid id")
}

/// An entity that no code has.
pub(crate) fn nobody() -> EntityId {
    EntityId::new("nobody", "0").expect("a valid id")
}

pub(crate) fn is_lease(entity: &EntityId) -> bool {
    entity.name() == "lease"
}

/// The number of a ledger or a lease.
pub(crate) fn number(entity: &EntityId) -> usize {
    entity.key().parse().expect("a number")
}

/// The tokens of a list.
pub(crate) fn tokens(state: &str) -> Vec<String> {
    state.split(',').filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// The input of an operation that must not be done before its time.
pub(crate) fn due_input(token: &str, due: Timestamp) -> String {
    format!("{token}@{}", due.as_millis())
}

/// A token, and when it is due.
pub(crate) fn split_due(input: &str) -> (&str, Option<u64>) {
    match input.split_once('@') {
        Some((token, due)) => (token, Some(due.parse().expect("a time"))),
        None => (input, None),
    }
}

/// What the code says of its entities.
pub(crate) fn options(name: &str, lease_ms: u64) -> Arc<EntityOptions> {
    let time_to_live_ms = (name == "lease").then_some(lease_ms);
    let read_only = vec!["list".to_owned()];
    let indexes = vec!["count".to_owned(), "last".to_owned()];
    Arc::new(EntityOptions { read_only, time_to_live_ms, indexes })
}

/// The state with these tokens: nothing but the tokens decides the rest of it.
pub(crate) fn state_of(entity: &EntityId, text: &str) -> EntityState {
    let tokens = tokens(text);
    let Some(last) = tokens.last() else { return EntityState::default() };
    let fields = vec![
        ("count".to_owned(), Payload::from(tokens.len().to_string())),
        ("last".to_owned(), Payload::from(format!("\"{last}\""))),
    ];
    let time_to_live_ms = match fate(last) % 5 {
        0 if is_lease(entity) => Some(u64::MAX),
        1 if is_lease(entity) => Some(700),
        _ => None,
    };
    EntityState {
        value: Some(Payload::from(text)),
        version: u32::try_from(tokens.len()).expect("a small number"),
        fields,
        time_to_live_ms,
    }
}

/// The tokens of a state, as text.
pub(crate) fn text_of(state: &EntityState) -> &str {
    state.value.as_ref().map_or("", Payload::as_str)
}

/// Runs some of the operations: the executor may give fewer results than were asked for. Whatever
/// deletes the state runs alone.
pub(crate) fn run_entity(
    surroundings: Surroundings<'_>,
    rng: &mut StdRng,
    item: &EntityWorkItem,
) -> EntityOutcome {
    let entity = &item.entity;
    let mut text = text_of(&item.state).to_owned();
    assert_eq!(item.state, state_of(entity, &text), "the state of {entity} is another one");
    let is_drop = |operation: &str| operation == "drop";
    let alone = item.operations.iter().position(|operation| is_drop(&operation.operation));
    let count_max = alone.map_or(item.operations.len(), |place| place.max(1));
    let count = rng.random_range(1..=count_max);
    let mut results = Vec::new();
    for operation in &item.operations[..count] {
        let input = operation.input.as_ref().map_or("", Payload::as_str);
        let mut effects = Vec::new();
        let result =
            run(surroundings, entity, &operation.operation, input, &mut text, &mut effects);
        results.push(OperationOutcome { result, effects });
    }
    let time_to_live_ms = options(entity.name(), surroundings.lease_ms).time_to_live_ms;
    EntityOutcome { results, state: state_of(entity, &text), time_to_live_ms, large: None }
}

fn run(
    surroundings: Surroundings<'_>,
    entity: &EntityId,
    operation: &str,
    input: &str,
    text: &mut String,
    effects: &mut Vec<EntityEffect>,
) -> Result<Option<Payload>, Failure> {
    let (token, _) = split_due(input);
    match operation {
        "append" => Ok(Some(append(text, token))),
        "touch" => {
            append(text, token);
            Ok(Some(Payload::from(text.as_str())))
        }
        "list" | "look" => Ok(Some(Payload::from(text.as_str()))),
        "drop" => {
            text.clear();
            Ok(None)
        }
        "append-and-fail" => Err(Failure::new("Scripted", "it failed after its append")),
        "mend" if !surroundings.repaired.contains(root(token)) => {
            Err(Failure::new("Broken", "nobody has mended it"))
        }
        "mend" => Ok(Some(append(text, token))),
        "relay" => {
            *effects = relay(surroundings.ledgers, entity, token);
            Ok(Some(append(text, token)))
        }
        "tick" => {
            effects.extend(next_tick(surroundings.now, entity, token));
            Ok(Some(append(text, token)))
        }
        other => panic!("no script for {other}"),
    }
}

/// Adds a token and tells how many there are.
fn append(text: &mut String, token: &str) -> Payload {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(token);
    Payload::from(text.split(',').count().to_string())
}

fn relay(ledgers: usize, entity: &EntityId, token: &str) -> Vec<EntityEffect> {
    let next = (number(entity) + 1) % ledgers;
    let signal = EntityEffect::Signal {
        entity: ledger(next),
        operation: "append".to_owned(),
        input: Some(Payload::from(format!("{token}-s"))),
        at: None,
    };
    let start = EntityEffect::Start {
        name: FunctionName::new("Append").expect("a valid name"),
        instance_id: InstanceId::orchestration(&format!("{token}-child")).expect("a valid id"),
        input: Payload::from(format!("{next}:{token}-o")),
    };
    vec![signal, start]
}

/// A signal of an entity to itself, after some time: the token counts down to 0.
fn next_tick(now: u64, entity: &EntityId, token: &str) -> Option<EntityEffect> {
    let (name, left) = token.rsplit_once("-k").expect("a token with a number");
    let left = left.parse::<u64>().expect("a number").checked_sub(1)?;
    let due = Timestamp::from_millis(now + 200 * left);
    let input = due_input(&format!("{name}-k{left}"), due);
    Some(EntityEffect::Signal {
        entity: entity.clone(),
        operation: "tick".to_owned(),
        input: Some(Payload::from(input)),
        at: Some(due),
    })
}
