//! Histories that have to go: of an earlier execution, of the own one after a rewind, of an
//! orchestration that is purged. What is left are the chunks of others, and the new ones.

use everstate_engine::storage::{CommitBatch, OrchestrationRow, Storage, StoredInstance};
use everstate_types::{HistoryEvent, InstanceId, OrchestrationRecord, RuntimeStatus};

use super::{
    after, both_turns, commit, compact, execution, first_turn, keys_in, load, open,
    orchestration_batch, orchestration_id, purge_batch, record, row,
};
use crate::RocksStorage;
use crate::key::Family;

/// More chunks than are deleted one by one.
const MANY_CHUNKS: usize = 70;

fn chunks(storage: &RocksStorage) -> usize {
    keys_in(storage, Family::History).len()
}

/// Writes a waiting orchestration with so many chunks, one a commit, and gives its history.
fn write_in_chunks(storage: &RocksStorage, id: &InstanceId, count: usize) -> Vec<HistoryEvent> {
    let mut history = Vec::new();
    for number in 0..count {
        let mut row = row(RuntimeStatus::Running, history.len(), first_turn());
        if number > 0 {
            row = after(&record(RuntimeStatus::Running), row);
        }
        history.extend(first_turn());
        commit(storage, batch_of(id, row));
    }
    history
}

fn batch_of(id: &InstanceId, row: OrchestrationRow) -> CommitBatch {
    CommitBatch { orchestrations: vec![(id.clone(), row)], ..CommitBatch::default() }
}

fn stored(record: OrchestrationRecord, history: Vec<HistoryEvent>) -> StoredInstance {
    StoredInstance::Orchestration { record, history }
}

fn ids() -> [InstanceId; 3] {
    ["a", "b", "ab"].map(|id| InstanceId::orchestration(id).unwrap())
}

#[test]
fn new_execution_replaces_the_chunks_of_the_one_before() {
    for count in [1, 3, MANY_CHUNKS] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        write_in_chunks(&storage, &orchestration_id(), count);
        let mut next =
            after(&record(RuntimeStatus::Running), row(RuntimeStatus::Running, 0, first_turn()));
        next.record.execution_id = execution(2);
        next.replaces = Some(execution(1));
        commit(&storage, orchestration_batch(2, next.clone()));
        for _ in 0..2 {
            let expected = stored(next.record.clone(), first_turn());
            assert_eq!(load(&storage, &orchestration_id()), expected);
            assert_eq!(chunks(&storage), 1, "only the new chunk is left of {count} and it");
            compact(&storage, Family::History);
        }
    }
}

/// The keys of the new chunks are those of old ones.
#[test]
fn rewound_orchestration_replaces_its_own_chunks() {
    for count in [1, 3, MANY_CHUNKS] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        write_in_chunks(&storage, &orchestration_id(), count);
        for rewinds in 1..=3 {
            let mut rewound = after(
                &record(RuntimeStatus::Running),
                row(RuntimeStatus::Running, 0, both_turns()),
            );
            rewound.record.rewinds = rewinds;
            rewound.replaces = Some(execution(1));
            commit(&storage, orchestration_batch(2, rewound.clone()));
            for _ in 0..2 {
                let expected = stored(rewound.record.clone(), both_turns());
                assert_eq!(load(&storage, &orchestration_id()), expected);
                assert_eq!(chunks(&storage), 1);
                compact(&storage, Family::History);
            }
        }
    }
}

#[test]
fn orchestration_that_ends_at_once_after_its_rewind_is_one_value() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_in_chunks(&storage, &orchestration_id(), 3);
    let ended = row(RuntimeStatus::Completed, 0, both_turns());
    let mut ended = after(&record(RuntimeStatus::Running), ended);
    ended.replaces = Some(execution(1));
    commit(&storage, orchestration_batch(2, ended));
    let expected = stored(record(RuntimeStatus::Completed), both_turns());
    assert_eq!(load(&storage, &orchestration_id()), expected);
    assert_eq!(chunks(&storage), 0);
}

#[test]
fn replaced_and_purged_histories_leave_those_of_others() {
    for count in [1, MANY_CHUNKS] {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        let history = ids().map(|id| write_in_chunks(&storage, &id, count));
        let [replaced, purged, kept] = ids();
        let ended = row(RuntimeStatus::Completed, 0, both_turns());
        let mut ended = after(&record(RuntimeStatus::Running), ended);
        ended.replaces = Some(execution(1));
        commit(&storage, batch_of(&replaced, ended));
        commit(&storage, purge_batch(&purged, &record(RuntimeStatus::Running)));
        let expected = stored(record(RuntimeStatus::Running), history[2].clone());
        assert_eq!(load(&storage, &kept), expected);
        assert_eq!(storage.load(&purged).unwrap(), None);
        assert_eq!(chunks(&storage), count);
    }
}

#[test]
fn history_of_another_execution_than_the_replaced_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let history = write_in_chunks(&storage, &orchestration_id(), 2);
    let mut same = after(
        &record(RuntimeStatus::Running),
        row(RuntimeStatus::Running, history.len(), Vec::new()),
    );
    same.replaces = Some(execution(9));
    commit(&storage, orchestration_batch(2, same));
    let expected = stored(record(RuntimeStatus::Running), history);
    assert_eq!(load(&storage, &orchestration_id()), expected);
}

#[test]
fn hundred_generations_leave_the_chunks_of_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write_in_chunks(&storage, &orchestration_id(), 1);
    for generation in 2..=100 {
        let mut next = row(RuntimeStatus::Running, 0, first_turn());
        next.record.execution_id = execution(generation);
        next.replaces = Some(execution(generation - 1));
        commit(&storage, orchestration_batch(2, after(&record(RuntimeStatus::Running), next)));
        assert_eq!(chunks(&storage), 1);
    }
    storage.db().flush_cf(storage.families().history).unwrap();
    assert_eq!(chunks(&storage), 1);
    let files = storage.db().live_files().unwrap();
    let entries = files
        .iter()
        .filter(|file| file.column_family_name == Family::History.name())
        .map(|file| (file.num_entries, file.num_deletions))
        .collect::<Vec<_>>();
    assert_eq!(entries, [(1, 0)], "no marks of deletion are left");
}

#[test]
fn purged_orchestration_leaves_nothing_and_its_id_can_be_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let steps = [
        (RuntimeStatus::Completed, both_turns(), 0),
        (RuntimeStatus::Running, first_turn(), 1),
        (RuntimeStatus::Completed, both_turns(), 0),
    ];
    for (status, events, chunks_then) in steps {
        commit(&storage, orchestration_batch(1, row(status, 0, events.clone())));
        assert_eq!(load(&storage, &orchestration_id()), stored(record(status), events));
        assert_eq!(chunks(&storage), chunks_then);
        commit(&storage, purge_batch(&orchestration_id(), &record(status)));
        assert_eq!(storage.load(&orchestration_id()).unwrap(), None);
        for family in [Family::Instances, Family::History, Family::Index] {
            assert!(keys_in(&storage, family).is_empty(), "{family:?}");
        }
    }
}
