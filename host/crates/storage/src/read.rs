//! Reads of one instance, and reads as of one moment.

use everstate_engine::storage::{Cached, StoredInstance};
use everstate_types::{EntityRecord, ExecutionId, HistoryEvent, InstanceId, OrchestrationRecord};
use rocksdb::{DB, DBPinnableSlice, DBRawIterator, ErrorKind, ReadOptions, ReadTier, Snapshot};

use crate::codec::{damaged, decode};
use crate::db::{self, RocksStorage};
use crate::error::{Error, Result};
use crate::key::{self, Family, Row};
use crate::row::{StoredRow, check_beginning};

/// What is stored, as of one moment.
pub(crate) struct View<'a> {
    storage: &'a RocksStorage,
    snapshot: Snapshot<'a>,
    fill_cache: bool,
}

impl<'a> View<'a> {
    /// What is stored now. Blocks that are read stay in the cache if `fill_cache` says so.
    pub(crate) fn new(storage: &'a RocksStorage, fill_cache: bool) -> Self {
        Self { storage, snapshot: storage.db().snapshot(), fill_cache }
    }

    /// The entries of the index from one key on, and before another.
    pub(crate) fn index_entries(&self, begin: &[u8], end: Vec<u8>) -> DBRawIterator<'_> {
        let mut options = self.options();
        options.set_iterate_upper_bound(end);
        let index = self.storage.families().index;
        let mut rows = self.storage.db().raw_iterator_cf_opt(index, options);
        rows.seek(begin);
        rows
    }

    /// The record of an orchestration, and how many bytes its row has; `None` if none is stored.
    pub(crate) fn record(&self, id: &InstanceId) -> Result<Option<(OrchestrationRecord, usize)>> {
        let mut key = Vec::new();
        key::instance(&mut key, id);
        let Some(value) = self.storage.get_instance(&key, &self.options())? else {
            return Ok(None);
        };
        let row = Row::Instance(id);
        let record = decode::<StoredRow>(row, &key, &value)?.into_record(row)?;
        Ok(Some((record, value.len())))
    }

    /// The record of an entity without a large value, and how many bytes its row has; `None` if none
    /// is stored.
    pub(crate) fn entity(&self, id: &InstanceId) -> Result<Option<(EntityRecord, usize)>> {
        let mut key = Vec::new();
        key::instance(&mut key, id);
        let Some(value) = self.storage.get_instance(&key, &self.options())? else {
            return Ok(None);
        };
        Ok(Some((decode(Row::Instance(id), &key, &value)?, value.len())))
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options.fill_cache(self.fill_cache);
        options
    }
}

impl RocksStorage {
    /// What is stored of an instance.
    pub(crate) fn read_instance(&self, id: &InstanceId) -> Result<Option<StoredInstance>> {
        let found = self.read_in_tier(id, ReadTier::All)?;
        if !has_large_value(found.as_ref()) {
            return Ok(found);
        }
        // The value is elsewhere, and a commit may come between the two reads and free it: once
        // more, while nothing is removed that is freed from now on.
        let large = self.large().begin_read();
        let mut found = self.read_in_tier(id, ReadTier::All)?;
        if let Some(StoredInstance::Entity(record)) = &mut found
            && let Some(value) = record.large
        {
            record.state.value = Some(large.value(Row::Instance(id), value)?);
        }
        Ok(found)
    }

    /// What is stored of an instance, if RocksDB has it in memory.
    pub(crate) fn read_cached_instance(&self, id: &InstanceId) -> Result<Cached> {
        match self.read_in_tier(id, ReadTier::BlockCache) {
            Ok(found) if has_large_value(found.as_ref()) => Ok(Cached::WouldBlock),
            Ok(found) => Ok(Cached::Found(found)),
            Err(Error::Read(cause)) if cause.kind() == ErrorKind::Incomplete => {
                Ok(Cached::WouldBlock)
            }
            Err(error) => Err(error),
        }
    }

    /// What is stored of an instance, without a large value.
    fn read_in_tier(&self, id: &InstanceId, tier: ReadTier) -> Result<Option<StoredInstance>> {
        let mut key = Vec::new();
        key::instance(&mut key, id);
        let row = Row::Instance(id);
        let Some(value) = self.get_instance(&key, &read_options(tier))? else { return Ok(None) };
        if id.is_entity() {
            return Ok(Some(StoredInstance::Entity(decode(row, &key, &value)?)));
        }
        if let StoredRow::Whole(whole) = decode(row, &key, &value)? {
            let (record, history) = whole.into_parts(row)?;
            return Ok(Some(StoredInstance::Orchestration { record, history }));
        }
        // The history is elsewhere, and a commit may come between the two reads: once more, both
        // as of one moment. Most reads find a whole row or nothing and need no snapshot.
        let snapshot = self.db().snapshot();
        let mut options = read_options(tier);
        options.set_snapshot(&snapshot);
        let Some(value) = self.get_instance(&key, &options)? else { return Ok(None) };
        let (record, history) = match decode(row, &key, &value)? {
            StoredRow::Whole(whole) => whole.into_parts(row)?,
            StoredRow::Chunked { record, history_len } => {
                let execution = record.execution_id;
                let history = read_history(self.db(), id, execution, history_len, options)?;
                (record, history)
            }
        };
        Ok(Some(StoredInstance::Orchestration { record, history }))
    }

    fn get_instance(
        &self,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<DBPinnableSlice<'_>>> {
        self.db().get_pinned_cf_opt(self.families().instances, key, options).map_err(read_error)
    }
}

/// The history of the current execution, from its chunks.
pub(crate) fn read_history(
    db: &DB,
    id: &InstanceId,
    execution: ExecutionId,
    history_len: u32,
    mut options: ReadOptions,
) -> Result<Vec<HistoryEvent>> {
    let mut history: Vec<HistoryEvent> = Vec::new();
    if history_len == 0 {
        return Ok(history);
    }
    let mut prefix = Vec::new();
    key::history(&mut prefix, id, execution);
    let mut end = prefix.clone();
    key::make_end_of_prefix(&mut end);
    options.set_iterate_upper_bound(end);
    options.set_prefix_same_as_start(true);
    let mut rows: DBRawIterator<'_> =
        db.raw_iterator_cf_opt(db::family(db, Family::History), options);
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

fn has_large_value(found: Option<&StoredInstance>) -> bool {
    matches!(found, Some(StoredInstance::Entity(record)) if record.large.is_some())
}

fn read_options(tier: ReadTier) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(tier);
    options
}

/// The error for what RocksDB did not read.
pub(crate) fn read_error(cause: rocksdb::Error) -> Error {
    if cause.kind() == ErrorKind::Corruption {
        Error::Damaged { row: "a stored file".to_owned(), reason: cause.into_string() }
    } else {
        Error::Read(cause)
    }
}
