//! What clients do with an orchestration, as far as others than its history learn of it.

use everstate_types::{ComponentHash, Timestamp};

use super::super::{Input, LifecycleChange, Reply, Request};
use super::{Bench, Caller, Turn, call_register, completes, orchestration, waits};
use crate::commit::Change;
use crate::error::ClientError;

fn change(bench: &mut Bench, change: LifecycleChange) -> Turn {
    let (instance_id, reply_to) = (orchestration("a"), Caller(2));
    bench.turn(Input::Request(Request::Change { instance_id, change, reply_to }))
}

/// The guest that is kept for its next turn runs the old code.
#[test]
fn guest_of_a_migrated_orchestration_is_let_go_of() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, waits(vec![call_register()]));
    let component = ComponentHash([2; 32]);
    let migrated = change(&mut bench, LifecycleChange::Migrate { component });
    assert_eq!(migrated.effects.forgotten, [orchestration("a")]);
    let again = change(&mut bench, LifecycleChange::Migrate { component });
    assert!(again.effects.forgotten.is_empty() && again.changes.is_empty(), "it is there already");
}

/// Retention has read when it ended; under the same id another may have run since.
#[test]
fn what_ended_after_the_given_time_is_not_purged_with_what_ended_before() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.now = 5_000;
    bench.ran(&first, completes("1"));
    let before = |millis| LifecycleChange::PurgeEnded { before: Timestamp::from_millis(millis) };
    let kept = change(&mut bench, before(4_999));
    assert!(kept.changes.is_empty());
    let [(_, Reply::Refused(ClientError::WrongState { .. }), _)] = kept.effects.replies.as_slice()
    else {
        panic!("refused, not {:?}", kept.effects.replies)
    };
    let purged = change(&mut bench, before(5_000));
    assert!(matches!(purged.changes.as_slice(), [Change::Purged(..)]), "{:?}", purged.changes);
}
