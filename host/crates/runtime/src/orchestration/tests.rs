//! Replay, the order of completions, time, and what a run that leaves its history gets. Without
//! guests: the tests play the orchestrator.

use std::sync::Arc;

use everstate_engine::guest::OrchestrationWorkItem;
use everstate_types::{
    Action, ComponentHash, EntityId, EventKind, ExecutionId, Failure, FunctionName, HistoryEvent,
    InstanceId, Payload, Timestamp,
};
use uuid::Uuid;

use super::script::{Script, ScriptError};

/// A first turn, at second 1.
pub(crate) fn work_item() -> OrchestrationWorkItem {
    OrchestrationWorkItem {
        instance_id: InstanceId::orchestration("an-instance").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        name: FunctionName::new("Test").expect("a valid name"),
        component: ComponentHash([0; 32]),
        parent_instance_id: None,
        tags: Vec::new(),
        history: Arc::default(),
        new_events: Arc::new(vec![turn(1), started()]),
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn turn(second: u64) -> HistoryEvent {
    HistoryEvent::new(at(second), EventKind::OrchestratorStarted)
}

fn turn_end(second: u64) -> HistoryEvent {
    HistoryEvent::new(at(second), EventKind::OrchestratorCompleted)
}

fn started() -> HistoryEvent {
    let kind = EventKind::ExecutionStarted {
        name: FunctionName::new("Test").expect("a valid name"),
        version: None,
        input: Payload::from("7"),
        parent: None,
        tags: Vec::new(),
        scheduled_start: None,
    };
    HistoryEvent::new(at(1), kind)
}

fn entity(key: &str) -> EntityId {
    EntityId::new("register", key).expect("a valid id")
}

fn call(key: &str) -> Action {
    Action::CallEntity { entity: entity(key), operation: "get".to_owned(), input: None }
}

fn signal(key: &str) -> Action {
    Action::SignalEntity { entity: entity(key), operation: "get".to_owned(), input: None }
}

fn called(number: i32, key: &str) -> HistoryEvent {
    let kind = EventKind::EntityOperationCalled {
        request_id: Uuid::nil(),
        entity: entity(key),
        operation: "get".to_owned(),
        input: None,
    };
    HistoryEvent::of_action(number, at(1), kind)
}

fn signaled(number: i32, key: &str) -> HistoryEvent {
    let kind = EventKind::EntityOperationSignaled {
        request_id: Uuid::nil(),
        entity: entity(key),
        operation: "get".to_owned(),
        input: None,
        scheduled_time: None,
    };
    HistoryEvent::of_action(number, at(1), kind)
}

fn completed(number: i32, output: &str) -> HistoryEvent {
    let kind = EventKind::EntityOperationCompleted {
        scheduled_id: number,
        request_id: Uuid::nil(),
        output: Some(Payload::from(output)),
    };
    HistoryEvent::new(at(9), kind)
}

/// A later turn of the same execution.
fn later(history: Vec<HistoryEvent>, new_events: Vec<HistoryEvent>) -> OrchestrationWorkItem {
    let (history, new_events) = (Arc::new(history), Arc::new(new_events));
    OrchestrationWorkItem { history, new_events, ..work_item() }
}

fn take(script: &mut Script, handles: &[u32]) -> (u32, String) {
    let (handle, outcome) =
        script.wait_any(handles).expect("handles are right").expect("something has completed");
    (handle, outcome.expect("it went well").as_str().to_owned())
}

fn mismatch(script: &mut Script) -> String {
    let failure: Failure = script.take_mismatch().expect("a mismatch");
    assert_eq!(failure.error_type, "NonDeterminism");
    failure.error_message
}

#[test]
fn first_turn_records_actions_in_order_and_waits() {
    let mut script = Script::new(work_item());
    assert_eq!(script.input().as_str(), "7");
    assert!(!script.is_replaying());
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.send(signal("b")), Ok(()));
    assert_eq!(script.call(call("c")), Ok(2));
    assert_eq!(script.wait_any(&[0, 2]), Ok(None));
    assert!(script.is_waiting());
    assert_eq!(script.take_outcome().0, [call("a"), signal("b"), call("c")]);
}

#[test]
fn replay_answers_from_the_history_and_records_only_what_is_new() {
    let history = vec![turn(1), started(), called(0, "a"), signaled(1, "b"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(5), completed(0, "1")]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.send(signal("b")), Ok(()));
    assert!(script.is_replaying());
    assert_eq!(script.current_time(), at(1));
    assert_eq!(take(&mut script, &[0]), (0, "1".to_owned()));
    assert!(!script.is_replaying());
    assert_eq!(script.current_time(), at(5));
    assert_eq!(script.call(call("c")), Ok(2));
    assert_eq!(script.take_outcome().0, [call("c")]);
}

#[test]
fn completion_that_stands_first_in_the_history_wins() {
    let history = vec![turn(1), started(), called(0, "a"), called(1, "b"), turn_end(1)];
    let new_events = vec![turn(2), completed(1, "b"), completed(0, "a")];
    let mut script = Script::new(later(history, new_events));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.call(call("b")), Ok(1));
    assert_eq!(take(&mut script, &[0, 1]), (1, "b".to_owned()));
    assert_eq!(take(&mut script, &[0]), (0, "a".to_owned()));
}

