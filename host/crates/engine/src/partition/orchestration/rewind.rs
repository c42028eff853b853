//! A rewind: a failed execution goes back to where it was before it learned of the last failure, and
//! what failed is done again.
//!
//! The history is cut before the turn that brought the failure of an activity, a child or an entity which
//! the execution failed with, or before the last turn, if the orchestrator itself failed. A failure
//! that the orchestrator has survived is part of what is kept. Results that came in the cut part and
//! belong to what was asked for before it are kept too: they come again at the beginning of the next
//! turn. What was asked for in the cut part is forgotten; its results, should they come, carry another
//! GUID than what will be asked for under the same numbers.
//!
//! A lock that is held where the history was cut, or asked for, is asked for again; nothing runs
//! before it is held, calls that are done again included. Others may have changed the entities meanwhile.
//!
//! The execution id stays, so that GUIDs and random numbers of the kept turns are the same.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use everstate_types::{
    ComponentHash, EventKind, ExecutionId, ExecutionStart, Failure, HistoryEvent, InstanceId,
    Message, MessageBody, MessageKey, RequestId, RewindChild, RuntimeStatus,
};

use super::super::input::{Effects, ReplyTo};
use super::super::slot::{Orchestration, OrchestrationSlot};
use super::super::{Moment, SlotTurn};
use super::actions::{ActivityCall, child_start, start_message};
use super::open::{OpenActions, OpenKind};
use super::section::Section;
use super::{ending, next_action};
use crate::commit::Change;
use crate::storage::OrchestrationRow;

/// A history that was cut.
struct Cut {
    /// What stays.
    kept: Vec<HistoryEvent>,
    /// What comes again in the next turn.
    carried: Vec<EventKind>,
    /// The numbers of the actions that failed and are done again.
    failed: Vec<i32>,
}

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// Rewinds an execution that has failed.
    pub(super) fn rewind(
        &mut self,
        moment: Moment,
        reason: Option<String>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        turn.mark_changed();
        let execution_id = state.record.execution_id;
        let cut = cut(&state.history);
        state.record.rewinds += 1;
        state.record.lock_epoch += 1;
        state.section = Section::of(&cut.kept);
        state.record.awaits_lock = state.section.as_ref().is_some_and(|held| held.is_granted);
        let mut open = OpenActions::of(&state.record, &cut.kept);
        for kind in &cut.carried {
            open.forget(kind.completed_action());
        }
        state.record.status = RuntimeStatus::Running;
        state.record.failure = None;
        state.record.updated_at = moment.now.max(state.record.updated_at);
        state.next_action = next_action(&cut.kept);
        state.history = Arc::new(cut.kept);
        state.open = open;
        state.is_abandoned = Arc::new(AtomicBool::new(false));
        state.awaits_proceed = true;
        state.ask_again(turn.id, &cut.failed, reason.as_deref(), effects);
        state.request_lock(turn.id, effects);
        let events = std::iter::once(EventKind::ExecutionRewound { reason }).chain(cut.carried);
        effects.sent.push(state.proceed(turn.id, events.collect()));
        let events = state.history.to_vec();
        let row = OrchestrationRow { replaces: Some(execution_id), ..state.row(0, events) };
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.forgotten.push(turn.id.clone());
    }

    /// Does what the rewound parent wants: goes on, rewinds, tells its result again, or begins anew.
    pub(super) fn rewind_as_child(
        &mut self,
        moment: Moment,
        order: RewindChild,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let RewindChild { reason, start } = order;
        let is_child = start.parent.as_ref().is_some_and(|parent| self.is_child_of(parent));
        let status = self.state.as_ref().map(|state| state.record.status);
        match status {
            Some(RuntimeStatus::Failed) if is_child => self.rewind(moment, reason, turn, effects),
            Some(RuntimeStatus::Completed) if is_child => {
                let Some(state) = &self.state else { return };
                if let Some(parent) = &state.record.parent {
                    effects.sent.push(ending::child_result(parent, state.result()));
                }
            }
            // It tells its parent when it ends.
            Some(status) if is_child && !status.is_finished() => {}
            // The start finds out whether the id is free.
            _ => effects.sent.push(start_message(turn.id.clone(), start)),
        }
    }

    /// Takes a call of its own that has to be done again: when the lock is back.
    pub(super) fn take_own_call(
        &mut self,
        key: MessageKey,
        call: MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let awaits_lock =
            |state: &Orchestration| state.record.awaits_lock && !state.record.status.is_finished();
        if self.state.as_deref().is_some_and(awaits_lock) {
            return self.inbox.push_back((key, call));
        }
        super::consume(key, turn, effects);
        let entity = self.state.as_ref().and_then(|state| state.called_entity(&call));
        effects.sent.extend(entity.map(|target| Message { target, body: call }));
    }

    /// Finds the newest code once more for what has waited for its lock to go on: the code that was the
    /// newest when it began to wait may be none that fits, and nobody would try again.
    pub(super) fn look_for_newer_code(&mut self, id: &InstanceId, effects: &mut Effects<R>) {
        let is_proceed =
            |(_, body): &(MessageKey, MessageBody)| matches!(body, MessageBody::Proceed { .. });
        if let Some(state) = self.state.as_mut()
            && self.inbox.iter().any(is_proceed)
        {
            state.awaits_proceed = true;
            effects.sent.push(state.proceed(id, Vec::new()));
        }
    }

    /// Sends the calls that have waited for the lock.
    pub(super) fn send_own_calls(&mut self, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        let is_call = |(_, body): &(MessageKey, MessageBody)| {
            matches!(body, MessageBody::EntityOperation { .. })
        };
        let (calls, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.inbox).into_iter().partition(is_call);
        self.inbox = others;
        for (key, call) in calls {
            self.take_own_call(key, call, turn, effects);
        }
    }
}

