//! What a new process finds: all that was synced, a prefix of the rest, and the messages that
//! nobody consumed.

use std::fs;

use everstate_engine::storage::{Storage, StoredInstance};
use everstate_types::{MessageId, RuntimeStatus};

use super::{
    commit, entity_id, entity_record, entity_row, first_turn, killed, load, message,
    messages_batch, newest_log, open, orchestration_batch, orchestration_id, record, row,
    without_power, write_entity,
};
use crate::key::Family;
use crate::{RocksStorage, StorageConfig};

fn ids(storage: &RocksStorage) -> (Vec<u64>, u64) {
    let recovered = storage.recover().unwrap();
    (recovered.messages.iter().map(|(id, _)| id.0).collect(), recovered.next_message_id.0)
}

#[test]
fn synced_commit_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut batch = orchestration_batch(1, row(RuntimeStatus::Running, 0, first_turn()));
    batch.entities = vec![entity_row(&storage, &entity_id(), Some(entity_record("1")))];
    batch.messages_sent = vec![(MessageId(9), message("add"))];
    commit(&storage, batch);
    storage.sync().unwrap();

    let left = killed(folder.path());
    let storage = open(left.path());
    let expected = StoredInstance::Orchestration {
        record: record(RuntimeStatus::Running),
        history: first_turn(),
    };
    assert_eq!(load(&storage, &orchestration_id()), expected);
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("1")));
    let recovered = storage.recover().unwrap();
    assert_eq!(recovered.messages, [(MessageId(9), message("add"))]);
    assert_eq!(recovered.next_message_id, MessageId(10));
}

#[test]
fn commit_without_sync_is_lost_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(entity_record("1")));
    storage.sync().unwrap();
    let mut batch = messages_batch(&[1], &[], None);
    batch.entities = vec![entity_row(&storage, &entity_id(), Some(entity_record("2")))];
    commit(&storage, batch);

    let left = killed(folder.path());
    let storage = open(left.path());
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("1")));
    assert_eq!(ids(&storage), (vec![], 0));
}

#[test]
fn log_cut_off_anywhere_leaves_a_prefix_of_the_commits() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for state in 1..=3_u64 {
        let mut batch = messages_batch(&[state], &[], None);
        batch.entities =
            vec![entity_row(&storage, &entity_id(), Some(entity_record(&state.to_string())))];
        commit(&storage, batch);
        storage.sync().unwrap();
    }
    let length = fs::metadata(newest_log(folder.path())).unwrap().len();
    let mut seen = Vec::new();
    for cut in (0..=length).rev().step_by(37) {
        let left = without_power(folder.path());
        let log = fs::File::options().write(true).open(newest_log(left.path())).unwrap();
        log.set_len(cut).unwrap();
        let storage = open(left.path());
        let (messages, _) = ids(&storage);
        let state = storage.load(&entity_id()).unwrap();
        let expected =
            messages.last().map(|last| StoredInstance::Entity(entity_record(&last.to_string())));
        assert_eq!(state, expected, "cut at {cut} of {length}");
        assert_eq!(messages, (1..=messages.len() as u64).collect::<Vec<_>>());
        seen.push(messages.len());
    }
    seen.dedup();
    assert_eq!(seen, [3, 2, 1, 0]);
}

#[test]
fn messages_recover_in_order_without_the_consumed_ones() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, messages_batch(&[3, 300, 70_000], &[], None));
        commit(&storage, messages_batch(&[4], &[300], None));
        storage.sync().unwrap();
    }
    let storage = open(folder.path());
    assert_eq!(ids(&storage), (vec![3, 4, 70_000], 70_001));
}

#[test]
fn recovery_begins_at_the_low_watermark() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, messages_batch(&[1, 2, 3], &[], None));
        commit(&storage, messages_batch(&[], &[1, 2], Some(3)));
        // A row below the watermark, which the engine would never leave: recovery must not see it.
        commit(&storage, messages_batch(&[1], &[], None));
        storage.sync().unwrap();
    }
    let storage = open(folder.path());
    assert_eq!(ids(&storage), (vec![3], 4));
}

#[test]
fn next_message_id_is_not_below_the_watermark_when_all_are_consumed() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, messages_batch(&[5, 6], &[], None));
        commit(&storage, messages_batch(&[], &[5, 6], Some(7)));
        storage.sync().unwrap();
    }
    let storage = open(folder.path());
    assert_eq!(ids(&storage), (vec![], 7));
}

#[test]
fn message_id_given_again_after_it_was_consumed_is_alive_through_compactions() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let messages = storage.families().messages;
    for batch in [
        messages_batch(&[1, 2], &[], None),
        messages_batch(&[], &[1], None),
        messages_batch(&[1], &[2], None),
    ] {
        commit(&storage, batch);
        storage.db().flush_cf(messages).unwrap();
    }
    storage.db().compact_range_cf(messages, None::<&[u8]>, None::<&[u8]>);
    assert_eq!(ids(&storage), (vec![1], 2));
    commit(&storage, messages_batch(&[], &[1], None));
    storage.db().flush_cf(messages).unwrap();
    storage.db().compact_range_cf(messages, None::<&[u8]>, None::<&[u8]>);
    assert_eq!(ids(&storage), (vec![], 0));
}

#[test]
fn small_write_buffers_spread_a_run_over_files_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig { write_buffer_bytes: 64 << 10, block_cache_bytes: 1 << 20 };
    {
        let storage = RocksStorage::open(folder.path(), &config).unwrap();
        for id in 0..3_000 {
            let consumed: Vec<u64> = if id < 10 { vec![] } else { vec![id - 10] };
            let mut batch = messages_batch(&[id], &consumed, Some(id.saturating_sub(9)));
            batch.entities =
                vec![entity_row(&storage, &entity_id(), Some(entity_record(&id.to_string())))];
            commit(&storage, batch);
        }
        storage.sync().unwrap();
    }
    let storage = RocksStorage::open(folder.path(), &config).unwrap();
    assert_eq!(ids(&storage), ((2_990..3_000).collect(), 3_000));
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("2999")));
    let messages = storage.db().cf_handle(Family::Messages.name()).unwrap();
    let all = storage.db().iterator_cf(messages, rocksdb::IteratorMode::Start).count();
    assert_eq!(all, 10, "consumed messages are gone");
}
