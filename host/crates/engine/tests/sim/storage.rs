//! A storage that forgets: batches are written in order, and a crash loses any number of those at the
//! end that were not synced.

use std::collections::{BTreeMap, HashMap};

use everstate_engine::storage::{CommitBatch, CommitSeq, OrchestrationRow, StoredInstance};
use everstate_types::{InstanceId, Message, MessageId};
use rand::RngExt as _;
use rand::rngs::StdRng;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    instances: HashMap<InstanceId, StoredInstance>,
    messages: BTreeMap<MessageId, Message>,
    low: MessageId,
}

#[derive(Debug, Default)]
pub(crate) struct SimStorage {
    /// What no crash can take.
    synced: Disk,
    synced_seq: CommitSeq,
    /// What a running process sees.
    written: Disk,
    unsynced: Vec<CommitBatch>,
}

impl SimStorage {
    pub(crate) fn write(&mut self, batch: CommitBatch) {
        self.written.apply(&batch);
        self.unsynced.push(batch);
    }

    /// Syncs all that is written, or less: an fsync that began earlier. Gives how far the disk is.
    pub(crate) fn sync(&mut self, count: usize) -> CommitSeq {
        for batch in self.unsynced.drain(..count) {
            self.synced_seq = batch.seq;
            self.synced.apply(&batch);
        }
        self.synced_seq
    }

    pub(crate) fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    /// The process dies: a prefix of what was not synced survives.
    pub(crate) fn crash(&mut self, rng: &mut StdRng) {
        let kept = rng.random_range(0..=self.unsynced.len());
        self.sync(kept);
        self.unsynced.clear();
        self.written = self.synced.clone();
        self.synced_seq = CommitSeq(0);
    }

    pub(crate) fn load(&self, id: &InstanceId) -> Option<StoredInstance> {
        self.written.instances.get(id).cloned()
    }

    pub(crate) fn recover(&self) -> (Vec<(MessageId, Message)>, MessageId) {
        let below = self.written.messages.range(..self.written.low).next();
        assert!(below.is_none(), "a live message below the watermark: {below:?}");
        let alive: Vec<_> = self.written.messages.clone().into_iter().collect();
        let next = alive.last().map_or(self.written.low, |(id, _)| MessageId(id.0 + 1));
        (alive, next.max(self.written.low))
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = (&InstanceId, &StoredInstance)> {
        self.written.instances.iter()
    }

    pub(crate) fn message_count(&self) -> usize {
        self.written.messages.len()
    }
}

impl Disk {
    fn apply(&mut self, batch: &CommitBatch) {
        for (id, row) in &batch.orchestrations {
            self.apply_orchestration(id, row);
        }
        for (id, record) in &batch.entities {
            match record {
                Some(record) => {
                    self.instances.insert(id.clone(), StoredInstance::Entity(record.clone()));
                }
                None => {
                    self.instances.remove(id);
                }
            }
        }
        self.messages.extend(batch.messages_sent.iter().cloned());
        for id in &batch.messages_consumed {
            let consumed = self.messages.remove(id);
            assert!(consumed.is_some(), "message {id} was consumed and never stored");
        }
        self.low = batch.message_low.unwrap_or(self.low);
    }

    fn apply_orchestration(&mut self, id: &InstanceId, row: &OrchestrationRow) {
        let stored = match self.instances.remove(id) {
            Some(StoredInstance::Orchestration { record, history }) => {
                if record.execution_id == row.record.execution_id {
                    history
                } else {
                    assert!(row.replaces_history || history.is_empty(), "old events would stay");
                    Vec::new()
                }
            }
            _ => Vec::new(),
        };
        assert_eq!(stored.len(), row.history_stored, "a gap in the history of {id}");
        let mut history = stored;
        history.extend(row.events.iter().cloned());
        let record = row.record.clone();
        self.instances.insert(id.clone(), StoredInstance::Orchestration { record, history });
    }
}
