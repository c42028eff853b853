//! Scenarios on a real database in a temporary folder. Here: what they are made of.

mod backup;
mod benchmark;
mod damage;
mod delayed;
mod entity_index;
mod entity_query;
mod format;
mod history;
mod index;
mod large;
mod opening;
mod query;
mod recovery;
mod rows;
mod samples;
mod sweep;
mod verify;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use everstate_engine::storage::{
    CommitBatch, CommitSeq, EntityRow, Indexed, OrchestrationRow, PurgedRow, Storage,
    StoredInstance,
};
use everstate_types::{
    ComponentHash, DelayedKey, EntityId, EntityLock, EntityRecord, EntityState, EventKind,
    ExecutionId, FunctionName, HistoryEvent, InstanceId, Message, MessageBody, MessageId,
    OrchestrationRecord, OrchestrationStatus, Payload, RuntimeStatus, Timestamp,
};
use uuid::Uuid;

use crate::key::Family;
use crate::{RocksStorage, StorageConfig};

/// Opens the storage in `folder`, as a new process would.
fn open(folder: &Path) -> RocksStorage {
    RocksStorage::open(folder, &StorageConfig::default()).expect("the folder is good")
}

/// Writes one commit.
#[expect(clippy::needless_pass_by_value, reason = "scenarios build the commit in the call")]
fn commit(storage: &RocksStorage, batch: CommitBatch) {
    storage.write(&batch).expect("the disk is good");
}

/// Loads an instance that is there.
fn load(storage: &RocksStorage, id: &InstanceId) -> StoredInstance {
    storage.load(id).expect("the data is good").expect("the instance is stored")
}

/// The text of the error that a load gives.
fn load_error(storage: &RocksStorage, id: &InstanceId) -> String {
    storage.load(id).expect_err("the data is damaged").to_string()
}

/// The keys in a column family, in order.
fn keys_in(storage: &RocksStorage, family: Family) -> Vec<Vec<u8>> {
    let handle = crate::db::family(storage.db(), family);
    let rows = storage.db().iterator_cf(handle, rocksdb::IteratorMode::Start);
    rows.map(|row| row.unwrap().0.to_vec()).collect()
}

/// Writes a column family into files, as far down as they go.
fn compact(storage: &RocksStorage, family: Family) {
    let handle = crate::db::family(storage.db(), family);
    storage.db().flush_cf(handle).unwrap();
    storage.db().compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
}

