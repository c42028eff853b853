//! [`CommitQueue`]: what was changed in memory and is not yet written.
//!
//! For each row only the last change is kept, and a message that is sent and consumed between two
//! batches leaves no trace: this is where work that lives inside one commit window is elided.

use std::collections::BTreeSet;
use std::mem;

use everstate_types::{
    DelayedKey, EntityRecord, InstanceId, Message, MessageBody, MessageId, MessageKey, Payload,
    Timestamp,
};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use crate::storage::{CommitBatch, CommitSeq, EntityRow, OrchestrationRow, PurgedRow};

/// A watermark is written again when it has moved by so many messages. Recovery reads at most so
/// many deleted messages of each kind more than it must.
const LOW_WATERMARK_STEP: u64 = 4_096;

/// Bytes that a row or message costs beside its payloads; a guess on the safe side.
const ROW_OVERHEAD_BYTES: usize = 256;

/// Bytes of the id of an entity in a message; a guess.
const ENTITY_ID_BYTES: usize = 64;

/// One change of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An orchestration has a new record, and events were added to its history.
    Orchestration(InstanceId, Box<OrchestrationRow>),
    /// An entity has a new state.
    Entity {
        /// The entity.
        id: InstanceId,
        /// Its row as it is now.
        row: EntityRow,
    },
    /// A message was consumed, or taken back.
    Consumed(MessageKey),
    /// An orchestration is removed with all that belongs to it.
    Purged(InstanceId, PurgedRow),
}

/// What staging a turn gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The turn's place in the order of all turns. A turn that changed nothing has the place of the
    /// one before it.
    pub seq: CommitSeq,
    /// The id of the first message that the turn sent; the others follow without a gap.
    pub first_message_id: MessageId,
}

/// The changes since the last batch, merged row by row. Pure: no I/O, no clock, no lock.
#[derive(Debug)]
pub struct CommitQueue {
    seq: CommitSeq,
    taken: CommitSeq,
    next_message_id: u64,
    orchestrations: HashMap<InstanceId, OrchestrationRow>,
    entities: HashMap<InstanceId, EntityRow>,
    sent: HashMap<MessageId, Message>,
    consumed: Vec<MessageId>,
    /// Messages that are in earlier batches and not consumed there.
    stored: BTreeSet<MessageId>,
    low_written: u64,
    low_step: u64,
    delayed: HashMap<DelayedKey, Message>,
    delayed_consumed: HashSet<DelayedKey>,
    /// Delayed messages that are in earlier batches and not consumed there.
    delayed_stored: BTreeSet<DelayedKey>,
    delayed_low_written: Timestamp,
    /// How many delayed messages were consumed since their watermark was written.
    delayed_consumed_count: u64,
    purged: HashMap<InstanceId, PurgedRow>,
    bytes: usize,
}

impl CommitQueue {
    /// An empty queue behind a recovery, which gave these messages.
    pub fn new(
        next_message_id: MessageId,
        recovered: impl IntoIterator<Item = MessageId>,
        recovered_delayed: impl IntoIterator<Item = DelayedKey>,
    ) -> Self {
        Self {
            seq: CommitSeq(0),
            taken: CommitSeq(0),
            next_message_id: next_message_id.0,
            orchestrations: HashMap::new(),
            entities: HashMap::new(),
            sent: HashMap::new(),
            consumed: Vec::new(),
            stored: recovered.into_iter().collect(),
            low_written: 0,
            low_step: LOW_WATERMARK_STEP,
            delayed: HashMap::new(),
            delayed_consumed: HashSet::new(),
            delayed_stored: recovered_delayed.into_iter().collect(),
            // What the disk has is not known: it is written again as soon as it matters.
            delayed_low_written: Timestamp::from_millis(u64::MAX),
            delayed_consumed_count: 0,
            purged: HashMap::new(),
            bytes: 0,
        }
    }

    /// The same queue, which writes watermarks after so many messages. For a simulation, in which there
    /// are never as many as on a node.
    #[must_use]
    pub fn with_watermark_step(self, low_step: u64) -> Self {
        Self { low_step, ..self }
    }

    /// The place of the last turn.
    #[must_use]
    pub fn seq(&self) -> CommitSeq {
        self.seq
    }

    /// The place of the last turn that was taken.
    #[must_use]
    pub fn taken(&self) -> CommitSeq {
        self.taken
    }

