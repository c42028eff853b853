//! Bytes that are not what was written are an error that names the row, never an answer.

use std::fs;
use std::path::PathBuf;

use everstate_engine::storage::{
    CommitBatch, InstanceFilter, InstanceQuery, Storage, StoredInstance,
};
use everstate_types::{InstanceId, MessageId, RuntimeStatus};

use super::{
    after, both_turns, commit, delayed_key, digits, entity_id, entity_record, execution,
    first_turn, killed, last_turn, load, load_error, messages_batch, open, orchestration_batch,
    orchestration_id, record, row, timer_message, write_entity,
};
use crate::key;
use crate::{Error, RocksStorage, StorageConfig};

fn instance_key(id: &InstanceId) -> Vec<u8> {
    let mut key = Vec::new();
    key::instance(&mut key, id);
    key
}

fn files(folder: &tempfile::TempDir, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    paths
}

fn flip(path: &PathBuf, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_flipped_bit_of_a_value_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(entity_record("\"a state\"")));
    let (key, instances) = (instance_key(&entity_id()), storage.families().instances);
    let good = storage.db().get_cf(instances, &key).unwrap().unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        storage.db().put_cf(instances, &key, bad).unwrap();
        let error = load_error(&storage, &entity_id());
        assert!(error.starts_with("the stored instance `@register@1` is damaged"), "{error}");
    }
}

#[test]
fn value_cut_short_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let (key, instances) = (instance_key(&entity_id()), storage.families().instances);
    for length in 0..6 {
        storage.db().put_cf(instances, &key, vec![1; length]).unwrap();
        assert!(load_error(&storage, &entity_id()).contains("is damaged"));
    }
}

#[test]
fn value_in_the_row_of_another_instance_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(entity_record("1")));
    let instances = storage.families().instances;
    let value = storage.db().get_cf(instances, instance_key(&entity_id())).unwrap().unwrap();
    let other = everstate_types::EntityId::new("Register", "2").unwrap().instance_id();
    storage.db().put_cf(instances, instance_key(&other), value).unwrap();
    assert_eq!(
        load_error(&storage, &other),
        "the stored instance `@register@2` is damaged: its checksum does not match"
    );
}

#[test]
fn history_without_a_chunk_is_damage() {
    for (missing, text) in
        [(0, "a chunk begins at event 4 where 0 is due"), (4, "it has 4 events instead of 8")]
    {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        commit(&storage, orchestration_batch(1, row(RuntimeStatus::Running, 0, first_turn())));
        let ended = row(RuntimeStatus::Completed, 4, last_turn());
        let ended = after(&record(RuntimeStatus::Running), ended);
        commit(&storage, orchestration_batch(2, ended));
        let mut key = Vec::new();
        key::chunk(&mut key, &orchestration_id(), execution(1), missing);
        storage.db().delete_cf(storage.families().history, &key).unwrap();
        assert_eq!(
            load_error(&storage, &orchestration_id()),
            format!("the stored history of `transfer-1` is damaged: {text}")
        );
    }
}

#[test]
fn history_that_begins_in_the_middle_of_a_turn_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let events = first_turn().split_off(2);
    for row in [
        row(RuntimeStatus::Running, 0, events.clone()),
        after(&record(RuntimeStatus::Running), row(RuntimeStatus::Completed, 0, events)),
    ] {
        commit(&storage, orchestration_batch(1, row));
        let error = load_error(&storage, &orchestration_id());
        assert!(error.ends_with("its history begins in the middle of a turn"), "{error}");
    }
}

#[test]
fn damaged_message_stops_the_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    commit(&storage, messages_batch(&[1, 2], &[], None));
    storage.db().put_cf(storage.families().messages, key::message(MessageId(2)), b"?").unwrap();
    let error = storage.recover().unwrap_err().to_string();
    assert_eq!(error, "the stored message 2 is damaged: its value has 1 bytes");
}