impl Orchestration {
    /// Lets turns begin again with the newest code, which is found when this is delivered.
    pub(super) fn proceed(&self, id: &InstanceId, events: Vec<EventKind>) -> Message {
        Message { target: id.clone(), body: self.proceed_with(None, events) }
    }

    /// The same with this code.
    pub(super) fn proceed_with(
        &self,
        component: Option<ComponentHash>,
        events: Vec<EventKind>,
    ) -> MessageBody {
        MessageBody::Proceed {
            execution_id: self.record.execution_id,
            name: self.record.name.clone(),
            component,
            events,
        }
    }

    /// The entity that a call of the execution goes to, if somebody waits for its result.
    fn called_entity(&self, call: &MessageBody) -> Option<InstanceId> {
        let MessageBody::EntityOperation { request_id, reply_to: Some(reply_to), .. } = call else {
            return None;
        };
        let number = reply_to.scheduled_id;
        let is_awaited = reply_to.execution_id == self.record.execution_id
            && !self.record.status.is_finished()
            && self.open.awaits(number, *request_id);
        let asked = self.history.iter().find(|event| event.event_id == number)?;
        match &asked.kind {
            EventKind::EntityOperationCalled { entity, .. } if is_awaited => {
                Some(entity.instance_id())
            }
            _ => None,
        }
    }

    /// Has done again what is open and nobody is doing any more.
    pub(super) fn ask_again<R>(
        &self,
        id: &InstanceId,
        failed: &[i32],
        reason: Option<&str>,
        effects: &mut Effects<R>,
    ) {
        let recorded: HashMap<i32, &HistoryEvent> =
            self.history.iter().map(|event| (event.event_id, event)).collect();
        for (number, open) in self.open.in_order() {
            let request_id = open.request_id;
            let Some(asked) = recorded.get(&number) else { continue };
            match (&asked.kind, open.kind) {
                (
                    EventKind::ActivityScheduled {
                        name, input, tags, first_attempt, attempt, ..
                    },
                    _,
                ) => {
                    let call = ActivityCall {
                        name: name.clone(),
                        input: input.clone(),
                        tags: tags.clone(),
                        first_attempt: *first_attempt,
                        attempt: *attempt,
                    };
                    effects.sent.push(self.activity_message(id, number, request_id, &call));
                }
                (EventKind::SubOrchestrationCreated { instance_id, .. }, _) => {
                    let start = self.child_again(id, number, request_id, &asked.kind);
                    let Some(start) = start else { continue };
                    let order = RewindChild { reason: reason.map(str::to_owned), start };
                    let body = MessageBody::Rewind(Box::new(order));
                    effects.sent.push(Message { target: instance_id.clone(), body });
                }
                // A call that has not failed is still under way, and must not be done twice.
                (EventKind::EntityOperationCalled { entity, operation, input, .. }, _)
                    if failed.contains(&number) =>
                {
                    let call = (entity, operation.as_str(), input.as_ref());
                    let mut message = self.entity_call_message(id, number, request_id, call);
                    if self.record.awaits_lock {
                        // It is a call of a critical section: it waits here until the lock is back.
                        message.target = id.clone();
                    }
                    effects.sent.push(message);
                }
                (_, OpenKind::Timer(fire_at)) => {
                    let (key, message) = self.timer_message(id, number, request_id, fire_at);
                    // If it failed in this very turn, the timer was taken back in it.
                    let taken_back = Change::Consumed(MessageKey::Delayed(key));
                    effects.changes.retain(|change| *change != taken_back);
                    effects.delayed.push((key, message));
                }
                _ => {}
            }
        }
    }

