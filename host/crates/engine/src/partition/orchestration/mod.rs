//! Orchestrations: messages become events, a turn runs over the history, and its actions become
//! events and messages.
//!
//! A turn's events reach the history when its outcome does, so a turn that is lost leaves nothing
//! behind: its messages are still there, and make the same turn again.
//!
//! What clients do with an orchestration is in `lifecycle.rs`, how one ends and what follows an end in
//! `ending.rs`, how a failed one goes back in `rewind.rs`, what a turn's actions become in `actions.rs`,
//! who waits for one in `waiting.rs`, and what one waits for in `explain.rs`.

mod actions;
mod ending;
mod events;
mod explain;
mod lifecycle;
mod open;
mod rewind;
mod section;
mod transfer;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use everstate_types::{
    ActivityTask, EventKind, ExecutionId, ExecutionStart, HistoryEvent, InstanceId, Message,
    MessageBody, MessageKey, OrchestrationRecord, RequestId, RuntimeStatus, SpanId,
};

pub(super) use self::actions::{entity_start, start_message};
pub use self::explain::{Explained, OpenReason, SoughtLock};
pub(super) use self::open::OpenActions;
pub use self::open::open_timers;
pub(super) use self::section::Section;
pub(crate) use self::transfer::delayed_of;
pub(super) use self::waiting::Closings;
use super::input::{ActivityRef, Effects, Fact, Reply, ReplyTo, Request, StartRequest, Work};
use super::slot::{Orchestration, OrchestrationSlot, RunningTurn, Waiter};
use super::{Moment, SlotTurn};
use crate::client::ConflictPolicy;
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{
    ActivityWorkItem, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use crate::storage::{CommitSeq, Indexed, OrchestrationRow};

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// The knowledge that there is no such orchestration.
    pub(super) fn absent() -> Self {
        Self {
            state: None,
            inbox: VecDeque::new(),
            running: None,
            waiters: Vec::new(),
            closings: None,
            deferred: Vec::new(),
        }
    }

    /// An orchestration as it was stored.
    pub(super) fn loaded(record: OrchestrationRecord, history: Vec<HistoryEvent>) -> Self {
        let indexed = Some(Box::new(Indexed::of(&record)));
        let state = Orchestration { indexed, ..Orchestration::new(record, history) };
        Self { state: Some(Box::new(state)), ..Self::absent() }
    }

    pub(super) fn apply_request(
        &mut self,
        moment: Moment,
        request: Request<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match request {
            Request::Start(start) => self.start(moment, *start, turn, effects),
            Request::Transfer(transfer) => self.transfer(moment, *transfer, turn, effects),
            Request::GetStatus { reply_to, .. } => {
                let status = self.status(turn.id);
                effects.replies.push((reply_to, Reply::Status(status), turn.gate()));
            }
            Request::Wait { wait_for, reply_to, .. } => {
                self.wait(Waiter { wait_for, reply_to }, turn, effects);
            }
            Request::Explain { reply_to, .. } => {
                let explained = self.explain(moment, turn.id);
                effects.replies.push((reply_to, Reply::Explained(explained), turn.gate()));
            }
            Request::RaiseEvent { name, input, reply_to, .. } => {
                let reply = match self.refusal("raise an event at", turn.id) {
                    Some(error) => Reply::Refused(error),
                    None => {
                        turn.mark_changed();
                        let body = MessageBody::RaiseEvent { name, input };
                        effects.sent.push(Message { target: turn.id.clone(), body });
                        Reply::Accepted
                    }
                };
                effects.replies.push((reply_to, reply, turn.gate()));
            }
            Request::Change { change, reply_to, .. } => {
                self.change(moment, change, reply_to, turn, effects);
            }
            Request::CallEntity { reply_to, .. }
            | Request::ReadEntity { reply_to, .. }
            | Request::SignalEntity { reply_to, .. }
            | Request::SignalOnce { reply_to, .. }
            | Request::CheckRoom { reply_to, .. }
            | Request::GetEntity { reply_to, .. }
            | Request::BreakLock { reply_to, .. }
            | Request::PurgeEntity { reply_to, .. } => {
                let error = ClientError::InvalidArgument(format!("`{}` is no entity", turn.id));
                effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
            }
        }
    }

    fn start(
        &mut self,
        moment: Moment,
        request: StartRequest<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let StartRequest { instance_id, start, on_conflict, reply_to, .. } = request;
        if let Some(status) = self.alive() {
            match on_conflict {
                ConflictPolicy::Fail => {
                    let error = ClientError::AlreadyExists { instance_id, status };
                    effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
                    return;
                }
                ConflictPolicy::UseExisting => {
                    effects.replies.push((reply_to, Reply::Started(instance_id), turn.gate()));
                    return;
                }
                ConflictPolicy::TerminateAndReplace => {
                    self.terminate(moment, None, false, turn, effects);
                }
            }
        }
        self.begin(Orchestration::pending(moment, &start), turn, effects);
        self.send_start(moment, start, turn.id, effects);
        effects.replies.push((reply_to, Reply::Started(instance_id), turn.gate()));
    }

    /// Sends the start of an execution whose record is there, now or when it is due.
    fn send_start(
        &self,
        moment: Moment,
        start: ExecutionStart,
        id: &InstanceId,
        effects: &mut Effects<R>,
    ) {
        let (at, guid) = (start.start_at, start.execution_id.guid());
        let start = ExecutionStart { is_recorded: true, ..start };
        let body = MessageBody::StartOrchestration(Box::new(start));
        effects.send_at(moment, at, guid, Message { target: id.clone(), body });
    }

    pub(super) fn apply_message(
        &mut self,
        moment: Moment,
        key: MessageKey,
        body: MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match body {
            MessageBody::StartOrchestration(start) => {
                self.take_start(moment, key, start, turn, effects);
            }
            MessageBody::ActivityTask(task) => self.take_activity(key, *task, turn, effects),
            MessageBody::Terminate { reason, parent } => {
                consume(key, turn, effects);
                if self.alive().is_some() && self.is_child_of(&parent) {
                    self.terminate(moment, reason, true, turn, effects);
                }
            }
            MessageBody::Rewind(order) => {
                consume(key, turn, effects);
                self.rewind_as_child(moment, *order, turn, effects);
            }
            MessageBody::Purge { parent } => {
                consume(key, turn, effects);
                if self.alive().is_none() && self.is_child_of(&parent) {
                    self.purge(true, turn, effects);
                }
            }
            MessageBody::LockReply { request_id, result: Ok(()), .. }
                if self.takes_lock_back(request_id) =>
            {
                consume(key, turn, effects);
                if let Some(state) = self.state.as_mut() {
                    state.record.awaits_lock = false;
                    let row = state.append(Vec::new());
                    effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
                }
                self.send_own_calls(turn, effects);
                self.look_for_newer_code(turn.id, effects);
                self.run(moment, turn, effects);
            }
            call @ MessageBody::EntityOperation { .. } => {
                self.take_own_call(key, call, turn, effects);
            }
            body if self.awaits(&body) => {
                match body {
                    MessageBody::Proceed { .. } => self.take_proceed(key, body),
                    body => self.inbox.push_back((key, body)),
                }
                self.run(moment, turn, effects);
            }
            // A timer that a rewind armed again while it was on its way comes twice. The turn that
            // has taken it up consumes it.
            _ if matches!(key, MessageKey::Delayed(_)) && self.runs_with(key) => {}
            body => {
                // A copy, or an answer to an execution that has ended.
                self.keep_late_result(moment, &body, turn, effects);
                consume(key, turn, effects);
            }
        }
    }

    fn take_start(
        &mut self,
        moment: Moment,
        key: MessageKey,
        start: Box<ExecutionStart>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let execution_id = start.execution_id;
        let is_known = |state: &Orchestration| state.record.execution_id == execution_id;
        if !self.state.as_deref().is_some_and(is_known) {
            if start.is_recorded {
                // Its execution has been ended, and removed or replaced, since it was sent.
                return consume(key, turn, effects);
            }
            if let Some(status) = self.alive() {
                ending::refuse_start(&start, status, turn.id, effects);
                return consume(key, turn, effects);
            }
            self.begin(Orchestration::pending(moment, &start), turn, effects);
            if start.start_at.is_some_and(|start_at| start_at > moment.now) {
                self.send_start(moment, *start, turn.id, effects);
                return consume(key, turn, effects);
            }
        }
        if self.awaits_start(execution_id) {
            self.inbox.push_front((key, MessageBody::StartOrchestration(start)));
            self.run(moment, turn, effects);
        } else {
            consume(key, turn, effects);
        }
    }

    /// Lets turns begin again. What the message brings comes before anything else that waits, but
    /// behind an earlier message of the kind, whose code it replaces.
    fn take_proceed(&mut self, key: MessageKey, body: MessageBody) {
        let is_first = |(_, body): &&(MessageKey, MessageBody)| {
            matches!(body, MessageBody::StartOrchestration(_) | MessageBody::Proceed { .. })
        };
        let place = self.inbox.iter().take_while(is_first).count();
        self.inbox.insert(place, (key, body));
        if let Some(state) = self.state.as_mut() {
            state.awaits_proceed = false;
        }
    }

    /// Has an activity run, if somebody waits for it.
    fn take_activity(
        &mut self,
        key: MessageKey,
        task: ActivityTask,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let state = self.state.as_deref().filter(|state| {
            state.record.execution_id == task.execution_id
                && !state.record.status.is_finished()
                && state.open.awaits(task.scheduled_id, task.request_id)
        });
        let Some(state) = state else { return consume(key, turn, effects) };
        effects.work.push(Work::Activity {
            message_key: key,
            task: ActivityRef {
                execution_id: task.execution_id,
                scheduled_id: task.scheduled_id,
                request_id: task.request_id,
                above: task.trace.as_ref().map(|trace| trace.span_id),
            },
            item: ActivityWorkItem {
                instance_id: turn.id.clone(),
                name: task.name,
                component: state.record.component,
                input: task.input,
                tags: task.tags,
                idempotency_key: task.idempotency_key,
                attempt: task.attempt,
                trace: task.trace.map(|trace| {
                    Box::new(trace.below(SpanId::of_attempt(task.request_id, task.attempt)))
                }),
                seq: CommitSeq::default(),
                is_abandoned: Arc::clone(&state.is_abandoned),
            },
        });
    }

    /// Whether this is the lock that it must have back before it runs.
    fn takes_lock_back(&self, request_id: RequestId) -> bool {
        self.state.as_ref().is_some_and(|state| {
            let number = state.section.as_ref().map(|section| section.number);
            state.record.awaits_lock
                && !state.record.status.is_finished()
                && number.is_some_and(|number| state.lock_guid(number) == request_id)
        })
    }

    /// Whether the turn that runs has taken up this message.
    fn runs_with(&self, key: MessageKey) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.messages.iter().any(|(taken_up, _)| *taken_up == key))
    }

    /// Whether this execution exists and has not begun.
    fn awaits_start(&self, execution_id: ExecutionId) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.record.execution_id == execution_id
                && !state.record.status.is_finished()
                && !state.has_started
        }) && self.running.is_none()
            && !self.has_start_in_inbox()
    }

    fn has_start_in_inbox(&self) -> bool {
        matches!(self.inbox.front(), Some((_, MessageBody::StartOrchestration(_))))
    }

    /// Whether a message means something to the orchestration as it is.
    fn awaits(&self, body: &MessageBody) -> bool {
        let Some(state) = self.state.as_ref().filter(|state| !state.record.status.is_finished())
        else {
            return false;
        };
        match body {
            MessageBody::RaiseEvent { .. } => true,
            MessageBody::Proceed { execution_id, .. } => *execution_id == state.record.execution_id,
            body => state.awaits_result(body),
        }
    }

    /// Where the orchestration is in its life, if it has not ended.
    pub(super) fn alive(&self) -> Option<RuntimeStatus> {
        let status = self.state.as_ref()?.record.status;
        (!status.is_finished()).then_some(status)
    }

    /// Why something cannot be done with an orchestration that has to be alive for it.
    fn refusal(&self, operation: &'static str, id: &InstanceId) -> Option<ClientError> {
        let Some(state) = &self.state else { return Some(ClientError::NotFound(id.clone())) };
        let status = state.record.status;
        status.is_finished().then(|| ClientError::WrongState {
            operation,
            instance_id: id.clone(),
            status,
        })
    }

    /// Puts a new execution in the place of nothing, or of one that has ended.
    fn begin(
        &mut self,
        mut next: Orchestration,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        turn.mark_changed();
        effects.facts.push(Fact::Started(next.record.name.clone()));
        self.closings = None;
        let before = self.state.take();
        next.indexed = before.as_ref().and_then(|before| before.indexed.clone());
        let replaces = before.map(|before| before.record.execution_id);
        let row = OrchestrationRow { replaces, ..next.row(0, Vec::new()) };
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        self.state = Some(Box::new(next));
    }

    /// Begins a turn if none runs and messages wait that it may see.
    fn run(&mut self, moment: Moment, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        let has_start = self.has_start_in_inbox();
        let Some(state) = self.state.as_mut() else { return };
        let may_run = self.running.is_none()
            && !self.inbox.is_empty()
            && state.record.status != RuntimeStatus::Suspended
            && !state.awaits_proceed
            && !state.record.awaits_lock
            && (state.has_started || has_start);
        if !may_run {
            return;
        }
        let messages: Vec<_> = self.inbox.drain(..).collect();
        let new_events = Arc::new(state.events_of(moment, &messages));
        if has_start {
            let told = new_events.first().map_or(moment.now, |event| event.timestamp);
            state.begun = moment.exact.map(|exact| exact.max(told.into()));
        }
        let token = turn.token();
        let running = RunningTurn { token, messages, new_events: Arc::clone(&new_events) };
        self.running = Some(running);
        let Some(component) = state.record.component else {
            let failure = events::function_not_found(&state.record.name);
            let outcome = OrchestrationOutcome::of(OrchestrationResult::Failed(failure));
            self.apply_outcome(moment, token, outcome, turn, effects);
            return;
        };
        let parent = state.record.parent.as_ref();
        let item = OrchestrationWorkItem {
            instance_id: turn.id.clone(),
            execution_id: state.record.execution_id,
            name: state.record.name.clone(),
            component,
            parent_instance_id: parent.map(|parent| parent.instance_id.clone()),
            tags: state.record.tags.clone(),
            trace_id: state.record.trace.as_ref().map(|trace| trace.trace_id),
            history: Arc::clone(&state.history),
            new_events,
        };
        effects.work.push(Work::Orchestration { token, item });
    }

    pub(super) fn apply_outcome(
        &mut self,
        moment: Moment,
        token: u64,
        outcome: OrchestrationOutcome,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(running) = self.running.take_if(|running| running.token == token) else { return };
        let Some(state) = self.state.as_mut() else { return };
        turn.mark_changed();
        if let OrchestrationResult::Diverged(failure) = outcome.result {
            self.stop_diverged(moment, running, failure, turn, effects);
            return self.apply_deferred(moment, turn, effects);
        }
        effects.changes.extend(running.messages.iter().map(|(key, _)| Change::Consumed(*key)));
        let events = state.advance(moment, turn.id, &running.new_events, &outcome, effects);
        match outcome.result {
            OrchestrationResult::ContinuedAsNew { input, events: carried } => {
                self.tell_followers(&input, events, turn, effects);
                self.continue_as_new(moment, input, carried, turn, effects);
            }
            result => {
                let (status, end) = events::ending_of(result);
                self.record_turn(moment, status, end, events, turn, effects);
            }
        }
        self.answer_waiters(turn, effects);
        self.apply_deferred(moment, turn, effects);
        self.run(moment, turn, effects);
    }

    /// Does what clients have asked for while the turn ran.
    fn apply_deferred(
        &mut self,
        moment: Moment,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        for (change, reply_to) in std::mem::take(&mut self.deferred) {
            self.change(moment, change, reply_to, turn, effects);
        }
    }
}

