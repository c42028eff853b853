//! What a component says of its entities, and what the host makes of it: read-only operations, times to
//! live, indexes, versions; and where a batch stops.

use std::sync::Arc;

use everstate_engine::guest::{EntityEffect, EntityOptions, GuestExecutor};
use everstate_runtime::{LoadError, RuntimeConfig};
use everstate_types::{EntityState, Payload, Timestamp};

use crate::entity::{failed, item, run};
use crate::handmade::{
    Options, handmade, handmade_of_other_type, handmade_that_traps, handmade_without_function,
};
use crate::{Fixture, load, small};

/// Every operation has one of the same name that is read-only.
const OPTIONS: Options = Options {
    name: "handmade",
    read_only: &[
        "set_READ",
        "get_read",
        "delete_read",
        "version_read",
        "index_read",
        "time_read",
        "effect_read",
        "orchestration_read",
    ],
    time_to_live: Some(60_000),
    indexes: &["color"],
};

/// A runtime with the component published.
async fn fixture(config: RuntimeConfig) -> Fixture {
    let fixture = Fixture::with_config(config);
    let component = fixture.runtime.load("handmade.wasm", handmade(&[OPTIONS])).await;
    assert_eq!(fixture.runtime.publish(&[component.expect("it loads")]), []);
    fixture
}

#[tokio::test]
async fn options_of_entities_are_found_with_the_function() {
    let fixture = fixture(small()).await;
    let options = fixture.runtime.entity_options("HANDMADE").expect("it is published");
    assert_eq!(options.time_to_live_ms, Some(60_000));
    assert_eq!(options.indexes, ["color"]);
    assert!(options.is_read_only("Set_Read") && !options.is_read_only("set"));
    assert_eq!(fixture.runtime.entity_options("Nobody"), None);
}

#[tokio::test]
async fn entity_function_without_options_has_the_default_ones() {
    let fixture = Fixture::new();
    let component = fixture.runtime.load("handmade.wasm", handmade(&[])).await.expect("it loads");
    fixture.runtime.publish(&[component]);
    let options = fixture.runtime.entity_options("Handmade");
    assert_eq!(options, Some(Arc::new(EntityOptions::default())));
}

