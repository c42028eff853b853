//! How an execution ends, and what follows an end: timers are taken back, the parent is told, children
//! are terminated if that was asked for, and waiters are answered. Whichever way an orchestration
//! ends, it comes by here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use everstate_types::{
    DelayedKey, EventKind, ExecutionStart, Failure, HistoryEvent, InstanceId, Message, MessageBody,
    MessageKey, OrchestrationStatus, ParentInstance, Payload, RuntimeStatus,
};

use super::super::input::{Effects, Fact, ReplyTo, Stopped};
use super::super::slot::{Orchestration, OrchestrationSlot, RunningTurn};
use super::super::{Moment, SlotTurn};
use super::actions::start_message;
use super::events::Ending;
use super::open::OpenActions;
use super::section::Section;
use crate::clock::ExactTime;
use crate::commit::Change;
use crate::error::ClientError;
use crate::storage::OrchestrationRow;
use crate::trace::execution_span;

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// Adds a turn to the history, and ends the execution if that is how the turn ended.
    pub(super) fn record_turn(
        &mut self,
        moment: Moment,
        status: RuntimeStatus,
        ending: Option<Ending>,
        mut events: Vec<HistoryEvent>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        let now = state.record.updated_at.max(moment.now);
        if let Some(ending) = ending {
            events.push(state.end(now, ending));
        }
        events.push(HistoryEvent::new(now, EventKind::OrchestratorCompleted));
        state.record.status = status;
        let row = state.append(events);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        if status.is_finished() {
            self.finish(moment, false, turn, effects);
        }
    }

    /// Ends the execution now, whatever it is doing.
    pub(super) fn terminate(
        &mut self,
        moment: Moment,
        reason: Option<Payload>,
        recurse: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let running = self.running.take();
        let Some(state) = self.state.as_mut() else { return };
        turn.mark_changed();
        let messages = running.into_iter().flat_map(|running| running.messages);
        effects.changes.extend(messages.map(|(key, _)| Change::Consumed(key)));
        let now = moment.now.max(state.record.updated_at);
        let terminated = EventKind::ExecutionTerminated { reason: reason.clone(), recurse };
        let ending = (OrchestrationStatus::Terminated, reason, None);
        let events = vec![HistoryEvent::new(now, terminated), state.end(now, ending)];
        state.record.status = RuntimeStatus::Terminated;
        state.record.failure = None;
        let row = state.append(events);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.forgotten.push(turn.id.clone());
        self.finish(moment, recurse, turn, effects);
        self.answer_waiters(turn, effects);
        self.apply_deferred(moment, turn, effects);
    }

    /// What follows an end. The record and the history have it already.
    fn finish(
        &mut self,
        moment: Moment,
        recurse: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let late: Vec<_> = self.inbox.drain(..).collect();
        let Some(state) = self.state.as_mut() else { return };
        state.abandon(effects);
        let status = state.record.status;
        effects.facts.push(state.ended(moment, turn.id, Some(status)));
        if let Some(parent) = &state.record.parent {
            effects.sent.push(child_result(parent, state.result()));
        }
        if recurse {
            for (number, guid, child) in state.open.children() {
                let parent = Box::new(state.as_parent(turn.id, number, guid));
                let reason = state.record.output.clone();
                let body = MessageBody::Terminate { reason, parent };
                effects.sent.push(Message { target: child, body });
            }
        }
        if state.record.status != RuntimeStatus::Failed {
            state.open = OpenActions::default();
        }
        for (key, body) in late {
            self.keep_late_result(moment, &body, turn, effects);
            effects.changes.push(Change::Consumed(key));
        }
    }

    /// Puts the next generation in the place of this one.
    pub(super) fn continue_as_new(
        &mut self,
        moment: Moment,
        input: Payload,
        events: Vec<(String, Payload)>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(before) = self.state.as_mut() else { return };
        before.abandon(effects);
        effects.facts.push(before.ended(moment, turn.id, None));
        let mut record = before.record.clone();
        let replaced = record.execution_id;
        record.execution_id = replaced.next_generation();
        record.status = RuntimeStatus::Running;
        record.input = input.clone();
        record.scheduled_start = None;
        record.rewinds = 0;
        record.lock_epoch = 0;
        record.awaits_lock = false;
        record.updated_at = record.updated_at.max(moment.now);
        let start = ExecutionStart {
            name: record.name.clone(),
            execution_id: record.execution_id,
            component: None,
            input,
            tags: record.tags.clone(),
            parent: record.parent.clone(),
            start_at: None,
            events,
            is_recorded: true,
            trace: record.trace.clone(),
        };
        let indexed = before.indexed.take();
        let mut next = Orchestration { indexed, ..Orchestration::new(record, Vec::new()) };
        let row = OrchestrationRow { replaces: Some(replaced), ..next.row(0, Vec::new()) };
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.sent.push(start_message(turn.id.clone(), start));
        **before = next;
    }

    /// Stops an orchestration whose code does not follow its history. The turn is undone: its
    /// messages wait for code that fits.
    pub(super) fn stop_diverged(
        &mut self,
        moment: Moment,
        running: RunningTurn,
        failure: Failure,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        for message in running.messages.into_iter().rev() {
            self.inbox.push_front(message);
        }
        state.section = Section::of(&state.history);
        state.release_lock(effects);
        state.record.lock_epoch += 1;
        state.record.awaits_lock = state.section.as_ref().is_some_and(|held| held.is_granted);
        state.open = OpenActions::of(&state.record, &state.history);
        state.has_started = state.has_begun();
        state.record.status = RuntimeStatus::Suspended;
        state.record.updated_at = moment.now.max(state.record.updated_at);
        let reason = Some(failure.error_message.clone());
        state.record.failure = Some(failure);
        let kind = EventKind::ExecutionSuspended { reason };
        let row = state.append(vec![HistoryEvent::new(state.record.updated_at, kind)]);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.forgotten.push(turn.id.clone());
        effects.stopped.push(Stopped {
            instance_id: turn.id.clone(),
            name: state.record.name.clone(),
            component: state.record.component,
        });
    }
}