impl Orchestration {
    fn new(record: OrchestrationRecord, history: Vec<HistoryEvent>) -> Self {
        Self {
            open: OpenActions::of(&record, &history),
            section: Section::of(&history).filter(|_| !record.status.is_finished()),
            next_action: next_action(&history),
            has_started: has_begun(&record, &history),
            awaits_proceed: awaits_proceed(&record, &history),
            is_abandoned: Arc::new(AtomicBool::new(record.status.is_finished())),
            indexed: None,
            begun: None,
            history: Arc::new(history),
            record,
        }
    }

    /// One that was started and has not begun.
    fn pending(moment: Moment, start: &ExecutionStart) -> Self {
        let record = OrchestrationRecord {
            component: start.component,
            input: start.input.clone(),
            tags: start.tags.clone(),
            parent: start.parent.clone(),
            scheduled_start: start.start_at,
            trace: start.trace.clone(),
            ..OrchestrationRecord::pending(start.name.clone(), start.execution_id, moment.now)
        };
        Self::new(record, Vec::new())
    }

    /// The row as it is now, to which these events are added. From now on the index holds what it says.
    fn row(&mut self, history_stored: usize, events: Vec<HistoryEvent>) -> OrchestrationRow {
        let indexed = self.indexed.replace(Box::new(Indexed::of(&self.record)));
        let record = self.record.clone();
        OrchestrationRow { record, history_stored, events, replaces: None, indexed }
    }

