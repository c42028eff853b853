//! Turns are lived through in order, with their clocks, whether replayed or kept.

use std::sync::Arc;

use everstate_engine::guest::{OrchestrationResult, OrchestrationWorkItem};
use everstate_types::{Action, EventKind, ExecutionId, HistoryEvent};
use uuid::Uuid;

use super::{
    Recorder, activity, at, call, came, child, completed, done, fired, lock, raised, send, signal,
    signal_at, start, started, take, timer, turn, turn_end, work_item,
};
use crate::orchestration::script::Script;

#[test]
fn first_turn_gives_actions_in_order_and_waits() {
    let mut script = Script::new(work_item());
    assert_eq!(script.input().as_str(), "7");
    assert!(!script.is_replaying());
    let actions =
        [activity("1"), signal("a"), child("c"), start("s"), call("a"), timer(9), send("e")];
    for (action, handle) in actions.clone().into_iter().zip(0..) {
        assert_eq!(script.act(action), Ok(handle));
    }
    assert_eq!(script.wait_any(&[0, 2, 4, 5]), Ok(None));
    assert!(script.is_waiting());
    let outcome = script.suspend();
    assert_eq!(outcome.actions, actions);
    assert_eq!(outcome.result, OrchestrationResult::Waiting);
}

#[test]
fn replay_repeats_every_kind_of_action_and_gives_only_what_is_new() {
    let actions = [
        activity("1"),
        signal("a"),
        child("c"),
        start("s"),
        call("a"),
        timer(9),
        send("e"),
        signal_at("a", Some(9), None),
        lock(&["a", "b"]),
    ];
    let confirmed = actions.iter().zip(0..).map(|(action, number)| done(number, action)).collect();
    let mut script = Recorder::after(vec![confirmed], vec![turn(5), completed(0, "1")]).script();
    for (action, handle) in actions.into_iter().zip(0..) {
        assert_eq!(script.act(action), Ok(handle));
    }
    assert!(script.is_replaying());
    assert_eq!(script.current_time(), at(1));
    assert_eq!(take(&mut script, &[0]), (0, "1".to_owned()));
    assert!(!script.is_replaying());
    assert_eq!(script.current_time(), at(5));
    assert_eq!(script.act(activity("2")), Ok(9));
    assert_eq!(script.suspend().actions, [activity("2")]);
}

#[test]
fn recorded_turns_are_taken_in_one_by_one() {
    let turns = vec![
        vec![done(0, &activity("1")), done(1, &timer(9))],
        vec![raised("e", "2"), completed(0, "1"), done(2, &activity("2"))],
        vec![fired(1)],
    ];
    let mut script = Recorder::after(turns, vec![turn(9), completed(2, "3")]).script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.act(timer(9)), Ok(1));
    assert_eq!((script.current_time(), script.turns_count()), (at(1), 1));
    assert_eq!(take(&mut script, &[0, 1]), (0, "1".to_owned()));
    assert_eq!((script.current_time(), script.turns_count()), (at(2), 2));
    assert_eq!(script.act(activity("2")), Ok(2));
    let waiter = script.wait_for_event("E").expect("a handle");
    assert_eq!(take(&mut script, &[2, waiter, 1]), (waiter, "2".to_owned()));
    assert_eq!((script.current_time(), script.turns_count()), (at(2), 2));
    assert_eq!(take(&mut script, &[2]), (2, "3".to_owned()));
    assert_eq!((script.current_time(), script.turns_count()), (at(9), 4));
    assert!(!script.is_replaying());
    assert_eq!(take(&mut script, &[1]).0, 1);
    assert_eq!(script.current_time(), at(9), "an older completion does not turn the clock back");
}

#[test]
fn clock_never_goes_back() {
    let mut script =
        Recorder::after(vec![vec![], vec![]], vec![turn(1), raised("e", "1")]).script();
    let waiter = script.wait_for_event("e").expect("a handle");
    assert_eq!(take(&mut script, &[waiter]).0, waiter);
    assert_eq!(script.current_time(), at(2));
}

#[test]
fn kept_script_goes_on_like_a_replayed_one() {
    let mut recorder = Recorder::new();
    let mut kept = recorder.script();
    assert_eq!(kept.act(activity("1")), Ok(0));
    assert_eq!(kept.act(activity("2")), Ok(1));
    assert_eq!(kept.wait_any(&[0]), Ok(None));
    recorder.record(&kept.suspend(), vec![turn(2), completed(1, "b"), completed(0, "a")]);
    assert!(kept.fits(&recorder.item));
    kept.continue_with(recorder.item.clone());

    let mut replayed = recorder.script();
    assert_eq!(replayed.act(activity("1")), Ok(0));
    assert_eq!(replayed.act(activity("2")), Ok(1));
    for mut script in [kept, replayed] {
        assert!(script.is_replaying());
        assert_eq!(take(&mut script, &[0]), (0, "a".to_owned()));
        assert_eq!(script.current_time(), at(2));
        assert!(!script.is_replaying());
        assert_eq!(take(&mut script, &[1]), (1, "b".to_owned()));
        assert_eq!(script.act(activity("3")), Ok(2));
        assert_eq!(script.wait_any(&[2]), Ok(None));
        assert_eq!(script.suspend().actions, [activity("3")]);
    }
}

