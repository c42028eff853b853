//! Delayed messages: recovered in the order in which they are due, from the watermark on, and gone
//! when they were consumed.

use everstate_engine::storage::{CommitBatch, Storage};
use everstate_types::DelayedKey;

use super::{commit, compact, delayed_key, keys_in, killed, open, time, timer_message};
use crate::RocksStorage;
use crate::key::Family;

/// The GUIDs of what a recovery gives, in its order.
fn recovered(storage: &RocksStorage) -> Vec<u128> {
    let recovered = storage.recover().unwrap();
    recovered.delayed.iter().map(|(key, _)| key.guid.as_u128()).collect()
}

fn sent(keys: &[DelayedKey]) -> CommitBatch {
    let message =
        |key: &DelayedKey| (*key, timer_message(i32::try_from(key.guid.as_u128()).unwrap()));
    CommitBatch { delayed: keys.iter().map(message).collect(), ..CommitBatch::default() }
}

fn consumed(keys: &[DelayedKey]) -> CommitBatch {
    CommitBatch { delayed_consumed: keys.to_vec(), ..CommitBatch::default() }
}

#[test]
fn delayed_messages_recover_in_the_order_in_which_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, sent(&[delayed_key(70_000, 1), delayed_key(300, 4), delayed_key(2, 2)]));
        commit(&storage, sent(&[delayed_key(300, 3)]));
        storage.sync().unwrap();
    }
    let left = killed(folder.path());
    let storage = open(left.path());
    assert_eq!(recovered(&storage), [2, 3, 4, 1]);
    let all = storage.recover().unwrap();
    assert_eq!(all.delayed[1], (delayed_key(300, 3), timer_message(3)));
    assert!(all.messages.is_empty());
}

#[test]
fn consumed_delayed_message_is_gone_and_others_of_the_same_time_stay() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    commit(&storage, sent(&[delayed_key(9, 1), delayed_key(9, 2), delayed_key(10, 1)]));
    commit(&storage, consumed(&[delayed_key(9, 1)]));
    assert_eq!(storage.recover().unwrap().delayed.len(), 2);
    compact(&storage, Family::Timers);
    let keys: Vec<_> = storage.recover().unwrap().delayed.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [delayed_key(9, 2), delayed_key(10, 1)]);
}

/// An orchestration that is read again takes back what it cannot know to be gone.
#[test]
fn delayed_message_taken_back_twice_or_never_sent_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let (gone, never, alive) = (delayed_key(9, 1), delayed_key(9, 2), delayed_key(9, 3));
    let steps = [
        consumed(&[never]),
        sent(&[gone, alive]),
        consumed(&[gone]),
        consumed(&[gone, never]),
        // The name of one that was never sent is free.
        sent(&[never]),
        consumed(&[gone]),
    ];
    for step in steps {
        commit(&storage, step);
        storage.db().flush_cf(storage.families().timers).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(recovered(&storage), [2, 3]);
        compact(&storage, Family::Timers);
    }
}

/// Whatever the engine has written, what it takes back is gone: also what it wrote twice.
#[test]
fn delayed_message_written_twice_is_gone_when_it_is_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let key = delayed_key(9, 1);
    commit(&storage, sent(&[key]));
    compact(&storage, Family::Timers);
    // These two meet in memory, far above the first.
    commit(&storage, sent(&[key]));
    commit(&storage, consumed(&[key]));
    for _ in 0..2 {
        assert!(keys_in(&storage, Family::Timers).is_empty());
        compact(&storage, Family::Timers);
    }
}

#[test]
fn recovery_of_delayed_messages_begins_at_the_low_watermark() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, sent(&[delayed_key(1, 1), delayed_key(5, 2), delayed_key(6, 3)]));
        // Two rows below the watermark, which the engine would never leave: recovery must not see
        // them.
        let batch = CommitBatch { delayed_low: Some(time(6)), ..CommitBatch::default() };
        commit(&storage, batch);
        storage.sync().unwrap();
    }
    let storage = open(folder.path());
    assert_eq!(recovered(&storage), [3]);
}
