//! Turns of orchestrators: kept or replayed, pinned to their code, ended when they misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use everstate_engine::guest::{
    GuestExecutor, HttpFunctions, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_runtime::Runtime;
use everstate_types::{
    Action, ComponentHash, EntityId, EventKind, ExecutionId, Failure, FunctionKind, HistoryEvent,
    InstanceId, Payload, Timestamp,
};
use uuid::Uuid;

use crate::{Fixture, Responses, load, small};

const PUT_INPUT: &str = r#"{"Key":"1","Value":"a"}"#;

pub(crate) fn event(kind: EventKind) -> HistoryEvent {
    HistoryEvent::new(Timestamp::from_millis(1), kind)
}

/// The first turn of an execution.
pub(crate) fn first_turn(fixture: &Fixture, name: &str, input: &str) -> OrchestrationWorkItem {
    let found = fixture.runtime.find(FunctionKind::Orchestrator, name).expect("published");
    let started = EventKind::ExecutionStarted {
        name: found.name.clone(),
        version: None,
        input: Payload::from(input),
        parent: None,
        tags: Vec::new(),
        scheduled_start: None,
    };
    OrchestrationWorkItem {
        instance_id: InstanceId::orchestration("an-instance").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        name: found.name,
        component: found.component,
        parent_instance_id: None,
        tags: Vec::new(),
        trace_id: None,
        history: Arc::default(),
        new_events: Arc::new(vec![event(EventKind::OrchestratorStarted), event(started)]),
    }
}

/// The turn after one that called an entity, with the answer to that call.
pub(crate) fn next_turn(
    turn: &OrchestrationWorkItem,
    called: &Action,
    answer: &str,
) -> OrchestrationWorkItem {
    let Action::CallEntity { entity, operation, input } = called.clone() else {
        unreachable!("no call: {called:?}");
    };
    let mut history = turn.history.to_vec();
    history.extend(turn.new_events.iter().cloned());
    let number = history.iter().filter(|event| event.event_id >= 0).count();
    let scheduled_id = i32::try_from(number).expect("few");
    let request_id = Uuid::nil();
    let kind = EventKind::EntityOperationCalled { request_id, entity, operation, input };
    history.push(HistoryEvent::of_action(scheduled_id, Timestamp::from_millis(1), kind));
    history.push(event(EventKind::OrchestratorCompleted));
    let output = Some(Payload::from(answer));
    let answer = EventKind::EntityOperationCompleted { scheduled_id, request_id, output };
    OrchestrationWorkItem {
        history: Arc::new(history),
        new_events: Arc::new(vec![event(EventKind::OrchestratorStarted), event(answer)]),
        ..turn.clone()
    }
}

pub(crate) fn failure(outcome: &OrchestrationOutcome) -> &Failure {
    match &outcome.result {
        OrchestrationResult::Failed(failure) => failure,
        other => unreachable!("it did not fail: {other:?}"),
    }
}

fn divergence(outcome: &OrchestrationOutcome) -> &Failure {
    match &outcome.result {
        OrchestrationResult::Diverged(failure) => failure,
        other => unreachable!("it follows its history: {other:?}"),
    }
}

fn set_register(key: &str, value: &str) -> Action {
    Action::CallEntity {
        entity: EntityId::new("Register", key).expect("a valid id"),
        operation: "set".to_owned(),
        input: Some(Payload::from(value)),
    }
}

#[tokio::test]
async fn orchestrator_gives_the_same_whether_it_was_kept_or_is_replayed() {
    let fixture = Fixture::with_guests(&["ledger"]).await;
    let posting = r#"{"account":"1","token":"t"}"#;
    let mut outcomes = Vec::new();
    for is_kept in [true, false] {
        let mut turn = first_turn(&fixture, "Ledger_Post_Orchestrator", posting);
        let mut of_run = Vec::new();
        loop {
            let outcome = fixture.runtime.run_orchestration(turn.clone()).await;
            of_run.push(outcome.clone());
            if outcome.result != OrchestrationResult::Waiting {
                break;
            }
            if !is_kept {
                fixture.runtime.forget(&turn.instance_id);
            }
            turn = next_turn(&turn, &outcome.actions[0], "[]");
        }
        outcomes.push(of_run);
    }
    assert_eq!(outcomes[0].len(), 3);
    assert_eq!(outcomes[0][2].result, OrchestrationResult::Completed(Payload::from("\"t\"")));
    assert_eq!(outcomes[0], outcomes[1]);
}

