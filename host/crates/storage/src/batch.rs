//! A commit as one RocksDB write. This is the path of every change: keys and values are encoded
//! into buffers that are kept from commit to commit.

use std::collections::HashSet;
use std::fmt;

use everstate_engine::storage::{CommitBatch, EntityRow, Indexed, OrchestrationRow};
use everstate_types::{ExecutionId, InstanceId};
use rocksdb::{DB, ReadOptions, WriteBatch};
use serde::Serialize;

use crate::codec;
use crate::db::Families;
use crate::error::Result;
use crate::index::{self, Entries, IndexedEntity};
use crate::key::{self, MetaKey, Row};
use crate::mark::CommitMark;
use crate::read::read_error;
use crate::row::RowToStore;

/// Buffers larger than this are not kept: one huge commit must not hold memory for ever.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A history of more chunks is deleted as a range. Fewer are deleted one by one: the marks of
/// deleted ranges make all later reads slower, and an eternal orchestration leaves a history with
/// each of its generations.
const CHUNKS_DELETED_SINGLY_MAX: usize = 64;

/// Turns commits into RocksDB writes.
#[derive(Default)]
pub(crate) struct BatchEncoder {
    key: Vec<u8>,
    end: Vec<u8>,
    value: Vec<u8>,
    /// What the index has of an instance, and what it has to have.
    entries_before: Entries,
    entries_now: Entries,
    /// The entities that are stored without a state, because they are locked. The engine does not
    /// say of an entity whether it had one, and asking the disk at each commit would be slow.
    stateless: HashSet<InstanceId>,
    /// Rows that were deleted by the last write and had something in them.
    rows_deleted: u64,
    /// Bytes of the last write; the next one is probably like it.
    last_bytes: usize,
}

impl BatchEncoder {
    /// For a database with these entities that are stored without a state.
    pub(crate) fn new(stateless: HashSet<InstanceId>) -> Self {
        Self { stateless, ..Self::default() }
    }

    /// How many rows of instances the last write deletes that were more than a lock.
    pub(crate) fn rows_deleted(&self) -> u64 {
        self.rows_deleted
    }

    /// The write that makes this commit. All commits before it are in `db`.
    pub(crate) fn encode(
        &mut self,
        db: &DB,
        families: &Families<'_>,
        commit: &CommitBatch,
        mark: CommitMark,
    ) -> Result<WriteBatch> {
        let mut batch = WriteBatch::with_capacity_bytes(self.last_bytes + self.last_bytes / 4);
        self.rows_deleted = 0;
        for (id, row) in &commit.orchestrations {
            if let Some(execution) = row.replaces {
                // Before the new chunks are put: they may have the same keys.
                self.delete_history(db, families, &mut batch, id, execution)?;
            }
            self.put_orchestration(families, &mut batch, id, row)?;
            let now = Indexed::of(&row.record);
            self.change_index(families, &mut batch, id, row.indexed.as_deref(), Some(&now));
        }
        for (id, row) in &commit.purged {
            self.delete_history(db, families, &mut batch, id, row.execution_id)?;
            key::instance(&mut self.key, id);
            batch.delete_cf(families.instances, &self.key);
            self.change_index(families, &mut batch, id, Some(&row.indexed), None);
            self.rows_deleted += 1;
        }
        for (id, row) in &commit.entities {
            self.put_entity(families, &mut batch, id, row)?;
        }
        for (id, message) in &commit.messages_sent {
            let key = key::message(*id);
            codec::encode(&mut self.value, Row::Message(*id), &key, message)?;
            batch.put_cf(families.messages, key, &self.value);
        }
        for id in &commit.messages_consumed {
            // A message is written once and deleted once, so that this kind of delete may be used:
            // it vanishes together with its put instead of travelling down the levels.
            batch.single_delete_cf(families.messages, key::message(*id));
        }
        if let Some(low) = commit.message_low {
            self.put_meta(families, &mut batch, MetaKey::MessageLow, &low)?;
        }
        self.put_delayed(families, &mut batch, commit)?;
        self.put_meta(families, &mut batch, MetaKey::CommitMark, &mark)?;
        self.last_bytes = batch.size_in_bytes().min(KEPT_BYTES_MAX);
        self.value.shrink_to(KEPT_BYTES_MAX);
        Ok(batch)
    }

    fn put_delayed(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        commit: &CommitBatch,
    ) -> Result<()> {
        for (delayed, message) in &commit.delayed {
            let key = key::delayed(*delayed);
            codec::encode(&mut self.value, Row::Delayed(*delayed), &key, message)?;
            batch.put_cf(families.timers, key, &self.value);
        }
        for delayed in &commit.delayed_consumed {
            // Not the kind of delete that messages have. RocksDB wants a put for each of those, and
            // some of these rows are gone, or were never written: an orchestration that is read
            // again takes back every timer that its history has and that did not fire.
            batch.delete_cf(families.timers, key::delayed(*delayed));
        }
        if let Some(low) = commit.delayed_low {
            self.put_meta(families, batch, MetaKey::DelayedLow, &low)?;
        }
        Ok(())
    }

