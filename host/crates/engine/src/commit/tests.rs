//! What the commit queue elides, and what the writer promises.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use everstate_types::{
    DelayedKey, EntityId, EntityRecord, EntityState, InstanceId, LargeId, Message, MessageBody,
    MessageId, MessageKey, Payload, RequestId, Timestamp,
};

use super::{Change, CommitQueue, CommitWriter};
use crate::config::EngineConfig;
use crate::storage::{
    CommitBatch, CommitSeq, EntityFilter, EntityPage, EntityQuery, EntityRow, InstanceFilter,
    InstancePage, InstanceQuery, Recovered, Result, Storage, StorageError, StoredInstance,
};
use crate::task_hub::Observers;

fn register() -> InstanceId {
    EntityId::new("register", "1").expect("a valid id").instance_id()
}

fn put(state: &str, is_new: bool) -> Change {
    let stored = stored_again(state);
    let row = EntityRow { indexed: stored.indexed.filter(|_| !is_new), ..stored };
    Change::Entity { id: register(), row }
}

/// The row of an entity that was stored and has another state.
fn stored_again(state: &str) -> EntityRow {
    let state = EntityState { value: Some(Payload::from(state)), ..EntityState::default() };
    let record = Some(EntityRecord { state, ..EntityRecord::default() });
    EntityRow { record, indexed: Some(Vec::new()), freed: Vec::new() }
}

fn delete() -> Change {
    Change::Entity { id: register(), row: deleted(Vec::new()) }
}

/// The row of an entity that was stored and is deleted.
fn deleted(freed: Vec<LargeId>) -> EntityRow {
    EntityRow { record: None, indexed: Some(Vec::new()), freed }
}

fn message() -> Message {
    let body = MessageBody::EntityOperation {
        request_id: RequestId::nil(),
        operation: "set".to_owned(),
        input: None,
        reply_to: None,
        trace: None,
    };
    Message { target: register(), body }
}

#[test]
fn message_sent_and_consumed_in_one_window_is_never_written() {
    let mut queue = CommitQueue::new(MessageId(5), [], []);
    let staged = queue.stage(Vec::new(), &[message()], &[]);
    assert_eq!(staged.first_message_id, MessageId(5));
    queue.stage(vec![Change::Consumed(MessageKey::Sent(MessageId(5)))], &[], &[]);
    let batch = queue.take().expect("two turns");
    assert!(batch.messages_sent.is_empty() && batch.messages_consumed.is_empty());
    assert_eq!(batch.seq, CommitSeq(2));
}

#[test]
fn message_consumed_in_a_later_window_is_deleted_there() {
    let mut queue = CommitQueue::new(MessageId(5), [], []);
    queue.stage(Vec::new(), &[message()], &[]);
    assert_eq!(queue.take().expect("a turn").messages_sent.len(), 1);
    queue.stage(vec![Change::Consumed(MessageKey::Sent(MessageId(5)))], &[], &[]);
    assert_eq!(queue.take().expect("a turn").messages_consumed, [MessageId(5)]);
}

#[test]
fn entity_born_and_deleted_in_one_window_is_never_written() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    queue.stage(vec![put("1", true)], &[], &[]);
    queue.stage(vec![delete()], &[], &[]);
    assert!(queue.take().expect("two turns").entities.is_empty());
}

#[test]
fn entity_stored_before_and_reborn_in_one_window_is_deleted_if_it_dies_again() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    queue.stage(vec![put("1", true)], &[], &[]);
    queue.take();
    queue.stage(vec![delete()], &[], &[]);
    queue.stage(vec![put("2", true)], &[], &[]);
    queue.stage(vec![delete()], &[], &[]);
    assert_eq!(queue.take().expect("three turns").entities, [(register(), deleted(Vec::new()))]);
}

fn timer(due: u64) -> (DelayedKey, Message) {
    (DelayedKey { due: Timestamp::from_millis(due), guid: RequestId::nil() }, message())
}

fn taken_back(due: u64) -> Vec<Change> {
    vec![Change::Consumed(MessageKey::Delayed(timer(due).0))]
}

#[test]
fn timer_armed_and_cancelled_in_one_window_is_never_written() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    queue.stage(Vec::new(), &[], &[timer(7)]);
    queue.stage(taken_back(7), &[], &[]);
    let batch = queue.take().expect("two turns");
    assert!(batch.delayed.is_empty() && batch.delayed_consumed.is_empty());
}

