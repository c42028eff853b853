//! Reads: one instance while running, all messages at a start.

use everstate_engine::storage::{Cached, Recovered, StoredInstance};
use everstate_types::{HistoryEvent, InstanceId, Message, MessageId, OrchestrationRecord};
use rocksdb::{DBPinnableSlice, DBRawIterator, ErrorKind, ReadOptions, ReadTier};

use crate::codec::{damaged, decode};
use crate::db::RocksStorage;
use crate::error::{Error, Result};
use crate::key::{self, MetaKey, Row};
use crate::row::{StoredRow, check_beginning};

/// Bytes that recovery reads ahead. It reads one range from its beginning to its end.
const RECOVERY_READAHEAD_BYTES: usize = 1 << 20;

impl RocksStorage {
    /// What is stored of an instance.
    pub(crate) fn read_instance(&self, id: &InstanceId) -> Result<Option<StoredInstance>> {
        self.read_in_tier(id, ReadTier::All)
    }

    /// What is stored of an instance, if RocksDB has it in memory.
    pub(crate) fn read_cached_instance(&self, id: &InstanceId) -> Result<Cached> {
        match self.read_in_tier(id, ReadTier::BlockCache) {
            Ok(found) => Ok(Cached::Found(found)),
            Err(Error::Read(cause)) if cause.kind() == ErrorKind::Incomplete => {
                Ok(Cached::WouldBlock)
            }
            Err(error) => Err(error),
        }
    }

    /// The messages that nobody has consumed.
    pub(crate) fn read_messages(&self) -> Result<Recovered> {
        let families = self.families();
        let low = self.read_message_low()?;
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(RECOVERY_READAHEAD_BYTES);
        let mut rows = self.db().raw_iterator_cf_opt(families.messages, options);
        // Not from the beginning: below are only the marks of deleted messages, perhaps millions.
        rows.seek(key::message(low));
        let mut recovered = Recovered { messages: Vec::new(), next_message_id: low };
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
        rows.status().map_err(read_error)?;
        Ok(recovered)
    }

    fn read_message_low(&self) -> Result<MessageId> {
        let key = MetaKey::MessageLow;
        let value =
            self.db().get_pinned_cf(self.families().meta, key.as_str()).map_err(read_error)?;
        value.map_or(Ok(MessageId(0)), |value| {
            decode(Row::Meta(key), key.as_str().as_bytes(), &value)
        })
    }

    fn read_in_tier(&self, id: &InstanceId, tier: ReadTier) -> Result<Option<StoredInstance>> {
        let mut key = Vec::new();
        key::instance(&mut key, id);
        let row = Row::Instance(id);
        let Some(value) = self.get_instance(&key, &read_options(tier))? else { return Ok(None) };
        if id.is_entity() {
            return Ok(Some(StoredInstance::Entity(decode(row, &key, &value)?)));
        }
        if let StoredRow::Whole(whole) = decode(row, &key, &value)? {
            return whole.into_instance(row).map(Some);
        }
        // The history is elsewhere, and a commit may come between the two reads: once more, both
        // as of one moment. Most reads find a whole row or nothing and need no snapshot.
        let snapshot = self.db().snapshot();
        let mut options = read_options(tier);
        options.set_snapshot(&snapshot);
        let Some(value) = self.get_instance(&key, &options)? else { return Ok(None) };
        match decode(row, &key, &value)? {
            StoredRow::Whole(whole) => whole.into_instance(row).map(Some),
            StoredRow::Chunked { record, history_len } => {
                let history = self.read_history(id, &record, history_len, options)?;
                Ok(Some(StoredInstance::Orchestration { record, history }))
            }
        }
    }

    fn get_instance(
        &self,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<DBPinnableSlice<'_>>> {
        self.db().get_pinned_cf_opt(self.families().instances, key, options).map_err(read_error)
    }

    /// The history of the current execution, from its chunks.
    fn read_history(
        &self,
        id: &InstanceId,
        record: &OrchestrationRecord,
        history_len: u32,
        mut options: ReadOptions,
    ) -> Result<Vec<HistoryEvent>> {
        let mut history: Vec<HistoryEvent> = Vec::new();
        if history_len == 0 {
            return Ok(history);
        }
        let mut prefix = Vec::new();
        key::history(&mut prefix, id, record.execution_id);
        let mut end = prefix.clone();
        key::make_end_of_prefix(&mut end);
        options.set_iterate_upper_bound(end);
        options.set_prefix_same_as_start(true);
        let mut rows: DBRawIterator<'_> =
            self.db().raw_iterator_cf_opt(self.families().history, options);
        rows.seek(&prefix);
        while let Some((key, value)) = rows.item() {
            let index = key::chunk_index(&prefix, key)
                .ok_or_else(|| damaged(Row::History(id), "a key is none of a chunk"))?;
            if usize::try_from(index) != Ok(history.len()) {
                return Err(damaged(
                    Row::History(id),
                    format!("a chunk begins at event {index} where {} is due", history.len()),
                ));
            }
            history.extend(decode::<Vec<HistoryEvent>>(Row::Chunk(id, index), key, value)?);
            rows.next();
        }
        rows.status().map_err(read_error)?;
        if usize::try_from(history_len) != Ok(history.len()) {
            return Err(damaged(
                Row::History(id),
                format!("it has {} events instead of {history_len}", history.len()),
            ));
        }
        check_beginning(Row::History(id), &history)?;
        Ok(history)
    }
}

fn read_options(tier: ReadTier) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(tier);
    options
}

fn read_error(cause: rocksdb::Error) -> Error {
    if cause.kind() == ErrorKind::Corruption {
        Error::Damaged { row: "a stored file".to_owned(), reason: cause.into_string() }
    } else {
        Error::Read(cause)
    }
}
