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
            r#"[{"EventType":"ExecutionStarted","Timestamp":"2019-05-23T22:30:36.000Z","#,
            r#""FunctionName":"HelloSequence"},"#,
            r#"{"EventType":"TaskCompleted","Result":"Hello Tokyo!","#,
            r#""Timestamp":"2019-05-23T22:30:40.000Z","ScheduledTime":"2019-05-23T22:30:37.000Z","#,
            r#""FunctionName":"SayHello","Input":"Tokyo"},"#,
            r#"{"EventType":"ExecutionCompleted","OrchestrationStatus":"Completed","#,
            r#""Result":["Hello Tokyo!"],"Timestamp":"2019-05-23T22:30:41.000Z"}]"#,
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
            r#"[{"EventType":"EntityOperationCalled","Timestamp":"2019-05-23T22:30:35.000Z","#,
            r#""EntityId":"@register@1","Operation":"get"},"#,
            r#"{"EventType":"TimerCreated","Timestamp":"2019-05-23T22:30:36.000Z","#,
            r#""FireAt":"2019-05-23T22:30:35.000Z"}]"#,
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
            r#""Timestamp":"2019-05-23T22:30:36.000Z","ScheduledTime":"2019-05-23T22:30:35.000Z","#,
            r#""EntityId":"@register@1","Operation":"set","Input":1}]"#,
        )
    );
}

fn entity(key: &str) -> EntityId {
    EntityId::new("Account", key).expect("a valid id")
}

fn lock_requested() -> EventKind {
    let lock_set = vec![entity("a,b"), entity("c\"d")];
    EventKind::EntityLockRequested { critical_section_id: Uuid::max(), lock_set }
}

#[test]
fn critical_section_is_shown_as_the_grant_and_each_unlock() {
    let critical_section_id = Uuid::max();
    let unlocked = |entity| EventKind::EntityUnlockSent { critical_section_id, entity };
    let events = vec![
        (0, lock_requested()),
        (-1, EventKind::EntityLockGranted { scheduled_id: 0, critical_section_id }),
        (1, unlocked(entity("a,b"))),
        (2, unlocked(entity("c\"d"))),
    ];
    assert_eq!(
        shown(events, ALL),
        concat!(
            r#"[{"EventType":"EntityLockGranted","Timestamp":"2019-05-23T22:30:36.000Z","#,
            r#""ScheduledTime":"2019-05-23T22:30:35.000Z","#,
            r#""CriticalSectionId":"ffffffff-ffff-ffff-ffff-ffffffffffff","#,
            r#""LockSet":["@account@a,b","@account@c\"d"]},"#,
            r#"{"EventType":"EntityUnlockSent","Timestamp":"2019-05-23T22:30:37.000Z","#,
            r#""CriticalSectionId":"ffffffff-ffff-ffff-ffff-ffffffffffff","#,
            r#""EntityId":"@account@a,b"},"#,
            r#"{"EventType":"EntityUnlockSent","Timestamp":"2019-05-23T22:30:38.000Z","#,
            r#""CriticalSectionId":"ffffffff-ffff-ffff-ffff-ffffffffffff","#,
            r#""EntityId":"@account@c\"d"}]"#,
        )
    );
}

#[test]
fn lock_that_is_waited_for_is_shown_as_requested_and_one_that_was_refused_as_failed() {
    assert_eq!(
        shown(vec![(0, lock_requested())], ALL),
        concat!(
            r#"[{"EventType":"EntityLockRequested","Timestamp":"2019-05-23T22:30:35.000Z","#,
            r#""CriticalSectionId":"ffffffff-ffff-ffff-ffff-ffffffffffff","#,
            r#""LockSet":["@account@a,b","@account@c\"d"]}]"#,
        )
    );
    let failed = EventKind::EntityOperationFailed {
        scheduled_id: 0,
        request_id: Uuid::max(),
        failure: Failure::new("FunctionNotFound", "no such entity"),
    };
    assert_eq!(
        shown(vec![(0, lock_requested()), (-1, failed)], ALL),
        concat!(
            r#"[{"EventType":"EntityOperationFailed","Reason":"no such entity","#,
            r#""Timestamp":"2019-05-23T22:30:36.000Z","ScheduledTime":"2019-05-23T22:30:35.000Z","#,
            r#""CriticalSectionId":"ffffffff-ffff-ffff-ffff-ffffffffffff","#,
            r#""LockSet":["@account@a,b","@account@c\"d"]}]"#,
        )
    );
}

#[test]
fn signal_is_shown_with_its_time_or_why_it_was_refused() {
    let signaled = |scheduled_time, refusal: Option<&str>| EventKind::EntityOperationSignaled {
        request_id: Uuid::nil(),
        entity: entity("a"),
        operation: "add".to_owned(),
        input: Some(Payload::from("7")),
        scheduled_time,
        refusal: refusal.map(str::to_owned),
    };
    let later = Some(Timestamp::from_millis(START_MS + 60_000));
    let events = vec![
        (0, signaled(None, None)),
        (1, signaled(later, None)),
        (2, signaled(None, Some("no"))),
    ];
    assert_eq!(
        shown(events, ALL),
        concat!(
            r#"[{"EventType":"EntityOperationSignaled","Timestamp":"2019-05-23T22:30:35.000Z","#,
            r#""EntityId":"@account@a","Operation":"add","Input":7},"#,
            r#"{"EventType":"EntityOperationSignaled","Timestamp":"2019-05-23T22:30:36.000Z","#,
            r#""EntityId":"@account@a","Operation":"add","#,
            r#""ScheduledTime":"2019-05-23T22:31:35.000Z","Input":7},"#,
            r#"{"EventType":"EntityOperationSignaled","Timestamp":"2019-05-23T22:30:37.000Z","#,
            r#""EntityId":"@account@a","Operation":"add","Reason":"no","Input":7}]"#,
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
