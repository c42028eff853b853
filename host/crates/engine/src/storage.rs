//! [`Storage`]: what the engine needs of a disk. The seam to RocksDB now and to a replicated log later.
//!
//! The engine writes in one order: batch after batch, each atomic, each containing whatever was
//! staged since the one before. A crash must leave a prefix of the batches, and at least all that
//! a returned [`Storage::sync`] covers.

use std::fmt;

use everstate_types::{
    EntityRecord, HistoryEvent, InstanceId, Message, MessageId, OrchestrationRecord,
};

/// A position in the order of all state changes of a node. Every staged turn takes the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitSeq(pub u64);

impl fmt::Display for CommitSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An error of the storage. Whatever it says, the engine does not try again: a failed write or
/// fsync ends the process.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The result of a storage call.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Durable state. All methods block; the engine calls them where blocking is allowed.
pub trait Storage: Send + Sync + 'static {
    /// All that has to go on after a start: the messages that nobody has consumed, in the order of
    /// their ids. Called once, before anything else.
    ///
    /// # Errors
    /// If the data cannot be read or is damaged.
    fn recover(&self) -> Result<Recovered>;

    /// What is stored of an instance; `None` if nothing is.
    ///
    /// # Errors
    /// If the data cannot be read or is damaged.
    fn load(&self, id: &InstanceId) -> Result<Option<StoredInstance>>;

    /// What is stored of an instance, if that can be said without waiting for a disk. Fast enough
    /// to be called where [`Storage::load`] is not allowed.
    ///
    /// # Errors
    /// If the data is damaged.
    fn load_cached(&self, _id: &InstanceId) -> Result<Cached> {
        Ok(Cached::WouldBlock)
    }

    /// Writes a batch as a whole. Later loads see it; a crash may still lose it. Called by one
    /// thread, in the order of [`CommitBatch::seq`].
    ///
    /// # Errors
    /// If the batch could not be written; the storage may then be in any state.
    fn write(&self, batch: &CommitBatch) -> Result<()>;

    /// Makes every write that returned before this call durable (fsync). Called by one thread at a
    /// time, possibly while another one writes.
    ///
    /// # Errors
    /// If that is not certain.
    fn sync(&self) -> Result<()>;
}

/// What goes on after a start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The messages that nobody has consumed, in the order of their ids.
    pub messages: Vec<(MessageId, Message)>,
    /// Greater than the id of any message that was ever stored and is not certainly gone.
    pub next_message_id: MessageId,
}

/// What is stored of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "passed on at once, never kept in numbers")]
pub enum StoredInstance {
    /// An orchestration with the history of its current execution.
    Orchestration {
        /// The record.
        record: OrchestrationRecord,
        /// The history, oldest event first.
        history: Vec<HistoryEvent>,
    },
    /// An entity.
    Entity(EntityRecord),
}

/// The answer of [`Storage::load_cached`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "passed on at once, never kept in numbers")]
pub enum Cached {
    /// As [`Storage::load`] would answer.
    Found(Option<StoredInstance>),
    /// Only [`Storage::load`] can say.
    WouldBlock,
}

/// What one commit changes: for each row its last state since the commit before.
#[derive(Debug, Default)]
pub struct CommitBatch {
    /// The last turn that is in the batch.
    pub seq: CommitSeq,
    /// Orchestrations that changed.
    pub orchestrations: Vec<(InstanceId, OrchestrationRow)>,
    /// Entities that changed; `None`: deleted.
    pub entities: Vec<(InstanceId, Option<EntityRecord>)>,
    /// Messages that were sent and not yet consumed.
    pub messages_sent: Vec<(MessageId, Message)>,
    /// Messages that were sent in an earlier batch and are consumed now.
    pub messages_consumed: Vec<MessageId>,
    /// If set: no message below this id is alive, so that recovery can begin there.
    pub message_low: Option<MessageId>,
}

impl CommitBatch {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orchestrations.is_empty()
            && self.entities.is_empty()
            && self.messages_sent.is_empty()
            && self.messages_consumed.is_empty()
            && self.message_low.is_none()
    }
}

/// The new state of an orchestration's row and the events to be added to its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrchestrationRow {
    /// The record as it is now. It names the execution that the events belong to.
    pub record: OrchestrationRecord,
    /// How many events of this execution are stored already. 0: `events` is the whole history, so
    /// that a finished orchestration can be stored as one value.
    pub history_stored: usize,
    /// The events to be added.
    pub events: Vec<HistoryEvent>,
    /// Whether an earlier execution's history is stored that has to go.
    pub replaces_history: bool,
}