#[tokio::test]
async fn wrong_description_of_entities_is_refused_in_one_line() {
    let fixture = Fixture::new();
    let of = |options: Options| handmade(&[options]);
    let nine = &["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for (bytes, text) in [
        (of(Options { name: "Nobody", ..OPTIONS }), "`Nobody`: it describes no entity function"),
        (handmade(&[OPTIONS, OPTIONS]), "twice"),
        (of(Options { indexes: nine, ..OPTIONS }), "9 indexes, at most 8"),
        (of(Options { indexes: &[""], ..OPTIONS }), "an empty name"),
        (of(Options { read_only: &[""], ..OPTIONS }), "an empty name"),
        (handmade_of_other_type(), "`describe-entities` failed"),
        (handmade_without_function(), "`describe-entities` failed"),
        (handmade_that_traps(), "`describe-entities` failed: wasm trap"),
    ] {
        let error = fixture.runtime.load("bad.wasm", bytes).await.expect_err(text);
        assert!(
            matches!(error, LoadError::EntityOptions { .. } | LoadError::DescribeEntities(_)),
            "{error}"
        );
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[tokio::test]
async fn operation_says_more_of_the_state_than_its_value() {
    let fixture = fixture(small()).await;
    let operations = [("version", "null"), ("set", "1"), ("version", "null"), ("index", "\"red\"")];
    let first = run(&fixture.runtime, item("Handmade", None, &operations)).await;
    let expected = EntityState {
        value: Some(Payload::from("1")),
        version: 7,
        fields: vec![("color".to_owned(), Payload::from("\"red\""))],
        time_to_live_ms: None,
    };
    assert_eq!(first.state, expected);
    assert_eq!(first.time_to_live_ms, Some(60_000));
    let mut next = item("Handmade", None, &[("time", "null")]);
    next.state = first.state;
    let second = run(&fixture.runtime, next.clone()).await;
    assert_eq!(second.state, EntityState { time_to_live_ms: Some(5), ..expected });
    for end in [("delete", "null"), ("set", " null ")] {
        next.state = second.state.clone();
        next.operations = item("Handmade", None, &[end]).operations;
        let deleted = run(&fixture.runtime, next.clone()).await;
        assert_eq!(deleted.state, EntityState::default(), "{end:?}");
    }
}

#[tokio::test]
async fn version_of_a_state_that_does_not_come_is_forgotten() {
    let fixture = fixture(small()).await;
    let operations = [("version", "null"), ("time", "null"), ("index", "1")];
    let outcome = run(&fixture.runtime, item("Handmade", None, &operations)).await;
    assert!(outcome.results.iter().all(|operation| operation.result == Ok(None)), "{outcome:?}");
    assert_eq!(outcome.state, EntityState::default());
}

#[tokio::test]
async fn signal_to_be_done_later_says_when() {
    let fixture = fixture(small()).await;
    let outcome = run(&fixture.runtime, item("Handmade", None, &[("effect", "null")])).await;
    let effects = &outcome.results[0].effects;
    let [EntityEffect::Signal { entity, at, .. }] = &effects[..] else { panic!("{outcome:?}") };
    assert_eq!(entity.to_string(), "@handmade@first-1");
    assert_eq!(*at, Some(Timestamp::from_millis(9)));
}

#[tokio::test]
async fn read_only_operation_can_read_and_do_nothing_else() {
    let fixture = fixture(small()).await;
    for (operation, function) in [
        ("set_read", "set-state"),
        ("set_READ", "set-state"),
        ("delete_read", "delete-state"),
        ("version_read", "set-state-version"),
        ("index_read", "set-indexes"),
        ("time_read", "set-time-to-live"),
        ("effect_read", "signal-entity"),
        ("orchestration_read", "start-orchestration"),
    ] {
        let before = item("Handmade", Some("1"), &[(operation, "2")]);
        let outcome = run(&fixture.runtime, before.clone()).await;
        // The contract says which of them give an answer, and which trap.
        let text = match &outcome.results[0].result {
            Ok(refusal) => refusal.as_ref().expect(operation).as_str(),
            Err(failure) => &failure.error_message,
        };
        let expected = format!("declared as read-only, it must not use `{function}`");
        assert!(text.contains(&expected), "{operation}: {text}");
        assert_eq!(outcome.state, before.state);
        assert_eq!(outcome.results[0].effects, []);
    }
    let outcome = run(&fixture.runtime, item("Handmade", Some("1"), &[("get_read", "2")])).await;
    assert_eq!(outcome.results[0].result, Ok(Some(Payload::from("1"))));
}

#[tokio::test]
async fn batch_stops_after_an_operation_that_trapped() {
    let fixture = fixture(small()).await;
    let operations = [("x", "null"), ("set", "1")];
    let outcome = fixture.runtime.run_entity(item("Handmade", None, &operations)).await;
    assert_eq!(outcome.results.len(), 1);
    assert_eq!(failed(&outcome, 0).0, "GuestTrapped");
}

#[tokio::test]
async fn batch_stops_after_an_operation_that_took_long() {
    let fixture = fixture(RuntimeConfig { turn_cpu_ms_max: 60_000, ..small() }).await;
    let operations = [("loop", "null"), ("set", "1")];
    let outcome = fixture.runtime.run_entity(item("Handmade", None, &operations)).await;
    assert_eq!(outcome.results.len(), 1);
    assert_eq!(outcome.results[0].result, Ok(None));
}

#[tokio::test]
async fn rest_of_a_batch_runs_with_the_code_that_came_meanwhile() {
    let fixture = fixture(small()).await;
    let operations = [("x", "null"), ("set", "1")];
    let mut rest = item("Handmade", None, &operations);
    let outcome = fixture.runtime.run_entity(rest.clone()).await;
    rest.operations.drain(..outcome.results.len());
    let database = load(&fixture.runtime, "database").await;
    fixture.runtime.publish(&[database]);
    let outcome = fixture.runtime.run_entity(rest).await;
    assert_eq!(failed(&outcome, 0).0, "FunctionNotFound");
}
