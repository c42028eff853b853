//! What a turn gives beside its actions: the end, the next generation, custom status and log lines.

use everstate_engine::guest::OrchestrationResult;
use everstate_types::limits::{LOG_BYTES_MAX, LOG_LINES_MAX};
use everstate_types::{Failure, Payload};

use super::{Recorder, activity, completed, done, raised, take, turn, work_item};
use crate::orchestration::script::Script;

#[test]
fn result_and_failure_of_the_guest_are_the_end() {
    let mut script = Script::new(work_item());
    assert_eq!(script.act(activity("1")), Ok(0));
    let outcome = script.end(Ok(Payload::from("1")));
    assert_eq!(outcome.result, OrchestrationResult::Completed(Payload::from("1")));
    assert_eq!(outcome.actions, [activity("1")]);
    let failure = Failure::new("A", "b");
    let outcome = Script::new(work_item()).end(Err(failure.clone()));
    assert_eq!(outcome.result, OrchestrationResult::Failed(failure));
}

/// A script that took the second of the events of its first turn, and has a waiter with the first.
fn script_with_events() -> Script {
    let mut item = work_item();
    let mut events = item.new_events.to_vec();
    events.extend([raised("B", "1"), raised("a", "2"), raised("A", "3"), raised("c", "4")]);
    item.new_events = std::sync::Arc::new(events);
    let mut script = Script::new(item);
    let waiter = script.wait_for_event("a").expect("a handle");
    assert_eq!(take(&mut script, &[waiter]).1, "2");
    script.wait_for_event("b").expect("a handle");
    script
}

#[test]
fn next_generation_gets_the_events_that_were_not_taken_in_the_order_of_arrival() {
    let mut script = script_with_events();
    script.continue_as_new(Payload::from("0"), false);
    script.continue_as_new(Payload::from("8"), true);
    let OrchestrationResult::ContinuedAsNew { input, events } =
        script.end(Ok(Payload::null())).result
    else {
        unreachable!("it begins anew")
    };
    assert_eq!(input.as_str(), "8");
    let events: Vec<_> = events.iter().map(|(name, input)| (&**name, input.as_str())).collect();
    assert_eq!(events, [("B", "1"), ("A", "3"), ("c", "4")]);
}

#[test]
fn next_generation_without_events_gets_none() {
    let mut script = script_with_events();
    script.continue_as_new(Payload::from("8"), false);
    let result = script.end(Ok(Payload::from("ignored"))).result;
    let (input, events) = (Payload::from("8"), Vec::new());
    assert_eq!(result, OrchestrationResult::ContinuedAsNew { input, events });
}

#[test]
fn next_generation_does_not_begin_when_the_guest_fails() {
    let mut script = Script::new(work_item());
    script.continue_as_new(Payload::from("8"), true);
    assert!(script.begins_anew());
    let failure = Failure::new("A", "b");
    assert_eq!(script.end(Err(failure.clone())).result, OrchestrationResult::Failed(failure));
}

#[test]
fn next_generation_that_was_asked_for_in_a_replayed_turn_begins() {
    let turns = vec![vec![done(0, &activity("1"))]];
    let mut script = Recorder::after(turns, vec![turn(2), completed(0, "1")]).script();
    script.continue_as_new(Payload::from("8"), true);
    assert_eq!(script.act(activity("1")), Ok(0));
    take(&mut script, &[0]);
    let result = script.end(Ok(Payload::null())).result;
    assert!(matches!(result, OrchestrationResult::ContinuedAsNew { .. }), "{result:?}");
}

#[test]
fn custom_status_of_a_replayed_part_is_not_told_again() {
    let turns = vec![vec![done(0, &activity("1"))]];
    let mut script = Recorder::after(turns, vec![turn(2), completed(0, "1")]).script();
    script.set_custom_status(Some(Payload::from("1")));
    assert_eq!(script.act(activity("1")), Ok(0));
    take(&mut script, &[0]);
    assert_eq!(script.suspend().custom_status, None);
    script.set_custom_status(None);
    assert_eq!(script.suspend().custom_status, Some(None));
}

#[test]
fn log_lines_are_told_once_with_their_level() {
    let mut script = Script::new(work_item());
    script.keep_log_line("information", "a");
    script.keep_log_line("error", "b");
    assert_eq!(script.suspend().logs, ["information: a", "error: b"]);
    assert_eq!(script.suspend().logs, [""; 0]);
}

#[test]
fn log_lines_of_an_execution_are_bounded_also_over_a_replay() {
    let mut recorder = Recorder::new();
    let mut kept = recorder.script();
    for _ in 0..LOG_LINES_MAX - 1 {
        kept.keep_log_line("trace", "");
    }
    assert_eq!(kept.act(activity("1")), Ok(0));
    assert_eq!(kept.wait_any(&[0]), Ok(None));
    recorder.record(&kept.suspend(), vec![turn(2), completed(0, "1")]);
    kept.continue_with(recorder.item.clone());
    let mut replayed = recorder.script();
    assert_eq!(replayed.act(activity("1")), Ok(0));
    for mut script in [kept, replayed] {
        take(&mut script, &[0]);
        for line in ["last", "too many"] {
            script.keep_log_line("trace", line);
        }
        assert_eq!(script.suspend().logs, ["trace: last"]);
    }
}

#[test]
fn log_line_without_room_is_not_kept() {
    let mut script = Script::new(work_item());
    script.keep_log_line("error", &"x".repeat(LOG_BYTES_MAX));
    script.keep_log_line("error", &"x".repeat(LOG_BYTES_MAX - "error: ".len()));
    script.keep_log_line("error", "");
    let logs = script.suspend().logs;
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].len(), LOG_BYTES_MAX);
}
