//! What is read at a start: the messages that nobody has consumed, and where to look for them; the
//! large values that rows refer to; the entities that are locked and have no state. None of these
//! grows with what is stored and idle.

use std::collections::HashSet;
use std::hash::Hash;

use everstate_engine::storage::Recovered;
use everstate_types::{DelayedKey, InstanceId, LargeId, Message, MessageId, Timestamp};
use rocksdb::{DB, DBRawIterator, ReadOptions};

use crate::codec::{damaged, decode};
use crate::db::{self, RocksStorage};
use crate::error::Result;
use crate::index::{self, IndexKind};
use crate::key::{self, Family, MetaKey, Row};
use crate::meta;
use crate::read::read_error;

/// Bytes that recovery reads ahead. It reads each range from its beginning to its end.
const READAHEAD_BYTES: usize = 1 << 20;

impl RocksStorage {
    /// All that goes on after a start.
    pub(crate) fn read_recovered(&self) -> Result<Recovered> {
        let low = meta::read(self.db(), MetaKey::MessageLow)?.unwrap_or(MessageId(0));
        let mut recovered = Recovered { next_message_id: low, ..Recovered::default() };
        self.read_messages(low, &mut recovered)?;
        recovered.delayed = self.read_delayed()?;
        Ok(recovered)
    }

    fn read_messages(&self, low: MessageId, recovered: &mut Recovered) -> Result<()> {
        let mut rows = self.rows_from(Family::Messages, &key::message(low));
        while let Some((key, value)) = rows.item() {
            let id = key::message_id(key).ok_or_else(|| {
                damaged(Row::Message(recovered.next_message_id), "its key is no message id")
            })?;
            let message: Message = decode(Row::Message(id), key, value)?;
            recovered.messages.push((id, message));
            // An id that was consumed may be given again: nothing on disk has it any more. One
            // below `low` may not, because the next recovery would not see it.
            recovered.next_message_id = MessageId(id.0.saturating_add(1));
            rows.next();
        }
        rows.status().map_err(read_error)
    }

    fn read_delayed(&self) -> Result<Vec<(DelayedKey, Message)>> {
        let low: Timestamp = meta::read(self.db(), MetaKey::DelayedLow)?.unwrap_or_default();
        let mut rows = self.rows_from(Family::Timers, &key::due(low));
        let mut delayed = Vec::new();
        while let Some((key, value)) = rows.item() {
            let delayed_key = key::delayed_key(key)
                .ok_or_else(|| damaged(Row::Timers, "a key is none of a delayed message"))?;
            delayed.push((delayed_key, decode(Row::Delayed(delayed_key), key, value)?));
            rows.next();
        }
        rows.status().map_err(read_error)?;
        Ok(delayed)
    }

    /// The rows from a low watermark on. Not from the beginning: below are only the marks of
    /// deleted rows, perhaps millions.
    fn rows_from(&self, family: Family, begin: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        let handle = db::family(self.db(), family);
        let mut rows = self.db().raw_iterator_cf_opt(handle, options);
        rows.seek(begin);
        rows
    }
}

/// The large values that rows refer to.
pub(crate) fn read_large_ids(db: &DB) -> Result<HashSet<LargeId>> {
    read_entries(db, IndexKind::Large, index::parse_large)
}

/// The entities that are stored without a state.
pub(crate) fn read_stateless(db: &DB) -> Result<HashSet<InstanceId>> {
    read_entries(db, IndexKind::Stateless, |key| {
        let begin = 2 + index::parse_name(key)?.len();
        Some(index::parse_entity(key, begin)?.instance_id())
    })
}

/// What all keys of a kind in `index` stand for.
fn read_entries<T: Eq + Hash>(
    db: &DB,
    kind: IndexKind,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<HashSet<T>> {
    let mut begin = Vec::new();
    index::kind(&mut begin, kind);
    let mut end = begin.clone();
    key::make_end_of_prefix(&mut end);
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    let mut rows: DBRawIterator<'_> =
        db.raw_iterator_cf_opt(db::family(db, Family::Index), options);
    rows.seek(begin);
    let mut found = HashSet::new();
    while let Some(key) = rows.key() {
        let entry = parse(key).ok_or_else(|| damaged(Row::Index, "a key is none of an entry"))?;
        found.insert(entry);
        rows.next();
    }
    rows.status().map_err(read_error)?;
    Ok(found)
}
