//! Locks, and signals that are refused or sent later. The rules one by one are in `section.rs`.

use everstate_engine::guest::OrchestrationResult;
use everstate_types::limits::ACTIONS_MAX;
use everstate_types::{Action, Failure, HistoryEvent, Payload};

use super::{
    Recorder, activity, call, child, completed, done, fired, granted, lock, refused, replied,
    signal, signal_at, take, timer, turn, unlock, work_item,
};
use crate::orchestration::script::{Script, ScriptError};
use crate::orchestration::section::Violation;

const NO_SUCH: &str = "The function 'x' doesn't exist, is disabled, or is not an entity function.";

/// Something that a guest does.
type Step = fn(&mut Script) -> Result<(), ScriptError>;

/// An execution that asked for `a` and `b` as action 0 in its first turn.
fn asked(new_events: Vec<HistoryEvent>) -> Recorder {
    Recorder::after(vec![vec![done(0, &lock(&["a", "b"]))]], new_events)
}

/// A script in the turn in which it has entered the section of `a` and `b`.
fn entered() -> Script {
    let mut script = asked(vec![turn(2), granted(0)]).script();
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    assert_eq!(take(&mut script, &[0]), (0, "null".to_owned()));
    script
}

/// The script, a turn later: once as it was kept, once replayed by `again`.
fn both(
    mut kept: Script,
    recorder: &mut Recorder,
    new_events: Vec<HistoryEvent>,
    again: impl Fn(&mut Script),
) -> [Script; 2] {
    recorder.record(&kept.suspend(), new_events);
    assert!(kept.fits(&recorder.item));
    kept.continue_with(recorder.item.clone());
    let mut replayed = recorder.script();
    again(&mut replayed);
    [kept, replayed]
}

#[test]
fn section_is_entered_with_the_grant_and_left_with_an_unlock_for_each_entity() {
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    let run = |script: &mut Script| {
        assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
        assert_eq!(script.act(call("a")), Err(Violation::NotEntered.into()));
        assert_eq!(script.act(activity("1")), Ok(1), "a refused call has no number");
    };
    run(&mut script);
    assert_eq!(script.wait_any(&[0]), Ok(None));
    for mut script in both(script, &mut recorder, vec![turn(2), granted(0)], run) {
        assert_eq!(take(&mut script, &[0]), (0, "null".to_owned()));
        assert_eq!(script.act(call("a")), Ok(2));
        assert_eq!(script.act(call("a")), Err(Violation::CallPending.into()));
        assert_eq!(script.act(call("c")), Err(Violation::NotLocked.into()));
        assert_eq!(script.act(child("c")), Err(Violation::Child.into()));
        assert_eq!(script.act(lock(&["c"])), Err(Violation::Nested.into()));
        assert_eq!(script.act(signal("b")), Err(Violation::SignalToLocked.into()));
        assert_eq!(script.unlock(0), Ok(()));
        assert_eq!(script.unlock(0), Ok(()), "nothing is held");
        assert_eq!(script.act(call("a")), Ok(5));
        assert_eq!(
            script.suspend().actions,
            [call("a"), unlock(0, "a"), unlock(0, "b"), call("a")]
        );
    }
}

#[test]
fn call_is_pending_until_the_turn_in_which_its_result_arrives() {
    let mut script = entered();
    assert_eq!(script.act(call("a")), Ok(1));
    assert_eq!(script.act(call("b")), Ok(2));
    script.cancel(2).expect("it follows its history");
    assert_eq!(script.act(call("b")), Err(Violation::CallPending.into()), "it is under way");

    let turns = vec![
        vec![done(0, &lock(&["a", "b"]))],
        vec![granted(0), done(1, &call("a")), done(2, &call("b"))],
        vec![replied(1), refused(2, Failure::new("Own", "word")), done(3, &timer(9))],
    ];
    let mut script = Recorder::after(turns, vec![turn(4), fired(3)]).script();
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert_eq!(script.act(call("a")), Ok(1));
    assert_eq!(script.act(call("b")), Ok(2));
    assert!(matches!(script.wait_any(&[2]), Ok(Some((2, Err(_))))));
    // The result of 1 has arrived with that of 2, and nobody has taken it.
    assert_eq!(script.act(timer(9)), Ok(3));
    assert_eq!(take(&mut script, &[3]).0, 3);
    assert_eq!(script.act(call("a")), Ok(4));
    assert_eq!(script.act(call("b")), Ok(5));
}

#[test]
fn grant_that_has_arrived_counts_when_the_guest_takes_it() {
    let mut script = asked(vec![turn(2), granted(0), super::raised("e", "1")]).script();
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    let waiter = script.wait_for_event("e").expect("a handle");
    assert_eq!(take(&mut script, &[waiter]).0, waiter);
    assert_eq!(script.act(call("a")), Err(Violation::NotEntered.into()));
    assert_eq!(take(&mut script, &[0]).0, 0);
    assert_eq!(script.act(call("a")), Ok(1));
}

