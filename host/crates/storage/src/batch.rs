//! A commit as one RocksDB write. This is the path of every change: keys and values are encoded
//! into buffers that are kept from commit to commit.

use std::fmt;

use everstate_engine::storage::{CommitBatch, OrchestrationRow};
use everstate_types::InstanceId;
use rocksdb::WriteBatch;
use serde::Serialize;

use crate::codec;
use crate::db::Families;
use crate::error::Result;
use crate::key::{self, MetaKey, Row};
use crate::mark::CommitMark;
use crate::row::RowToStore;

/// Buffers larger than this are not kept: one huge commit must not hold memory for ever.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Turns commits into RocksDB writes.
#[derive(Default)]
pub(crate) struct BatchEncoder {
    key: Vec<u8>,
    end: Vec<u8>,
    value: Vec<u8>,
    /// Bytes of the last write; the next one is probably like it.
    last_bytes: usize,
}

impl BatchEncoder {
    /// The write that makes this commit.
    pub(crate) fn encode(
        &mut self,
        families: &Families<'_>,
        commit: &CommitBatch,
        mark: CommitMark,
    ) -> Result<WriteBatch> {
        let mut batch = WriteBatch::with_capacity_bytes(self.last_bytes + self.last_bytes / 4);
        for (id, row) in &commit.orchestrations {
            self.put_orchestration(families, &mut batch, id, row)?;
        }
        for (id, record) in &commit.entities {
            key::instance(&mut self.key, id);
            if let Some(record) = record {
                codec::encode(&mut self.value, Row::Instance(id), &self.key, record)?;
                batch.put_cf(&families.instances, &self.key, &self.value);
            } else {
                batch.delete_cf(&families.instances, &self.key);
            }
        }
        for (id, message) in &commit.messages_sent {
            let key = key::message(*id);
            codec::encode(&mut self.value, Row::Message(*id), &key, message)?;
            batch.put_cf(&families.messages, key, &self.value);
        }
        for id in &commit.messages_consumed {
            // A message is written once and deleted once, so that this kind of delete may be used:
            // it vanishes together with its put instead of travelling down the levels.
            batch.single_delete_cf(&families.messages, key::message(*id));
        }
        if let Some(low) = commit.message_low {
            self.put_meta(families, &mut batch, MetaKey::MessageLow, &low)?;
        }
        self.put_meta(families, &mut batch, MetaKey::CommitMark, &mark)?;
        self.last_bytes = batch.size_in_bytes().min(KEPT_BYTES_MAX);
        self.value.shrink_to(KEPT_BYTES_MAX);
        Ok(batch)
    }

    fn put_meta<T: Serialize>(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        key: MetaKey,
        value: &T,
    ) -> Result<()> {
        codec::encode(&mut self.value, Row::Meta(key), key.as_str().as_bytes(), value)?;
        batch.put_cf(&families.meta, key.as_str(), &self.value);
        Ok(())
    }

    fn put_orchestration(
        &mut self,
        families: &Families<'_>,
        batch: &mut WriteBatch,
        id: &InstanceId,
        row: &OrchestrationRow,
    ) -> Result<()> {
        if row.replaces_history {
            key::histories(&mut self.key, id);
            self.end.clone_from(&self.key);
            key::make_end_of_prefix(&mut self.end);
            batch.delete_range_cf(&families.history, &self.key, &self.end);
        }
        let stored = history_index(row.history_stored);
        let history_len = history_index(row.history_stored + row.events.len());
        let value = RowToStore::new(row, history_len);
        key::instance(&mut self.key, id);
        codec::encode(&mut self.value, Row::Instance(id), &self.key, &value)?;
        batch.put_cf(&families.instances, &self.key, &self.value);
        if matches!(value, RowToStore::Chunked { .. }) && !row.events.is_empty() {
            key::chunk(&mut self.key, id, row.record.execution_id, stored);
            codec::encode(&mut self.value, Row::Chunk(id, stored), &self.key, &row.events)?;
            batch.put_cf(&families.history, &self.key, &self.value);
        }
        Ok(())
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
