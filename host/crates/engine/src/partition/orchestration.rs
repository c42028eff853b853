//! Orchestrations: messages become events, a turn runs over the history, and its actions become
//! events and messages.
//!
//! A turn's events reach the history when its outcome does, so a turn that is lost leaves nothing
//! behind: its messages are still there, and make the same turn again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use everstate_types::{
    Action, ComponentHash, EventKind, ExecutionId, Failure, FunctionName, HistoryEvent, InstanceId,
    Message, MessageBody, MessageId, OrchestrationRecord, OrchestrationStatus, Payload,
    ReplyAddress, RequestId, RuntimeStatus, Tags, Timestamp,
};

use super::input::{Effects, Reply, ReplyTo, Request, StartRequest, Work};
use super::slot::{Orchestration, OrchestrationSlot, RunningTurn};
use super::{Moment, SlotTurn};
use crate::client::InstanceStatus;
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem};
use crate::storage::OrchestrationRow;

/// Waiters that gave up are looked for when so many have come.
const WAITERS_CHECKED_AT: usize = 64;

/// What an execution has asked for and not been told: the number of the action and its request.
pub(super) type OpenCalls = HashMap<i32, RequestId>;

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// The knowledge that there is no such orchestration.
    pub(super) fn absent() -> Self {
        Self { state: None, inbox: VecDeque::new(), running: None, waiters: Vec::new() }
    }

    /// An orchestration as it was stored.
    pub(super) fn loaded(record: OrchestrationRecord, history: Vec<HistoryEvent>) -> Self {
        let mut open = OpenCalls::new();
        let mut next_action = 0;
        for event in &history {
            next_action = next_action.max(event.event_id + 1);
            match &event.kind {
                EventKind::EntityOperationCalled { request_id, .. } => {
                    open.insert(event.event_id, *request_id);
                }
                EventKind::EntityOperationCompleted { scheduled_id, .. }
                | EventKind::EntityOperationFailed { scheduled_id, .. } => {
                    open.remove(scheduled_id);
                }
                _ => {}
            }
        }
        let state = Orchestration { record, history: Arc::new(history), open, next_action };
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
            Request::GetStatus { reply_to, .. } => {
                let status = self.status(turn.id);
                effects.replies.push((reply_to, Reply::Status(status), turn.gate()));
            }
            Request::WaitForCompletion { reply_to, .. } => {
                if self.is_alive() {
                    if self.waiters.len() >= WAITERS_CHECKED_AT {
                        self.waiters.retain(|waiter| !waiter.is_abandoned());
                    }
                    self.waiters.push(reply_to);
                } else {
                    let status = self.status(turn.id);
                    effects.replies.push((reply_to, Reply::Status(status), turn.gate()));
                }
            }
            Request::CallEntity { reply_to, .. }
            | Request::SignalEntity { reply_to, .. }
            | Request::ReadState { reply_to, .. } => {
                let error = ClientError::InvalidArgument(format!("`{}` is no entity", turn.id));
                effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
            }
        }
    }

    fn start(
        &mut self,
        moment: Moment,
        start: StartRequest<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        if self.is_alive() {
            let reply = if start.use_existing {
                Reply::Started(start.instance_id)
            } else {
                Reply::Refused(ClientError::AlreadyExists(start.instance_id))
            };
            effects.replies.push((start.reply_to, reply, turn.gate()));
            return;
        }
        let component = Some(start.component);
        effects.sent.push(Message {
            target: start.instance_id.clone(),
            body: MessageBody::StartOrchestration {
                name: start.name.clone(),
                execution_id: start.execution_id,
                component,
                input: start.input.clone(),
                tags: start.tags.clone(),
            },
        });
        let record = pending_record(
            moment,
            start.name,
            start.execution_id,
            component,
            start.input,
            start.tags,
        );
        self.begin(record, turn, effects);
        effects.replies.push((start.reply_to, Reply::Started(start.instance_id), turn.gate()));
    }

    pub(super) fn apply_message(
        &mut self,
        moment: Moment,
        message_id: MessageId,
        body: MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let is_wanted = match &body {
            MessageBody::StartOrchestration { name, execution_id, component, input, tags } => {
                if self.makes_way_for(*execution_id) {
                    let record = pending_record(
                        moment,
                        name.clone(),
                        *execution_id,
                        *component,
                        input.clone(),
                        tags.clone(),
                    );
                    self.begin(record, turn, effects);
                }
                self.awaits_start(*execution_id)
            }
            MessageBody::EntityReply { execution_id, scheduled_id, .. } => {
                self.awaits_reply(*execution_id, *scheduled_id)
            }
            MessageBody::EntityOperation { .. } => false,
        };
        if is_wanted {
            self.inbox.push_back((message_id, body));
            self.run(moment, turn, effects);
        } else {
            // A copy, or an answer to an execution that has ended.
            turn.mark_changed();
            effects.changes.push(Change::Consumed(message_id));
        }
    }

    /// Whether a start of this execution finds no orchestration, or another one that has ended.
    fn makes_way_for(&self, execution_id: ExecutionId) -> bool {
        self.state.as_ref().is_none_or(|state| {
            state.record.status.is_finished() && state.record.execution_id != execution_id
        })
    }

    /// Whether this execution exists and has not begun.
    fn awaits_start(&self, execution_id: ExecutionId) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.record.execution_id == execution_id
                && state.record.status == RuntimeStatus::Pending
        }) && self.running.is_none()
            && self.inbox.is_empty()
    }

    /// Whether this execution asked and was not told.
    fn awaits_reply(&self, execution_id: ExecutionId, scheduled_id: i32) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.record.execution_id == execution_id
                && !state.record.status.is_finished()
                && state.open.contains_key(&scheduled_id)
        })
    }

    fn is_alive(&self) -> bool {
        self.state.as_ref().is_some_and(|state| !state.record.status.is_finished())
    }

    fn status(&self, id: &InstanceId) -> Option<Arc<InstanceStatus>> {
        let state = self.state.as_ref()?;
        Some(Arc::new(InstanceStatus {
            instance_id: id.clone(),
            record: state.record.clone(),
            history: Arc::clone(&state.history),
        }))
    }

    /// Puts a new execution in the place of nothing, or of one that has ended.
    fn begin(
        &mut self,
        record: OrchestrationRecord,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        turn.mark_changed();
        let row = OrchestrationRow {
            record: record.clone(),
            history_stored: 0,
            events: Vec::new(),
            replaces_history: self.state.is_some(),
        };
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        self.state = Some(Box::new(Orchestration {
            record,
            history: Arc::default(),
            open: OpenCalls::new(),
            next_action: 0,
        }));
    }

    /// Begins a turn if none runs and messages wait.
    fn run(&mut self, moment: Moment, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        let Some(state) = self.state.as_mut() else { return };
        if self.running.is_some() || self.inbox.is_empty() {
            return;
        }
        let now = moment.now.max(state.record.updated_at);
        let mut messages = Vec::with_capacity(self.inbox.len());
        let mut new_events = Vec::with_capacity(self.inbox.len() + 1);
        new_events.push(HistoryEvent::new(now, EventKind::OrchestratorStarted));
        for (message_id, body) in self.inbox.drain(..) {
            messages.push(message_id);
            new_events.extend(state.event_of(now, body));
        }
        let token = turn.token();
        let new_events = Arc::new(new_events);
        self.running = Some(RunningTurn { token, messages, new_events: Arc::clone(&new_events) });
        let Some(component) = state.record.component else {
            let result = OrchestrationResult::Failed(function_not_found(&state.record.name));
            let outcome = OrchestrationOutcome { actions: Vec::new(), custom_status: None, result };
            self.apply_outcome(moment, token, outcome, turn, effects);
            return;
        };
        let item = OrchestrationWorkItem {
            instance_id: turn.id.clone(),
            execution_id: state.record.execution_id,
            name: state.record.name.clone(),
            component,
            parent_instance_id: None,
            tags: state.record.tags.clone(),
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
        let consumed = running.messages.into_iter().map(Change::Consumed);
        effects.changes.extend(consumed);
        let row = state.advance(moment, turn.id, &running.new_events, outcome, &mut effects.sent);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        if state.record.status.is_finished() {
            state.open.clear();
            let late = self.inbox.drain(..).map(|(message_id, _)| Change::Consumed(message_id));
            effects.changes.extend(late);
            if !self.waiters.is_empty() {
                let status = self.status(turn.id);
                for reply_to in std::mem::take(&mut self.waiters) {
                    effects.replies.push((reply_to, Reply::Status(status.clone()), turn.gate()));
                }
            }
        } else {
            self.run(moment, turn, effects);
        }
    }
}

