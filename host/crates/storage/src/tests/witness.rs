//! A log that is missing or cut short, where only the file beside it knows what was durable.

use std::fs;
use std::path::Path;

use everstate_engine::storage::{Storage, StoredInstance};

use super::{
    commit, entity_id, entity_record, entity_row, killed, load, messages_batch, newest_log, open,
    without_power, write_entity,
};
use crate::witness::NAME;
use crate::{RocksStorage, StorageConfig, verify};

/// A folder in which these states of an entity were synced, one after the other.
fn synced(states: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for state in states {
        write_entity(&storage, Some(entity_record(state)));
        storage.sync().unwrap();
    }
    folder
}

fn refusal(folder: &Path) -> String {
    let opened = RocksStorage::open(folder, &StorageConfig::default()).map(drop);
    opened.expect_err("commits are lost").to_string()
}

#[test]
fn log_that_is_missing_or_empty_keeps_the_folder_closed_until_it_is_put_back() {
    let folder = synced(&["1", "2"]);
    let log = newest_log(folder.path());
    let good = fs::read(&log).unwrap();
    let lost = "the log is damaged: it ends with commit 0, though commit 2 was durable";
    for _ in 0..2 {
        fs::remove_file(&log).unwrap();
        assert_eq!(refusal(folder.path()), lost);
        fs::write(&log, "").unwrap();
        assert_eq!(refusal(folder.path()), lost);
    }
    let found = verify(folder.path()).unwrap().problems;
    let expected = "the log ends with commit 0, though commit 2 was durable";
    assert!(found.iter().any(|problem| problem == expected), "{found:?}");
    fs::write(&log, good).unwrap();
    assert_eq!(
        load(&open(folder.path()), &entity_id()),
        StoredInstance::Entity(entity_record("2"))
    );
}

#[test]
fn newest_of_several_logs_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let config = StorageConfig { write_buffer_bytes: 64 << 10, block_cache_bytes: 1 << 20 };
    let storage = RocksStorage::open(folder.path(), &config).unwrap();
    let first = newest_log(folder.path());
    let mut id = 0;
    // Until a log follows the first one, and then a little more.
    while newest_log(folder.path()) == first {
        id += 1;
        commit(&storage, messages_batch(&[id], &[], None));
    }
    let entities = vec![entity_row(&storage, &entity_id(), Some(entity_record("1")))];
    let batch = messages_batch(&[id + 1], &[], None);
    commit(&storage, everstate_engine::storage::CommitBatch { entities, ..batch });
    storage.sync().unwrap();
    let left = killed(folder.path());
    drop(open(left.path()));
    let left = killed(folder.path());
    fs::remove_file(newest_log(left.path())).unwrap();
    let error = refusal(left.path());
    let expected = format!("though commit {} was durable", id + 1);
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn log_of_a_killed_process_that_is_cut_off_keeps_the_folder_closed() {
    let folder = synced(&["1", "2", "3"]);
    let length = fs::metadata(newest_log(folder.path())).unwrap().len();
    for cut in (0..length).rev().step_by(23) {
        let left = killed(folder.path());
        let log = fs::File::options().write(true).open(newest_log(left.path())).unwrap();
        log.set_len(cut).unwrap();
        for _ in 0..2 {
            let error = refusal(left.path());
            assert!(error.contains("though commit 3 was durable"), "cut at {cut}: {error}");
        }
    }
}

#[test]
fn witness_that_the_loss_of_power_made_older_is_in_nobodys_way() {
    let folder = synced(&["1"]);
    let older = fs::read(folder.path().join(NAME)).unwrap();
    {
        let storage = open(folder.path());
        write_entity(&storage, Some(entity_record("2")));
        storage.sync().unwrap();
    }
    assert_ne!(fs::read(folder.path().join(NAME)).unwrap(), older);
    for left in [killed(folder.path()), without_power(folder.path())] {
        if left.path().join(NAME).exists() {
            fs::write(left.path().join(NAME), &older).unwrap();
        }
        for _ in 0..2 {
            let storage = open(left.path());
            assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("2")));
        }
        assert_eq!(verify(left.path()).unwrap().problems, [""; 0]);
    }
}

#[test]
fn witness_that_is_damaged_is_named() {
    let folder = synced(&["1"]);
    let path = folder.path().join(NAME);
    let good = fs::read(&path).unwrap();
    assert_eq!(good.len(), 13);
    for bad in (0..8 * good.len()).map(|bit| {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        bad
    }) {
        fs::write(&path, bad).unwrap();
        let error = refusal(folder.path());
        assert!(error.contains("/synced is damaged: it is not what was written"), "{error}");
    }
    for length in [0, 12] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(refusal(folder.path()).contains("/synced is damaged"));
    }
    assert!(verify(folder.path()).unwrap().problems[0].contains("/synced is damaged"));
}
