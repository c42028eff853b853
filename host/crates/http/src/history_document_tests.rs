//! Golden tests of the history in a status document.

use std::sync::Arc;

use everstate_types::{
    EntityId, EventKind, Failure, FunctionName, HistoryEvent, OrchestrationStatus, Payload,
    RuntimeStatus, Timestamp,
};
use uuid::Uuid;

use crate::status_document::{Shown, status_document};
use crate::test_status::{START_MS, status};

const ALL: Shown = Shown { input: true, history: true, history_output: true };

fn name(name: &str) -> FunctionName {
    FunctionName::new(name).expect("a valid name")
}

/// Events one second apart; those with a number confirm an action.
fn history(kinds: Vec<(i32, EventKind)>) -> Vec<HistoryEvent> {
    let numbered = (0..).zip(kinds);
    numbered
        .map(|(second, (event_id, kind))| HistoryEvent {
            event_id,
            timestamp: Timestamp::from_millis(START_MS + second * 1_000),
            kind,
        })
        .collect()
}

/// The `historyEvents` of a document.
fn shown(events: Vec<(i32, EventKind)>, shown: Shown) -> String {
    let mut status = status(RuntimeStatus::Running);
    status.history = Arc::new(history(events));
    let document = String::from_utf8(status_document(&status, shown)).expect("UTF-8");
    serde_json::from_str::<serde_json::Value>(&document).expect("JSON");
    let (_, events) = document.split_once(r#""historyEvents":"#).expect("a history");
    events.strip_suffix('}').expect("the end of the document").to_owned()
}

fn hello_sequence() -> Vec<(i32, EventKind)> {
    vec![
        (-1, EventKind::OrchestratorStarted),
        (
            -1,
            EventKind::ExecutionStarted {
                name: name("HelloSequence"),
                version: None,
                input: Payload::from(r#"{"n": 1}"#),
                parent: None,
                tags: Vec::new(),
                scheduled_start: None,
            },
        ),
        (
            0,
            EventKind::ActivityScheduled {
                name: name("SayHello"),
                version: None,
                input: Payload::from(r#""Tokyo""#),
                tags: Vec::new(),
                first_attempt: None,
                attempt: 1,
            },
        ),
        (-1, EventKind::OrchestratorCompleted),
        (-1, EventKind::OrchestratorStarted),
        (
            -1,
            EventKind::ActivityCompleted {
                scheduled_id: 0,
                result: Payload::from(r#""Hello Tokyo!""#),
            },
        ),
        (
            -1,
            EventKind::ExecutionCompleted {
                status: OrchestrationStatus::Completed,
                result: Some(Payload::from(r#"["Hello Tokyo!"]"#)),
                failure: None,
            },
        ),
    ]
}

#[test]
fn history_is_shown_in_the_shape_of_the_original() {
    assert_eq!(
        shown(hello_sequence(), ALL),
        concat!(
            r#"[{"EventType":"ExecutionStarted","Timestamp":"2019-05-23T22:30:36Z","#,
            r#""FunctionName":"HelloSequence"},"#,
            r#"{"EventType":"TaskCompleted","Result":"Hello Tokyo!","#,
            r#""Timestamp":"2019-05-23T22:30:40Z","ScheduledTime":"2019-05-23T22:30:37Z","#,
            r#""FunctionName":"SayHello","Input":"Tokyo"},"#,
            r#"{"EventType":"ExecutionCompleted","OrchestrationStatus":"Completed","#,
            r#""Result":["Hello Tokyo!"],"Timestamp":"2019-05-23T22:30:41Z"}]"#,
        )
    );
}

#[test]
fn history_without_output_and_input_has_neither() {
    let text =
        shown(hello_sequence(), Shown { input: false, history: true, history_output: false });
    assert!(!text.contains("Result") && !text.contains("Input"), "{text}");
    assert!(text.contains(r#""FunctionName":"SayHello""#));
}

#[test]
fn what_is_still_under_way_is_shown_as_scheduled() {
    let entity = EntityId::new("Register", "1").expect("a valid id");
    let text = shown(
        vec![
            (
                0,
                EventKind::EntityOperationCalled {
                    request_id: Uuid::nil(),
                    entity,
                    operation: "get".to_owned(),
                    input: None,
                },
            ),
            (1, EventKind::TimerCreated { fire_at: Timestamp::from_millis(START_MS) }),
        ],
        ALL,
    );
    assert_eq!(
        text,
        concat!(
            r#"[{"EventType":"EntityOperationCalled","Timestamp":"2019-05-23T22:30:35Z","#,
            r#""EntityId":"@register@1","Operation":"get"},"#,
            r#"{"EventType":"TimerCreated","Timestamp":"2019-05-23T22:30:36Z","#,
            r#""FireAt":"2019-05-23T22:30:35Z"}]"#,
        )
    );
}

#[test]
fn entity_operation_that_failed_is_merged_with_its_call() {
    let entity = EntityId::new("Register", "1").expect("a valid id");
    let text = shown(
        vec![
            (
                0,
                EventKind::EntityOperationCalled {
                    request_id: Uuid::nil(),
                    entity,
                    operation: "set".to_owned(),
                    input: Some(Payload::from("1")),
                },
            ),
            (
                -1,
                EventKind::EntityOperationFailed {
                    scheduled_id: 0,
                    request_id: Uuid::nil(),
                    failure: Failure::new("EntityOperationFailed", "no"),
                },
            ),
        ],
        ALL,
    );
    assert_eq!(
        text,
        concat!(
            r#"[{"EventType":"EntityOperationFailed","Reason":"no","#,
            r#""Timestamp":"2019-05-23T22:30:36Z","ScheduledTime":"2019-05-23T22:30:35Z","#,
            r#""EntityId":"@register@1","Operation":"set","Input":1}]"#,
        )
    );
}

#[test]
fn pending_orchestration_shows_no_history() {
    let status = status(RuntimeStatus::Pending);
    let document = String::from_utf8(status_document(&status, ALL)).expect("UTF-8");
    assert!(!document.contains("historyEvents"));
    assert!(document.contains(r#""output":null"#));
}
