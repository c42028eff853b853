//! What comes in becomes events of the next turn; and how a turn's result becomes an end.

use everstate_types::{
    EventKind, ExecutionStart, Failure, FunctionName, HistoryEvent, MessageBody, MessageKey,
    OrchestrationStatus, Payload, RequestId, RuntimeStatus, Timestamp,
};

use super::super::Moment;
use super::super::SlotTurn;
use super::super::input::{Effects, ReplyTo};
use super::super::slot::{Orchestration, OrchestrationSlot};
use crate::commit::Change;
use crate::guest::OrchestrationResult;

/// How an execution ends: the status in its history, its output, and why it failed.
pub(super) type Ending = (OrchestrationStatus, Option<Payload>, Option<Failure>);

/// Where an orchestration is after a turn with this result.
pub(super) fn ending_of(result: OrchestrationResult) -> (RuntimeStatus, Option<Ending>) {
    match result {
        OrchestrationResult::Completed(output) => {
            let ending = (OrchestrationStatus::Completed, Some(output), None);
            (RuntimeStatus::Completed, Some(ending))
        }
        OrchestrationResult::Failed(failure) => {
            (RuntimeStatus::Failed, Some((OrchestrationStatus::Failed, None, Some(failure))))
        }
        // What continues as new or diverges does not come here.
        OrchestrationResult::Waiting
        | OrchestrationResult::ContinuedAsNew { .. }
        | OrchestrationResult::Diverged(_) => (RuntimeStatus::Running, None),
    }
}

/// The failure of an orchestration whose orchestrator nobody has.
pub(super) fn function_not_found(name: &FunctionName) -> Failure {
    let message = format!(
        "The function '{name}' doesn't exist, is disabled, or is not an orchestrator function."
    );
    Failure::new("FunctionNotFound", message).non_retriable()
}

/// Which action a result belongs to: its execution, number and GUID.
fn result_of(body: &MessageBody) -> Option<(everstate_types::ExecutionId, i32, RequestId)> {
    match body {
        MessageBody::EntityReply { execution_id, scheduled_id, request_id, .. }
        | MessageBody::ActivityResult { execution_id, scheduled_id, request_id, .. }
        | MessageBody::SubOrchestrationResult { execution_id, scheduled_id, request_id, .. }
        | MessageBody::LockReply { execution_id, scheduled_id, request_id, .. }
        | MessageBody::TimerFired { execution_id, timer_id: scheduled_id, request_id, .. } => {
            Some((*execution_id, *scheduled_id, *request_id))
        }
        _ => None,
    }
}

/// The event that tells a result.
pub(super) fn completion(body: &MessageBody) -> Option<EventKind> {
    let kind = match body {
        MessageBody::EntityReply { scheduled_id, request_id, result, .. } => {
            let (scheduled_id, request_id) = (*scheduled_id, *request_id);
            match result.clone() {
                Ok(output) => {
                    EventKind::EntityOperationCompleted { scheduled_id, request_id, output }
                }
                Err(failure) => {
                    let failure = *failure;
                    EventKind::EntityOperationFailed { scheduled_id, request_id, failure }
                }
            }
        }
        MessageBody::ActivityResult { scheduled_id, result, .. } => {
            let scheduled_id = *scheduled_id;
            match result.clone() {
                Ok(result) => EventKind::ActivityCompleted { scheduled_id, result },
                Err(failure) => EventKind::ActivityFailed { scheduled_id, failure: *failure },
            }
        }
        MessageBody::SubOrchestrationResult { scheduled_id, result, .. } => {
            let scheduled_id = *scheduled_id;
            match result.clone() {
                Ok(result) => EventKind::SubOrchestrationCompleted { scheduled_id, result },
                Err(failure) => {
                    EventKind::SubOrchestrationFailed { scheduled_id, failure: *failure }
                }
            }
        }
        MessageBody::TimerFired { timer_id, fire_at, .. } => {
            EventKind::TimerFired { timer_id: *timer_id, fire_at: *fire_at }
        }
        MessageBody::LockReply { scheduled_id, request_id, result, .. } => {
            let (scheduled_id, request_id) = (*scheduled_id, *request_id);
            match result.clone() {
                Ok(()) => {
                    EventKind::EntityLockGranted { scheduled_id, critical_section_id: request_id }
                }
                Err(failure) => {
                    let failure = *failure;
                    EventKind::EntityOperationFailed { scheduled_id, request_id, failure }
                }
            }
        }
        _ => return None,
    };
    Some(kind)
}

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// A failed orchestration keeps the results that come after its end: a rewind takes them up.
    pub(super) fn keep_late_result(
        &mut self,
        moment: Moment,
        body: &MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        let is_kept = state.record.status == RuntimeStatus::Failed && state.awaits_result(body);
        // A lock is given back with the end, and taken again by a rewind.
        if !is_kept || matches!(body, MessageBody::LockReply { .. }) {
            return;
        }
        let Some(kind) = state.take_result(body) else { return };
        let now = moment.now.max(state.record.updated_at);
        let row = state.append(vec![HistoryEvent::new(now, kind)]);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
    }
}

