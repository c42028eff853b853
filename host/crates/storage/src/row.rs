//! What an orchestration's row holds: its record alone, with the history in chunks elsewhere, or
//! all of it in one value.
//!
//! An orchestration that starts and ends within one commit is one value, without what the record
//! and the history both say: its name, input and tags stand in `ExecutionStarted`, its output and
//! failure in `ExecutionCompleted`. Where they differ, they are stored besides.

use everstate_engine::storage::{OrchestrationRow, StoredInstance};
use everstate_types::{
    ComponentHash, EventKind, ExecutionId, Failure, FunctionName, HistoryEvent,
    OrchestrationRecord, Payload, RuntimeStatus, Tags, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::codec::damaged;
use crate::error::Result;
use crate::key::Row;

/// The value of an orchestration's row, to be written. [`StoredRow`] reads the same bytes.
#[derive(Serialize)]
pub(crate) enum RowToStore<'a> {
    /// The history is in chunks.
    Chunked {
        /// The record.
        record: &'a OrchestrationRecord,
        /// How many events the chunks have.
        history_len: u32,
    },
    /// The history is here.
    Whole(WholeToStore<'a>),
}

/// See [`StoredWhole`].
#[derive(Serialize)]
pub(crate) struct WholeToStore<'a> {
    component: &'a Option<ComponentHash>,
    execution_id: ExecutionId,
    status: RuntimeStatus,
    custom_status: &'a Option<Payload>,
    created_at: Timestamp,
    updated_at: Timestamp,
    started: Option<(&'a FunctionName, &'a Payload, &'a Tags)>,
    ended: Option<(&'a Option<Payload>, &'a Option<Failure>)>,
    history: &'a [HistoryEvent],
}

/// The value of an orchestration's row.
#[derive(Deserialize)]
pub(crate) enum StoredRow {
    /// The history is in chunks.
    Chunked {
        /// The record.
        record: OrchestrationRecord,
        /// How many events the chunks have.
        history_len: u32,
    },
    /// The history is here.
    Whole(StoredWhole),
}

/// A finished orchestration and its history.
#[derive(Deserialize)]
pub(crate) struct StoredWhole {
    component: Option<ComponentHash>,
    execution_id: ExecutionId,
    status: RuntimeStatus,
    custom_status: Option<Payload>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// `None`: as the first `ExecutionStarted` has them.
    started: Option<(FunctionName, Payload, Tags)>,
    /// `None`: as the last `ExecutionCompleted` has them.
    ended: Option<(Option<Payload>, Option<Failure>)>,
    history: Vec<HistoryEvent>,
}

impl<'a> RowToStore<'a> {
    /// Decides how a row is stored. `history_len` counts what was stored before and what is added.
    pub(crate) fn new(row: &'a OrchestrationRow, history_len: u32) -> Self {
        let record = &row.record;
        if row.history_stored > 0 || !record.status.is_finished() {
            return Self::Chunked { record, history_len };
        }
        let start = (&record.name, &record.input, &record.tags);
        let end = (&record.output, &record.failure);
        Self::Whole(WholeToStore {
            component: &record.component,
            execution_id: record.execution_id,
            status: record.status,
            custom_status: &record.custom_status,
            created_at: record.created_at,
            updated_at: record.updated_at,
            started: (start_of(&row.events) != Some(start)).then_some(start),
            ended: (end_of(&row.events) != Some(end)).then_some(end),
            history: &row.events,
        })
    }
}

impl StoredWhole {
    /// The record and the history.
    pub(crate) fn into_instance(self, row: Row<'_>) -> Result<StoredInstance> {
        check_beginning(row, &self.history)?;
        let (name, input, tags) = match self.started {
            Some(started) => started,
            None => start_of(&self.history)
                .map(|(name, input, tags)| (name.clone(), input.clone(), tags.clone()))
                .ok_or_else(|| damaged(row, "its history does not say how it started"))?,
        };
        let (output, failure) = match self.ended {
            Some(ended) => ended,
            None => end_of(&self.history)
                .map(|(output, failure)| (output.clone(), failure.clone()))
                .ok_or_else(|| damaged(row, "its history does not say how it ended"))?,
        };
        let record = OrchestrationRecord {
            name,
            component: self.component,
            execution_id: self.execution_id,
            status: self.status,
            input,
            output,
            failure,
            custom_status: self.custom_status,
            tags,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        Ok(StoredInstance::Orchestration { record, history: self.history })
    }
}

/// Checks that a history begins as histories begin.
pub(crate) fn check_beginning(row: Row<'_>, history: &[HistoryEvent]) -> Result<()> {
    match history.first().map(|event| &event.kind) {
        None
        | Some(
            EventKind::OrchestratorStarted
            | EventKind::ExecutionStarted { .. }
            | EventKind::ExecutionTerminated { .. },
        ) => Ok(()),
        Some(_) => Err(damaged(row, "its history begins in the middle of a turn")),
    }
}

/// What the first `ExecutionStarted` says.
fn start_of(history: &[HistoryEvent]) -> Option<(&FunctionName, &Payload, &Tags)> {
    history.iter().find_map(|event| match &event.kind {
        EventKind::ExecutionStarted { name, input, tags, .. } => Some((name, input, tags)),
        _ => None,
    })
}

/// What the last `ExecutionCompleted` says.
fn end_of(history: &[HistoryEvent]) -> Option<(&Option<Payload>, &Option<Failure>)> {
    history.iter().rev().find_map(|event| match &event.kind {
        EventKind::ExecutionCompleted { result, failure, .. } => Some((result, failure)),
        _ => None,
    })
}