    fn put_meta<T: Serialize>(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        key: MetaKey,
        value: &T,
    ) -> Result<()> {
        codec::encode(&mut self.value, Row::Meta(key), key.as_str().as_bytes(), value)?;
        batch.put_cf(families.meta, key.as_str(), &self.value);
        Ok(())
    }

    fn put_orchestration(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        row: &OrchestrationRow,
    ) -> Result<()> {
        let stored = history_index(row.history_stored);
        let history_len = history_index(row.history_stored + row.events.len());
        let value = RowToStore::new(row, history_len);
        key::instance(&mut self.key, id);
        codec::encode(&mut self.value, Row::Instance(id), &self.key, &value)?;
        batch.put_cf(families.instances, &self.key, &self.value);
        if matches!(value, RowToStore::Chunked { .. }) && !row.events.is_empty() {
            key::chunk(&mut self.key, id, row.record.execution_id, stored);
            codec::encode(&mut self.value, Row::Chunk(id, stored), &self.key, &row.events)?;
            batch.put_cf(families.history, &self.key, &self.value);
        }
        Ok(())
    }

    fn put_entity(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        row: &EntityRow,
    ) -> Result<()> {
        key::instance(&mut self.key, id);
        if let Some(record) = &row.record {
            let without_value;
            let stored = if let Some(large) = record.large {
                // Not the kind of write that entries are: it is repeated as often as the row.
                batch.put_cf(families.index, index::large(large), []);
                let mut bare = record.clone();
                bare.state.value = None;
                without_value = bare;
                &without_value
            } else {
                record
            };
            codec::encode(&mut self.value, Row::Instance(id), &self.key, stored)?;
            batch.put_cf(families.instances, &self.key, &self.value);
        } else {
            batch.delete_cf(families.instances, &self.key);
            self.rows_deleted += u64::from(row.indexed.is_some() && !self.stateless.contains(id));
        }
        for large in &row.freed {
            batch.delete_cf(families.index, index::large(*large));
        }
        if !id.is_receipt() {
            self.change_entity_index(families, batch, id, row);
        }
        Ok(())
    }

    /// Deletes all chunks of an execution. Reads their keys, and nothing else.
    fn delete_history(
        &mut self,
        db: &DB,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        execution: ExecutionId,
    ) -> Result<()> {
        key::history(&mut self.key, id, execution);
        self.end.clone_from(&self.key);
        key::make_end_of_prefix(&mut self.end);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(self.end.as_slice());
        options.set_prefix_same_as_start(true);
        let mut chunks = db.raw_iterator_cf_opt(families.history, options);
        chunks.seek(&self.key);
        let mut keys = Vec::new();
        while let Some(key) = chunks.key() {
            if keys.len() == CHUNKS_DELETED_SINGLY_MAX {
                batch.delete_range_cf(families.history, &self.key, &self.end);
                return Ok(());
            }
            keys.push(key.to_vec());
            chunks.next();
        }
        chunks.status().map_err(read_error)?;
        for key in keys {
            // It is there, and was put once: as with messages.
            batch.single_delete_cf(families.history, key);
        }
        Ok(())
    }

    /// Changes what the index has of an orchestration to what it has to have.
    fn change_index(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        before: Option<&Indexed>,
        now: Option<&Indexed>,
    ) {
        if before != now {
            self.entries_before.set(id, before);
            self.entries_now.set(id, now);
            self.write_difference(families, batch);
        }
    }

    /// Changes what the index has of an entity to what it has to have.
    fn change_entity_index(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        row: &EntityRow,
    ) {
        let had_state = self.stateless.is_empty() || !self.stateless.contains(id);
        let before = row.indexed.as_deref();
        let before = before.map(|fields| IndexedEntity { has_state: had_state, fields });
        let now = row.record.as_ref().map(IndexedEntity::of);
        if before == now {
            return;
        }
        self.entries_before.set_entity(id, before);
        self.entries_now.set_entity(id, now);
        self.write_difference(families, batch);
        if now.is_some_and(|now| !now.has_state) {
            self.stateless.insert(id.clone());
        } else if !had_state {
            self.stateless.remove(id);
        }
    }

    fn write_difference(&mut self, families: &Families<'_>, batch: &mut WriteBatch) {
        for key in self.entries_before.keys_not_in(&self.entries_now) {
            // It is there, and was put once: as with messages. An orchestration that passes through
            // a status in a moment leaves nothing of that in the files.
            batch.single_delete_cf(families.index, key);
        }
        for key in self.entries_now.keys_not_in(&self.entries_before) {
            batch.put_cf(families.index, key, []);
        }
    }
}

impl fmt::Debug for BatchEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchEncoder").field("last_bytes", &self.last_bytes).finish_non_exhaustive()
    }
}

fn history_index(index: usize) -> u32 {
    u32::try_from(index).expect("ACTIONS_MAX keeps a history far below 2^32 events")
}
