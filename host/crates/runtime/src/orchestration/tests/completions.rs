//! What comes back from actions: in which order, as what failure, and what becomes of the rest.

use everstate_types::{Action, EventKind, Failure, InnerFailure, Payload};
use uuid::Uuid;

use super::{
    Recorder, activity, call, came, child, completed, done, failed, fired, name, signal, take,
    timer, turn, work_item,
};
use crate::orchestration::script::{Script, ScriptError};

#[test]
fn completion_that_stands_first_in_the_history_wins() {
    let turns = vec![vec![done(0, &activity("1")), done(1, &call("b")), done(2, &timer(5))]];
    let new_events = vec![turn(2), fired(2), completed(1, "b"), completed(0, "a")];
    let mut script = Recorder::after(turns, new_events).script();
    for action in [activity("1"), call("b"), timer(5)] {
        script.act(action).expect("a handle");
    }
    assert_eq!(take(&mut script, &[0, 1]), (1, "b".to_owned()));
    assert_eq!(take(&mut script, &[0, 2]), (2, "null".to_owned()));
    assert_eq!(take(&mut script, &[0]), (0, "a".to_owned()));
}

#[test]
fn second_completion_of_the_same_action_is_dropped() {
    let turns = vec![vec![done(0, &activity("1"))]];
    let new_events = vec![turn(2), completed(0, "first"), completed(0, "second")];
    let mut script = Recorder::after(turns, new_events).script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(take(&mut script, &[0]), (0, "first".to_owned()));
}

#[test]
fn completion_of_what_nobody_asked_for_is_dropped() {
    let mut script = Recorder::after(vec![vec![]], vec![turn(2), completed(0, "1")]).script();
    let waiter = script.wait_for_event("e").expect("a handle");
    assert_eq!(script.wait_any(&[waiter]), Ok(None));
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Ok(None));
}

fn cause() -> Failure {
    Failure {
        error_type: "Broken".to_owned(),
        error_message: "by design".to_owned(),
        stack_trace: Some("here".to_owned()),
        inner_failures: vec![InnerFailure {
            error_type: "Deeper".to_owned(),
            error_message: "down".to_owned(),
            stack_trace: None,
        }],
        is_non_retriable: true,
        properties: vec![("code".to_owned(), "7".to_owned())],
    }
}

/// The failure that the guest gets for the only action of the first turn.
fn failure_of(action: &Action, event: EventKind) -> Failure {
    let recorder = Recorder::after(vec![vec![done(0, action)]], vec![turn(2), came(event)]);
    let mut script = recorder.script();
    assert_eq!(script.act(action.clone()), Ok(0));
    let (_, outcome) = script.wait_any(&[0]).expect("a handle").expect("a completion");
    outcome.expect_err("it failed")
}

#[test]
fn failure_of_an_activity_or_a_child_has_what_the_other_side_reported_as_first_cause() {
    let (scheduled_id, failure) = (0, cause());
    let of_activity = EventKind::ActivityFailed { scheduled_id, failure: failure.clone() };
    let of_child = EventKind::SubOrchestrationFailed { scheduled_id, failure };
    for (action, event, error_type, error_message) in [
        (
            activity("1"),
            of_activity,
            "ActivityFailed",
            "The activity function 'Work' failed: \"by design\". See the function execution logs \
             for additional details.",
        ),
        (
            child("c"),
            of_child,
            "SubOrchestrationFailed",
            "The orchestrator function 'Child' failed: \"by design\". See the function execution \
             logs for additional details.",
        ),
    ] {
        let failure = failure_of(&action, event);
        assert_eq!((&*failure.error_type, &*failure.error_message), (error_type, error_message));
        let causes: Vec<&str> =
            failure.inner_failures.iter().map(|inner| &*inner.error_type).collect();
        assert_eq!(causes, ["Broken", "Deeper"]);
        assert_eq!(failure.inner_failures[0].stack_trace.as_deref(), Some("here"));
        assert!(failure.is_non_retriable);
        assert_eq!(failure.properties, cause().properties);
    }
}

#[test]
fn failure_of_an_entity_arrives_as_it_was() {
    let event = EventKind::EntityOperationFailed {
        scheduled_id: 0,
        request_id: Uuid::nil(),
        failure: cause(),
    };
    assert_eq!(failure_of(&call("a"), event), cause());
}

#[test]
fn operation_without_result_gives_null() {
    let event = EventKind::EntityOperationCompleted {
        scheduled_id: 0,
        request_id: Uuid::nil(),
        output: None,
    };
    let turns = vec![vec![done(0, &call("a"))]];
    let mut script = Recorder::after(turns, vec![turn(2), came(event)]).script();
    assert_eq!(script.act(call("a")), Ok(0));
    assert_eq!(take(&mut script, &[0]), (0, "null".to_owned()));
}