#[test]
fn timer_that_is_stored_is_deleted_once_however_often_it_is_taken_back() {
    let mut queue = CommitQueue::new(MessageId(0), [], [timer(7).0]);
    queue.stage(taken_back(7), &[], &[]);
    queue.stage(taken_back(7), &[], &[]);
    assert_eq!(queue.take().expect("two turns").delayed_consumed, [timer(7).0]);
    queue.stage(taken_back(7), &[], &[]);
    assert!(queue.take().expect("a turn").delayed_consumed.is_empty());
}

#[test]
fn timer_taken_back_and_armed_again_in_one_window_stays_as_it_is_stored() {
    let mut queue = CommitQueue::new(MessageId(0), [], [timer(7).0]);
    queue.stage(taken_back(7), &[], &[]);
    queue.stage(Vec::new(), &[], &[timer(7)]);
    let batch = queue.take().expect("two turns");
    assert!(batch.delayed.is_empty() && batch.delayed_consumed.is_empty());
}

#[test]
fn watermark_of_timers_falls_at_once_when_something_is_due_before_it() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    for due in 1..=4_096 {
        queue.stage(Vec::new(), &[], &[timer(due)]);
    }
    queue.stage(Vec::new(), &[], &[timer(9_000)]);
    queue.take();
    for due in 1..=4_096 {
        queue.stage(taken_back(due), &[], &[]);
    }
    let moved = queue.take().expect("many turns").delayed_low;
    assert_eq!(moved, Some(Timestamp::from_millis(9_000)));
    queue.stage(Vec::new(), &[], &[timer(5)]);
    assert_eq!(queue.take().expect("a turn").delayed_low, Some(Timestamp::from_millis(5)));
}

#[test]
fn many_changes_of_one_row_are_one_write() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    for state in ["1", "2", "3"] {
        queue.stage(vec![put(state, state == "1")], &[], &[]);
    }
    let batch = queue.take().expect("three turns");
    let [(_, row)] = batch.entities.as_slice() else { panic!("one row") };
    let record = row.record.as_ref().expect("a record");
    assert_eq!(record.state.value, Some(Payload::from("3")));
    assert_eq!(row.indexed, None, "what is stored is what was stored before the first change");
}

#[test]
fn large_values_that_were_replaced_one_after_the_other_are_all_freed() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    for freed in [7, 8] {
        let row = EntityRow { freed: vec![LargeId(freed)], ..stored_again("1") };
        queue.stage(vec![Change::Entity { id: register(), row }], &[], &[]);
    }
    let batch = queue.take().expect("two turns");
    let mut freed = batch.entities[0].1.freed.clone();
    freed.sort_unstable();
    assert_eq!(freed, [LargeId(7), LargeId(8)]);
}

#[test]
fn large_value_is_freed_though_the_entity_that_had_it_leaves_no_trace() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    queue.stage(vec![put("1", true)], &[], &[]);
    queue.stage(vec![Change::Entity { id: register(), row: deleted(vec![LargeId(7)]) }], &[], &[]);
    let batch = queue.take().expect("two turns");
    let row = EntityRow { record: None, indexed: None, freed: vec![LargeId(7)] };
    assert_eq!(batch.entities, [(register(), row)]);
}

#[test]
fn turn_without_changes_takes_no_place() {
    let mut queue = CommitQueue::new(MessageId(0), [], []);
    queue.stage(vec![put("1", true)], &[], &[]);
    assert_eq!(queue.stage(Vec::new(), &[], &[]).seq, CommitSeq(1));
    queue.take();
    assert!(queue.take().is_none());
}

/// A storage whose syncs the test lets through one by one, and can make fail.
struct GatedStorage {
    permits: Mutex<Receiver<bool>>,
    began: Sender<u64>,
    synced: AtomicU64,
    written: AtomicU64,
}

impl Storage for GatedStorage {
    fn recover(&self) -> Result<Recovered> {
        Ok(Recovered::default())
    }

    fn load(&self, _: &InstanceId) -> Result<Option<StoredInstance>> {
        Ok(None)
    }

    fn query(&self, _: &InstanceQuery) -> Result<InstancePage> {
        Ok(InstancePage::default())
    }

