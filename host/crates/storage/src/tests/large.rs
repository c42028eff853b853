//! Large values: there as long as a row refers to them, whatever happens, and no longer.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use everstate_engine::storage::{
    Cached, EntityFilter, EntityQuery, EntityRow, Storage, StoredInstance,
};
use everstate_types::{EntityId, EntityRecord, InstanceId, LargeId, Payload};

use super::{
    CommitBatch, commit, entity_id, entity_record, keys_in, killed, load, load_error, open,
    wait_until, write_entity,
};
use crate::key::{Family, Row};
use crate::large::LARGE_BYTES_MIN;
use crate::{Error, RocksStorage, StorageConfig};

/// A text of this many bytes that begins with the number.
fn text(number: u64, bytes: usize) -> String {
    let mut text = format!("\"{number}:");
    text.extend(std::iter::repeat_n('é', (bytes - text.len() - 1) / 2));
    text.extend(std::iter::repeat_n('e', bytes - text.len() - 1));
    text.push('"');
    assert_eq!(text.len(), bytes);
    text
}

/// Stores a large value by itself, and gives a record that refers to it.
fn store(storage: &RocksStorage, number: u64) -> EntityRecord {
    let mut record = entity_record(&text(number, LARGE_BYTES_MIN));
    let value = record.state.value.as_ref().unwrap();
    record.large = storage.store_large(value).unwrap();
    assert!(record.large.is_some());
    record
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("large")) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Waits until so many files are left.
fn wait_for_files(folder: &Path, count: usize) {
    wait_until(|| {
        let left = files(folder);
        if left.len() == count { Ok(()) } else { Err(format!("there are {left:?}")) }
    });
}

#[test]
fn value_at_the_bound_is_stored_by_itself_and_a_smaller_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let smaller = Payload::from(text(1, LARGE_BYTES_MIN - 1));
    assert_eq!(storage.store_large(&smaller).unwrap(), None);
    assert!(files(folder.path()).is_empty());
    let at_the_bound = Payload::from(text(1, LARGE_BYTES_MIN));
    assert!(storage.store_large(&at_the_bound).unwrap().is_some());
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn entity_with_a_large_value_is_as_written_and_its_row_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let record = store(&storage, 1);
    write_entity(&storage, Some(record.clone()));
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(record.clone()));
    assert_eq!(storage.load_cached(&entity_id()).unwrap(), Cached::WouldBlock);
    let instances = storage.families().instances;
    let mut rows = storage.db().iterator_cf(instances, rocksdb::IteratorMode::Start);
    let (_, value) = rows.next().unwrap().unwrap();
    assert!(value.len() < 100, "the row has {} bytes", value.len());

    for (fetches_state, value) in
        [(true, record.state.value.clone()), (false, Some(Payload::null()))]
    {
        let filter = EntityFilter::default();
        let query = EntityQuery { filter, page_size: 9, continuation: None, fetches_state };
        let mut expected = record.clone();
        expected.state.value = value;
        let found = storage.query_entities(&query).unwrap().entities;
        assert_eq!(found, [(entity_id().as_entity().unwrap(), expected)]);
    }
    assert_eq!(storage.count_entities(&EntityFilter::default()).unwrap(), 1);
}

#[test]
fn value_is_there_after_a_kill_as_soon_as_its_commit_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let record = store(&storage, 1);
    write_entity(&storage, Some(record.clone()));
    storage.sync().unwrap();
    let left = killed(folder.path());
    for _ in 0..2 {
        let storage = open(left.path());
        assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(record.clone()));
        assert_eq!(files(left.path()).len(), 1);
    }
}

#[test]
fn value_that_no_commit_refers_to_is_gone_after_a_restart_and_its_id_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = HashSet::new();
    let mut folders = vec![folder];
    for round in 1..=3 {
        let folder = folders.last().unwrap();
        let storage = open(folder.path());
        wait_for_files(folder.path(), 0);
        let committed = store(&storage, round);
        assert!(ids.insert(committed.large.unwrap()));
        // Not durable: the value is, but nothing that survives refers to it.
        write_entity(&storage, Some(committed));
        assert!(ids.insert(store(&storage, round).large.unwrap()));
        let left = killed(folder.path());
        assert_eq!(files(left.path()).len(), 2);
        folders.push(left);
    }
    let left = folders.last().unwrap();
    let storage = open(left.path());
    wait_for_files(left.path(), 0);
    assert_eq!(storage.load(&entity_id()).unwrap(), None);
    drop(storage);
    // Nor after an orderly end.
    let storage = open(left.path());
    assert!(ids.insert(store(&storage, 9).large.unwrap()));
}

#[test]
fn start_keeps_what_rows_refer_to_and_removes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let kept = {
        let storage = open(folder.path());
        store(&storage, 1);
        let kept = store(&storage, 2);
        store(&storage, 3);
        write_entity(&storage, Some(kept.clone()));
        kept
    };
    // What is not named like a value is not touched.
    fs::write(folder.path().join("large/notes.txt"), "mine").unwrap();
    // A file that was not written to its end.
    fs::write(folder.path().join("large/00000000000000ff"), [1, 2]).unwrap();
    let storage = open(folder.path());
    wait_for_files(folder.path(), 2);
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(kept));
}