/// Each of them replays a history, here one that takes all the time that a turn may take. They do it one by
/// one, and a live turn waits for none of them.
#[tokio::test]
async fn questions_for_what_is_awaited_leave_the_places_of_live_turns_free() {
    let fixture = Fixture::with_guests(&["database", "misbehaving"]).await;
    let mut looping = first_turn(&fixture, "Misbehave_Orchestrator", "\"loop\"");
    let mut history = looping.new_events.to_vec();
    history.push(event(EventKind::OrchestratorCompleted));
    (looping.history, looping.new_events) = (Arc::new(history), Arc::default());
    let answered_count = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let (answer, answered_count) =
            (fixture.runtime.awaited(looping.clone()), Arc::clone(&answered_count));
        tokio::spawn(async move {
            assert_eq!(answer.await, None);
            answered_count.fetch_add(1, Ordering::Relaxed);
        })
    };
    let questions: Vec<_> = (0..9).map(|_| ask()).collect();
    // Now each of them has been asked.
    tokio::task::yield_now().await;
    let live = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    fixture.runtime.run_orchestration(live).await;
    let answered_before = answered_count.load(Ordering::Relaxed);
    assert!(answered_before < 4, "the live turn came after {answered_before} of 9 questions");
    for question in questions {
        question.await.expect("it ends");
    }
}

#[tokio::test]
async fn kept_orchestrator_is_replayed_when_the_history_is_not_what_it_saw() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    let outcome = fixture.runtime.run_orchestration(first.clone()).await;
    assert_eq!(outcome.actions, [set_register("1", "\"a\"")]);
    // The outcome was lost; the same turn again gives the same.
    assert_eq!(fixture.runtime.run_orchestration(first).await, outcome);
    // Another execution of the same id begins from the start.
    let mut other = first_turn(&fixture, "Database_PUT_Orchestrator", r#"{"Key":"2","Value":"b"}"#);
    other.execution_id = ExecutionId::new(Uuid::max());
    let outcome = fixture.runtime.run_orchestration(other).await;
    assert_eq!(outcome.actions, [set_register("2", "\"b\"")]);
}

#[tokio::test]
async fn orchestrator_that_does_not_follow_its_history_says_where_and_has_no_effect() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    let turn = next_turn(&first, &set_register("1", "\"another\""), "\"a\"");
    let outcome = fixture.runtime.run_orchestration(turn).await;
    let divergence = divergence(&outcome);
    assert_eq!(divergence.error_type, "NonDeterminism");
    let message = &divergence.error_message;
    for part in ["action 0", "event 3 of the history", "with \"another\"", "with \"a\""] {
        assert!(message.contains(part), "`{part}` in: {message}");
    }
    assert_eq!(outcome, OrchestrationOutcome::of(outcome.result.clone()));
    // The right history goes on, so the guest that has diverged was not kept.
    let turn = next_turn(&first, &set_register("1", "\"a\""), "\"a\"");
    let outcome = fixture.runtime.run_orchestration(turn).await;
    assert_eq!(outcome.result, OrchestrationResult::Completed(Payload::from("\"a\"")));
}

#[tokio::test]
async fn orchestrator_that_ends_where_its_history_goes_on_diverges_with_its_own_failure() {
    let fixture = Fixture::with_guests(&["misbehaving"]).await;
    for (how, cause) in [("behave", None), ("trap", Some("GuestTrapped"))] {
        let first = first_turn(&fixture, "Misbehave_Orchestrator", &format!("\"{how}\""));
        let mut turn = next_turn(&first, &set_register("1", "1"), "null");
        let mut history = turn.history.to_vec();
        history.retain(|event| event.event_id < 0);
        turn.history = Arc::new(history);
        let outcome = fixture.runtime.run_orchestration(turn).await;
        let causes: Vec<_> =
            divergence(&outcome).inner_failures.iter().map(|c| &*c.error_type).collect();
        assert_eq!(causes, Vec::from_iter(cause), "{how}");
    }
}

#[tokio::test]
async fn replay_of_many_turns_may_take_longer_than_one_turn() {
    const TURNS: u32 = 150;
    let fixture = Fixture::with_guests(&["determinism"]).await;
    let mut turn = first_turn(&fixture, "Determinism_Busy_Orchestrator", &TURNS.to_string());
    for _ in 0..TURNS {
        let outcome = fixture.runtime.run_orchestration(turn.clone()).await;
        assert_eq!(outcome.result, OrchestrationResult::Waiting);
        turn = next_turn(&turn, &outcome.actions[0], "null");
    }
    fixture.runtime.forget(&turn.instance_id);
    let outcome = fixture.runtime.run_orchestration(turn).await;
    let output = Payload::from(TURNS.to_string());
    assert_eq!(outcome.result, OrchestrationResult::Completed(output));
}

