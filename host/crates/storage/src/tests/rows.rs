//! Rows come back as they were written, in each of the ways in which they are stored.

use everstate_engine::storage::{Cached, Storage, StoredInstance};
use everstate_types::{
    EventKind, Failure, FunctionName, HistoryEvent, OrchestrationRecord, Payload, RuntimeStatus,
};

use super::samples::parent;
use super::{
    after, both_turns, commit, digits, entity_id, entity_record, first_turn, keys_in, last_turn,
    load, open, orchestration_batch, orchestration_id, record, row, time, write_entity,
};
use crate::RocksStorage;
use crate::key::Family;

fn rows_in(storage: &RocksStorage, family: Family) -> usize {
    keys_in(storage, family).len()
}

#[test]
fn instance_never_written_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    assert_eq!(storage.load(&orchestration_id()).unwrap(), None);
    assert_eq!(storage.load(&entity_id()).unwrap(), None);
}

#[test]
fn entity_written_overwritten_and_deleted_is_as_last_written() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for state in ["1", "\"two\""] {
        write_entity(&storage, Some(entity_record(state)));
        assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record(state)));
    }
    write_entity(&storage, None);
    assert_eq!(storage.load(&entity_id()).unwrap(), None);
    assert_eq!(rows_in(&storage, Family::Instances), 0);
}

#[test]
fn repetitive_value_is_compressed_and_another_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for (state, layout) in [("value ".repeat(50), 2), (digits(400), 1), ("v".repeat(200), 1)] {
        write_entity(&storage, Some(entity_record(&state)));
        assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record(&state)));
        let handle = storage.db().cf_handle(Family::Instances.name()).unwrap();
        let mut rows = storage.db().iterator_cf(handle, rocksdb::IteratorMode::Start);
        let (_, value) = rows.next().unwrap().unwrap();
        assert_eq!((value[0], value.len() < state.len()), (layout, layout == 2), "{state}");
    }
}

#[test]
fn orchestration_finished_at_once_is_one_value() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Completed, 0, both_turns())));
    assert_eq!(
        load(&storage, &orchestration_id()),
        StoredInstance::Orchestration {
            record: record(RuntimeStatus::Completed),
            history: both_turns()
        }
    );
    assert_eq!(rows_in(&storage, Family::History), 0);
}

#[test]
fn orchestration_whose_record_and_history_differ_keeps_both() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut row = row(RuntimeStatus::Terminated, 0, both_turns());
    row.record.input = Payload::from("\"other\"");
    row.record.output = None;
    row.record.failure = Some(Failure::new("OutOfOrder", "it did not follow its history"));
    row.record.custom_status = Some(Payload::from("{}"));
    commit(&storage, orchestration_batch(1, row.clone()));
    assert_eq!(
        load(&storage, &orchestration_id()),
        StoredInstance::Orchestration { record: row.record, history: both_turns() }
    );
}

#[test]
fn orchestration_failed_at_once_takes_up_results_that_come_late() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let failed = record(RuntimeStatus::Failed);
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Failed, 0, both_turns())));
    let result = EventKind::ActivityCompleted { scheduled_id: 3, result: Payload::from("1") };
    let late = HistoryEvent::new(time(5), result);
    let added = row(RuntimeStatus::Failed, both_turns().len(), vec![late.clone()]);
    commit(&storage, orchestration_batch(2, after(&failed, added)));
    let history = [both_turns(), vec![late]].concat();
    assert_eq!(
        load(&storage, &orchestration_id()),
        StoredInstance::Orchestration { record: failed, history }
    );
}

/// Each of the ways in which a record may differ from what the history says of the start.
#[test]
fn orchestration_whose_record_says_more_of_its_start_keeps_that() {
    let changes: [fn(&mut OrchestrationRecord); 5] = [
        |record| record.parent = Some(parent()),
        |record| record.scheduled_start = Some(time(77)),
        |record| record.tags = Vec::new(),
        |record| record.name = FunctionName::new("Other").unwrap(),
        |record| record.rewinds = 3,
    ];
    for change in changes {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        let mut row = row(RuntimeStatus::Completed, 0, both_turns());
        change(&mut row.record);
        commit(&storage, orchestration_batch(1, row.clone()));
        assert_eq!(
            load(&storage, &orchestration_id()),
            StoredInstance::Orchestration { record: row.record, history: both_turns() }
        );
    }
}