impl Orchestration {
    /// Writes down how the execution ended; gives the event that says so.
    fn end(&mut self, now: everstate_types::Timestamp, ending: Ending) -> HistoryEvent {
        let (status, result, failure) = ending;
        self.record.output.clone_from(&result);
        self.record.failure.clone_from(&failure);
        let kind = EventKind::ExecutionCompleted { status, result, failure };
        HistoryEvent::of_action(self.next_action, now, kind)
    }

    /// What is told of the end; `status` is `None` if a next generation follows.
    fn ended(&self, moment: Moment, id: &InstanceId, status: Option<RuntimeStatus>) -> Fact {
        let name = self.record.name.clone();
        let span = moment.exact.filter(|_| self.record.trace.is_some()).and_then(|now| {
            let told = status.map_or("ContinuedAsNew".to_owned(), |status| status.to_string());
            execution_span(id, &self.record, (self.span_start(), now), &told)
        });
        Fact::Ended { name, status, span: span.map(Box::new) }
    }

    /// When the span of the execution began. A rewound one is another span from there on.
    fn span_start(&self) -> ExactTime {
        let is_rewound = self.record.rewinds > 0;
        if let Some(begun) = self.begun.filter(|_| !is_rewound) {
            return begun;
        }
        let is_rewind = |event: &&HistoryEvent| {
            is_rewound && matches!(event.kind, EventKind::ExecutionRewound { .. })
        };
        let first = self.history.iter().rfind(is_rewind).or(self.history.first());
        first.map_or(self.record.created_at, |event| event.timestamp).into()
    }

    /// Adds events to the history; gives what is to be stored.
    pub(super) fn append(&mut self, events: Vec<HistoryEvent>) -> OrchestrationRow {
        if let Some(last) = events.last() {
            self.record.updated_at = self.record.updated_at.max(last.timestamp);
        }
        let history_stored = self.history.len();
        Arc::make_mut(&mut self.history).extend_from_slice(&events);
        self.row(history_stored, events)
    }

    /// Gives up on what only this execution waits for, and gives back what it holds.
    fn abandon<R>(&mut self, effects: &mut Effects<R>) {
        self.is_abandoned.store(true, Ordering::Relaxed);
        self.release_lock(effects);
        self.section = None;
        self.open.cancel_timers(&mut effects.changes);
        if let Some(due) = self.record.scheduled_start.filter(|_| !self.has_started) {
            let guid = self.record.execution_id.guid();
            let key = MessageKey::Delayed(DelayedKey { due, guid });
            effects.changes.push(Change::Consumed(key));
        }
    }

    /// What a parent is told of the end.
    pub(super) fn result(&self) -> Result<Payload, Box<Failure>> {
        let record = &self.record;
        match record.status {
            RuntimeStatus::Completed => Ok(record.output.clone().unwrap_or_else(Payload::null)),
            RuntimeStatus::Terminated => {
                let reason = record.output.as_ref().map_or("null", Payload::as_str);
                let message = format!("The orchestration was terminated: {reason}");
                Err(Box::new(Failure::new("OrchestrationTerminated", message)))
            }
            _ => {
                let unknown = || Failure::new("Unknown", "the orchestration did not say why");
                Err(Box::new(record.failure.clone().unwrap_or_else(unknown)))
            }
        }
    }
}

/// Tells a parent how its child ended.
pub(super) fn child_result(
    parent: &ParentInstance,
    result: Result<Payload, Box<Failure>>,
) -> Message {
    Message {
        target: parent.instance_id.clone(),
        body: MessageBody::SubOrchestrationResult {
            execution_id: parent.execution_id,
            scheduled_id: parent.scheduled_id,
            request_id: parent.request_id,
            result,
        },
    }
}

/// Tells a parent that its child cannot be started: the id is alive.
pub(super) fn refuse_start<R>(
    start: &ExecutionStart,
    status: RuntimeStatus,
    id: &InstanceId,
    effects: &mut Effects<R>,
) {
    let error = ClientError::AlreadyExists { instance_id: id.clone(), status };
    match &start.parent {
        Some(parent) => {
            let failure = Failure::new("InstanceAlreadyExists", error.to_string());
            effects.sent.push(child_result(parent, Err(Box::new(failure))));
        }
        None => tracing::warn!(instance = %id, function = %start.name, "not started: {error}"),
    }
}
