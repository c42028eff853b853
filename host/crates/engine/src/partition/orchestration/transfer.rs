//! An orchestration leaves for another host, or comes from one.
//!
//! What leaves is the record, the history, and what has come in that no turn has seen. What comes is
//! stored as it is; if it has not ended, what it waits for is asked for again: activities are sent, timers
//! armed, and events can come anyway. What only the other host can answer (an entity, a child, a lock,
//! a parent that waits) cannot be asked for again, so such an orchestration is refused.

use everstate_types::{
    DelayedKey, EventKind, ExecutionStart, InstanceId, Message, MessageBody, OrchestrationRecord,
    Payload,
};

use super::super::input::{Effects, Reply, ReplyTo, Transfer};
use super::super::slot::{Orchestration, OrchestrationSlot};
use super::super::{Moment, SlotTurn};
use super::events::completion;
use super::has_begun;
use super::open::{OpenKind, open_timers};
use crate::client::ExportedOrchestration;
use crate::commit::Change;
use crate::error::ClientError;
use crate::storage::OrchestrationRow;

impl<R: ReplyTo> OrchestrationSlot<R> {
    pub(super) fn transfer(
        &mut self,
        moment: Moment,
        transfer: Transfer<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match transfer {
            Transfer::Export { reply_to, .. } => {
                effects.replies.push((reply_to, Reply::Exported(self.export()), turn.gate()));
            }
            Transfer::Orchestration { exported, is_replacing, reply_to, .. } => {
                let reply = match self.import(moment, *exported, is_replacing, turn, effects) {
                    Ok(()) => Reply::Accepted,
                    Err(error) => Reply::Refused(error),
                };
                effects.replies.push((reply_to, reply, turn.gate()));
            }
            Transfer::Entity { reply_to, .. } => {
                let error = ClientError::InvalidArgument(format!("`{}` is no entity", turn.id));
                effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
            }
        }
    }

    /// All that another host needs to go on with it; `None`: there is none.
    fn export(&self) -> Option<Box<ExportedOrchestration>> {
        let state = self.state.as_ref()?;
        let running = self.running.iter().flat_map(|running| &running.messages);
        let mut waiting: Vec<EventKind> = Vec::new();
        for (_, body) in running.chain(&self.inbox) {
            for kind in tells(body) {
                let number = kind.completed_action();
                // A copy of a result counts once.
                let is_copy = number.is_some()
                    && waiting.iter().any(|told| told.completed_action() == number);
                if !is_copy {
                    waiting.push(kind);
                }
            }
        }
        let (record, history) = (state.record.clone(), state.history.to_vec());
        Some(Box::new(ExportedOrchestration { record, history, waiting }))
    }

    /// Takes the place of nothing, of what has ended, or of what runs if that is wanted.
    fn import(
        &mut self,
        moment: Moment,
        exported: ExportedOrchestration,
        is_replacing: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) -> Result<(), ClientError> {
        let ExportedOrchestration { record, history, waiting } = exported;
        let mut next = Orchestration::new(record, history);
        for kind in &waiting {
            next.open.forget(kind.completed_action());
        }
        if let Some(reason) = next.unanswerable() {
            let problem = format!("'{}' is not imported: {reason}.", turn.id);
            return Err(ClientError::Conflict(problem));
        }
        if let Some(status) = self.alive() {
            if !is_replacing {
                return Err(ClientError::AlreadyExists { instance_id: turn.id.clone(), status });
            }
            self.terminate(moment, None, false, turn, effects);
        }
        turn.mark_changed();
        let before = self.state.take();
        next.indexed = before.as_ref().and_then(|before| before.indexed.clone());
        let replaces = before.map(|before| before.record.execution_id);
        let events = next.history.to_vec();
        let row = OrchestrationRow { replaces, ..next.row(0, events) };
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.forgotten.push(turn.id.clone());
        if !next.record.status.is_finished() {
            if next.has_started {
                next.ask_again(turn.id, &[], None, effects);
                if next.awaits_proceed || !waiting.is_empty() {
                    effects.sent.push(next.proceed_as_is(turn.id, waiting));
                }
            } else {
                let start = start_of(&next.record, waiting);
                self.send_start(moment, start, turn.id, effects);
            }
        }
        self.state = Some(Box::new(next));
        Ok(())
    }
}

/// The names of the delayed messages that an orchestration has which comes from elsewhere: its timers, or
/// its start.
pub(crate) fn delayed_of(exported: &ExportedOrchestration) -> Vec<DelayedKey> {
    let ExportedOrchestration { record, history, waiting: _ } = exported;
    let mut delayed = open_timers(record, history);
    if !record.status.is_finished() && !has_begun(record, history) {
        let guid = record.execution_id.guid();
        delayed.extend(record.scheduled_start.map(|due| DelayedKey { due, guid }));
    }
    delayed
}

impl Orchestration {
    /// What it waits for that only the host can tell from which it comes.
    fn unanswerable(&self) -> Option<String> {
        if self.record.status.is_finished() {
            return None;
        }
        if let Some(parent) = &self.record.parent {
            return Some(format!("its parent '{}' waits for it", parent.instance_id));
        }
        if self.record.awaits_lock || self.section.is_some() {
            return Some("it holds locks, or has asked for some".to_owned());
        }
        self.open.in_order().into_iter().find_map(|(number, open)| match open.kind {
            OpenKind::Entity => {
                let asked = self.history.iter().find(|event| event.event_id == number);
                Some(match asked.map(|event| &event.kind) {
                    Some(EventKind::EntityOperationCalled { entity, operation, .. }) => {
                        format!("it waits for the operation '{operation}' of {entity}")
                    }
                    _ => "it waits for an entity".to_owned(),
                })
            }
            OpenKind::SubOrchestration(child) => Some(format!("it waits for its child '{child}'")),
            OpenKind::Lock => Some("it has asked for locks".to_owned()),
            OpenKind::Activity | OpenKind::Timer(_) => None,
        })
    }

    /// Lets a turn begin with these events, with the code that it is pinned to.
    fn proceed_as_is(&self, id: &InstanceId, events: Vec<EventKind>) -> Message {
        let body = self.proceed_with(self.record.component, events);
        Message { target: id.clone(), body }
    }
}

/// The start of an execution that has not begun, with what waits for it.
fn start_of(record: &OrchestrationRecord, waiting: Vec<EventKind>) -> ExecutionStart {
    let raised = |kind| match kind {
        EventKind::EventRaised { name, input } => Some((name, input)),
        _ => None,
    };
    let events: Vec<(String, Payload)> = waiting.into_iter().filter_map(raised).collect();
    ExecutionStart {
        name: record.name.clone(),
        execution_id: record.execution_id,
        component: record.component,
        input: record.input.clone(),
        tags: record.tags.clone(),
        parent: None,
        start_at: record.scheduled_start,
        events,
        is_recorded: true,
        trace: record.trace.clone(),
    }
}

/// The events that a message will become, but for the start itself.
fn tells(body: &MessageBody) -> Vec<EventKind> {
    match body {
        MessageBody::RaiseEvent { name, input } => {
            vec![EventKind::EventRaised { name: name.clone(), input: input.clone() }]
        }
        MessageBody::StartOrchestration(start) => {
            let raised = start.events.iter().map(|(name, input)| EventKind::EventRaised {
                name: name.clone(),
                input: input.clone(),
            });
            raised.collect()
        }
        MessageBody::Proceed { events, .. } => events.clone(),
        body => completion(body).into_iter().collect(),
    }
}
