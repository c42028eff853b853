//! [`Storage`]: what the engine needs of a disk. The seam to RocksDB now and to a replicated log later.
//!
//! The engine writes in one order: batch after batch, each atomic, each containing whatever was
//! staged since the one before. A crash must leave a prefix of the batches, and at least all that
//! a returned [`Storage::sync`] covers.

use std::fmt;
use std::path::Path;

use everstate_types::{
    DelayedKey, EntityId, EntityRecord, ExecutionId, FunctionName, HistoryEvent, InstanceId,
    LargeId, Message, MessageId, OrchestrationRecord, Payload, RuntimeStatus, Tags, Timestamp,
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

/// A continuation that no page had. Whoever asked made a mistake; the data is well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the continuation `{text}` is none that a page of such a query had")]
pub struct WrongContinuation {
    /// How it begins.
    pub text: String,
}

/// The result of a storage call.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Durable state. All methods block; the engine calls them where blocking is allowed.
pub trait Storage: Send + Sync + 'static {
    /// All that has to go on after a start: the messages that nobody has consumed. Called once,
    /// before anything else.
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

    /// A page of the orchestrations that fit, as of the last write. Takes time in proportion to the
    /// page, not to what is stored: a page may have fewer than were asked for, or none, and yet not be
    /// the last.
    ///
    /// # Errors
    /// [`WrongContinuation`], or if the data cannot be read or is damaged.
    fn query(&self, query: &InstanceQuery) -> Result<InstancePage>;

    /// How many orchestrations fit, as of the last write.
    ///
    /// # Errors
    /// If the data cannot be read or is damaged.
    fn count(&self, filter: &InstanceFilter) -> Result<u64>;

    /// A page of the entities that fit, as of the last write. Takes time as [`Storage::query`] does.
    ///
    /// # Errors
    /// [`WrongContinuation`], or if the data cannot be read or is damaged.
    fn query_entities(&self, query: &EntityQuery) -> Result<EntityPage>;

    /// How many entities fit, as of the last write.
    ///
    /// # Errors
    /// If the data cannot be read or is damaged.
    fn count_entities(&self, filter: &EntityFilter) -> Result<u64>;

    /// Stores a value by itself, durably, if it is better kept out of a commit, which would keep
    /// others waiting; `None`: it is not. A value that no commit refers to is gone after a restart.
    ///
    /// # Errors
    /// If that is not certain; the engine then ends the process.
    fn store_large(&self, _value: &Payload) -> Result<Option<LargeId>> {
        Ok(None)
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

    /// The orchestrators of all that is stored, in lower case, in order, as of the last write. Takes time
    /// in proportion to their number.
    ///
    /// # Errors
    /// If the data cannot be read or is damaged.
    fn orchestrators(&self) -> Result<Vec<String>>;

    /// Makes a copy of all that was written before this call, and perhaps of some that was written
    /// after it but then of all before that, in a folder, which must not exist. The copy is durable, and
    /// others may read and write meanwhile.
    ///
    /// # Errors
    /// If it cannot be made. What is stored is as it was, so this one does not end the process.
    fn backup(&self, folder: &Path) -> Result<()>;
}

/// What goes on after a start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The messages that nobody has consumed, in the order of their ids.
    pub messages: Vec<(MessageId, Message)>,
    /// Greater than the id of any message that was ever stored and is not certainly gone.
    pub next_message_id: MessageId,
    /// The delayed messages that nobody has consumed, in the order in which they are due.
    pub delayed: Vec<(DelayedKey, Message)>,
}

/// Which orchestrations; all conditions must hold, absent and empty ones always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// The orchestrator; ASCII case does not matter.
    pub name: Option<FunctionName>,
    /// Any of these.
    pub statuses: Vec<RuntimeStatus>,
    /// Started then or later.
    pub created_from: Option<Timestamp>,
    /// Started then or earlier.
    pub created_to: Option<Timestamp>,
    /// How the id begins.
    pub id_prefix: Option<String>,
    /// All of these.
    pub tags: Tags,
    /// The custom status, letter for letter.
    pub custom_status: Option<Payload>,
}

/// A page of orchestrations that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceQuery {
    /// Which.
    pub filter: InstanceFilter,
    /// How many at most; at least 1.
    pub page_size: usize,
    /// Where the page before ended; `None`: the first page.
    pub continuation: Option<String>,
}

