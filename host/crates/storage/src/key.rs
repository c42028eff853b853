//! Column families, and the bytes of every key.
//!
//! Numbers are big-endian, so that the order of the bytes is the order of the numbers. Rows of
//! instances begin with the hash that places the instance on the ring: a range of the ring is a
//! range of keys. Names of column families and of meta keys and kinds of rows are never reused; a
//! retired one stays here with a comment.

use std::fmt;

use everstate_types::{DelayedKey, ExecutionId, InstanceId, MessageId, Timestamp};
use uuid::Uuid;

/// Bytes of the hash that begins each key in `instances` and `history`.
pub(crate) const HASH_BYTES: usize = 8;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Rows of orchestrations and entities: `[hash u64][kind u8][id]`.
    Instances,
    /// Histories of orchestrations: `[hash u64][id length u16][id][execution 16][index u32]`, where
    /// the index is that of the first event in the value.
    History,
    /// Messages: `[message id u64]`.
    Messages,
    /// Messages that are delivered later: `[due u64][guid 16]`.
    Timers,
    /// What orchestrations and entities are found by, and the large values that rows refer to: see
    /// [`index`](crate::index). Its values are empty.
    Index,
    /// Facts about the whole: see [`MetaKey`].
    Meta,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Instances, Self::History, Self::Messages, Self::Timers, Self::Index, Self::Meta];

    /// The name in RocksDB.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::History => "history",
            Self::Messages => "messages",
            Self::Timers => "timers",
            Self::Index => "index",
            Self::Meta => "meta",
        }
    }
}

/// The kind of a row in `instances`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum InstanceKind {
    Orchestration = 1,
    Entity = 2,
}

/// A key in `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaKey {
    /// The version of the storage format, a `u32`.
    Format,
    /// No message below this id is alive, a `u64`.
    MessageLow,
    /// No delayed message that is alive is due before this, a `u64`.
    DelayedLow,
    /// The last commit: see [`CommitMark`](crate::mark::CommitMark).
    CommitMark,
    /// No large value has this id or a greater one, a `u64`.
    LargeEnd,
}

impl MetaKey {
    /// The bytes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::MessageLow => "message-low",
            Self::DelayedLow => "delayed-low",
            Self::CommitMark => "commit-mark",
            Self::LargeEnd => "large-end",
        }
    }
}

/// Makes `buffer` the key of an instance's row.
pub(crate) fn instance(buffer: &mut Vec<u8>, id: &InstanceId) {
    let kind = if id.is_entity() { InstanceKind::Entity } else { InstanceKind::Orchestration };
    buffer.clear();
    buffer.extend_from_slice(&id.hash64().to_be_bytes());
    buffer.push(kind as u8);
    buffer.extend_from_slice(id.as_str().as_bytes());
}

/// Makes `buffer` the prefix of the keys of all chunks of one execution.
pub(crate) fn history(buffer: &mut Vec<u8>, id: &InstanceId, execution: ExecutionId) {
    let text = id.as_str().as_bytes();
    let length = u16::try_from(text.len()).expect("an instance id is shorter than 64 KiB");
    buffer.clear();
    buffer.extend_from_slice(&id.hash64().to_be_bytes());
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(text);
    buffer.extend_from_slice(execution.guid().as_bytes());
}

/// Makes `buffer` the key of the chunk of history that begins with the event at `index`.
pub(crate) fn chunk(buffer: &mut Vec<u8>, id: &InstanceId, execution: ExecutionId, index: u32) {
    history(buffer, id, execution);
    buffer.extend_from_slice(&index.to_be_bytes());
}

/// The index at the end of a chunk's key; `None` if `key` is none of the execution with `prefix`.
pub(crate) fn chunk_index(prefix: &[u8], key: &[u8]) -> Option<u32> {
    let index = key.strip_prefix(prefix)?;
    Some(u32::from_be_bytes(index.try_into().ok()?))
}

/// The key of a message.
pub(crate) fn message(id: MessageId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// The id of the message with this key; `None` if it is none.
pub(crate) fn message_id(key: &[u8]) -> Option<MessageId> {
    Some(MessageId(u64::from_be_bytes(key.try_into().ok()?)))
}

/// The first key of a delayed message that is due then, or later.
pub(crate) fn due(due: Timestamp) -> [u8; 8] {
    due.as_millis().to_be_bytes()
}

/// The key of a delayed message.
pub(crate) fn delayed(key: DelayedKey) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&due(key.due));
    bytes[8..].copy_from_slice(key.guid.as_bytes());
    bytes
}

/// The delayed message with this key; `None` if it is none.
pub(crate) fn delayed_key(key: &[u8]) -> Option<DelayedKey> {
    let (due, guid) = key.split_first_chunk()?;
    let due = Timestamp::from_millis(u64::from_be_bytes(*due));
    Some(DelayedKey { due, guid: Uuid::from_bytes(guid.try_into().ok()?) })
}

/// Makes `key` the first key after all those that begin with it.
pub(crate) fn make_end_of_prefix(key: &mut Vec<u8>) {
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return;
        }
    }
}

/// A row, as errors name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'a> {
    /// In `instances`.
    Instance(&'a InstanceId),
    /// In `history`, all chunks of an execution.
    History(&'a InstanceId),
    /// In `history`, one chunk.
    Chunk(&'a InstanceId, u32),
    /// In `messages`.
    Message(MessageId),
    /// In `timers`, one.
    Delayed(DelayedKey),
    /// In `timers`, one whose key cannot be read.
    Timers,
    /// In `index`.
    Index,
    /// In `meta`.
    Meta(MetaKey),
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) => write!(f, "the stored instance `{id}`"),
            Self::History(id) => write!(f, "the stored history of `{id}`"),
            Self::Chunk(id, index) => {
                write!(f, "the stored history of `{id}` from event {index} on")
            }
            Self::Message(id) => write!(f, "the stored message {id}"),
            Self::Delayed(DelayedKey { due, guid }) => {
                write!(f, "the stored message {guid}, due {due},")
            }
            Self::Timers => f.write_str("the stored family `timers`"),
            Self::Index => f.write_str("the stored family `index`"),
            Self::Meta(key) => write!(f, "the stored `{}`", key.as_str()),
        }
    }
}