#[test]
fn lock_that_is_given_up_is_unlocked_whether_it_was_granted_or_not() {
    let ways: [Step; 2] = [|script| script.unlock(0), |script| script.cancel(0)];
    for give_up in ways {
        for grants in [vec![], vec![granted(0)]] {
            let new_events = [vec![turn(2), super::raised("e", "1")], grants].concat();
            let mut script = asked(new_events).script();
            assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
            let waiter = script.wait_for_event("e").expect("a handle");
            assert_eq!(take(&mut script, &[waiter]).0, waiter);
            assert_eq!(give_up(&mut script), Ok(()));
            assert_eq!(give_up(&mut script), Ok(()));
            assert!(matches!(script.wait_any(&[0]), Err(ScriptError::BadHandle(_))));
            assert_eq!(script.act(lock(&["a"])), Ok(3));
            let outcome = script.suspend();
            assert_eq!(outcome.actions, [unlock(0, "a"), unlock(0, "b"), lock(&["a"])]);
            assert!(outcome.cancelled.is_empty(), "that is for timers");
        }
    }
}

#[test]
fn cancel_of_a_lock_that_was_taken_has_no_effect() {
    let mut script = entered();
    assert_eq!(script.cancel(0), Ok(()));
    assert_eq!(script.act(call("a")), Ok(1));
    assert_eq!(script.suspend().actions, [call("a")]);
}

#[test]
fn grant_of_a_lock_that_was_given_up_enters_nothing() {
    let turns =
        vec![vec![done(0, &lock(&["a"])), done(1, &unlock(0, "a")), done(2, &lock(&["b"]))]];
    let mut script = Recorder::after(turns, vec![turn(2), granted(0), granted(2)]).script();
    assert_eq!(script.act(lock(&["a"])), Ok(0));
    assert_eq!(script.unlock(0), Ok(()));
    assert_eq!(script.act(lock(&["b"])), Ok(2));
    assert_eq!(take(&mut script, &[2]).0, 2);
    assert_eq!(script.act(call("a")), Err(Violation::NotLocked.into()));
    assert_eq!(script.act(call("b")), Ok(3));
}

#[test]
fn lock_that_cannot_be_had_fails_and_leaves_no_section() {
    let failure = Failure::new("FunctionNotFound", NO_SUCH).non_retriable();
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    let Action::LockEntities { entities, .. } = lock(&["a"]) else { unreachable!("a lock") };
    let refused_at_once = Action::LockEntities { entities, refusal: Some(NO_SUCH.to_owned()) };
    assert_eq!(script.act(refused_at_once.clone()), Ok(0), "the handle fails, not the call");
    assert_eq!(script.wait_any(&[0]), Ok(None));
    let new_events = vec![turn(2), refused(0, failure.clone())];
    for mut script in both(script, &mut recorder, new_events, |script| {
        // A replay does not look for the function.
        assert_eq!(script.act(lock(&["a"])), Ok(0));
    }) {
        assert_eq!(script.wait_any(&[0]), Ok(Some((0, Err(failure.clone())))));
        assert_eq!(script.unlock(0), Ok(()), "nothing is held");
        assert_eq!(script.act(call("a")), Ok(1));
        assert_eq!(script.act(lock(&["b"])), Ok(2), "the next section");
        assert_eq!(script.suspend().actions, [call("a"), lock(&["b"])]);
    }
}

#[test]
fn failure_of_a_lock_that_nobody_has_taken_stays_to_be_taken() {
    let failure = Failure::new("FunctionNotFound", NO_SUCH);
    let steps: [Step; 2] = [|script| script.unlock(0), |script| script.act(call("a")).map(drop)];
    for then in steps {
        let new_events = vec![turn(2), refused(0, failure.clone()), super::raised("e", "1")];
        let mut script = asked(new_events).script();
        assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
        let waiter = script.wait_for_event("e").expect("a handle");
        assert_eq!(take(&mut script, &[waiter]).0, waiter);
        assert_eq!(then(&mut script), Ok(()));
        assert_eq!(script.wait_any(&[0]), Ok(Some((0, Err(failure.clone())))));
    }
}

#[test]
fn unlock_of_what_is_no_lock_is_refused() {
    let mut script = entered();
    assert_eq!(script.act(timer(9)), Ok(1));
    let waiter = script.wait_for_event("e").expect("a handle");
    for handle in [1, 2, 77, waiter] {
        assert_eq!(script.unlock(handle), Err(ScriptError::NoLock(handle)));
    }
    assert_eq!(script.suspend().actions, [timer(9)]);
}

