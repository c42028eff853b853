//! [`CommitQueue`]: what was changed in memory and is not yet written.
//!
//! For each row only the last change is kept, and a message that is sent and consumed between two
//! batches leaves no trace: this is where work that lives inside one commit window is elided.

use std::collections::BTreeSet;
use std::mem;

use everstate_types::{EntityRecord, InstanceId, Message, MessageBody, MessageId};
use foldhash::{HashMap, HashMapExt as _};

use crate::storage::{CommitBatch, CommitSeq, OrchestrationRow};

/// The watermark is written again when it has moved by so many messages. Recovery reads at most so
/// many deleted messages more than it must.
const LOW_WATERMARK_STEP: u64 = 4_096;

/// Bytes that a row or message costs beside its payloads; a guess on the safe side.
const ROW_OVERHEAD_BYTES: usize = 256;

/// One change of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An orchestration has a new record, and events were added to its history.
    Orchestration(InstanceId, Box<OrchestrationRow>),
    /// An entity has a new state.
    Entity {
        /// The entity.
        id: InstanceId,
        /// Its record; `None`: it was deleted.
        record: Option<EntityRecord>,
        /// Whether it did not exist before this change.
        is_new: bool,
    },
    /// A message was consumed.
    Consumed(MessageId),
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
    entities: HashMap<InstanceId, StagedEntity>,
    sent: HashMap<MessageId, Message>,
    consumed: Vec<MessageId>,
    /// Messages that are in earlier batches and not consumed there.
    stored: BTreeSet<MessageId>,
    low_written: u64,
    bytes: usize,
}

#[derive(Debug)]
struct StagedEntity {
    record: Option<EntityRecord>,
    /// Whether an earlier batch, or the disk, may have a row for it.
    may_be_stored: bool,
}

impl CommitQueue {
    /// An empty queue behind a recovery.
    pub fn new(next_message_id: MessageId, recovered: impl IntoIterator<Item = MessageId>) -> Self {
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
            bytes: 0,
        }
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
    pub fn stage(&mut self, changes: Vec<Change>, sent: &[Message]) -> Staged {
        let first_message_id = MessageId(self.next_message_id);
        if changes.is_empty() && sent.is_empty() {
            return Staged { seq: self.seq, first_message_id };
        }
        self.seq.0 += 1;
        for message in sent {
            self.bytes += message_bytes(message);
            self.sent.insert(MessageId(self.next_message_id), message.clone());
            self.next_message_id += 1;
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
        let mut entities: Vec<_> =
            self.entities.drain().map(|(id, staged)| (id, staged.record)).collect();
        entities.sort_by_cached_key(|(id, _)| id.hash64());
        Some(CommitBatch {
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
        if low < self.low_written + LOW_WATERMARK_STEP {
            return None;
        }
        self.low_written = low;
        Some(MessageId(low))
    }

    fn merge(&mut self, change: Change) {
        match change {
            Change::Orchestration(id, row) => self.merge_orchestration(id, *row),
            Change::Entity { id, record, is_new } => self.merge_entity(id, record, is_new),
            Change::Consumed(id) => match self.sent.remove(&id) {
                Some(message) => {
                    self.bytes = self.bytes.saturating_sub(message_bytes(&message));
                }
                None => self.consumed.push(id),
            },
        }
    }

    fn merge_orchestration(&mut self, id: InstanceId, mut row: OrchestrationRow) {
        self.bytes += ROW_OVERHEAD_BYTES * (1 + row.events.len()) + row.record.input.len();
        if let Some(staged) = self.orchestrations.remove(&id) {
            if staged.record.execution_id == row.record.execution_id {
                let mut events = staged.events;
                events.append(&mut row.events);
                row.events = events;
                row.history_stored = staged.history_stored;
                row.replaces_history |= staged.replaces_history;
            } else {
                // The earlier execution began and ended in this window; what it replaced stays replaced.
                row.replaces_history = staged.replaces_history || staged.history_stored > 0;
            }
        }
        self.orchestrations.insert(id, row);
    }

    fn merge_entity(&mut self, id: InstanceId, record: Option<EntityRecord>, is_new: bool) {
        self.bytes += ROW_OVERHEAD_BYTES + record.as_ref().map_or(0, |record| record.state.len());
        let may_be_stored = match self.entities.get(&id) {
            Some(staged) => staged.may_be_stored,
            None => !is_new,
        };
        if record.is_none() && !may_be_stored {
            self.entities.remove(&id);
        } else {
            self.entities.insert(id, StagedEntity { record, may_be_stored });
        }
    }
}

fn message_bytes(message: &Message) -> usize {
    let payload = match &message.body {
        MessageBody::StartOrchestration { input, .. } => input.len(),
        MessageBody::EntityOperation { input, .. } => input.as_ref().map_or(0, |input| input.len()),
        MessageBody::EntityReply { result: Ok(Some(output)), .. } => output.len(),
        MessageBody::EntityReply { .. } => 0,
    };
    ROW_OVERHEAD_BYTES + payload
}