/// A page of orchestrations, oldest first; in the order of their ids if the filter has a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancePage {
    /// What is stored of them.
    pub instances: Vec<(InstanceId, OrchestrationRecord)>,
    /// Where the next page begins; `None`: this was the last.
    pub continuation: Option<String>,
}

/// Which entities; all conditions must hold, absent and empty ones always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// The entity function; ASCII case does not matter.
    pub name: Option<FunctionName>,
    /// How the key begins.
    pub key_prefix: Option<String>,
    /// Did its last operation then or later.
    pub last_operation_from: Option<Timestamp>,
    /// Did its last operation then or earlier.
    pub last_operation_to: Option<Timestamp>,
    /// Indexed fields of the state and their JSON values, letter for letter: all of these. Only
    /// together with a name.
    pub fields: Vec<(String, Payload)>,
    /// Also those that have no state and are locked.
    pub includes_stateless: bool,
    /// Only those that are locked. There is no index of them: every row that fits otherwise is read.
    pub only_locked: bool,
}

/// A page of entities that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityQuery {
    /// Which.
    pub filter: EntityFilter,
    /// How many at most; at least 1.
    pub page_size: usize,
    /// Where the page before ended; `None`: the first page.
    pub continuation: Option<String>,
    /// Whether the values of states are wanted.
    pub fetches_state: bool,
}

/// A page of entities, in the order of their names and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPage {
    /// What is stored of them. If values are not wanted, the value of a state that exists is `null`.
    pub entities: Vec<(EntityId, EntityRecord)>,
    /// Where the next page begins; `None`: this was the last.
    pub continuation: Option<String>,
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
    /// Entities that changed.
    pub entities: Vec<(InstanceId, EntityRow)>,
    /// Messages that were sent and not yet consumed.
    pub messages_sent: Vec<(MessageId, Message)>,
    /// Messages that were sent in an earlier batch and are consumed now.
    pub messages_consumed: Vec<MessageId>,
    /// If set: no message below this id is alive, so that recovery can begin there.
    pub message_low: Option<MessageId>,
    /// Delayed messages that were sent and not yet consumed.
    pub delayed: Vec<(DelayedKey, Message)>,
    /// Delayed messages of earlier batches that are consumed, or taken back, now.
    pub delayed_consumed: Vec<DelayedKey>,
    /// If set: no delayed message that is alive is due before this.
    pub delayed_low: Option<Timestamp>,
    /// Orchestrations of earlier batches that are removed with all that belongs to them.
    pub purged: Vec<(InstanceId, PurgedRow)>,
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
            && self.delayed.is_empty()
            && self.delayed_consumed.is_empty()
            && self.delayed_low.is_none()
            && self.purged.is_empty()
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
    /// The execution whose stored history has to go: an earlier one, or this one if it was rewound.
    pub replaces: Option<ExecutionId>,
    /// What the index holds of the orchestration; `None`: nothing.
    pub indexed: Option<Box<Indexed>>,
}

/// The new state of an entity's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRow {
    /// The record as it is now; `None`: deleted. If it says that the value is stored by itself, the
    /// row does without it.
    pub record: Option<EntityRecord>,
    /// What the index holds of the entity; `None`: nothing, because there is no row. Receipts
    /// ([`InstanceId::is_receipt`]) are never in the index.
    pub indexed: Option<IndexedFields>,
    /// Values stored by themselves that this commit refers to no more. They may go once it is durable.
    pub freed: Vec<LargeId>,
}

/// Fields that an entity is found by, and their values.
pub type IndexedFields = Vec<(String, Payload)>;

/// What orchestrations are found by, as of some commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The orchestrator.
    pub name: FunctionName,
    /// Where it was in its life.
    pub status: RuntimeStatus,
    /// When it was started.
    pub created_at: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// What it showed of itself.
    pub custom_status: Option<Payload>,
}

impl Indexed {
    /// What an orchestration with this record is found by.
    #[must_use]
    pub fn of(record: &OrchestrationRecord) -> Self {
        Self {
            name: record.name.clone(),
            status: record.status,
            created_at: record.created_at,
            tags: record.tags.clone(),
            custom_status: record.custom_status.clone(),
        }
    }
}

/// An orchestration that is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgedRow {
    /// The execution whose history is stored.
    pub execution_id: ExecutionId,
    /// What the index holds of it.
    pub indexed: Box<Indexed>,
}