impl Orchestration {
    /// The event that a message becomes; none if the message is a copy of one in the same turn.
    fn event_of(&mut self, now: Timestamp, body: MessageBody) -> Option<HistoryEvent> {
        let kind = match body {
            MessageBody::StartOrchestration { name, input, tags, .. } => {
                EventKind::ExecutionStarted {
                    name,
                    version: None,
                    input,
                    parent: None,
                    tags,
                    scheduled_start: None,
                }
            }
            MessageBody::EntityReply { scheduled_id, request_id, result, .. } => {
                self.open.remove(&scheduled_id)?;
                match result {
                    Ok(output) => {
                        EventKind::EntityOperationCompleted { scheduled_id, request_id, output }
                    }
                    Err(failure) => {
                        EventKind::EntityOperationFailed { scheduled_id, request_id, failure }
                    }
                }
            }
            MessageBody::EntityOperation { .. } => return None,
        };
        Some(HistoryEvent::new(now, kind))
    }

    /// Adds a turn to the history and the record; gives what is to be stored.
    fn advance(
        &mut self,
        moment: Moment,
        id: &InstanceId,
        new_events: &[HistoryEvent],
        outcome: OrchestrationOutcome,
        sent: &mut Vec<Message>,
    ) -> OrchestrationRow {
        let now = moment.now.max(self.record.updated_at);
        let mut events = new_events.to_vec();
        for action in outcome.actions {
            let action_id = self.next_action;
            self.next_action += 1;
            let (kind, message) = self.confirm(id, action_id, action);
            events.push(HistoryEvent::of_action(action_id, now, kind));
            sent.push(message);
        }
        if let Some(custom_status) = outcome.custom_status {
            self.record.custom_status = custom_status;
        }
        let (status, end) = match outcome.result {
            OrchestrationResult::Waiting => (RuntimeStatus::Running, None),
            OrchestrationResult::Completed(output) => {
                self.record.output = Some(output.clone());
                (
                    RuntimeStatus::Completed,
                    Some((OrchestrationStatus::Completed, Some(output), None)),
                )
            }
            OrchestrationResult::Failed(failure) => {
                self.record.failure = Some(failure.clone());
                (RuntimeStatus::Failed, Some((OrchestrationStatus::Failed, None, Some(failure))))
            }
        };
        if let Some((status, result, failure)) = end {
            let kind = EventKind::ExecutionCompleted { status, result, failure };
            events.push(HistoryEvent::of_action(self.next_action, now, kind));
        }
        events.push(HistoryEvent::new(now, EventKind::OrchestratorCompleted));
        self.record.status = status;
        self.record.updated_at = now;
        let history_stored = self.history.len();
        Arc::make_mut(&mut self.history).extend_from_slice(&events);
        let record = self.record.clone();
        OrchestrationRow { record, history_stored, events, replaces_history: false }
    }