#[test]
fn time_does_not_go_back_when_an_older_completion_is_taken_later() {
    let history = vec![
        turn(1),
        started(),
        called(0, "a"),
        called(1, "b"),
        turn_end(1),
        turn(2),
        completed(0, "a"),
        turn_end(2),
    ];
    let mut script = Script::new(later(history, vec![turn(3), completed(1, "b")]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.call(call("b")), Ok(1));
    assert_eq!(take(&mut script, &[1]).0, 1);
    assert_eq!(script.current_time(), at(3));
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert_eq!(script.current_time(), at(3));
    assert!(!script.is_replaying());
}

#[test]
fn failure_of_an_entity_arrives_as_it_was() {
    let failure = Failure::new("Broken", "by design").non_retriable();
    let kind = EventKind::EntityOperationFailed {
        scheduled_id: 0,
        request_id: Uuid::nil(),
        failure: failure.clone(),
    };
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(2), HistoryEvent::new(at(2), kind)]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Ok(Some((0, Err(failure)))));
}

#[test]
fn suspended_script_goes_on_like_a_replayed_one() {
    let mut suspended = Script::new(work_item());
    assert_eq!(suspended.call(call("a")), Ok(0));
    assert_eq!(suspended.call(call("b")), Ok(1));
    assert_eq!(suspended.wait_any(&[0]), Ok(None));
    let history = vec![turn(1), started(), called(0, "a"), called(1, "b"), turn_end(1)];
    let item = later(history, vec![turn(2), completed(1, "b"), completed(0, "a")]);
    assert!(suspended.fits(&item));
    suspended.continue_with(item.clone());

    let mut replayed = Script::new(item);
    assert_eq!(replayed.call(call("a")), Ok(0));
    assert_eq!(replayed.call(call("b")), Ok(1));
    for script in [&mut suspended, &mut replayed] {
        assert!(script.is_replaying());
        assert_eq!(take(script, &[0]), (0, "a".to_owned()));
        assert_eq!(script.current_time(), at(2));
        assert!(!script.is_replaying());
        assert_eq!(take(script, &[1]), (1, "b".to_owned()));
        assert_eq!(script.call(call("c")), Ok(2));
        assert_eq!(script.wait_any(&[2]), Ok(None));
    }
    suspended.take_outcome();
    assert_eq!(replayed.take_outcome().0, [call("c")]);
}