    /// Bytes that wait, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in one turn as a whole and gives ids to the messages that it sent.
    pub fn stage(
        &mut self,
        changes: Vec<Change>,
        sent: &[Message],
        delayed: &[(DelayedKey, Message)],
    ) -> Staged {
        let first_message_id = MessageId(self.next_message_id);
        if changes.is_empty() && sent.is_empty() && delayed.is_empty() {
            return Staged { seq: self.seq, first_message_id };
        }
        self.seq.0 += 1;
        for message in sent {
            self.bytes += message_bytes(message);
            self.sent.insert(MessageId(self.next_message_id), message.clone());
            self.next_message_id += 1;
        }
        for (key, message) in delayed {
            self.delayed_consumed.remove(key);
            if self.delayed_stored.contains(key) {
                // It was taken back in this window, if at all, and is sent again: it stays as it is.
                continue;
            }
            self.bytes += message_bytes(message);
            self.delayed.insert(*key, message.clone());
        }
        for change in changes {
            self.merge(change);
        }
        Staged { seq: self.seq, first_message_id }
    }

    /// Takes everything out as one batch; `None` if nothing was staged since the last one.
    pub fn take(&mut self) -> Option<CommitBatch> {
        if self.taken == self.seq {
            return None;
        }
        self.taken = self.seq;
        self.bytes = 0;
        let sent = mem::take(&mut self.sent);
        let consumed = mem::take(&mut self.consumed);
        self.stored.extend(sent.keys());
        for id in &consumed {
            self.stored.remove(id);
        }
        let mut messages_sent: Vec<_> = sent.into_iter().collect();
        messages_sent.sort_unstable_by_key(|(id, _)| *id);
        // In the order in which they are stored, which makes storing them cheaper.
        let mut orchestrations: Vec<_> = self.orchestrations.drain().collect();
        orchestrations.sort_by_cached_key(|(id, _)| id.hash64());
        let mut entities: Vec<_> = self.entities.drain().collect();
        entities.sort_by_cached_key(|(id, _)| id.hash64());
        let mut delayed_consumed: Vec<_> = self.delayed_consumed.drain().collect();
        delayed_consumed.sort_unstable();
        let mut delayed: Vec<_> = self.delayed.drain().collect();
        delayed.sort_unstable_by_key(|(key, _)| *key);
        self.delayed_stored.extend(delayed.iter().map(|(key, _)| *key));
        self.delayed_consumed_count += delayed_consumed.len() as u64;
        for key in &delayed_consumed {
            self.delayed_stored.remove(key);
        }
        Some(CommitBatch {
            delayed,
            delayed_consumed,
            delayed_low: self.next_delayed_low(),
            purged: self.purged.drain().collect(),
            seq: self.seq,
            orchestrations,
            entities,
            messages_sent,
            messages_consumed: consumed,
            message_low: self.next_low(),
        })
    }

    fn next_low(&mut self) -> Option<MessageId> {
        let low = self.stored.first().map_or(self.next_message_id, |id| id.0);
        if low < self.low_written + self.low_step {
            return None;
        }
        self.low_written = low;
        Some(MessageId(low))
    }

    /// The watermark of delayed messages: moved up now and then, and down at once when something is
    /// due before it.
    fn next_delayed_low(&mut self) -> Option<Timestamp> {
        let low = self.delayed_stored.first().map(|key| key.due);
        let must_fall = low.is_some_and(|low| low < self.delayed_low_written);
        if !must_fall && self.delayed_consumed_count < self.low_step {
            return None;
        }
        self.delayed_consumed_count = 0;
        // With nothing left it stays where it is: nobody knows when the next one is due.
        self.delayed_low_written = low?;
        low
    }

    fn merge(&mut self, change: Change) {
        match change {
            Change::Orchestration(id, row) => self.merge_orchestration(id, *row),
            Change::Entity { id, row } => self.merge_entity(id, row),
            Change::Consumed(key) => {
                let staged = match key {
                    MessageKey::Sent(id) => self.sent.remove(&id),
                    MessageKey::Delayed(key) => self.delayed.remove(&key),
                };
                match (staged, key) {
                    (Some(message), _) => {
                        self.bytes = self.bytes.saturating_sub(message_bytes(&message));
                    }
                    (None, MessageKey::Sent(id)) => self.consumed.push(id),
                    // One that was taken back twice is not stored any more.
                    (None, MessageKey::Delayed(key)) if self.delayed_stored.contains(&key) => {
                        self.delayed_consumed.insert(key);
                    }
                    (None, MessageKey::Delayed(_)) => {}
                }
            }
            Change::Purged(id, row) => self.merge_purge(id, row),
        }
    }

