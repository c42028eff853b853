//! External events: who gets which, and that none is lost.

use everstate_engine::guest::Awaited;
use everstate_types::{Action, Payload, Timestamp};

use super::{Recorder, raised, take, turn};
use crate::orchestration::script::{Script, ScriptError};

/// A script in whose live turn these events have come, after a turn in which it did nothing.
fn script(events: &[(&str, &str)]) -> Script {
    let events = events.iter().map(|(name, input)| raised(name, input));
    Recorder::after(vec![vec![]], [turn(2)].into_iter().chain(events).collect()).script()
}

fn wait(script: &mut Script, name: &str) -> u32 {
    let handle = script.wait_for_event(name).expect("a handle");
    assert!(handle >= 1 << 31, "no number of an action");
    handle
}

/// Takes in the live turn.
fn let_events_come(script: &mut Script) {
    let never = wait(script, "never");
    assert_eq!(script.wait_any(&[never]), Ok(None));
}

#[test]
fn events_that_nobody_waits_for_are_kept_in_order() {
    let mut script = script(&[("a", "1"), ("b", "x"), ("a", "2")]);
    let_events_come(&mut script);
    for expected in ["1", "2"] {
        let waiter = wait(&mut script, "a");
        assert_eq!(take(&mut script, &[waiter]), (waiter, expected.to_owned()));
    }
    let waiter = wait(&mut script, "a");
    assert_eq!(script.wait_any(&[waiter]), Ok(None));
}

#[test]
fn script_that_waits_says_for_what_and_since_when() {
    let mut script = script(&[]);
    let_events_come(&mut script);
    let taken_back = wait(&mut script, "other");
    let waiter = wait(&mut script, "Ärger");
    let action = Action::CreateTimer { fire_at: Timestamp::from_millis(9_000) };
    let timer = script.act(action).expect("a handle");
    script.cancel(taken_back).expect("a handle");
    assert_eq!(script.wait_any(&[waiter, timer]), Ok(None));
    let since = Timestamp::from_millis(2_000);
    let event = Awaited::Event { name: "Ärger".to_owned(), since };
    assert_eq!(script.awaited(), [event, Awaited::Action(0)]);
}

#[test]
fn newest_waiter_of_a_name_gets_the_next_event() {
    let mut script = script(&[("a", "1"), ("a", "2"), ("a", "3")]);
    let oldest = wait(&mut script, "a");
    let newest = wait(&mut script, "a");
    assert_eq!(take(&mut script, &[oldest, newest]), (newest, "1".to_owned()));
    assert_eq!(take(&mut script, &[oldest]), (oldest, "2".to_owned()));
    let later = wait(&mut script, "a");
    assert_eq!(take(&mut script, &[later]), (later, "3".to_owned()));
}

#[test]
fn case_of_a_name_does_not_matter_beyond_ascii() {
    let mut script = script(&[("ÄRGER", "1"), ("ärger", "2")]);
    let waiter = wait(&mut script, "Ärger");
    assert_eq!(take(&mut script, &[waiter]), (waiter, "1".to_owned()));
    let waiter = wait(&mut script, "äRGER");
    assert_eq!(take(&mut script, &[waiter]), (waiter, "2".to_owned()));
}

#[test]
fn waiter_that_gave_up_leaves_the_event_to_the_next() {
    let mut script = script(&[("a", "1"), ("a", "2")]);
    let oldest = wait(&mut script, "a");
    let given_up = wait(&mut script, "a");
    script.cancel(given_up).expect("it follows its history");
    assert_eq!(take(&mut script, &[oldest]), (oldest, "1".to_owned()));
    let later = wait(&mut script, "a");
    assert_eq!(take(&mut script, &[later]), (later, "2".to_owned()));
    assert!(matches!(script.wait_any(&[given_up]), Err(ScriptError::BadHandle(_))));
}

#[test]
fn event_of_a_waiter_that_gave_up_goes_to_another_waiter() {
    let mut script = script(&[("a", "1")]);
    let oldest = wait(&mut script, "a");
    let newest = wait(&mut script, "a");
    let_events_come(&mut script);
    script.cancel(newest).expect("it follows its history");
    assert_eq!(take(&mut script, &[oldest]), (oldest, "1".to_owned()));
}

#[test]
fn event_of_a_waiter_that_gave_up_goes_back_to_its_place() {
    let mut script = script(&[("a", "1"), ("a", "2"), ("a", "3")]);
    let first = wait(&mut script, "a");
    let_events_come(&mut script);
    script.cancel(first).expect("it follows its history");
    script.cancel(first).expect("it follows its history");
    for expected in ["1", "2", "3"] {
        let waiter = wait(&mut script, "a");
        assert_eq!(take(&mut script, &[waiter]), (waiter, expected.to_owned()));
    }
}

#[test]
fn waiter_whose_event_was_taken_cannot_give_it_back() {
    let mut script = script(&[("a", "1")]);
    let waiter = wait(&mut script, "a");
    assert_eq!(take(&mut script, &[waiter]).1, "1");
    script.cancel(waiter).expect("it follows its history");
    let waiter = wait(&mut script, "a");
    assert_eq!(script.wait_any(&[waiter]), Ok(None));
}

#[test]
fn event_that_came_first_wins_over_later_completions() {
    let mut script = script(&[("b", "1"), ("a", "2")]);
    let (a, b) = (wait(&mut script, "a"), wait(&mut script, "b"));
    assert_eq!(take(&mut script, &[a, b]), (b, "1".to_owned()));
    assert_eq!(script.wait_any(&[a]), Ok(Some((a, Ok(Payload::from("2"))))));
}
