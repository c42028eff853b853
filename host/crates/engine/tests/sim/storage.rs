//! A storage that forgets: batches are written in order, and a crash loses any number of those at the
//! end that were not synced.
//!
//! It believes no batch: what a row says of the history that is stored, of the history that goes and
//! of the index is carried out to the letter, and must be true. Entities are in `storage/entities.rs`.

mod entities;

use std::collections::{BTreeMap, HashMap, HashSet};

use everstate_engine::storage::{
    CommitBatch, CommitSeq, Indexed, OrchestrationRow, PurgedRow, Recovered, StoredInstance,
};
use everstate_types::{
    DelayedKey, ExecutionId, HistoryEvent, InstanceId, Message, MessageId, OrchestrationRecord,
    Timestamp,
};
use rand::RngExt as _;
use rand::rngs::StdRng;

use self::entities::{EntityRows, LargeValues};

#[derive(Clone, Debug, Default)]
struct Disk {
    orchestrations: BTreeMap<InstanceId, OrchestrationRecord>,
    histories: HashMap<ExecutionId, Vec<HistoryEvent>>,
    index: HashMap<InstanceId, Indexed>,
    entities: EntityRows,
    messages: BTreeMap<MessageId, Message>,
    low: MessageId,
    delayed: BTreeMap<DelayedKey, Message>,
    delayed_low: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct SimStorage {
    /// What no crash can take.
    synced: Disk,
    synced_seq: CommitSeq,
    /// What a running process sees.
    written: Disk,
    unsynced: Vec<CommitBatch>,
    large: LargeValues,
}

impl SimStorage {
    /// Empty. Values from so many bytes up are stored by themselves.
    pub(crate) fn new(large_from: usize) -> Self {
        Self { large: LargeValues::new(large_from), ..Self::default() }
    }

    pub(crate) fn write(&mut self, batch: CommitBatch) {
        self.written.apply(&batch, &self.large);
        self.unsynced.push(batch);
    }

    /// Syncs all that is written, or less: an fsync that began earlier. Gives how far the disk is.
    pub(crate) fn sync(&mut self, count: usize) -> CommitSeq {
        for batch in self.unsynced.drain(..count) {
            self.synced_seq = batch.seq;
            self.synced.apply(&batch, &self.large);
            for (_, row) in &batch.entities {
                self.large.free(&row.freed);
            }
        }
        self.synced_seq
    }

    pub(crate) fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    /// The process dies: a prefix of what was not synced survives. Gives its end.
    pub(crate) fn crash(&mut self, rng: &mut StdRng) -> CommitSeq {
        let kept = rng.random_range(0..=self.unsynced.len());
        let survived = self.sync(kept);
        self.unsynced.clear();
        self.written = self.synced.clone();
        self.synced_seq = CommitSeq(0);
        self.large.collect(&self.synced.entities);
        survived
    }

    pub(crate) fn load(&self, id: &InstanceId) -> Option<StoredInstance> {
        if let Some(record) = self.entity(id) {
            return Some(StoredInstance::Entity(record));
        }
        let record = self.written.orchestrations.get(id)?.clone();
        let history = self.written.history(&record).to_vec();
        Some(StoredInstance::Orchestration { record, history })
    }

    pub(crate) fn recover(&self) -> Recovered {
        let disk = &self.written;
        let below = disk.messages.range(..disk.low).next();
        assert!(below.is_none(), "a live message below the watermark: {below:?}");
        let below = disk.delayed.keys().next().filter(|key| key.due < disk.delayed_low);
        assert!(below.is_none(), "a delayed message below the watermark: {below:?}");
        let messages: Vec<_> = disk.messages.clone().into_iter().collect();
        let next = messages.last().map_or(disk.low, |(id, _)| MessageId(id.0 + 1));
        Recovered {
            messages,
            next_message_id: next.max(disk.low),
            delayed: disk.delayed.clone().into_iter().collect(),
        }
    }

    /// Everything that a running process sees of orchestrations, with their histories.
    pub(crate) fn orchestrations(
        &self,
    ) -> impl Iterator<Item = (&InstanceId, &OrchestrationRecord, &[HistoryEvent])> {
        let disk = &self.written;
        disk.orchestrations.iter().map(|(id, record)| (id, record, disk.history(record)))
    }