#[test]
fn suspended_script_fits_only_the_history_that_it_has_seen() {
    let mut script = Script::new(work_item());
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Ok(None));
    let seen = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let fits = |history: Vec<HistoryEvent>| script.fits(&later(history, vec![turn(9)]));
    assert!(fits(seen.clone()));
    assert!(fits(seen[..3].to_vec()));
    assert!(!fits(seen[..2].to_vec()), "its action is not there");
    assert!(!fits(vec![turn(2), started(), called(0, "a")]), "another turn");
    let mut more = seen.clone();
    more.extend([turn(2), completed(0, "1"), turn_end(2)]);
    assert!(!fits(more), "a turn that it has not seen");
    let mut other = later(seen, vec![turn(9)]);
    other.execution_id = ExecutionId::new(Uuid::max());
    assert!(!script.fits(&other), "another execution");
}

#[test]
fn replay_that_asks_for_something_else_fails_and_names_both() {
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let new_events = vec![turn(2), completed(0, "1")];
    for other in [call("b"), signal("a")] {
        let mut script = Script::new(later(history.clone(), new_events.clone()));
        assert_eq!(script.send(other), Err(ScriptError::Mismatch));
        let message = mismatch(&mut script);
        assert!(message.contains("action 0"), "{message}");
        assert!(message.contains("called operation 'get' of entity '@register@a'"), "{message}");
        assert!(message.contains("asked to"), "{message}");
    }
}

#[test]
fn replay_with_another_input_fails() {
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(2)]));
    let input = Some(Payload::from("1"));
    let action = Action::CallEntity { entity: entity("a"), operation: "get".to_owned(), input };
    assert_eq!(script.call(action), Err(ScriptError::Mismatch));
}

#[test]
fn replay_that_asks_for_more_than_its_past_did_fails() {
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(2), completed(0, "1")]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.call(call("b")), Err(ScriptError::Mismatch));
    assert!(mismatch(&mut script).contains("action 1"));
}

#[test]
fn replay_that_ends_or_waits_without_its_past_fails() {
    let history = vec![turn(1), started(), called(0, "a"), signaled(1, "b"), turn_end(1)];
    let mut script = Script::new(later(history.clone(), vec![turn(2)]));
    script.end();
    assert!(mismatch(&mut script).contains("ended without it"));

    let mut script = Script::new(later(history, vec![turn(2)]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Err(ScriptError::Mismatch));
    let message = mismatch(&mut script);
    assert!(message.contains("signaled") && message.contains("waits without it"), "{message}");
}

#[test]
fn wait_for_what_cannot_come_is_refused() {
    let history = vec![turn(1), started(), called(0, "a"), signaled(1, "b"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(2), completed(0, "1")]));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(script.send(signal("b")), Ok(()));
    for handles in [&[][..], &[1], &[2]] {
        assert!(matches!(script.wait_any(handles), Err(ScriptError::BadHandle(_))), "{handles:?}");
    }
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert!(matches!(script.wait_any(&[0]), Err(ScriptError::BadHandle(_))));
    assert_eq!(script.call(call("c")), Ok(2));
    script.cancel(2);
    assert!(matches!(script.wait_any(&[2]), Err(ScriptError::BadHandle(_))));
}

#[test]
fn second_completion_of_the_same_action_is_ignored() {
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let new_events = vec![turn(2), completed(0, "first"), completed(0, "second")];
    let mut script = Script::new(later(history, new_events));
    assert_eq!(script.call(call("a")), Ok(0));
    assert_eq!(take(&mut script, &[0]), (0, "first".to_owned()));
}

#[test]
fn custom_status_of_a_replayed_part_is_not_told_again() {
    let history = vec![turn(1), started(), called(0, "a"), turn_end(1)];
    let mut script = Script::new(later(history, vec![turn(2), completed(0, "1")]));
    script.set_custom_status(Some(Payload::from("1")));
    assert_eq!(script.call(call("a")), Ok(0));
    take(&mut script, &[0]);
    assert_eq!(script.take_outcome().1, None);
    script.set_custom_status(None);
    assert_eq!(script.take_outcome().1, Some(None));
}