    /// The event that confirms an action, and the message that carries it out.
    fn confirm(&mut self, id: &InstanceId, action_id: i32, action: Action) -> (EventKind, Message) {
        let guid = self.record.execution_id.action_guid(action_id);
        match action {
            Action::CallEntity { entity, operation, input } => {
                self.open.insert(action_id, guid);
                let body = MessageBody::EntityOperation {
                    request_id: guid,
                    operation: operation.clone(),
                    input: input.clone(),
                    reply_to: Some(ReplyAddress {
                        instance_id: id.clone(),
                        execution_id: self.record.execution_id,
                        scheduled_id: action_id,
                    }),
                };
                let message = Message { target: entity.instance_id(), body };
                let kind =
                    EventKind::EntityOperationCalled { request_id: guid, entity, operation, input };
                (kind, message)
            }
            Action::SignalEntity { entity, operation, input } => {
                let body = MessageBody::EntityOperation {
                    request_id: guid,
                    operation: operation.clone(),
                    input: input.clone(),
                    reply_to: None,
                };
                let message = Message { target: entity.instance_id(), body };
                let kind = EventKind::EntityOperationSignaled {
                    request_id: guid,
                    entity,
                    operation,
                    input,
                    scheduled_time: None,
                };
                (kind, message)
            }
            Action::StartOrchestration { name, instance_id, input, tags } => {
                let message =
                    start_message(name.clone(), instance_id.clone(), input.clone(), tags, guid);
                (EventKind::OrchestrationStartSent { name, instance_id, input }, message)
            }
        }
    }
}

/// The message of an instance that starts an orchestration. The component is found on arrival.
pub(super) fn start_message(
    name: FunctionName,
    instance_id: InstanceId,
    input: Payload,
    tags: Tags,
    guid: RequestId,
) -> Message {
    let execution_id = ExecutionId::new(guid);
    let body = MessageBody::StartOrchestration { name, execution_id, component: None, input, tags };
    Message { target: instance_id, body }
}

fn pending_record(
    moment: Moment,
    name: FunctionName,
    execution_id: ExecutionId,
    component: Option<ComponentHash>,
    input: Payload,
    tags: Tags,
) -> OrchestrationRecord {
    OrchestrationRecord {
        name,
        component,
        execution_id,
        status: RuntimeStatus::Pending,
        input,
        output: None,
        failure: None,
        custom_status: None,
        tags,
        created_at: moment.now,
        updated_at: moment.now,
    }
}

fn function_not_found(name: &FunctionName) -> Failure {
    let message = format!(
        "The function '{name}' doesn't exist, is disabled, or is not an orchestrator function."
    );
    Failure::new("FunctionNotFound", message).non_retriable()
}