#[test]
fn freed_value_is_removed_once_its_commit_is_durable_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let first = store(&storage, 1);
    write_entity(&storage, Some(first.clone()));
    storage.sync().unwrap();
    let second = store(&storage, 2);
    write_entity(&storage, Some(second.clone()));
    // A crash now brings the first one back.
    let left = killed(folder.path());
    let restarted = open(left.path());
    assert_eq!(load(&restarted, &entity_id()), StoredInstance::Entity(first));
    wait_for_files(left.path(), 1);
    drop(restarted);

    storage.sync().unwrap();
    wait_for_files(folder.path(), 1);
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(second));
    write_entity(&storage, Some(entity_record("small")));
    storage.sync().unwrap();
    wait_for_files(folder.path(), 0);
    assert!(keys_in(&storage, Family::Index).iter().all(|key| key[0] != 8));
}

#[test]
fn value_freed_before_any_commit_had_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let stored = store(&storage, 1);
    let row = EntityRow { record: None, indexed: None, freed: stored.large.into_iter().collect() };
    commit(&storage, CommitBatch { entities: vec![(entity_id(), row)], ..CommitBatch::default() });
    storage.sync().unwrap();
    wait_for_files(folder.path(), 0);
}

#[test]
fn values_freed_while_somebody_reads_stay_until_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let first = store(&storage, 0);
    write_entity(&storage, Some(first.clone()));
    let reading = storage.large().begin_read();
    for number in 1..=50 {
        write_entity(&storage, Some(store(&storage, number)));
        storage.sync().unwrap();
    }
    assert_eq!(files(folder.path()).len(), 51);
    let value = reading.value(Row::Instance(&entity_id()), first.large.unwrap()).unwrap();
    assert_eq!(Some(value), first.state.value);
    // One that begins now needs none of them.
    let later = storage.large().begin_read();
    drop(reading);
    wait_for_files(folder.path(), 1);
    drop(later);
}

/// The commits of somebody else free values while rows are read that refer to them.
#[test]
fn reads_find_a_value_although_commits_replace_and_free_it_all_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(store(&storage, 0)));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let loaded = load(&storage, &entity_id());
                    let StoredInstance::Entity(record) = loaded else { panic!("{loaded:?}") };
                    assert_eq!(record.state.value.unwrap().len(), LARGE_BYTES_MIN);
                    let filter = EntityFilter::default();
                    let query = EntityQuery {
                        filter,
                        page_size: 9,
                        continuation: None,
                        fetches_state: true,
                    };
                    assert_eq!(storage.query_entities(&query).unwrap().entities.len(), 1);
                }
            });
        }
        for number in 1..=200 {
            write_entity(&storage, Some(store(&storage, number)));
            storage.sync().unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
    wait_for_files(folder.path(), 1);
}

#[test]
fn values_stored_at_the_same_time_have_different_ids() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let id = |number: u64| EntityId::new("Register", &number.to_string()).unwrap().instance_id();
    let stored: Vec<(InstanceId, EntityRecord)> = std::thread::scope(|scope| {
        let store = |number| {
            scope.spawn({
                let storage = &storage;
                move || (id(number), store(storage, number))
            })
        };
        let threads: Vec<_> = (0..8).map(store).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ids: HashSet<LargeId> = stored.iter().filter_map(|(_, record)| record.large).collect();
    assert_eq!(ids.len(), 8);
    for (id, record) in &stored {
        super::write_entity_as(&storage, id, Some(record.clone()));
    }
    for (id, record) in stored {
        assert_eq!(load(&storage, &id), StoredInstance::Entity(record));
    }
}

#[test]
fn damaged_file_is_an_error_that_names_the_entity_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(store(&storage, 1)));
    let [path] = files(folder.path()).try_into().unwrap();
    let good = fs::read(&path).unwrap();
    let damages: [fn(&mut Vec<u8>); 8] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes[1] ^= 1,
        |bytes| bytes[5] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 0x80,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(3),
        Vec::clear,
        |bytes| bytes.push(b' '),
    ];
    for (number, damage) in damages.iter().enumerate() {
        let mut bad = good.clone();
        damage(&mut bad);
        fs::write(&path, bad).unwrap();
        let expected = format!(
            "the stored instance `@register@1` is damaged: what is in its file {} is not what was \
             written",
            path.display()
        );
        assert_eq!(load_error(&storage, &entity_id()), expected, "damage {number}");
    }
    fs::remove_file(&path).unwrap();
    let missing = format!("is damaged: its file {} is missing", path.display());
    assert!(load_error(&storage, &entity_id()).contains(&missing));
}

#[test]
fn file_of_another_value_in_its_place_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_entity(&storage, Some(store(&storage, 1)));
    let [path] = files(folder.path()).try_into().unwrap();
    store(&storage, 1);
    let other = files(folder.path()).pop().unwrap();
    fs::rename(other, &path).unwrap();
    assert!(load_error(&storage, &entity_id()).contains("is not what was written"));
}

#[test]
fn missing_file_keeps_the_folder_closed() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        write_entity(&storage, Some(store(&storage, 1)));
    }
    let [path] = files(folder.path()).try_into().unwrap();
    fs::remove_file(&path).unwrap();
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }));
    assert_eq!(
        error.to_string(),
        format!("a large value is damaged: the file {} is missing", path.display())
    );
}

/// A file where the folder should be: nothing can be written there, by whatever user.
#[test]
fn value_that_cannot_be_written_is_an_error_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    fs::write(folder.path().join("large"), "in the way").unwrap();
    let value = Payload::from(text(1, LARGE_BYTES_MIN));
    let error = storage.store_large(&value).unwrap_err().to_string();
    assert!(error.contains("of a large value cannot be written: "), "{error}");
    assert!(error.contains("/large"), "{error}");
}