#[test]
fn wait_for_what_cannot_come_is_refused() {
    let turns = vec![vec![done(0, &activity("1")), done(1, &signal("b"))]];
    let mut script = Recorder::after(turns, vec![turn(2), completed(0, "1")]).script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.act(signal("b")), Ok(1));
    for handles in [&[][..], &[1], &[2], &[0, 1 << 31]] {
        assert!(matches!(script.wait_any(handles), Err(ScriptError::BadHandle(_))), "{handles:?}");
    }
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert!(matches!(script.wait_any(&[0]), Err(ScriptError::BadHandle(_))));
    assert_eq!(script.act(activity("2")), Ok(2));
    script.cancel(2).expect("it follows its history");
    assert!(matches!(script.wait_any(&[2]), Err(ScriptError::BadHandle(_))));
}

#[test]
fn cancelled_timer_is_told_with_its_creation_and_only_once() {
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    for action in [timer(5), timer(6), activity("1")] {
        script.act(action).expect("a handle");
    }
    script.cancel(0).expect("it follows its history");
    script.cancel(0).expect("it follows its history");
    script.cancel(2).expect("it follows its history");
    script.cancel(77).expect("it follows its history");
    assert_eq!(script.wait_any(&[1]), Ok(None));
    let outcome = script.suspend();
    assert_eq!(outcome.cancelled, [0]);
    assert_eq!(outcome.actions, [timer(5), timer(6), activity("1")]);

    // A replay says nothing of it, and a cancelled activity's result is dropped.
    recorder.record(&outcome, vec![turn(2), fired(0), completed(2, "1"), fired(1)]);
    let mut replayed = recorder.script();
    for action in [timer(5), timer(6), activity("1")] {
        replayed.act(action).expect("a handle");
    }
    replayed.cancel(0).expect("it follows its history");
    replayed.cancel(2).expect("it follows its history");
    assert_eq!(take(&mut replayed, &[1]).0, 1);
    replayed.cancel(1).expect("it follows its history");
    assert!(replayed.suspend().cancelled.is_empty());
}

#[test]
fn timer_that_has_fired_is_not_told_as_cancelled() {
    let turns = vec![vec![done(0, &timer(2)), done(1, &timer(3))]];
    let mut script = Recorder::after(turns, vec![turn(4), fired(0), fired(1)]).script();
    assert_eq!(script.act(timer(2)), Ok(0));
    assert_eq!(script.act(timer(3)), Ok(1));
    assert_eq!(take(&mut script, &[0, 1]).0, 0);
    script.cancel(1).expect("it follows its history");
    assert!(script.suspend().cancelled.is_empty());
    assert!(matches!(script.wait_any(&[1]), Err(ScriptError::BadHandle(_))));
}

fn retry(attempt: (i32, u32)) -> Action {
    Action::CallActivity {
        name: name("work"),
        input: Payload::from("1"),
        tags: Vec::new(),
        first_attempt: Some(attempt.0),
        attempt: attempt.1,
    }
}

#[test]
fn retries_count_up_from_the_first_attempt() {
    let mut script = Script::new(work_item());
    assert_eq!(script.act(timer(9)), Ok(0));
    assert_eq!(script.act(activity("1")), Ok(1));
    assert_eq!(script.next_attempt(1, &name("WORK")), Some((1, 2)));
    assert_eq!(script.act(retry((1, 2))), Ok(2));
    assert_eq!(script.next_attempt(1, &name("work")), Some((1, 3)));
    assert_eq!(script.next_attempt(2, &name("work")), Some((1, 3)), "a retry of a retry");
    assert_eq!(script.act(retry((1, 3))), Ok(3));
    assert_eq!(script.next_attempt(1, &name("work")), Some((1, 4)));
    for (handle, other) in [(0, "work"), (1, "another"), (9, "work"), (1 << 31, "work")] {
        assert_eq!(script.next_attempt(handle, &name(other)), None);
    }
}

#[test]
fn retry_can_follow_a_first_attempt_that_has_failed() {
    let turns = vec![vec![done(0, &activity("1"))]];
    let mut script = Recorder::after(turns, vec![turn(2), failed(0, cause())]).script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert!(matches!(script.wait_any(&[0]), Ok(Some((0, Err(_))))));
    assert_eq!(script.next_attempt(0, &name("Work")), Some((0, 2)));
}
