//! What a turn's actions become: events that confirm them, and messages that carry them out.

use everstate_types::{
    Action, ActivityTask, DelayedKey, EntityId, EventKind, ExecutionId, ExecutionStart,
    FunctionName, HistoryEvent, InstanceId, Message, MessageBody, ParentInstance, Payload,
    ReplyAddress, RequestId, SpanId, Tags, Timestamp, TraceContext,
};

use super::super::Moment;
use super::super::input::Effects;
use super::super::slot::Orchestration;
use super::open::OpenKind;
use crate::guest::OrchestrationOutcome;

impl Orchestration {
    /// Takes up what a turn asked for: gives its events, all but the last, and sends its messages.
    pub(super) fn advance<R>(
        &mut self,
        moment: Moment,
        id: &InstanceId,
        new_events: &[HistoryEvent],
        outcome: &OrchestrationOutcome,
        effects: &mut Effects<R>,
    ) -> Vec<HistoryEvent> {
        let started = new_events.first().map_or(moment.now, |event| event.timestamp);
        let now = moment.now.max(started);
        let mut events = new_events.to_vec();
        for action in &outcome.actions {
            let number = self.next_action;
            self.next_action += 1;
            let kind = self.confirm(moment, id, number, action.clone(), effects);
            events.push(HistoryEvent::of_action(number, now, kind));
        }
        for number in &outcome.cancelled {
            effects.changes.extend(self.open.cancel_timer(*number));
        }
        for line in &outcome.logs {
            events.push(HistoryEvent::new(now, EventKind::GenericEvent { data: line.clone() }));
        }
        if let Some(custom_status) = &outcome.custom_status {
            self.record.custom_status.clone_from(custom_status);
        }
        self.record.updated_at = now;
        events
    }

    /// The event that confirms an action. Sends the message that carries it out.
    fn confirm<R>(
        &mut self,
        moment: Moment,
        id: &InstanceId,
        number: i32,
        action: Action,
        effects: &mut Effects<R>,
    ) -> EventKind {
        match action {
            Action::CallActivity { name, input, tags, first_attempt, attempt } => {
                let (tags, guid) = (self.inherited(tags), self.request_guid(number));
                self.open.insert(number, guid, OpenKind::Activity);
                let call = ActivityCall { name, input, tags, first_attempt, attempt };
                effects.sent.push(self.activity_message(id, number, guid, &call));
                let ActivityCall { name, input, tags, first_attempt, attempt } = call;
                let version = None;
                EventKind::ActivityScheduled { name, version, input, tags, first_attempt, attempt }
            }
            Action::CallSubOrchestration { name, instance_id, input, tags, start_at } => {
                let tags = self.inherited(tags);
                let call = (name.clone(), input.clone(), tags.clone());
                let start = self.start_child(id, number, &instance_id, (call, start_at));
                effects.sent.push(start);
                EventKind::SubOrchestrationCreated { name, version: None, instance_id, input, tags }
            }
            Action::StartOrchestration { name, instance_id, input, tags, start_at } => {
                let call = (name.clone(), input.clone(), self.inherited(tags));
                let guid = self.request_guid(number);
                let start = child_start(call, guid, None, start_at, self.trace_below());
                effects.sent.push(start_message(instance_id.clone(), start));
                EventKind::OrchestrationStartSent { name, instance_id, input }
            }
            Action::CallEntity { entity, operation, input } => {
                let request_id = self.request_guid(number);
                self.open.insert(number, request_id, OpenKind::Entity);
                let call = (&entity, operation.as_str(), input.as_ref());
                effects.sent.push(self.entity_call_message(id, number, request_id, call));
                EventKind::EntityOperationCalled { request_id, entity, operation, input }
            }
            Action::SignalEntity { entity, operation, input, at, refusal } => {
                let request_id = self.request_guid(number);
                if refusal.is_none() {
                    let call = (operation.as_str(), input.as_ref());
                    let message = signal_message(request_id, &entity, call, self.trace_below());
                    effects.send_at(moment, at, request_id, message);
                }
                EventKind::EntityOperationSignaled {
                    request_id,
                    entity,
                    operation,
                    input,
                    scheduled_time: at,
                    refusal,
                }
            }
            Action::LockEntities { entities, refusal } => {
                self.lock(id, number, &entities, refusal, effects);
                let critical_section_id = self.lock_guid(number);
                EventKind::EntityLockRequested { critical_section_id, lock_set: entities }
            }
            Action::UnlockEntity { lock, entity } => {
                let critical_section_id = self.lock_guid(lock);
                self.unlock(lock, &entity, effects);
                EventKind::EntityUnlockSent { critical_section_id, entity }
            }
            Action::CreateTimer { fire_at } => {
                let guid = self.request_guid(number);
                self.open.insert(number, guid, OpenKind::Timer(fire_at));
                effects.delayed.push(self.timer_message(id, number, guid, fire_at));
                EventKind::TimerCreated { fire_at }
            }
            Action::SendEvent { instance_id, name, input } => {
                let body = MessageBody::RaiseEvent { name: name.clone(), input: input.clone() };
                effects.sent.push(Message { target: instance_id.clone(), body });
                EventKind::EventSent { instance_id, name, input }
            }
        }
    }

    /// Takes note that it waits for a child; gives the message that starts it.
    fn start_child(
        &mut self,
        id: &InstanceId,
        number: i32,
        child: &InstanceId,
        (call, start_at): ((FunctionName, Payload, Tags), Option<Timestamp>),
    ) -> Message {
        let guid = self.request_guid(number);
        self.open.insert(number, guid, OpenKind::SubOrchestration(child.clone()));
        let parent = self.as_parent(id, number, guid);
        let start = child_start(call, guid, Some(parent), start_at, self.trace_below());
        start_message(child.clone(), start)
    }