#[test]
fn pauses_between_turns_and_within_them_are_not_seen() {
    let pause = || came(EventKind::ExecutionSuspended { reason: None });
    let resume = || came(EventKind::ExecutionResumed { reason: None });
    let mut kept = Script::new(work_item());
    assert_eq!(kept.act(activity("1")), Ok(0));
    assert_eq!(kept.wait_any(&[0]), Ok(None));
    let history = vec![
        pause(),
        turn(1),
        started(),
        resume(),
        done(0, &activity("1")),
        turn_end(1),
        pause(),
        resume(),
    ];
    let new_events = vec![turn(2), pause(), resume(), completed(0, "a")];
    let item = later(history, new_events);
    assert!(kept.fits(&item));
    kept.continue_with(item.clone());
    let mut replayed = Script::new(item);
    assert_eq!(replayed.act(activity("1")), Ok(0));
    for mut script in [kept, replayed] {
        assert_eq!(take(&mut script, &[0]), (0, "a".to_owned()));
        assert!(!script.is_replaying());
    }
}

#[test]
fn pause_before_the_first_turn_is_not_seen() {
    let pause = || came(EventKind::ExecutionSuspended { reason: None });
    let resume = || came(EventKind::ExecutionResumed { reason: None });
    let mut script = Script::new(later(vec![pause(), resume()], vec![turn(1), started()]));
    assert!(!script.is_replaying());
    assert_eq!(script.input().as_str(), "7");
    assert_eq!(script.act(activity("1")), Ok(0));
}

fn later(history: Vec<HistoryEvent>, new_events: Vec<HistoryEvent>) -> OrchestrationWorkItem {
    let (history, new_events) = (Arc::new(history), Arc::new(new_events));
    OrchestrationWorkItem { history, new_events, ..work_item() }
}

#[test]
fn kept_script_fits_only_the_history_that_it_has_lived_through() {
    let mut script = Script::new(work_item());
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Ok(None));
    let seen = vec![turn(1), started(), done(0, &activity("1")), turn_end(1)];
    let fits = |history: Vec<HistoryEvent>| script.fits(&later(history, vec![turn(9)]));
    assert!(fits(seen.clone()));
    let mut with_log = seen.clone();
    with_log.insert(3, came(EventKind::GenericEvent { data: "information: a".to_owned() }));
    assert!(fits(with_log));
    assert!(!fits(seen[..2].to_vec()), "its action is not there");
    assert!(!fits(vec![turn(2), started(), done(0, &activity("1"))]), "another turn");
    assert!(!fits(vec![turn(1), done(0, &activity("1"))]), "an event is missing");
    let more = [vec![turn(2), completed(0, "1"), turn_end(2)], vec![came(rewound())]];
    for more in more {
        assert!(!fits([seen.clone(), more].concat()), "more than it has lived through");
    }
    assert!(!script.fits(&later(seen.clone(), vec![turn(9), came(rewound())])), "a rewind");
    let mut other = later(seen, vec![turn(9)]);
    other.execution_id = ExecutionId::new(Uuid::max());
    assert!(!script.fits(&other), "another execution");
}

fn rewound() -> EventKind {
    EventKind::ExecutionRewound { reason: None }
}

#[test]
fn kept_script_does_not_fit_a_history_that_was_cut() {
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    assert_eq!(script.act(activity("1")), Ok(0));
    assert_eq!(script.wait_any(&[0]), Ok(None));
    recorder.record(&script.suspend(), vec![turn(2), completed(0, "1")]);
    let before = recorder.item.clone();
    script.continue_with(recorder.item.clone());
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert_eq!(script.act(activity("2")), Ok(1));
    assert_eq!(script.wait_any(&[1]), Ok(None));
    assert!(!script.fits(&before));
    recorder.record(&script.suspend(), vec![turn(3)]);
    assert!(script.fits(&recorder.item));
}

#[test]
fn history_is_let_go_of_when_all_of_it_was_replayed() {
    let recorder =
        Recorder::after(vec![vec![done(0, &activity("1"))]], vec![turn(2), completed(0, "1")]);
    let history = Arc::clone(&recorder.item.history);
    let mut replayed = Script::new(recorder.item);
    assert_eq!(replayed.act(activity("1")), Ok(0));
    assert_eq!(Arc::strong_count(&history), 2, "some of it is needed");
    assert_eq!(take(&mut replayed, &[0]).0, 0);
    assert_eq!(Arc::strong_count(&history), 1);
    assert_eq!(replayed.act(activity("2")), Ok(1));
    assert_eq!(replayed.wait_any(&[1]), Ok(None));
    let item = later(history.to_vec(), vec![turn(3)]);
    let history = Arc::clone(&item.history);
    replayed.continue_with(item);
    assert_eq!(Arc::strong_count(&history), 1);
}

#[test]
fn replay_of_many_turns_looks_at_each_event_a_bounded_number_of_times() {
    const TURNS: i32 = 20_000;
    let mut history = Vec::new();
    for number in 0..TURNS {
        history.push(turn(1));
        if number > 0 {
            history.push(completed(number - 1, "null"));
        }
        history.push(done(number, &activity("1")));
        history.push(turn_end(1));
    }
    let mut script = Script::new(later(history, vec![turn(2), completed(TURNS - 1, "null")]));
    for number in 0..u32::try_from(TURNS).expect("small") {
        assert_eq!(script.act(activity("1")), Ok(number));
        assert_eq!(take(&mut script, &[number]).0, number);
    }
    assert!(!script.is_replaying());
}

#[test]
fn too_many_actions_and_too_many_waiters_are_refused() {
    let mut script = Script::new(work_item());
    let action = Action::CreateTimer { fire_at: at(1) };
    for _ in 0..everstate_types::limits::ACTIONS_MAX {
        assert!(script.act(action.clone()).is_ok() && script.wait_for_event("e").is_ok());
    }
    let refused = Err(crate::orchestration::script::ScriptError::TooMany);
    assert_eq!(script.act(action), refused);
    assert_eq!(script.wait_for_event("e"), refused);
}
