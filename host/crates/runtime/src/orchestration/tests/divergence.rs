//! Runs that do not follow their history: all are noticed, and the message says what differs.

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_types::{Action, Failure, HistoryEvent, Payload};

use super::{
    Recorder, activity, at, call, child, completed, done, granted, instance, lock, name, send,
    signal, signal_at, start, timer, turn, unlock,
};
use crate::orchestration::script::{Script, ScriptError};

fn message_of(outcome: &OrchestrationOutcome) -> &str {
    let OrchestrationResult::Diverged(failure) = &outcome.result else {
        unreachable!("it has diverged: {outcome:?}")
    };
    assert_eq!(failure.error_type, "NonDeterminism");
    assert_eq!(OrchestrationOutcome::of(outcome.result.clone()), *outcome, "it has no effect");
    &failure.error_message
}

/// The message of a script that has trapped because of a divergence.
fn message(script: &mut Script) -> String {
    let trapped = Failure::new("GuestTrapped", "the run does not follow its history");
    message_of(&script.end(Err(trapped))).to_owned()
}

fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` in: {message}");
    }
}

/// A replay of an execution that did `then` in its first turn.
fn replay(then: &[Action]) -> Script {
    let confirmed: Vec<HistoryEvent> =
        then.iter().zip(0..).map(|(action, number)| done(number, action)).collect();
    Recorder::after(vec![confirmed], vec![turn(2), completed(0, "1")]).script()
}

#[test]
fn action_of_another_kind_name_target_or_input_diverges_and_names_both() {
    let with = |input: &str| Some(Payload::from(input));
    let call_with = |operation: &str, input: Option<Payload>| Action::CallEntity {
        entity: super::entity("a"),
        operation: operation.to_owned(),
        input,
    };
    let other_child = Action::CallSubOrchestration {
        name: name("Other"),
        instance_id: instance("c"),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: None,
    };
    for (then, now) in [
        (activity("1"), activity("2")),
        (activity("1"), call("a")),
        (call("a"), call("b")),
        (call("a"), signal("a")),
        (call("a"), call_with("set", None)),
        (call_with("get", with("1")), call_with("get", with("2"))),
        (child("c"), child("d")),
        (child("c"), start("c")),
        (child("c"), other_child),
        (start("c"), start("d")),
        (timer(5), timer(6)),
        (lock(&["a", "b"]), lock(&["a"])),
        (lock(&["a"]), call("a")),
        (signal_at("a", Some(5), None), signal_at("a", Some(6), None)),
        (send("a"), send("b")),
    ] {
        let mut script = replay(std::slice::from_ref(&then));
        assert_eq!(script.act(now.clone()), Err(ScriptError::Diverged), "{then:?} {now:?}");
        let message = message(&mut script);
        assert_contains(&message, &["as action 0", "event 3 of the history", "asked to"]);
    }
}

#[test]
fn message_shows_the_beginning_of_both_inputs() {
    let long = format!("\"{}\"", "x".repeat(500));
    let mut script = replay(&[activity(&long)]);
    assert_eq!(script.act(activity("\"short\"")), Err(ScriptError::Diverged));
    let message = message(&mut script);
    assert_contains(
        &message,
        &["scheduled activity 'Work' with \"xxx", "…", "schedule activity 'Work' with \"short\""],
    );
    assert!(message.len() < 600, "{message}");
}

#[test]
fn message_shows_lock_sets_unlocks_and_the_times_of_signals() {
    let keys = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut script = replay(&[lock(&["a"])]);
    assert_eq!(script.act(lock(&keys)), Err(ScriptError::Diverged));
    assert_contains(
        &message(&mut script),
        &[
            "asked to lock entity '@register@a' (event 3",
            "asked to lock entities '@register@0', '@register@1'",
            "'@register@7' and 2 more",
        ],
    );

    let mut script = replay(&[signal_at("a", Some(5), None)]);
    assert_eq!(script.act(signal("a")), Err(ScriptError::Diverged));
    assert_contains(
        &message(&mut script),
        &[
            "without input not before 1970-01-01T00:00:05Z (5000 ms)",
            "'@register@a' without input.",
        ],
    );

    let turns = vec![
        vec![done(0, &lock(&["a", "b"]))],
        vec![granted(0), done(1, &unlock(0, "b")), done(2, &unlock(0, "a"))],
    ];
    let mut script = Recorder::after(turns, vec![turn(3)]).script();
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    assert_eq!(super::take(&mut script, &[0]).0, 0);
    assert_eq!(script.unlock(0), Err(ScriptError::Diverged));
    assert_contains(
        &message(&mut script),
        &["as action 1", "unlocked entity '@register@b'", "asked to unlock entity '@register@a'"],
    );
}

#[test]
fn case_of_names_and_what_only_says_how_do_not_diverge() {
    let mut script = replay(&[activity("1"), child("c"), send("Event")]);
    let again = Action::CallActivity {
        name: name("WORK"),
        input: Payload::from("1"),
        tags: vec![("a".to_owned(), "b".to_owned())],
        first_attempt: None,
        attempt: 1,
    };
    assert_eq!(script.act(again), Ok(0));
    let later = Action::CallSubOrchestration {
        name: name("child"),
        instance_id: instance("c"),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: Some(at(99)),
    };
    assert_eq!(script.act(later), Ok(1));
    assert_eq!(script.act(send("EVENT")), Ok(2));
}

#[test]
fn action_beyond_those_of_its_turn_diverges() {
    let mut script = replay(&[activity("1")]);
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.act(activity("2")), Err(ScriptError::Diverged));
    let message = message(&mut script);
    assert_contains(&message, &["as action 1", "asked for nothing more", "event 4 of the history"]);
}

#[test]
fn action_of_a_later_turn_that_comes_too_early_diverges() {
    let turns =
        vec![vec![done(0, &activity("1"))], vec![completed(0, "1"), done(1, &activity("2"))]];
    let mut script = Recorder::after(turns, vec![turn(3)]).script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.act(activity("2")), Err(ScriptError::Diverged));
}

#[test]
fn wait_without_an_action_of_the_turn_diverges() {
    let mut script = replay(&[activity("1"), signal("b")]);
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Err(ScriptError::Diverged));
    let message = message(&mut script);
    assert_contains(
        &message,
        &["as action 1", "signaled operation 'get'", "event 4 of the history", "waits without it"],
    );
}

#[test]
fn end_without_an_action_of_the_turn_diverges() {
    let mut script = replay(&[activity("1"), signal("b")]);
    let outcome = script.end(Ok(Payload::null()));
    let message = message_of(&outcome);
    assert_contains(message, &["as action 0", "scheduled activity 'Work'", "ended without it"]);
}

#[test]
fn end_where_the_history_goes_on_diverges_however_it_ended() {
    let trapped = Failure::new("GuestTrapped", "unreachable");
    for (result, how) in
        [(Ok(Payload::null()), "ended"), (Err(trapped), "failed (GuestTrapped: unreachable)")]
    {
        let mut script = replay(&[activity("1")]);
        assert_eq!(script.act(activity("1")), Ok(0));
        let outcome = script.end(result.clone());
        assert_contains(message_of(&outcome), &["waited and went on", "after event 4", how]);
        let OrchestrationResult::Diverged(failure) = &outcome.result else { unreachable!() };
        assert_eq!(failure.inner_failures.len(), usize::from(result.is_err()));
    }
}

#[test]
fn end_in_the_live_turn_is_no_divergence() {
    let mut script = replay(&[activity("1")]);
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(super::take(&mut script, &[0]).0, 0);
    let failure = Failure::new("Own", "word");
    assert_eq!(script.end(Err(failure.clone())).result, OrchestrationResult::Failed(failure));
}