    /// The place in the trace of what the execution asks for.
    pub(super) fn trace_below(&self) -> Option<Box<TraceContext>> {
        let Self { record, .. } = self;
        let trace = record.trace.as_deref()?;
        Some(Box::new(trace.below(SpanId::of_execution(record.execution_id, record.rewinds))))
    }

    /// The tags of something that the orchestration starts: its own, and the given ones, which win.
    fn inherited(&self, given: Tags) -> Tags {
        if self.record.tags.is_empty() {
            return given;
        }
        let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
        let mut tags: Tags =
            self.record.tags.iter().filter(|(name, _)| !is_given(name)).cloned().collect();
        tags.extend(given);
        tags
    }

    /// This orchestration as the parent of a child.
    pub(super) fn as_parent(
        &self,
        id: &InstanceId,
        number: i32,
        request_id: RequestId,
    ) -> ParentInstance {
        ParentInstance {
            instance_id: id.clone(),
            execution_id: self.record.execution_id,
            scheduled_id: number,
            request_id,
        }
    }

    /// The message that has an activity run.
    pub(super) fn activity_message(
        &self,
        id: &InstanceId,
        number: i32,
        request_id: RequestId,
        call: &ActivityCall,
    ) -> Message {
        let task = ActivityTask {
            execution_id: self.record.execution_id,
            scheduled_id: number,
            request_id,
            name: call.name.clone(),
            input: call.input.clone(),
            tags: call.tags.clone(),
            idempotency_key: self.recorded_guid(call.first_attempt.unwrap_or(number)),
            attempt: call.attempt,
            trace: self.trace_below(),
        };
        Message { target: id.clone(), body: MessageBody::ActivityTask(Box::new(task)) }
    }

    /// The message that has an entity do an operation and answer.
    pub(super) fn entity_call_message(
        &self,
        id: &InstanceId,
        number: i32,
        request_id: RequestId,
        (entity, operation, input): (&EntityId, &str, Option<&Payload>),
    ) -> Message {
        let reply_to = ReplyAddress {
            instance_id: id.clone(),
            execution_id: self.record.execution_id,
            scheduled_id: number,
        };
        let body = MessageBody::EntityOperation {
            request_id,
            operation: operation.to_owned(),
            input: input.cloned(),
            reply_to: Some(Box::new(reply_to)),
            trace: self.trace_below(),
        };
        Message { target: entity.instance_id(), body }
    }

    /// The delayed message that fires a timer.
    pub(super) fn timer_message(
        &self,
        id: &InstanceId,
        timer_id: i32,
        guid: RequestId,
        fire_at: Timestamp,
    ) -> (DelayedKey, Message) {
        let execution_id = self.record.execution_id;
        let body = MessageBody::TimerFired { execution_id, timer_id, request_id: guid, fire_at };
        (DelayedKey { due: fire_at, guid }, Message { target: id.clone(), body })
    }

    /// The GUID of an action that was asked for at any time. It depends on how often the execution
    /// had been rewound by then.
    pub(super) fn recorded_guid(&self, number: i32) -> RequestId {
        if self.record.rewinds == 0 {
            return self.request_guid(number);
        }
        let mut rewinds = 0;
        for event in self.history.iter() {
            if event.event_id == number {
                return self.record.execution_id.request_guid(number, rewinds);
            }
            rewinds += u32::from(matches!(event.kind, EventKind::ExecutionRewound { .. }));
        }
        self.request_guid(number)
    }
}

/// A call of an activity.
pub(super) struct ActivityCall {
    pub(super) name: FunctionName,
    pub(super) input: Payload,
    pub(super) tags: Tags,
    pub(super) first_attempt: Option<i32>,
    pub(super) attempt: u32,
}

/// The message that tells an entity to do an operation.
fn signal_message(
    request_id: RequestId,
    entity: &EntityId,
    (operation, input): (&str, Option<&Payload>),
    trace: Option<Box<TraceContext>>,
) -> Message {
    let (operation, input, reply_to) = (operation.to_owned(), input.cloned(), None);
    let body = MessageBody::EntityOperation { request_id, operation, input, reply_to, trace };
    Message { target: entity.instance_id(), body }
}

/// The start of something that an instance starts. Its code is found on arrival.
pub(super) fn child_start(
    (name, input, tags): (FunctionName, Payload, Tags),
    guid: RequestId,
    parent: Option<ParentInstance>,
    start_at: Option<Timestamp>,
    trace: Option<Box<TraceContext>>,
) -> ExecutionStart {
    ExecutionStart {
        name,
        execution_id: ExecutionId::new(guid),
        component: None,
        input,
        tags,
        parent,
        start_at,
        events: Vec::new(),
        is_recorded: false,
        trace,
    }
}

/// The message of an instance that starts an orchestration.
pub(in crate::partition) fn start_message(target: InstanceId, start: ExecutionStart) -> Message {
    Message { target, body: MessageBody::StartOrchestration(Box::new(start)) }
}

/// A start by an entity.
pub(in crate::partition) fn entity_start(
    name: FunctionName,
    input: Payload,
    guid: RequestId,
    trace: Option<Box<TraceContext>>,
) -> ExecutionStart {
    child_start((name, input, Vec::new()), guid, None, None, trace)
}
