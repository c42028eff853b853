//! What is read at a start: the messages that nobody has consumed, and where to look for them.

use everstate_engine::storage::Recovered;
use everstate_types::{DelayedKey, Message, MessageId, Timestamp};
use rocksdb::{DBRawIterator, ReadOptions};
use serde::de::DeserializeOwned;

use crate::codec::{damaged, decode};
use crate::db::RocksStorage;
use crate::error::Result;
use crate::key::{self, Family, MetaKey, Row};
use crate::read::read_error;

/// Bytes that recovery reads ahead. It reads each range from its beginning to its end.
const READAHEAD_BYTES: usize = 1 << 20;

impl RocksStorage {
    /// All that goes on after a start.
    pub(crate) fn read_recovered(&self) -> Result<Recovered> {
        let low = self.read_meta(MetaKey::MessageLow)?.unwrap_or(MessageId(0));
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
        let low: Timestamp = self.read_meta(MetaKey::DelayedLow)?.unwrap_or_default();
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
        let handle = crate::db::family(self.db(), family);
        let mut rows = self.db().raw_iterator_cf_opt(handle, options);
        rows.seek(begin);
        rows
    }

    fn read_meta<T: DeserializeOwned>(&self, key: MetaKey) -> Result<Option<T>> {
        let value =
            self.db().get_pinned_cf(self.families().meta, key.as_str()).map_err(read_error)?;
        value.map(|value| decode(Row::Meta(key), key.as_str().as_bytes(), &value)).transpose()
    }
}