    fn merge_orchestration(&mut self, id: InstanceId, mut row: OrchestrationRow) {
        self.bytes += ROW_OVERHEAD_BYTES * (1 + row.events.len()) + row.record.input.len();
        if let Some(staged) = self.orchestrations.remove(&id) {
            let execution_id = staged.record.execution_id;
            let is_rewritten = row.replaces == Some(row.record.execution_id);
            if execution_id == row.record.execution_id && !is_rewritten {
                let mut events = staged.events;
                events.append(&mut row.events);
                row.events = events;
                row.history_stored = staged.history_stored;
                row.replaces = staged.replaces;
            } else if staged.history_stored > 0 {
                row.replaces = Some(execution_id);
            } else {
                // Nothing of that execution is stored; what it replaced stays replaced.
                row.replaces = staged.replaces;
            }
            row.indexed = staged.indexed;
        } else if let Some(purged) = self.purged.remove(&id) {
            row.replaces = Some(purged.execution_id);
            row.indexed = Some(purged.indexed);
        }
        self.orchestrations.insert(id, row);
    }

    fn merge_purge(&mut self, id: InstanceId, mut row: PurgedRow) {
        self.bytes += ROW_OVERHEAD_BYTES;
        if let Some(staged) = self.orchestrations.remove(&id) {
            // What was never stored leaves no trace.
            let Some(indexed) = staged.indexed else { return };
            row.indexed = indexed;
            if staged.history_stored == 0
                && let Some(replaced) = staged.replaces
            {
                row.execution_id = replaced;
            }
        }
        self.purged.insert(id, row);
    }

    fn merge_entity(&mut self, id: InstanceId, mut row: EntityRow) {
        self.bytes += ROW_OVERHEAD_BYTES + row.record.as_ref().map_or(0, entity_bytes);
        if let Some(staged) = self.entities.remove(&id) {
            row.indexed = staged.indexed;
            row.freed.extend(staged.freed);
        }
        // What was never stored leaves no trace.
        if row.record.is_some() || row.indexed.is_some() || !row.freed.is_empty() {
            self.entities.insert(id, row);
        }
    }
}

/// Bytes of an entity that are part of a batch.
fn entity_bytes(record: &EntityRecord) -> usize {
    let fields: usize = record.state.fields.iter().map(|(_, value)| value.len()).sum();
    let value = record.state.value.as_ref().filter(|_| record.large.is_none());
    fields + value.map_or(0, Payload::len)
}

fn message_bytes(message: &Message) -> usize {
    let payload = match &message.body {
        MessageBody::StartOrchestration(start) => {
            start.input.len() + start.events.iter().map(|(_, input)| input.len()).sum::<usize>()
        }
        MessageBody::EntityOperation { input, .. } => input.as_ref().map_or(0, |input| input.len()),
        MessageBody::EntityReply { result: Ok(Some(output)), .. }
        | MessageBody::ActivityResult { result: Ok(output), .. }
        | MessageBody::SubOrchestrationResult { result: Ok(output), .. } => output.len(),
        MessageBody::ActivityTask(task) => task.input.len(),
        MessageBody::RaiseEvent { input, .. } => input.len(),
        MessageBody::Rewind(child) => child.start.input.len(),
        MessageBody::LockRequest(request) => request.rest.len() * ENTITY_ID_BYTES,
        MessageBody::ReleaseLock { rest, .. } => rest.len() * ENTITY_ID_BYTES,
        MessageBody::LockReply { .. }
        | MessageBody::EntityExpiry
        | MessageBody::EntityReply { .. }
        | MessageBody::ActivityResult { .. }
        | MessageBody::SubOrchestrationResult { .. }
        | MessageBody::TimerFired { .. }
        | MessageBody::Terminate { .. }
        | MessageBody::Proceed { .. }
        | MessageBody::Purge { .. } => 0,
    };
    ROW_OVERHEAD_BYTES + payload
}
