//! What the engine knows of why an orchestration waits: how it is stopped, what it has asked for and not
//! been told, what it holds. Which of that its code waits for, the guest knows.

use std::collections::HashMap;
use std::sync::Arc;

use everstate_types::{
    EntityId, EventKind, HistoryEvent, InstanceId, RequestId, RuntimeStatus, Timestamp,
};

use super::super::Moment;
use super::super::slot::{Orchestration, OrchestrationSlot, RunningTurn};
use super::open::{OpenAction, OpenKind};
use crate::explain::{Reason, ReasonKind};
use crate::guest::OrchestrationWorkItem;

/// What a partition knows of why an orchestration waits.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Where it is in its life.
    pub status: RuntimeStatus,
    /// When it last changed.
    pub since: Timestamp,
    /// What stops it, whatever its code waits for.
    pub reasons: Vec<Reason>,
    /// What it has asked for and not been told, in the order in which it was asked for.
    pub open: Vec<OpenReason>,
    /// The lock that it has asked for and not been granted.
    pub lock_sought: Option<SoughtLock>,
    /// The request with which it holds entities, and these.
    pub locks_held: Option<SoughtLock>,
    /// To ask the guest what it waits for: the history, and nothing new. `None`: it would not tell.
    pub replay: Option<OrchestrationWorkItem>,
}

/// Something that was asked for and not told.
#[derive(Clone, Debug)]
pub struct OpenReason {
    /// The number of the action.
    pub number: i32,
    /// What it is.
    pub reason: Reason,
    /// Names the work of an activity.
    pub idempotency_key: Option<RequestId>,
}

/// A request for a lock and its entities, in the order in which they are taken.
#[derive(Clone, Debug)]
pub struct SoughtLock {
    /// The request.
    pub request_id: RequestId,
    /// The entities.
    pub entities: Vec<EntityId>,
}

/// Something that was asked for.
struct Asked<'a> {
    event: &'a HistoryEvent,
    /// How often the execution had been rewound then.
    rewinds: u32,
}

impl<R> OrchestrationSlot<R> {
    pub(super) fn explain(&self, moment: Moment, id: &InstanceId) -> Option<Box<Explained>> {
        let state = self.state.as_deref()?;
        let record = &state.record;
        let mut explained = Explained {
            status: record.status,
            since: record.updated_at,
            reasons: Vec::new(),
            open: Vec::new(),
            lock_sought: None,
            locks_held: None,
            replay: None,
        };
        if !record.status.is_finished() {
            explained.reasons = state.stops(moment, self.running.as_ref());
            explained.open = state.open_reasons();
            let locks = state.section_locks();
            match state.holds_its_section() {
                true => explained.locks_held = locks,
                false => explained.lock_sought = locks,
            }
            let is_asked = self.running.is_none()
                && state.has_started
                && !state.awaits_proceed
                && record.failure.is_none();
            explained.replay = is_asked.then(|| state.replay_item(id)).flatten();
        }
        Some(Box::new(explained))
    }
}

impl Orchestration {
    /// What keeps the execution from going on, whatever comes in.
    fn stops(&self, moment: Moment, running: Option<&RunningTurn>) -> Vec<Reason> {
        let record = &self.record;
        let mut reasons = Vec::new();
        if record.status == RuntimeStatus::Suspended {
            let (since, reason) = self.last_suspension();
            reasons.push(match &record.failure {
                Some(failure) => Reason::new(ReasonKind::NotFitting, since)
                    .with_message(failure.error_message.clone()),
                None => Reason { message: reason, ..Reason::new(ReasonKind::Suspended, since) },
            });
        } else if self.awaits_proceed {
            reasons.push(Reason::new(ReasonKind::NewestCode, record.updated_at));
        }
        if record.awaits_lock {
            reasons.push(
                Reason::new(ReasonKind::Lock, record.updated_at)
                    .with_message("It takes the lock again that it held when it stopped."),
            );
        }
        let scheduled = record.scheduled_start.filter(|due| *due > moment.now);
        match (running, scheduled) {
            (Some(running), _) => {
                let since = running.new_events.first().map_or(moment.now, |event| event.timestamp);
                reasons.push(Reason::new(ReasonKind::Turn, since));
            }
            (None, _) if self.has_started => {}
            (None, Some(due)) => {
                let reason = Reason::new(ReasonKind::ScheduledStart, record.created_at);
                reasons.push(Reason { due: Some(due), ..reason });
            }
            (None, None) => reasons.push(Reason::new(ReasonKind::Start, record.updated_at)),
        }
        reasons
    }