/// Waits until `condition` gives `Ok`; what it says otherwise is shown if that takes too long.
fn wait_until(condition: impl Fn() -> Result<(), String>) {
    let end = Instant::now() + Duration::from_secs(120);
    while let Err(why) = condition() {
        assert!(Instant::now() < end, "{why}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Copies the folder as it is on disk: what a process that is killed now would leave.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(folder, copy.path());
    copy
}

/// The same folder after the loss of power, which leaves no newer witness than the last that happened to
/// be written: the oldest is none.
fn without_power(folder: &Path) -> tempfile::TempDir {
    let copy = killed(folder);
    fs::remove_file(copy.path().join(crate::witness::NAME)).unwrap();
    copy
}

/// The log that is being written.
fn newest_log(folder: &Path) -> PathBuf {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .max()
        .unwrap()
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn orchestration_id() -> InstanceId {
    InstanceId::orchestration("transfer-1").expect("a valid id")
}

fn entity_id() -> InstanceId {
    EntityId::new("Register", "1").expect("a valid id").instance_id()
}

fn execution(number: u128) -> ExecutionId {
    ExecutionId::new(Uuid::from_u128(number))
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn name() -> FunctionName {
    FunctionName::new("Transfer").expect("a valid name")
}

fn entity_record(state: &str) -> EntityRecord {
    let value = Some(Payload::from(state));
    EntityRecord {
        state: EntityState { value, ..EntityState::default() },
        last_operation_at: time(7),
        ..EntityRecord::default()
    }
}

fn lock() -> EntityLock {
    EntityLock {
        instance_id: orchestration_id(),
        execution_id: execution(1),
        request_id: Uuid::from_u128(4),
        since: time(6),
    }
}

/// The record of an entity that is only locked.
fn locked_record() -> EntityRecord {
    EntityRecord { lock: Some(lock()), ..EntityRecord::default() }
}

/// The record of an orchestration that runs, or has ended well.
fn record(status: RuntimeStatus) -> OrchestrationRecord {
    OrchestrationRecord {
        component: Some(ComponentHash([7; 32])),
        status,
        input: Payload::from("\"in\""),
        output: status.is_finished().then(|| Payload::from("\"out\"")),
        tags: vec![("team".to_owned(), "blue".to_owned())],
        updated_at: time(3),
        ..OrchestrationRecord::pending(name(), execution(1), time(1))
    }
}

/// The events of the first turn, which waits.
fn first_turn() -> Vec<HistoryEvent> {
    let started = EventKind::ExecutionStarted {
        name: name(),
        version: None,
        input: Payload::from("\"in\""),
        parent: None,
        tags: vec![("team".to_owned(), "blue".to_owned())],
        scheduled_start: None,
    };
    vec![
        HistoryEvent::new(time(2), EventKind::OrchestratorStarted),
        HistoryEvent::new(time(2), started),
        HistoryEvent::of_action(0, time(2), EventKind::TimerCreated { fire_at: time(9) }),
        HistoryEvent::new(time(2), EventKind::OrchestratorCompleted),
    ]
}

/// The events of the last turn, which ends well.
fn last_turn() -> Vec<HistoryEvent> {
    let completed = EventKind::ExecutionCompleted {
        status: OrchestrationStatus::Completed,
        result: Some(Payload::from("\"out\"")),
        failure: None,
    };
    vec![
        HistoryEvent::new(time(3), EventKind::OrchestratorStarted),
        HistoryEvent::new(time(3), EventKind::TimerFired { timer_id: 0, fire_at: time(9) }),
        HistoryEvent::new(time(3), completed),
        HistoryEvent::new(time(3), EventKind::OrchestratorCompleted),
    ]
}

fn both_turns() -> Vec<HistoryEvent> {
    [first_turn(), last_turn()].concat()
}

/// The row of an orchestration of which nothing is stored.
fn row(
    status: RuntimeStatus,
    history_stored: usize,
    events: Vec<HistoryEvent>,
) -> OrchestrationRow {
    OrchestrationRow {
        record: record(status),
        history_stored,
        events,
        replaces: None,
        indexed: None,
    }
}

/// The same row, for an orchestration that is stored with the record `before`.
fn after(before: &OrchestrationRecord, row: OrchestrationRow) -> OrchestrationRow {
    OrchestrationRow { indexed: Some(Box::new(Indexed::of(before))), ..row }
}

/// Removes an orchestration that is stored with this record.
fn purge_batch(id: &InstanceId, record: &OrchestrationRecord) -> CommitBatch {
    let row =
        PurgedRow { execution_id: record.execution_id, indexed: Box::new(Indexed::of(record)) };
    CommitBatch { purged: vec![(id.clone(), row)], ..CommitBatch::default() }
}

fn message(operation: &str) -> Message {
    let body = MessageBody::EntityOperation {
        request_id: Uuid::from_u128(5),
        operation: operation.to_owned(),
        input: Some(Payload::from("1")),
        reply_to: None,
        trace: None,
    };
    Message { target: entity_id(), body }
}

fn orchestration_batch(seq: u64, row: OrchestrationRow) -> CommitBatch {
    CommitBatch {
        seq: CommitSeq(seq),
        orchestrations: vec![(orchestration_id(), row)],
        ..CommitBatch::default()
    }
}

/// The row of an entity of which nothing is stored.
fn new_entity_row(record: EntityRecord) -> EntityRow {
    EntityRow { record: Some(record), indexed: None, freed: Vec::new() }
}

/// What makes this the record of an entity, whatever is stored of it.
fn entity_row(
    storage: &RocksStorage,
    id: &InstanceId,
    record: Option<EntityRecord>,
) -> (InstanceId, EntityRow) {
    let before = match storage.load(id).expect("the data is good") {
        Some(StoredInstance::Entity(before)) => Some(before),
        _ => None,
    };
    let large = |record: &Option<EntityRecord>| record.as_ref().and_then(|record| record.large);
    let freed = large(&before).filter(|before| large(&record) != Some(*before));
    let indexed = before.map(|before| before.state.fields);
    (id.clone(), EntityRow { record, indexed, freed: freed.into_iter().collect() })
}

/// Commits this as the record of an entity.
fn write_entity_as(storage: &RocksStorage, id: &InstanceId, record: Option<EntityRecord>) {
    let entities = vec![entity_row(storage, id, record)];
    commit(storage, CommitBatch { entities, ..CommitBatch::default() });
}

/// The same for [`entity_id`].
fn write_entity(storage: &RocksStorage, record: Option<EntityRecord>) {
    write_entity_as(storage, &entity_id(), record);
}

fn messages_batch(sent: &[u64], consumed: &[u64], low: Option<u64>) -> CommitBatch {
    CommitBatch {
        messages_sent: sent
            .iter()
            .map(|id| (MessageId(*id), message(&format!("operation-{id}"))))
            .collect(),
        messages_consumed: consumed.iter().map(|id| MessageId(*id)).collect(),
        message_low: low.map(MessageId),
        ..CommitBatch::default()
    }
}

fn delayed_key(due: u64, guid: u128) -> DelayedKey {
    DelayedKey { due: time(due), guid: Uuid::from_u128(guid) }
}

fn timer_message(timer_id: i32) -> Message {
    let body = MessageBody::TimerFired {
        execution_id: execution(1),
        timer_id,
        request_id: Uuid::from_u128(5),
        fire_at: time(9),
    };
    Message { target: orchestration_id(), body }
}

/// Text of this length, or a little more, that compression does not make much shorter.
fn digits(bytes: usize) -> String {
    let mut text = String::new();
    let mut number = 1_u64;
    while text.len() < bytes {
        // Knuth's generator for 64 bits.
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &number.to_string();
    }
    text
}
