//! Operations of entities: state and effects are taken together or not at all.

use everstate_engine::guest::{EntityOperation, EntityOutcome, EntityWorkItem, GuestExecutor};
use everstate_runtime::{Runtime, RuntimeConfig};
use everstate_types::{EntityId, EntityState, Payload};
use uuid::Uuid;

use crate::{Fixture, small};

/// An entity, its state, and operations with their inputs.
pub(crate) fn item(name: &str, state: Option<&str>, operations: &[(&str, &str)]) -> EntityWorkItem {
    let operation = |(operation, input): &(&str, &str)| EntityOperation {
        request_id: Uuid::nil(),
        operation: (*operation).to_owned(),
        input: Some(Payload::from(*input)),
        trace: None,
    };
    EntityWorkItem {
        entity: EntityId::new(name, "first-1").expect("a valid id"),
        state: EntityState { value: state.map(Payload::from), ..EntityState::default() },
        operations: operations.iter().map(operation).collect(),
    }
}

/// Runs all operations, in as many work items as that takes.
pub(crate) async fn run(runtime: &Runtime, mut item: EntityWorkItem) -> EntityOutcome {
    let mut results = Vec::new();
    loop {
        let outcome = runtime.run_entity(item.clone()).await;
        assert!(!outcome.results.is_empty(), "it got nowhere");
        item.operations.drain(..outcome.results.len());
        item.state = outcome.state.clone();
        results.extend(outcome.results.iter().cloned());
        if item.operations.is_empty() {
            return EntityOutcome { results, ..outcome };
        }
    }
}

pub(crate) fn failed(outcome: &EntityOutcome, index: usize) -> (&str, &str) {
    let failure = outcome.results[index].result.as_ref().expect_err("it failed");
    (&failure.error_type, &failure.error_message)
}

#[tokio::test]
async fn batch_runs_in_order_on_one_state() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let operations = [("get", "null"), ("set", "\"a\""), ("get", "null"), ("set", "\"b\"")];
    let outcome = run(&fixture.runtime, item("Register", None, &operations)).await;
    let results: Vec<_> = outcome
        .results
        .iter()
        .map(|operation| {
            operation.result.clone().expect("it went well").map(|p| p.as_str().to_owned())
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(results, [None, text("\"a\""), text("\"a\""), text("\"b\"")]);
    assert_eq!(outcome.state.value, Some(Payload::from("\"b\"")));
}

#[tokio::test]
async fn failing_operation_leaves_the_state_and_the_others_alone() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let operations = [("set", "\"a\""), ("no such", "null"), ("set", "17"), ("get", "null")];
    let outcome = run(&fixture.runtime, item("Register", None, &operations)).await;
    assert!(failed(&outcome, 1).1.contains("no such"));
    assert!(outcome.results[2].result.is_err());
    assert_eq!(outcome.results[3].result, Ok(Some(Payload::from("\"a\""))));
    assert_eq!(outcome.state.value, Some(Payload::from("\"a\"")));
}

#[tokio::test]
async fn effects_come_with_the_operation_that_sent_them() {
    let fixture = Fixture::with_guests(&["ledger"]).await;
    let operations = [("append", "\"a\""), ("get", "null"), ("append", "1")];
    let outcome = run(&fixture.runtime, item("Ledger", None, &operations)).await;
    let counts: Vec<_> = outcome.results.iter().map(|result| result.effects.len()).collect();
    assert_eq!(counts, [1, 0, 0]);
}

#[tokio::test]
async fn misbehaving_operation_is_ended_and_leaves_no_trace() {
    let fixture = Fixture::with_guests(&["misbehaving"]).await;
    let operations = [
        ("a", "\"behave\""),
        ("b", "\"trap\""),
        ("c", "\"loop\""),
        ("d", "\"allocate\""),
        ("e", "\"behave\""),
    ];
    let outcome = run(&fixture.runtime, item("Misbehaving", None, &operations)).await;
    assert_eq!(outcome.results[0].result, Ok(Some(Payload::from("\"behave\""))));
    let (kind, message) = failed(&outcome, 1);
    assert_eq!(kind, "GuestTrapped");
    assert!(message.contains("asked to trap"), "{message}");
    assert_eq!(failed(&outcome, 2).0, "CpuTimeExceeded");
    assert_eq!(failed(&outcome, 3).0, "MemoryLimitExceeded");
    assert_eq!(outcome.results[4].result, Ok(Some(Payload::from("\"behave\""))));
    assert_eq!(outcome.state.value, Some(Payload::from("\"behave\"")));
}

#[tokio::test]
async fn unknown_entity_fails_every_operation_and_keeps_the_state() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let outcome = run(&fixture.runtime, item("Nobody", Some("1"), &[("a", "1"), ("b", "2")])).await;
    for index in 0..2 {
        let expected =
            "The function 'nobody' doesn't exist, is disabled, or is not an entity function.";
        assert_eq!(failed(&outcome, index), ("FunctionNotFound", expected));
    }
    assert_eq!(outcome.state.value, Some(Payload::from("1")));
}

#[tokio::test]
async fn state_above_the_limit_is_refused() {
    let config = RuntimeConfig { entity_state_bytes_max: 100, ..small() };
    let fixture = Fixture::with_config(config).publish(&["database"]).await;
    let large = format!("\"{}\"", "x".repeat(100));
    let operations = [("set", "\"small\""), ("set", large.as_str())];
    let outcome = run(&fixture.runtime, item("Register", None, &operations)).await;
    assert!(failed(&outcome, 1).1.contains("entity_state_bytes_max"), "{outcome:?}");
    assert_eq!(outcome.state.value, Some(Payload::from("\"small\"")));
}

#[tokio::test]
async fn strict_isolation_gives_the_same_results() {
    let config = RuntimeConfig { strict_isolation: true, ..small() };
    let fixture = Fixture::with_config(config).publish(&["database"]).await;
    let operations = [("set", "\"a\""), ("get", "null")];
    let outcome = run(&fixture.runtime, item("Register", None, &operations)).await;
    assert_eq!(outcome.results[1].result, Ok(Some(Payload::from("\"a\""))));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_the_largest_size_is_read_and_written_within_the_default_limits() {
    let limits = RuntimeConfig::default();
    let config = RuntimeConfig {
        memory_bytes_max: limits.memory_bytes_max,
        entity_state_bytes_max: limits.entity_state_bytes_max,
        payload_bytes_max: limits.entity_state_bytes_max,
        turn_cpu_ms_max: limits.turn_cpu_ms_max,
        ..small()
    };
    let fixture = Fixture::with_config(config).publish(&["database"]).await;
    let largest = format!("\"{}\"", "x".repeat(limits.entity_state_bytes_max - 2));
    let operations = [("set", largest.as_str()), ("get", "null")];
    let outcome = run(&fixture.runtime, item("Register", Some(&largest), &operations)).await;
    for operation in &outcome.results {
        let output = operation.result.as_ref().expect("within the limits");
        assert!(output.as_ref().is_some_and(|output| output.as_str() == largest));
    }
    assert!(outcome.state.value.is_some_and(|value| value.as_str() == largest));
}
