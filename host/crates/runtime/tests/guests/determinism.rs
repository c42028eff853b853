//! What is not deterministic is denied to orchestrators, or made deterministic: the guest
//! `determinism` tries all of it and tells what it saw.

use everstate_engine::guest::{
    GuestExecutor, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::{ExecutionId, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Fixture;
use crate::orchestration::{failure, first_turn, next_turn};

/// When the turns of [`run`] begin.
const TURNS_AT_MS: [u64; 2] = [1_700_000_000_123, 1_700_000_005_456];

/// The first turn of an execution, at its time.
fn first(fixture: &Fixture, execution_id: Uuid) -> OrchestrationWorkItem {
    let mut turn = first_turn(fixture, "Determinism_Orchestrator", "\"key\"");
    turn.execution_id = ExecutionId::new(execution_id);
    at(&mut turn, TURNS_AT_MS[0]);
    turn
}

fn at(turn: &mut OrchestrationWorkItem, ms: u64) {
    let mut events = turn.new_events.to_vec();
    events[0].timestamp = Timestamp::from_millis(ms);
    turn.new_events = events.into();
}

/// Runs both turns of an execution; replays the first one for the second one unless the guest is
/// kept. Gives all that came out.
async fn run(
    fixture: &Fixture,
    execution_id: Uuid,
    is_kept: bool,
) -> (OrchestrationOutcome, OrchestrationOutcome) {
    let turn = first(fixture, execution_id);
    let before = fixture.runtime.run_orchestration(turn.clone()).await;
    assert_eq!(before.result, OrchestrationResult::Waiting, "{before:?}");
    if !is_kept {
        fixture.runtime.forget(&turn.instance_id);
    }
    let mut turn = next_turn(&turn, &before.actions[0], "null");
    at(&mut turn, TURNS_AT_MS[1]);
    (before, fixture.runtime.run_orchestration(turn).await)
}

/// What the guest saw, before and after it waited.
fn views(outcome: &OrchestrationOutcome) -> [Value; 2] {
    let OrchestrationResult::Completed(output) = &outcome.result else {
        unreachable!("it completes: {outcome:?}")
    };
    let mut views: Value = serde_json::from_str(output.as_str()).expect("JSON");
    ["before", "after"].map(|name| views[name].take())
}

async fn views_of_one_run() -> [Value; 2] {
    let fixture = Fixture::with_guests(&["determinism"]).await;
    views(&run(&fixture, Uuid::nil(), true).await.1)
}

#[tokio::test]
async fn same_history_gives_the_same_run_bit_for_bit() {
    let mut runs = Vec::new();
    // In runtimes of their own, and in one that has run the same before; kept and replayed.
    for _ in 0..2 {
        let fixture = Fixture::with_guests(&["determinism"]).await;
        for is_kept in [true, false] {
            runs.push(run(&fixture, Uuid::nil(), is_kept).await);
        }
    }
    for other in &runs[1..] {
        assert_eq!(*other, runs[0]);
    }
}

#[tokio::test]
async fn clocks_stand_at_the_beginning_of_the_turn() {
    for (view, ms) in views_of_one_run().await.iter().zip(TURNS_AT_MS) {
        let clocks = &view["world"]["clocks"];
        let expected = json!({ "wallMs": ms, "monotonicNs": ms * 1_000_000, "moves": false });
        assert_eq!(*clocks, expected);
        assert_eq!(view["currentTime"], ms);
    }
}

#[tokio::test]
async fn chance_belongs_to_the_execution() {
    let fixture = Fixture::with_guests(&["determinism"]).await;
    let [before, after] = views(&run(&fixture, Uuid::nil(), true).await.1);
    let [other, _] = views(&run(&fixture, Uuid::max(), true).await.1);
    let chance = &before["world"]["chance"];
    for what in ["bytes", "number", "insecureBytes", "insecureNumber", "insecureSeed", "hashOrder"]
    {
        assert_ne!(chance[what], other["world"]["chance"][what], "{what}");
    }
    for what in ["bytes", "number", "insecureBytes", "insecureNumber"] {
        assert_ne!(chance[what], after["world"]["chance"][what], "{what}");
    }
    for what in ["guid", "random"] {
        assert_ne!(before[what], after[what], "{what}");
        assert_ne!(before[what], other[what], "{what}");
    }
}

#[tokio::test]
async fn nothing_is_seen_of_process_and_machine() {
    for view in views_of_one_run().await {
        let process = &view["world"]["process"];
        assert_eq!(process["variables"], json!([]));
        assert_eq!(process["arguments"], json!([]));
        assert_eq!(process["input"], json!({ "Ok": "" }), "an empty standard input");
        assert_eq!(process["isTerminal"], false);
        assert!(process["thread"]["Err"].is_string(), "{process}");
        assert!(process["parallelism"]["Err"].is_string(), "{process}");
        let files = &view["world"]["files"];
        assert_eq!(files["preopens"], json!([]));
        for what in ["read", "written", "listed"] {
            assert!(files[what]["Err"].is_string(), "{what}: {files}");
        }
    }
}

#[tokio::test]
async fn nobody_can_be_reached() {
    for view in views_of_one_run().await {
        let attempts = view["world"]["network"].as_array().expect("a list").clone();
        let names: Vec<&Value> = attempts.iter().map(|attempt| &attempt[0]).collect();
        assert_eq!(names, ["connect", "listen", "bind", "resolve", "http"]);
        for attempt in &attempts {
            assert!(attempt[1]["Err"].is_string(), "{attempt}");
        }
        let refusal = attempts[4][1]["Err"].as_str().expect("checked above");
        assert!(refusal.contains("activity") && refusal.contains("call-http"), "{refusal}");
    }
}

#[tokio::test]
async fn static_variables_begin_anew_with_each_execution() {
    let fixture = Fixture::with_guests(&["determinism"]).await;
    for execution_id in [Uuid::nil(), Uuid::max()] {
        for is_kept in [true, false] {
            let views = views(&run(&fixture, execution_id, is_kept).await.1);
            assert_eq!(views.map(|view| view["looksBefore"].clone()), [json!(0), json!(1)]);
        }
    }
}

#[tokio::test]
async fn values_that_are_no_numbers_have_the_same_bits_on_every_machine() {
    let canonical: Vec<String> = [["7ff8000000000000"; 6].as_slice(), &["7fc00000"]]
        .concat()
        .into_iter()
        .map(Into::into)
        .collect();
    for view in views_of_one_run().await {
        assert_eq!(view["world"]["notANumber"], json!(canonical));
    }
}

#[tokio::test]
async fn what_would_wait_or_end_the_process_traps() {
    let fixture = Fixture::with_guests(&["determinism"]).await;
    for (how, reason) in [
        ("sleep", "create-timer"),
        ("poll", "create-timer"),
        ("exit", "exit"),
        ("too much chance", "exceeds limit"),
    ] {
        let input = json!(how).to_string();
        let turn = first_turn(&fixture, "Determinism_Trap_Orchestrator", &input);
        let outcome = fixture.runtime.run_orchestration(turn).await;
        let failure = failure(&outcome);
        assert_eq!(failure.error_type, "GuestTrapped", "{how}");
        assert!(failure.error_message.contains(reason), "{how}: {}", failure.error_message);
    }
}