#[test]
fn unlocks_are_compared_with_the_history_like_all_actions() {
    let unlocks = vec![done(1, &unlock(0, "a")), done(2, &unlock(0, "b"))];
    let begin = |then: &[HistoryEvent]| {
        let first = vec![done(0, &lock(&["a", "b"]))];
        let turns = vec![first, [&[granted(0)], then].concat()];
        let mut script = Recorder::after(turns, vec![turn(3)]).script();
        assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
        let waiter = script.wait_for_event("e").expect("a handle");
        assert_eq!(take(&mut script, &[0]).0, 0);
        (script, waiter)
    };
    let (mut same, waiter) = begin(&unlocks);
    assert_eq!(same.unlock(0), Ok(()));
    assert_eq!(same.wait_any(&[waiter]), Ok(None));

    let (mut forgotten, waiter) = begin(&unlocks);
    assert_eq!(forgotten.wait_any(&[waiter]), Err(ScriptError::Diverged));

    let (mut partial, _) = begin(&unlocks[..1]);
    assert_eq!(partial.unlock(0), Err(ScriptError::Diverged));

    let (mut new, _) = begin(&[done(1, &activity("1"))]);
    assert_eq!(new.unlock(0), Err(ScriptError::Diverged));
}

#[test]
fn cancel_of_a_lock_that_the_history_does_not_have_diverges() {
    let turns = vec![vec![done(0, &lock(&["a"])), done(1, &activity("1"))]];
    let mut script = Recorder::after(turns, vec![turn(2), completed(1, "1")]).script();
    assert_eq!(script.act(lock(&["a"])), Ok(0));
    assert_eq!(script.cancel(0), Err(ScriptError::Diverged));
}

#[test]
fn everything_held_can_be_given_back_at_the_limit_of_actions() {
    let mut script = Script::new(work_item());
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    for _ in 1..ACTIONS_MAX {
        assert!(script.act(timer(1)).is_ok());
    }
    assert_eq!(script.act(timer(1)), Err(ScriptError::TooMany));
    assert_eq!(script.unlock(0), Ok(()));
    assert!(script.suspend().actions.ends_with(&[unlock(0, "a"), unlock(0, "b")]));
}

#[test]
fn kept_script_fits_a_history_with_its_locks_and_unlocks_and_no_other() {
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    assert_eq!(script.act(lock(&["a", "b"])), Ok(0));
    assert_eq!(script.unlock(0), Ok(()));
    assert_eq!(script.act(signal_at("a", None, Some(NO_SUCH))), Err(no_such()));
    assert_eq!(script.act(timer(9)), Ok(4));
    assert_eq!(script.wait_any(&[4]), Ok(None));
    recorder.record(&script.suspend(), vec![turn(2), fired(4)]);
    assert!(script.fits(&recorder.item));
    let mut cut = recorder.item.clone();
    let without_unlock =
        recorder.item.history.iter().filter(|event| event.event_id != 2).cloned().collect();
    cut.history = std::sync::Arc::new(without_unlock);
    assert!(!script.fits(&cut));
}

fn no_such() -> ScriptError {
    ScriptError::NoSuchEntity(NO_SUCH.to_owned())
}

#[test]
fn signal_that_was_refused_is_recorded_and_refused_on_every_replay() {
    let mut recorder = Recorder::new();
    let mut script = recorder.script();
    assert_eq!(script.act(signal_at("a", None, Some(NO_SUCH))), Err(no_such()));
    assert_eq!(script.act(signal("b")), Ok(1));
    let waiter = script.wait_for_event("e").expect("a handle");
    assert_eq!(script.wait_any(&[waiter]), Ok(None));
    let outcome = script.suspend();
    assert_eq!(outcome.actions, [signal_at("a", None, Some(NO_SUCH)), signal("b")]);
    recorder.record(&outcome, vec![turn(2), super::raised("e", "1")]);

    // A replay does not look for the function, or finds another answer: the first one counts.
    for (found_a, found_b) in [(None, None), (None, Some("gone since"))] {
        let mut replayed = recorder.script();
        assert_eq!(replayed.act(signal_at("a", None, found_a)), Err(no_such()));
        assert_eq!(replayed.act(signal_at("b", None, found_b)), Ok(1));
        let waiter = replayed.wait_for_event("e").expect("a handle");
        assert_eq!(take(&mut replayed, &[waiter]).0, waiter);
        let end = replayed.end(Ok(Payload::null()));
        assert_eq!(end.result, OrchestrationResult::Completed(Payload::null()));
    }
}

#[test]
fn signal_at_another_time_diverges() {
    let replay = || {
        let turns = vec![vec![done(0, &signal_at("a", Some(5), None))]];
        Recorder::after(turns, vec![turn(2)]).script()
    };
    assert_eq!(replay().act(signal_at("a", Some(5), None)), Ok(0));
    for second in [None, Some(6)] {
        assert_eq!(replay().act(signal_at("a", second, None)), Err(ScriptError::Diverged));
    }
}
