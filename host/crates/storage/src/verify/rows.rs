//! Instances and their histories: each row is decoded, each history compared with its record.

use everstate_engine::partition::open_timers;
use everstate_types::{
    EntityId, EntityLock, EntityRecord, ExecutionId, HistoryEvent, InstanceId, OrchestrationRecord,
    check_history,
};
use rocksdb::ReadOptions;
use uuid::Uuid;

use super::{Examination, Pinned, all_rows};
use crate::codec::decode;
use crate::db::family;
use crate::error::Result;
use crate::key::{self, Family, HASH_BYTES, Row};
use crate::large;
use crate::read::{read_error, read_history};
use crate::row::StoredRow;

/// An instance as its row has it.
pub(super) enum Examined {
    /// An orchestration.
    Orchestration(Box<OrchestrationRecord>),
    /// An entity, without a large value.
    Entity(Box<EntityRecord>),
}

impl Examination<'_> {
    /// Reads every row of an instance, and what belongs to it.
    pub(super) fn look_at_rows(&mut self) {
        let mut rows = all_rows(self.db, Family::Instances);
        while let Some((key, value)) = rows.item() {
            match instance_of(key) {
                Some(id) if id.is_entity() => self.look_at_entity(&id, key, value),
                Some(id) => self.look_at_orchestration(&id, key, value),
                None => self.report.add_problem(
                    "the stored family `instances` is damaged: a key is none of an instance",
                ),
            }
            rows.next();
        }
        self.note_end(Family::Instances, &rows);
    }

    fn look_at_entity(&mut self, id: &InstanceId, key: &[u8], value: &[u8]) {
        let row = Row::Instance(id);
        if id.is_receipt() {
            self.report.counts.receipts += 1;
        } else {
            self.report.counts.entities += 1;
        }
        let Some(record) = self.note(decode::<EntityRecord>(row, key, value)) else { return };
        if let Some(lock) = &record.lock {
            self.look_at_holder(row, lock);
        }
        if let Some(large) = record.large {
            self.report.counts.large_values += 1;
            self.referred.insert(large);
            let value = large::read_value(&large::folder_in(self.path), row, large);
            drop(self.note(value));
        } else if record.is_empty() {
            self.report.add_problem(format!("{row} is damaged: it has neither state nor lock"));
        }
    }

    fn look_at_orchestration(&mut self, id: &InstanceId, key: &[u8], value: &[u8]) {
        let row = Row::Instance(id);
        self.report.counts.orchestrations += 1;
        let Some(stored) = self.note(decode::<StoredRow>(row, key, value)) else { return };
        let (record, history) = match stored {
            StoredRow::Whole(whole) => match self.note(whole.into_parts(row)) {
                Some((record, history)) => (record, Some(history)),
                None => return,
            },
            StoredRow::Chunked { record, history_len } => {
                let execution = record.execution_id;
                let options = ReadOptions::default();
                let history = read_history(self.db, id, execution, history_len, options);
                (record, self.note(history))
            }
        };
        if !record.status.is_finished() {
            self.report.counts.live += 1;
            if let Some(component) = record.component {
                let pinned = self.report.pinned.entry(component);
                pinned.or_insert_with(|| Pinned { count: 0, example: id.clone() }).count += 1;
            }
        }
        if let Some(history) = history {
            self.compare(id, &record, &history);
        }
    }

    fn compare(&mut self, id: &InstanceId, record: &OrchestrationRecord, history: &[HistoryEvent]) {
        self.report.counts.events += history.len() as u64;
        if let Err(problem) = check_history(record, history) {
            let row = Row::History(id);
            self.report.add_problem(format!("{row} does not fit: {problem}"));
            return;
        }
        for timer in open_timers(record, history) {
            let row = self.db.get_pinned_cf(family(self.db, Family::Timers), key::delayed(timer));
            if let Some(None) = self.note(row.map_err(read_error)) {
                let (row, due) = (Row::Instance(id), timer.due);
                let problem = format!("{row} waits for a timer, due {due}, that is not stored");
                self.report.add_problem(problem);
            }
        }
    }

    /// Looks for who holds an entity.
    fn look_at_holder(&mut self, row: Row<'_>, lock: &EntityLock) {
        // A row that is damaged is noted where it is.
        if let Ok(None) = self.examined(&lock.instance_id) {
            let holder = &lock.instance_id;
            self.report.add_problem(format!("{row} is held by `{holder}`, which is not stored"));
        }
    }

    /// Finds histories that belong to no row.
    pub(super) fn look_at_histories(&mut self) {
        let mut rows = all_rows(self.db, Family::History);
        let mut last = None;
        while let Some(key) = rows.key() {
            match execution_of(key) {
                Some(execution) if last.as_ref() != Some(&execution) => {
                    self.look_at_execution(&execution.0, execution.1);
                    last = Some(execution);
                }
                Some(_) => {}
                None => self.report.add_problem(
                    "the stored family `history` is damaged: a key is none of a chunk",
                ),
            }
            rows.next();
        }
        self.note_end(Family::History, &rows);
    }

    fn look_at_execution(&mut self, id: &InstanceId, execution: ExecutionId) {
        let row = Row::History(id);
        match self.examined(id) {
            Ok(Some(Examined::Orchestration(record))) if record.execution_id == execution => {}
            Ok(Some(_)) => self.report.add_problem(format!(
                "{row} is left over: it is of an execution that is not the current one"
            )),
            Ok(None) => {
                self.report.add_problem(format!("{row} is left over: there is no such instance"));
            }
            // The row itself was noted.
            Err(_) => {}
        }
    }

    /// What is stored of an instance, without its history.
    pub(super) fn examined(&self, id: &InstanceId) -> Result<Option<Examined>> {
        let mut key = Vec::new();
        key::instance(&mut key, id);
        let instances = family(self.db, Family::Instances);
        let Some(value) = self.db.get_pinned_cf(instances, &key).map_err(read_error)? else {
            return Ok(None);
        };
        examine(id, &key, &value).map(Some)
    }
}