#[tokio::test]
async fn misbehaving_orchestrator_fails_with_the_reason() {
    let fixture = Fixture::with_guests(&["misbehaving"]).await;
    for (how, error_type) in
        [("trap", "GuestTrapped"), ("loop", "CpuTimeExceeded"), ("allocate", "MemoryLimitExceeded")]
    {
        let turn = first_turn(&fixture, "Misbehave_Orchestrator", &format!("\"{how}\""));
        let outcome = fixture.runtime.run_orchestration(turn).await;
        assert_eq!(failure(&outcome).error_type, error_type, "{how}");
        if how == "trap" {
            let message = &failure(&outcome).error_message;
            assert!(message.contains("asked to trap"), "{message}");
        }
    }
    let turn = first_turn(&fixture, "Misbehave_Orchestrator", "\"behave\"");
    let outcome = fixture.runtime.run_orchestration(turn).await;
    assert_eq!(outcome.result, OrchestrationResult::Completed(Payload::from("\"behave\"")));
}

#[tokio::test]
async fn input_that_the_orchestrator_does_not_understand_is_its_own_failure() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let turn = first_turn(&fixture, "Database_PUT_Orchestrator", "17");
    let outcome = fixture.runtime.run_orchestration(turn).await;
    assert!(!failure(&outcome).error_type.starts_with("Guest"), "{outcome:?}");
}

#[tokio::test]
async fn execution_keeps_its_code_after_a_restart_without_it() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    let outcome = fixture.runtime.run_orchestration(first.clone()).await;
    let turn = next_turn(&first, &outcome.actions[0], "\"a\"");
    let fixture = fixture.restart();
    assert_eq!(fixture.runtime.find(FunctionKind::Orchestrator, first.name.as_str()), None);
    let outcome = fixture.runtime.run_orchestration(turn).await;
    assert_eq!(outcome.result, OrchestrationResult::Completed(Payload::from("\"a\"")));
}

#[tokio::test]
async fn execution_keeps_its_code_when_newer_code_is_published() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    let newer = load(&fixture.runtime, "ledger").await;
    assert_eq!(fixture.runtime.publish(&[newer]), []);
    let outcome = fixture.runtime.run_orchestration(first).await;
    assert_eq!(outcome.result, OrchestrationResult::Waiting);
}

#[tokio::test]
async fn execution_whose_code_is_gone_fails_and_says_so() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let mut turn = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    turn.component = ComponentHash([7; 32]);
    let outcome = fixture.runtime.run_orchestration(turn).await;
    assert_eq!(failure(&outcome).error_type, "ComponentMissing");
}

#[tokio::test]
async fn runtime_with_kept_guests_is_freed_when_it_is_dropped() {
    let responses = Arc::new(Responses);
    let data = tempfile::tempdir().expect("a temporary folder");
    let runtime = Runtime::new(small(), data.path(), responses.clone()).expect("it starts");
    let fixture = Fixture { runtime, data }.publish(&["database"]).await;
    let first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
    assert_eq!(fixture.runtime.run_orchestration(first).await.result, OrchestrationResult::Waiting);
    let function = fixture.http("Database_HttpStart");
    let request = crate::http::request(&[("key", "\n")]);
    assert!(fixture.runtime.handle(function, request).await.is_ok());
    assert_eq!(Arc::strong_count(&responses), 2);
    drop(fixture);
    assert_eq!(Arc::strong_count(&responses), 1);
}

#[tokio::test]
async fn more_waiting_orchestrators_than_are_kept_all_go_on() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let mut turns = Vec::new();
    for number in 0..30 {
        let mut first = first_turn(&fixture, "Database_PUT_Orchestrator", PUT_INPUT);
        first.instance_id = InstanceId::orchestration(&number.to_string()).expect("a valid id");
        let outcome = fixture.runtime.run_orchestration(first.clone()).await;
        turns.push(next_turn(&first, &outcome.actions[0], "\"a\""));
    }
    for turn in turns {
        let outcome = fixture.runtime.run_orchestration(turn).await;
        assert_eq!(outcome.result, OrchestrationResult::Completed(Payload::from("\"a\"")));
    }
}
