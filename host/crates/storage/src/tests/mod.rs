//! Scenarios on a real database in a temporary folder. Here: what they are made of.

mod benchmark;
mod damage;
mod delayed;
mod format;
mod history;
mod index;
mod opening;
mod query;
mod recovery;
mod rows;
mod samples;

use std::fs;
use std::path::Path;

use everstate_engine::storage::{
    CommitBatch, CommitSeq, Indexed, OrchestrationRow, PurgedRow, Storage, StoredInstance,
};
use everstate_types::{
    ComponentHash, DelayedKey, EntityId, EntityRecord, EventKind, ExecutionId, FunctionName,
    HistoryEvent, InstanceId, Message, MessageBody, MessageId, OrchestrationRecord,
    OrchestrationStatus, Payload, RuntimeStatus, Timestamp,
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

/// Copies the folder as it is on disk: what a process that is killed now would leave.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
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
    EntityRecord { state: Payload::from(state), updated_at: time(7) }
}

/// The record of an orchestration that runs, or has ended well.
fn record(status: RuntimeStatus) -> OrchestrationRecord {
    OrchestrationRecord {
        name: name(),
        component: Some(ComponentHash([7; 32])),
        execution_id: execution(1),
        status,
        input: Payload::from("\"in\""),
        output: status.is_finished().then(|| Payload::from("\"out\"")),
        failure: None,
        custom_status: None,
        tags: vec![("team".to_owned(), "blue".to_owned())],
        parent: None,
        scheduled_start: None,
        rewinds: 0,
        created_at: time(1),
        updated_at: time(3),
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

fn entity_batch(record: Option<EntityRecord>) -> CommitBatch {
    CommitBatch { entities: vec![(entity_id(), record)], ..CommitBatch::default() }
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