/// The instance in a row, without its history.
pub(super) fn examine(id: &InstanceId, key: &[u8], value: &[u8]) -> Result<Examined> {
    let row = Row::Instance(id);
    if id.is_entity() {
        return Ok(Examined::Entity(Box::new(decode(row, key, value)?)));
    }
    let record = decode::<StoredRow>(row, key, value)?.into_record(row)?;
    Ok(Examined::Orchestration(Box::new(record)))
}

/// The instance whose row has this key; `None` if it is none.
pub(super) fn instance_of(key: &[u8]) -> Option<InstanceId> {
    let id = instance_id(str::from_utf8(key.get(HASH_BYTES + 1..)?).ok()?)?;
    let mut expected = Vec::new();
    key::instance(&mut expected, &id);
    (expected == key).then_some(id)
}

fn instance_id(text: &str) -> Option<InstanceId> {
    match text.strip_prefix('@') {
        Some(rest) => {
            let (name, key) = rest.split_once('@')?;
            Some(EntityId::from_stored(name, key).instance_id())
        }
        None => InstanceId::orchestration(text).ok(),
    }
}

/// The execution that a key of a chunk belongs to; `None` if it is none.
fn execution_of(key: &[u8]) -> Option<(InstanceId, ExecutionId)> {
    let (length, rest) = key.get(HASH_BYTES..)?.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let id = InstanceId::orchestration(str::from_utf8(text).ok()?).ok()?;
    let (guid, index) = rest.split_first_chunk()?;
    let execution = ExecutionId::new(Uuid::from_bytes(*guid));
    let mut expected = Vec::new();
    key::history(&mut expected, &id, execution);
    (index.len() == 4 && key.starts_with(&expected)).then_some((id, execution))
}
