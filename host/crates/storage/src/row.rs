//! What an orchestration's row holds: its record alone, with the history in chunks elsewhere, or
//! all of it in one value.
//!
//! An orchestration that starts and ends within one commit is one value, unless it failed. The
//! value is without what the record and the history both say: how the orchestration was started
//! stands in `ExecutionStarted`, its output and failure in `ExecutionCompleted`. Where they differ,
//! they are stored besides.

use everstate_engine::storage::OrchestrationRow;
use everstate_types::{
    ComponentHash, EventKind, ExecutionId, Failure, FunctionName, HistoryEvent,
    OrchestrationRecord, ParentInstance, Payload, RuntimeStatus, Tags, Timestamp, TraceContext,
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
    rewinds: u32,
    lock_epoch: u32,
    awaits_lock: bool,
    trace: &'a Option<Box<TraceContext>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    started: Option<StartToStore<'a>>,
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
    rewinds: u32,
    lock_epoch: u32,
    awaits_lock: bool,
    trace: Option<Box<TraceContext>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// `None`: as the first `ExecutionStarted` has them.
    started: Option<StoredStart>,
    /// `None`: as the last `ExecutionCompleted` has them.
    ended: Option<(Option<Payload>, Option<Failure>)>,
    history: Vec<HistoryEvent>,
}

/// See [`StoredStart`].
#[derive(PartialEq, Serialize)]
struct StartToStore<'a> {
    name: &'a FunctionName,
    input: &'a Payload,
    tags: &'a Tags,
    parent: &'a Option<ParentInstance>,
    scheduled_start: &'a Option<Timestamp>,
}

/// How an orchestration was started.
#[derive(Deserialize)]
struct StoredStart {
    name: FunctionName,
    input: Payload,
    tags: Tags,
    parent: Option<ParentInstance>,
    scheduled_start: Option<Timestamp>,
}

impl<'a> RowToStore<'a> {
    /// Decides how a row is stored. `history_len` counts what was stored before and what is added.
    pub(crate) fn new(row: &'a OrchestrationRow, history_len: u32) -> Self {
        let record = &row.record;
        // One that failed waits for nothing, but its history may still grow: results that come late
        // are kept for a rewind.
        let is_settled =
            matches!(record.status, RuntimeStatus::Completed | RuntimeStatus::Terminated);
        if row.history_stored > 0 || !is_settled {
            return Self::Chunked { record, history_len };
        }
        let start = StartToStore {
            name: &record.name,
            input: &record.input,
            tags: &record.tags,
            parent: &record.parent,
            scheduled_start: &record.scheduled_start,
        };
        let end = (&record.output, &record.failure);
        Self::Whole(WholeToStore {
            component: &record.component,
            execution_id: record.execution_id,
            status: record.status,
            custom_status: &record.custom_status,
            rewinds: record.rewinds,
            lock_epoch: record.lock_epoch,
            awaits_lock: record.awaits_lock,
            trace: &record.trace,
            created_at: record.created_at,
            updated_at: record.updated_at,
            started: (start_of(&row.events).as_ref() != Some(&start)).then_some(start),
            ended: (end_of(&row.events) != Some(end)).then_some(end),
            history: &row.events,
        })
    }
}

impl StoredRow {
    /// The record alone.
    pub(crate) fn into_record(self, row: Row<'_>) -> Result<OrchestrationRecord> {
        match self {
            Self::Chunked { record, .. } => Ok(record),
            Self::Whole(whole) => Ok(whole.into_parts(row)?.0),
        }
    }
}

impl StoredWhole {
    /// The record and the history.
    pub(crate) fn into_parts(
        self,
        row: Row<'_>,
    ) -> Result<(OrchestrationRecord, Vec<HistoryEvent>)> {
        check_beginning(row, &self.history)?;
        let start = match self.started {
            Some(start) => start,
            None => start_of(&self.history)
                .map(StartToStore::into_stored)
                .ok_or_else(|| damaged(row, "its history does not say how it started"))?,
        };
        let (output, failure) = match self.ended {
            Some(ended) => ended,
            None => end_of(&self.history)
                .map(|(output, failure)| (output.clone(), failure.clone()))
                .ok_or_else(|| damaged(row, "its history does not say how it ended"))?,
        };
        let record = OrchestrationRecord {
            name: start.name,
            component: self.component,
            execution_id: self.execution_id,
            status: self.status,
            input: start.input,
            output,
            failure,
            custom_status: self.custom_status,
            tags: start.tags,
            parent: start.parent,
            scheduled_start: start.scheduled_start,
            rewinds: self.rewinds,
            lock_epoch: self.lock_epoch,
            awaits_lock: self.awaits_lock,
            trace: self.trace,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        Ok((record, self.history))
    }
}

impl StartToStore<'_> {
    fn into_stored(self) -> StoredStart {
        StoredStart {
            name: self.name.clone(),
            input: self.input.clone(),
            tags: self.tags.clone(),
            parent: self.parent.clone(),
            scheduled_start: *self.scheduled_start,
        }
    }
}

/// Checks that a history begins as histories begin: with a turn, or with what came from outside
/// before the first turn.
pub(crate) fn check_beginning(row: Row<'_>, history: &[HistoryEvent]) -> Result<()> {
    match history.first().map(|event| &event.kind) {
        None
        | Some(
            EventKind::OrchestratorStarted
            | EventKind::ExecutionStarted { .. }
            | EventKind::ExecutionTerminated { .. }
            | EventKind::ExecutionSuspended { .. }
            | EventKind::ExecutionResumed { .. }
            | EventKind::ExecutionRewound { .. }
            | EventKind::EventRaised { .. },
        ) => Ok(()),
        Some(_) => Err(damaged(row, "its history begins in the middle of a turn")),
    }
}

/// What the first `ExecutionStarted` says.
fn start_of(history: &[HistoryEvent]) -> Option<StartToStore<'_>> {
    history.iter().find_map(|event| match &event.kind {
        EventKind::ExecutionStarted { name, input, tags, parent, scheduled_start, version: _ } => {
            Some(StartToStore { name, input, tags, parent, scheduled_start })
        }
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