/// Parent and time of a start are in the history as well, and are stored once.
#[test]
fn child_finished_at_once_is_stored_without_what_its_history_says() {
    let mut sizes = Vec::new();
    for in_record in [true, false] {
        let mut row = row(RuntimeStatus::Completed, 0, both_turns());
        for event in &mut row.events {
            if let EventKind::ExecutionStarted { parent: of, scheduled_start, .. } = &mut event.kind
            {
                *of = Some(parent());
                *scheduled_start = Some(time(77));
            }
        }
        if in_record {
            row.record.parent = Some(parent());
            row.record.scheduled_start = Some(time(77));
        }
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path());
        commit(&storage, orchestration_batch(1, row.clone()));
        assert_eq!(
            load(&storage, &orchestration_id()),
            StoredInstance::Orchestration { record: row.record, history: row.events }
        );
        let handle = storage.families().instances;
        let mut rows = storage.db().iterator_cf(handle, rocksdb::IteratorMode::Start);
        sizes.push(rows.next().unwrap().unwrap().1.len());
    }
    assert!(sizes[0] < sizes[1], "{sizes:?}");
}

#[test]
fn orchestration_terminated_before_its_first_turn_is_one_value_without_history() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let row = row(RuntimeStatus::Terminated, 0, Vec::new());
    commit(&storage, orchestration_batch(1, row.clone()));
    assert_eq!(
        load(&storage, &orchestration_id()),
        StoredInstance::Orchestration { record: row.record, history: Vec::new() }
    );
}

#[test]
fn orchestration_from_pending_to_completed_has_its_history_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let steps = [
        (row(RuntimeStatus::Pending, 0, Vec::new()), Vec::new(), 0),
        (row(RuntimeStatus::Running, 0, first_turn()), first_turn(), 1),
        (row(RuntimeStatus::Completed, 4, last_turn()), both_turns(), 2),
    ];
    let mut before: Option<OrchestrationRecord> = None;
    for (mut row, history, chunks) in steps {
        let record = row.record.clone();
        if let Some(before) = before.replace(record.clone()) {
            row = after(&before, row);
        }
        commit(&storage, orchestration_batch(1, row));
        assert_eq!(
            load(&storage, &orchestration_id()),
            StoredInstance::Orchestration { record, history }
        );
        assert_eq!(rows_in(&storage, Family::History), chunks);
    }
}

#[test]
fn large_state_comes_back_from_a_blob_file() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let state = format!("\"{}\"", "x".repeat(200_000));
    write_entity(&storage, Some(entity_record(&state)));
    storage.db().flush_cf(storage.families().instances).unwrap();
    let blobs = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "blob"))
        .count();
    assert_eq!(blobs, 1);
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record(&state)));
}

#[test]
fn cached_load_answers_from_memory_and_never_reads_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let expected = StoredInstance::Orchestration {
        record: record(RuntimeStatus::Running),
        history: first_turn(),
    };
    let id = orchestration_id();
    {
        let storage = open(folder.path());
        commit(&storage, orchestration_batch(1, row(RuntimeStatus::Running, 0, first_turn())));
        let found = Cached::Found(Some(expected.clone()));
        assert_eq!(storage.load_cached(&id).unwrap(), found, "from the write buffer");
        assert_eq!(storage.load_cached(&entity_id()).unwrap(), Cached::Found(None));
        let families = storage.families();
        storage.db().flush_cf(families.instances).unwrap();
        storage.db().flush_cf(families.history).unwrap();
    }
    let storage = open(folder.path());
    assert_eq!(storage.load_cached(&id).unwrap(), Cached::WouldBlock, "nothing is read yet");
    assert_eq!(load(&storage, &id), expected);
    assert_eq!(storage.load_cached(&id).unwrap(), Cached::Found(Some(expected)));
}
