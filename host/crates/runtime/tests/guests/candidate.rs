//! Components that may be deployed: what is found out of them, and that nothing is left of it.

use std::sync::Arc;

use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{GuestExecutor, OrchestrationResult, OrchestrationWorkItem};
use everstate_runtime::LoadedComponent;
use everstate_types::{
    Action, EventKind, FunctionKind, HistoryEvent, OrchestrationRecord, Payload, RuntimeStatus,
    Timestamp,
};

use crate::orchestration::{event, first_turn};
use crate::{Fixture, guest};

/// What is known of an orchestration whose turn has run: its history confirms what it asked for.
fn status(turn: &OrchestrationWorkItem, actions: &[Action]) -> InstanceStatus {
    let mut history = turn.new_events.to_vec();
    for (action, number) in actions.iter().zip(0..) {
        let Action::CallActivity { name, input, tags, first_attempt, attempt } = action.clone()
        else {
            unreachable!("no call of an activity: {action:?}")
        };
        let kind = EventKind::ActivityScheduled {
            name,
            version: None,
            input,
            tags,
            first_attempt,
            attempt,
        };
        history.push(HistoryEvent::of_action(number, Timestamp::from_millis(1), kind));
    }
    history.push(event(EventKind::OrchestratorCompleted));
    let record = OrchestrationRecord {
        component: Some(turn.component),
        status: RuntimeStatus::Running,
        ..OrchestrationRecord::pending(turn.name.clone(), turn.execution_id, Timestamp::default())
    };
    InstanceStatus { instance_id: turn.instance_id.clone(), record, history: Arc::new(history) }
}

async fn candidate(fixture: &Fixture, name: &str) -> Arc<LoadedComponent> {
    let candidate = fixture.runtime.load_candidate("candidate.wasm", guest(name)).await;
    candidate.expect("it loads")
}

#[tokio::test]
async fn candidate_that_does_another_thing_diverges_and_the_failure_names_both() {
    let fixture = Fixture::with_guests(&["version-one"]).await;
    let turn = first_turn(&fixture, "Rewritten", "null");
    let outcome = fixture.runtime.run_orchestration(turn.clone()).await;
    assert_eq!(outcome.result, OrchestrationResult::Waiting);
    let status = status(&turn, &outcome.actions);
    let same = candidate(&fixture, "version-one").await;
    fixture.runtime.check_history(&same, &status).await.expect("it follows its own history");
    let other = candidate(&fixture, "version-two").await;
    let failure = fixture.runtime.check_history(&other, &status).await.expect_err("it does not");
    assert_eq!(failure.error_type, "NonDeterminism");
    for part in ["as action 0", "event 3 of the history", "'Step' with 1", "'Step' with 3"] {
        assert!(failure.error_message.contains(part), "{part}: {failure:?}");
    }
    // The guest that waits was not touched: it goes on where it was.
    let result = EventKind::ActivityCompleted { scheduled_id: 0, result: Payload::from("1") };
    let next = OrchestrationWorkItem {
        history: Arc::clone(&status.history),
        new_events: Arc::new(vec![event(EventKind::OrchestratorStarted), event(result)]),
        ..turn
    };
    let outcome = fixture.runtime.run_orchestration(next).await;
    assert_eq!(outcome.actions.len(), 1, "{outcome:?}");
}

#[tokio::test]
async fn candidate_is_found_by_nobody_and_leaves_nothing() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let files = |folder: &str| {
        std::fs::read_dir(fixture.data.path().join(folder)).expect("the folder").count()
    };
    let before = (files("components"), files("compiled"));
    let looked_at = candidate(&fixture, "version-one").await;
    assert_eq!(fixture.runtime.find(FunctionKind::Orchestrator, "Versioned"), None);
    assert!(fixture.runtime.kept_component(looked_at.hash).await.is_err());
    fixture.runtime.discard_candidate(looked_at.hash).await;
    assert_eq!((files("components"), files("compiled")), before);
    let deployed = candidate(&fixture, "database").await;
    fixture.runtime.discard_candidate(deployed.hash).await;
    assert_eq!((files("components"), files("compiled")), before, "what was deployed stays");
}

#[tokio::test]
async fn candidate_that_lacks_the_orchestrator_traps_or_loops_does_not_fit() {
    let fixture = Fixture::with_guests(&["misbehaving", "version-one"]).await;
    let misbehaving = candidate(&fixture, "misbehaving").await;
    let turn = first_turn(&fixture, "Versioned", "null");
    let failure = fixture.runtime.check_history(&misbehaving, &status(&turn, &[])).await;
    assert_eq!(failure.expect_err("it is not there").error_type, "FunctionNotFound");
    for (how, why) in [("trap", "GuestTrapped"), ("loop", "CpuTimeExceeded")] {
        let input = format!("\"{how}\"");
        let turn = first_turn(&fixture, "Misbehave_Orchestrator", &input);
        let failure = fixture.runtime.check_history(&misbehaving, &status(&turn, &[])).await;
        let failure = failure.expect_err(how);
        assert_eq!(failure.error_type, "NonDeterminism", "{how}");
        assert!(failure.error_message.contains(why), "{how}: {failure:?}");
    }
}

#[tokio::test]
async fn preview_names_conflicts_and_changes_nothing() {
    let fixture = Fixture::with_guests(&["database"]).await;
    let first = crate::load(&fixture.runtime, "database").await;
    let second = candidate(&fixture, "rival").await;
    let (https, conflicts) = fixture.runtime.preview(&[Arc::clone(&first), second]);
    assert_eq!((https.len(), conflicts.len()), (2, 0));
    let again = candidate(&fixture, "database").await;
    let (https, conflicts) = fixture.runtime.preview(&[first, again]);
    assert_eq!((https.len(), conflicts.len()), (1, 4));
    assert_eq!(fixture.runtime.http_functions().len(), 1);
}