    pub(crate) fn orchestration(&self, id: &InstanceId) -> Option<&OrchestrationRecord> {
        self.written.orchestrations.get(id)
    }

    /// What a running process sees of an orchestration.
    pub(crate) fn instance(
        &self,
        id: &InstanceId,
    ) -> Option<(&OrchestrationRecord, &[HistoryEvent])> {
        let record = self.orchestration(id)?;
        Some((record, self.written.history(record)))
    }

    /// What a crash would leave of an orchestration, whatever happens.
    pub(crate) fn durable(
        &self,
        id: &InstanceId,
    ) -> Option<(&OrchestrationRecord, &[HistoryEvent])> {
        let record = self.synced.orchestrations.get(id)?;
        Some((record, self.synced.history(record)))
    }

    pub(crate) fn message_count(&self) -> usize {
        self.written.messages.len()
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.written.messages.values()
    }

    pub(crate) fn delayed(&self) -> &BTreeMap<DelayedKey, Message> {
        &self.written.delayed
    }

    /// Checks that nothing is stored that belongs to nobody.
    pub(crate) fn check(&self) {
        let disk = &self.written;
        let executions: HashSet<_> =
            disk.orchestrations.values().map(|record| record.execution_id).collect();
        for execution_id in disk.histories.keys() {
            assert!(executions.contains(execution_id), "the history {execution_id} stays behind");
        }
        for id in disk.index.keys() {
            assert!(disk.orchestrations.contains_key(id), "{id} stays in the index");
        }
        self.check_large();
    }
}

impl Disk {
    fn history(&self, record: &OrchestrationRecord) -> &[HistoryEvent] {
        self.histories.get(&record.execution_id).map_or(&[], Vec::as_slice)
    }

    fn apply(&mut self, batch: &CommitBatch, large: &LargeValues) {
        for (id, row) in &batch.purged {
            self.apply_purge(id, row);
        }
        for (id, row) in &batch.orchestrations {
            self.apply_orchestration(id, row);
        }
        for (id, row) in &batch.entities {
            self.entities.apply(id, row, large);
        }
        self.apply_messages(batch);
    }

    fn apply_orchestration(&mut self, id: &InstanceId, row: &OrchestrationRow) {
        if let Some(replaced) = row.replaces {
            self.histories.remove(&replaced);
        }
        let history = self.histories.entry(row.record.execution_id).or_default();
        assert_eq!(history.len(), row.history_stored, "a gap in the history of {id}");
        history.extend(row.events.iter().cloned());
        let indexed = self.index.insert(id.clone(), Indexed::of(&row.record));
        assert_eq!(
            indexed.as_ref(),
            row.indexed.as_deref(),
            "the index holds something else of {id}"
        );
        let before = self.orchestrations.insert(id.clone(), row.record.clone());
        if let Some(before) = before.filter(|before| before.execution_id != row.record.execution_id)
        {
            let left =
                self.histories.get(&before.execution_id).is_some_and(|left| !left.is_empty());
            assert!(!left, "the history before that of {id} stays behind");
            self.histories.remove(&before.execution_id);
        }
    }

    fn apply_purge(&mut self, id: &InstanceId, row: &PurgedRow) {
        let record = self.orchestrations.remove(id);
        let record = record.unwrap_or_else(|| panic!("{id} was purged and never stored"));
        // One that never had a history may have been replaced by one that was never stored.
        let left = self.histories.remove(&record.execution_id).unwrap_or_default();
        let is_meant = record.execution_id == row.execution_id || left.is_empty();
        assert!(is_meant, "another execution of {id} was purged");
        let indexed = self.index.remove(id);
        assert_eq!(indexed.as_ref(), Some(&*row.indexed), "the index holds something else of {id}");
    }

    fn apply_messages(&mut self, batch: &CommitBatch) {
        self.messages.extend(batch.messages_sent.iter().cloned());
        for id in &batch.messages_consumed {
            let consumed = self.messages.remove(id);
            assert!(consumed.is_some(), "message {id} was consumed and never stored");
        }
        self.low = batch.message_low.unwrap_or(self.low);
        self.delayed.extend(batch.delayed.iter().cloned());
        for key in &batch.delayed_consumed {
            let consumed = self.delayed.remove(key);
            assert!(consumed.is_some(), "the delayed {key:?} was consumed and never stored");
        }
        self.delayed_low = batch.delayed_low.unwrap_or(self.delayed_low);
    }
}