    /// Whether a turn has begun the execution.
    fn has_begun(&self) -> bool {
        has_begun(&self.record, &self.history)
    }

    /// The GUID of an action that is asked for now.
    fn request_guid(&self, number: i32) -> RequestId {
        self.record.execution_id.request_guid(number, self.record.rewinds)
    }
}

fn has_begun(record: &OrchestrationRecord, history: &[HistoryEvent]) -> bool {
    let is_start = |event: &HistoryEvent| matches!(event.kind, EventKind::ExecutionStarted { .. });
    record.rewinds > 0 || history.iter().any(is_start)
}

/// Whether the last rewind, or the end of a divergence, has not reached the history yet.
fn awaits_proceed(record: &OrchestrationRecord, history: &[HistoryEvent]) -> bool {
    let is_rewind =
        |event: &&HistoryEvent| matches!(event.kind, EventKind::ExecutionRewound { .. });
    let is_resumed = record.failure.is_some() && record.status != RuntimeStatus::Suspended;
    let is_rewound =
        record.rewinds > 0 && history.iter().filter(is_rewind).count() < record.rewinds as usize;
    !record.status.is_finished() && (is_resumed || is_rewound)
}

/// The number of the first action after a history.
fn next_action(history: &[HistoryEvent]) -> i32 {
    history.iter().map(|event| event.event_id + 1).max().unwrap_or(0).max(0)
}

fn consume<R>(key: MessageKey, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
    turn.mark_changed();
    effects.changes.push(Change::Consumed(key));
}