    /// When it was stopped, and why.
    fn last_suspension(&self) -> (Timestamp, Option<String>) {
        let stopped = self.history.iter().rev().find_map(|event| match &event.kind {
            EventKind::ExecutionSuspended { reason } => Some((event.timestamp, reason.clone())),
            _ => None,
        });
        stopped.unwrap_or((self.record.updated_at, None))
    }

    fn open_reasons(&self) -> Vec<OpenReason> {
        let open = self.open.in_order();
        if open.is_empty() {
            return Vec::new();
        }
        // The lane waits for this: the history is gone through once, however much is open.
        let asked = self.asked();
        let open = open.into_iter();
        open.filter_map(|(number, open)| self.open_reason(number, &open, &asked)).collect()
    }

    fn open_reason(
        &self,
        number: i32,
        open: &OpenAction,
        all_asked: &HashMap<i32, Asked<'_>>,
    ) -> Option<OpenReason> {
        let asked = all_asked.get(&number)?.event;
        let reason = |kind| Reason::new(kind, asked.timestamp);
        let mut idempotency_key = None;
        let reason = match (&open.kind, &asked.kind) {
            (_, EventKind::ActivityScheduled { name, first_attempt, attempt, .. }) => {
                let number = first_attempt.unwrap_or(number);
                let rewinds =
                    all_asked.get(&number).map_or(self.record.rewinds, |first| first.rewinds);
                idempotency_key = Some(self.record.execution_id.request_guid(number, rewinds));
                let message = (*attempt > 1).then(|| format!("It is attempt {attempt}."));
                Reason { name: Some(name.to_string()), message, ..reason(ReasonKind::Activity) }
            }
            (
                OpenKind::SubOrchestration(child),
                EventKind::SubOrchestrationCreated { name, .. },
            ) => Reason {
                name: Some(name.to_string()),
                instance_id: Some(child.clone()),
                ..reason(ReasonKind::SubOrchestration)
            },
            (_, EventKind::EntityOperationCalled { entity, operation, .. }) => Reason {
                name: Some(operation.clone()),
                entity: Some(entity.clone()),
                ..reason(ReasonKind::Entity)
            },
            (OpenKind::Timer(due), _) => Reason { due: Some(*due), ..reason(ReasonKind::Timer) },
            (OpenKind::Lock, _) => reason(ReasonKind::Lock),
            _ => return None,
        };
        Some(OpenReason { number, reason, idempotency_key })
    }

    /// All that was ever asked for, by its number.
    fn asked(&self) -> HashMap<i32, Asked<'_>> {
        let (mut asked, mut rewinds) = (HashMap::new(), 0);
        for event in self.history.iter() {
            asked.entry(event.event_id).or_insert(Asked { event, rewinds });
            rewinds += u32::from(matches!(event.kind, EventKind::ExecutionRewound { .. }));
        }
        asked
    }

    /// The request for the section that is open, and its entities.
    fn section_locks(&self) -> Option<SoughtLock> {
        let section = self.section.as_ref()?;
        let (request_id, entities) = (self.lock_guid(section.number), section.entities.clone());
        Some(SoughtLock { request_id, entities })
    }

    fn holds_its_section(&self) -> bool {
        let is_granted = self.section.as_ref().is_some_and(|section| section.is_granted);
        is_granted && !self.record.awaits_lock && self.record.failure.is_none()
    }

    fn replay_item(&self, id: &InstanceId) -> Option<OrchestrationWorkItem> {
        let parent = self.record.parent.as_ref();
        Some(OrchestrationWorkItem {
            instance_id: id.clone(),
            execution_id: self.record.execution_id,
            name: self.record.name.clone(),
            component: self.record.component?,
            parent_instance_id: parent.map(|parent| parent.instance_id.clone()),
            tags: self.record.tags.clone(),
            trace_id: self.record.trace.as_ref().map(|trace| trace.trace_id),
            history: Arc::clone(&self.history),
            new_events: Arc::default(),
        })
    }
}