    fn count(&self, _: &InstanceFilter) -> Result<u64> {
        Ok(0)
    }

    fn query_entities(&self, _: &EntityQuery) -> Result<EntityPage> {
        Ok(EntityPage::default())
    }

    fn count_entities(&self, _: &EntityFilter) -> Result<u64> {
        Ok(0)
    }

    fn orchestrators(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn backup(&self, _: &std::path::Path) -> Result<()> {
        Err(StorageError("there is nothing to copy".into()))
    }

    fn write(&self, batch: &CommitBatch) -> Result<()> {
        self.written.store(batch.seq.0, Ordering::SeqCst);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let written = self.written.load(Ordering::SeqCst);
        self.began.send(written).expect("the test listens");
        let permit = self.permits.lock().expect("one syncer").recv();
        // A test that has ended lets everything through.
        if permit == Ok(false) {
            return Err(StorageError("the disk is gone".into()));
        }
        self.synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }
}

struct Rig {
    storage: Arc<GatedStorage>,
    writer: Arc<CommitWriter>,
    permit: Sender<bool>,
    began: Receiver<u64>,
    failed: Receiver<String>,
}

fn rig() -> Rig {
    let (permit, permits) = channel();
    let (began_sender, began) = channel();
    let (failed_sender, failed) = channel();
    let storage = Arc::new(GatedStorage {
        permits: Mutex::new(permits),
        began: began_sender,
        synced: AtomicU64::new(0),
        written: AtomicU64::new(0),
    });
    let queue = CommitQueue::new(MessageId(0), [], []);
    let shared: Arc<dyn Storage> = Arc::clone(&storage) as Arc<dyn Storage>;
    let fatal = Box::new(move |error: &StorageError| {
        failed_sender.send(error.to_string()).expect("the test listens");
    });
    let writer =
        CommitWriter::start(queue, shared, &EngineConfig::default(), &Observers::default(), fatal);
    let writer = Arc::new(writer.expect("threads start"));
    Rig { storage, writer, permit, began, failed }
}

#[tokio::test]
async fn answer_is_held_back_until_its_turn_is_synced() {
    let rig = rig();
    let staged = rig.writer.stage(vec![put("1", true)], &[], &[]);
    let writer = Arc::clone(&rig.writer);
    let waiting = tokio::spawn(async move { writer.durable(staged.seq).await });
    assert_eq!(rig.began.recv(), Ok(1));
    assert!(!waiting.is_finished());
    assert_eq!(rig.writer.durable_seq(), CommitSeq(0));
    rig.permit.send(true).expect("the syncer listens");
    waiting.await.expect("released");
    assert_eq!(rig.storage.synced.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn turns_staged_while_the_disk_is_busy_share_the_next_sync() {
    let rig = rig();
    rig.writer.stage(vec![put("1", true)], &[], &[]);
    assert_eq!(rig.began.recv(), Ok(1));
    // One batch is written meanwhile, and all behind it wait for the one after.
    let second = rig.writer.stage(vec![put("2", false)], &[], &[]);
    let writer = Arc::clone(&rig.writer);
    let waiting = tokio::spawn(async move { writer.durable(second.seq).await });
    rig.permit.send(true).expect("the syncer listens");
    assert_eq!(rig.began.recv(), Ok(2));
    rig.permit.send(true).expect("the syncer listens");
    waiting.await.expect("released");
}

#[tokio::test]
async fn failed_sync_is_fatal_and_releases_nobody() {
    let rig = rig();
    let staged = rig.writer.stage(vec![put("1", true)], &[], &[]);
    let writer = Arc::clone(&rig.writer);
    let waiting = tokio::spawn(async move { writer.durable(staged.seq).await });
    assert_eq!(rig.began.recv(), Ok(1));
    rig.permit.send(false).expect("the syncer listens");
    assert_eq!(rig.failed.recv(), Ok("the disk is gone".to_owned()));
    assert_eq!(rig.writer.durable_seq(), CommitSeq(0));
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[test]
fn stop_makes_durable_what_nobody_waited_for() {
    let rig = rig();
    rig.writer.stage(vec![put("1", true)], &[], &[]);
    drop(rig.permit);
    rig.writer.stop();
    assert_eq!(rig.storage.synced.load(Ordering::SeqCst), 1);
}