#[test]
fn damaged_delayed_message_stops_the_recovery() {
    for (key, text) in [
        (
            key::delayed(delayed_key(9, 5)).to_vec(),
            "the stored message 00000000-0000-0000-0000-000000000005, due 1970-01-01T00:00:00Z, is \
             damaged: its value has 1 bytes",
        ),
        (vec![1], "the stored family `timers` is damaged: a key is none of a delayed message"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        let delayed = vec![(delayed_key(9, 5), timer_message(1))];
        commit(&storage, CommitBatch { delayed, ..CommitBatch::default() });
        storage.db().put_cf(storage.families().timers, key, b"?").unwrap();
        assert_eq!(storage.recover().unwrap_err().to_string(), text);
    }
}

/// An entry of the index that no row needs is not passed over: the row that is missing may be the
/// damage.
#[test]
fn entry_of_the_index_that_does_not_fit_the_rows_is_damage() {
    let entry = |status: u8, id: &str| {
        let created = 1_u64.to_be_bytes();
        [b"\x01transfer\x00", &[status][..], &created, id.as_bytes()].concat()
    };
    for (key, text) in [
        (entry(5, "other"), "it has an entry of `other`, which is not stored"),
        (
            entry(1, "transfer-1"),
            "it has an entry of `transfer-1` that does not fit what is stored",
        ),
        (entry(5, "a/b"), "a key is none of an entry"),
        (vec![1, b't'], "a key has no name"),
        (vec![1, b't', 0, 1, 2], "a key is none of an entry"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        commit(&storage, orchestration_batch(1, row(RuntimeStatus::Running, 0, first_turn())));
        storage.db().put_cf(storage.families().index, key, []).unwrap();
        let filter = InstanceFilter::default();
        let query = InstanceQuery { filter, page_size: 9, continuation: None };
        let error = storage.query(&query).unwrap_err().to_string();
        assert_eq!(error, format!("the stored family `index` is damaged: {text}"));
    }
}

#[test]
fn flipped_byte_in_a_table_file_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        commit(&storage, orchestration_batch(1, row(RuntimeStatus::Completed, 0, both_turns())));
        storage.db().flush_cf(storage.families().instances).unwrap();
    }
    let tables = files(&folder, "sst");
    let [table] = tables.as_slice() else { panic!("one table: {tables:?}") };
    flip(table, 20);
    let storage = open(folder.path());
    let error = load_error(&storage, &orchestration_id());
    assert!(error.contains("is damaged") && error.contains("checksum mismatch"), "{error}");
}

#[test]
fn missing_table_file_keeps_the_folder_closed() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        write_entity(&storage, Some(entity_record("1")));
        storage.db().flush_cf(storage.families().instances).unwrap();
    }
    fs::remove_file(&files(&folder, "sst")[0]).unwrap();
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(".sst"), "{error}");
}

/// The loss of power while a large commit is being written: pages that did not reach the disk are
/// zero, others after them may have.
#[test]
fn log_torn_by_the_loss_of_power_opens_with_all_that_was_synced() {
    for (bytes, zero_from, zero_to) in [
        (300, 100, usize::MAX),
        (20_000, 4_096, 8_192),
        (20_000, 4_096, usize::MAX),
        (60_000, 4_096, 8_192),
        (60_000, 33_000, usize::MAX),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (log, synced);
        {
            let storage = open(folder.path());
            write_entity(&storage, Some(entity_record("1")));
            write_entity(&storage, Some(entity_record("2")));
            storage.sync().unwrap();
            log = files(&folder, "log").pop().unwrap();
            synced = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
            write_entity(&storage, Some(entity_record(&digits(bytes))));
            // It gets to the disk, as far as it does, and no sync has said so.
            storage.db().flush_wal(false).unwrap();
        }
        let mut log_bytes = fs::read(&log).unwrap();
        let torn = &mut log_bytes[synced..];
        let end = zero_to.min(torn.len());
        torn[zero_from..end].fill(0);
        fs::write(&log, log_bytes).unwrap();
        for _ in 0..2 {
            let storage = open(folder.path());
            assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("2")));
        }
    }
}

#[test]
fn log_bad_before_a_commit_that_knew_it_durable_keeps_the_folder_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (log, lengths);
    {
        let storage = open(folder.path());
        log = files(&folder, "log").pop().unwrap();
        lengths = ["1", "2", "3"].map(|state| {
            write_entity(&storage, Some(entity_record(state)));
            storage.sync().unwrap();
            usize::try_from(fs::metadata(&log).unwrap().len()).unwrap()
        });
    }
    let good = fs::read(&log).unwrap();
    // All of the second commit behind the seven bytes of its header, and the length of the first
    // record in the log. (Not the type of a record: flipped into some others, RocksDB 11.8.1 reads
    // the log for ever.)
    for at in (lengths[0] + 7..lengths[1]).chain([5]) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let copy = killed(folder.path());
        fs::write(copy.path().join(log.file_name().unwrap()), bad).unwrap();
        for _ in 0..2 {
            let opened = RocksStorage::open(copy.path(), &StorageConfig::default());
            let error = opened.expect_err(&format!("byte {at} is bad"));
            let damaged = matches!(error, Error::DamagedFiles { .. } | Error::Damaged { .. });
            assert!(damaged, "byte {at}: {error}");
        }
    }
}