    /// The start with which a child begins anew, as another execution than the one before.
    fn child_again(
        &self,
        id: &InstanceId,
        number: i32,
        request_id: RequestId,
        created: &EventKind,
    ) -> Option<ExecutionStart> {
        let EventKind::SubOrchestrationCreated { name, input, tags, .. } = created else {
            return None;
        };
        let parent = self.as_parent(id, number, request_id);
        let call = (name.clone(), input.clone(), tags.clone());
        let mut start = child_start(call, request_id, Some(parent), None, self.trace_below());
        start.execution_id = ExecutionId::new(self.request_guid(number));
        Some(start)
    }
}

/// Cuts the history of a failed execution.
fn cut(history: &[HistoryEvent]) -> Cut {
    let from = cut_from(history);
    let kept = history[..from].to_vec();
    let first_forgotten = next_action(&kept);
    let mut carried = Vec::new();
    let mut failed = Vec::new();
    for event in &history[from..] {
        let number = event.kind.completed_action();
        match &event.kind {
            kind if failure_of(kind).is_some() => failed.extend(number),
            // It was given back with the end, and is asked for again.
            EventKind::EntityLockGranted { .. } => {}
            EventKind::EventRaised { .. }
            | EventKind::ExecutionStarted { .. }
            | EventKind::ExecutionRewound { .. } => carried.push(event.kind.clone()),
            kind if number.is_some_and(|number| number < first_forgotten) => {
                carried.push(kind.clone());
            }
            _ => {}
        }
    }
    Cut { kept, carried, failed }
}

/// Where the turn begins that brought what the execution failed with. Failures that were told before
/// that, and after which nothing more was asked for, belong to it: a fan-out fails as a whole.
fn cut_from(history: &[HistoryEvent]) -> usize {
    // What stands behind the end came too late to be the reason for it.
    let end = history
        .iter()
        .position(|event| matches!(event.kind, EventKind::ExecutionCompleted { .. }))
        .unwrap_or(history.len());
    let turn_before = |index: usize| {
        let is_turn = |event: &HistoryEvent| event.kind == EventKind::OrchestratorStarted;
        history[..index].iter().rposition(is_turn).unwrap_or(0)
    };
    let last_turn = turn_before(end);
    let Some(told) = reason_in(&history[..end], last_turn, history.get(end)) else {
        return last_turn;
    };
    let is_action = |event: &HistoryEvent| event.event_id >= 0;
    let asked_last = history[..end].iter().rposition(is_action).unwrap_or(0);
    let is_failure = |event: &HistoryEvent| failure_of(&event.kind).is_some();
    // Nothing, if something was asked for after the reason itself.
    let before = history.get(asked_last..told).unwrap_or_default();
    let first_told = before.iter().position(is_failure);
    turn_before(first_told.map_or(told, |first| asked_last + first))
}

/// The last event before the end that brought what the execution failed with, if one did.
fn reason_in(
    history: &[HistoryEvent],
    last_turn: usize,
    end: Option<&HistoryEvent>,
) -> Option<usize> {
    let is_failure = |event: &HistoryEvent| failure_of(&event.kind).is_some();
    if let Some(index) = history[last_turn..].iter().position(is_failure) {
        return Some(last_turn + index);
    }
    let Some(EventKind::ExecutionCompleted { failure: Some(reason), .. }) =
        end.map(|event| &event.kind)
    else {
        return None;
    };
    let is_reason = |event: &HistoryEvent| {
        failure_of(&event.kind).is_some_and(|told| is_caused_by(reason, told))
    };
    history.iter().rposition(is_reason)
}

fn failure_of(kind: &EventKind) -> Option<&Failure> {
    match kind {
        EventKind::ActivityFailed { failure, .. }
        | EventKind::SubOrchestrationFailed { failure, .. }
        | EventKind::EntityOperationFailed { failure, .. } => Some(failure),
        _ => None,
    }
}

/// Whether a failure is another one, or has it among its causes.
fn is_caused_by(failure: &Failure, cause: &Failure) -> bool {
    let is_cause = |error_type: &str, message: &str| {
        error_type == cause.error_type && message == cause.error_message
    };
    is_cause(&failure.error_type, &failure.error_message)
        || failure
            .inner_failures
            .iter()
            .any(|inner| is_cause(&inner.error_type, &inner.error_message))
}