impl Orchestration {
    /// Whether this is a result that the execution waits for.
    pub(super) fn awaits_result(&self, body: &MessageBody) -> bool {
        result_of(body).is_some_and(|(execution_id, number, request_id)| {
            execution_id == self.record.execution_id && self.open.awaits(number, request_id)
        })
    }

    /// The event of a result, which is waited for no more.
    fn take_result(&mut self, body: &MessageBody) -> Option<EventKind> {
        let (_, number, request_id) = result_of(body)?;
        self.open.take(number, request_id)?;
        let kind = completion(body)?;
        if let Some(section) = &mut self.section {
            section.is_granted |= section.is_granted_by(&kind);
        }
        self.section.take_if(|section| section.is_refused_by(&kind));
        Some(kind)
    }

    /// The events of a turn that takes up these messages.
    pub(super) fn events_of(
        &mut self,
        moment: Moment,
        messages: &[(MessageKey, MessageBody)],
    ) -> Vec<HistoryEvent> {
        let mut now = moment.now.max(self.record.updated_at);
        for (_, body) in messages {
            // Whatever the clock of the machine does: nothing happens before it is due.
            match body {
                MessageBody::TimerFired { fire_at, .. } => now = now.max(*fire_at),
                MessageBody::StartOrchestration(start) => {
                    now = now.max(start.start_at.unwrap_or(now));
                }
                _ => {}
            }
        }
        let mut events = Vec::with_capacity(messages.len() + 1);
        events.push(HistoryEvent::new(now, EventKind::OrchestratorStarted));
        for (_, body) in messages {
            self.push_events(now, body, &mut events);
        }
        events
    }

    /// The events that a message becomes; none if it is a copy of one in the same turn.
    fn push_events(&mut self, now: Timestamp, body: &MessageBody, events: &mut Vec<HistoryEvent>) {
        let mut push = |kind| events.push(HistoryEvent::new(now, kind));
        match body {
            MessageBody::StartOrchestration(start) => {
                self.has_started = true;
                // The newest code, and how it writes the name, is known only where the start was delivered.
                self.record.component = start.component.or(self.record.component);
                self.record.name.clone_from(&start.name);
                started_events(start).for_each(push);
            }
            MessageBody::RaiseEvent { name, input } => {
                push(EventKind::EventRaised { name: name.clone(), input: input.clone() });
            }
            MessageBody::Proceed { component, events: first, .. } => {
                self.record.component = component.or(self.record.component);
                self.record.failure = None;
                for kind in first {
                    self.open.forget(kind.completed_action());
                    push(kind.clone());
                }
            }
            body => {
                if let Some(kind) = self.take_result(body) {
                    push(kind);
                }
            }
        }
    }
}

fn started_events(start: &ExecutionStart) -> impl Iterator<Item = EventKind> {
    let started = EventKind::ExecutionStarted {
        name: start.name.clone(),
        version: None,
        input: start.input.clone(),
        parent: start.parent.clone(),
        tags: start.tags.clone(),
        scheduled_start: start.start_at,
    };
    let raised = start
        .events
        .iter()
        .map(|(name, input)| EventKind::EventRaised { name: name.clone(), input: input.clone() });
    std::iter::once(started).chain(raised)
}
