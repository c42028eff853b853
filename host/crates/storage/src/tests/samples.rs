//! One of each: every kind of event and every kind of message, as the format's fixture has them.

use everstate_types::{
    ActivityTask, EntityId, EventKind, ExecutionStart, Failure, HistoryEvent, InnerFailure,
    InstanceId, LockRequest, Message, MessageBody, OrchestrationStatus, ParentInstance, Payload,
    ReplyAddress, RewindChild, SpanId, Tags, TraceContext,
};
use uuid::Uuid;

use super::{entity_id, execution, message, name, orchestration_id, time, timer_message};

pub(super) fn parent() -> ParentInstance {
    ParentInstance {
        instance_id: InstanceId::orchestration("parent").unwrap(),
        execution_id: execution(8),
        scheduled_id: 2,
        request_id: guid(6),
    }
}

/// A place in a trace, with all that may belong to it.
pub(super) fn trace() -> TraceContext {
    let state = "vendor=1".to_owned();
    TraceContext { trace_id: 0x0af7_6519, span_id: SpanId(0xb7ad), flags: 1, state }
}

fn guid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn tags() -> Tags {
    vec![("team".to_owned(), "blue".to_owned())]
}

fn payload() -> Payload {
    Payload::from("1")
}

fn lock_owner() -> EntityId {
    EntityId::new("Lock", "k").unwrap()
}

fn failure() -> Failure {
    Failure {
        error_type: "E".to_owned(),
        error_message: "why".to_owned(),
        stack_trace: None,
        inner_failures: vec![InnerFailure {
            error_type: "I".to_owned(),
            error_message: "inner".to_owned(),
            stack_trace: Some("at".to_owned()),
        }],
        is_non_retriable: true,
        properties: vec![("k".to_owned(), "1".to_owned())],
    }
}

fn start() -> ExecutionStart {
    ExecutionStart {
        name: name(),
        execution_id: execution(1),
        component: None,
        input: payload(),
        tags: tags(),
        parent: Some(parent()),
        start_at: Some(time(77)),
        events: vec![("go".to_owned(), payload())],
        is_recorded: true,
        trace: Some(Box::new(trace())),
    }
}

/// An event of each kind, in the order of the kinds.
pub(super) fn events() -> Vec<HistoryEvent> {
    let mut kinds = turn_events();
    kinds.extend(activity_and_child_events());
    kinds.extend(lifecycle_events());
    kinds.extend(entity_events());
    kinds.push(EventKind::OrchestrationStartSent {
        name: name(),
        instance_id: orchestration_id(),
        input: payload(),
    });
    kinds.into_iter().map(|kind| HistoryEvent::of_action(3, time(2), kind)).collect()
}

fn turn_events() -> Vec<EventKind> {
    let started = EventKind::ExecutionStarted {
        name: name(),
        version: Some("1".to_owned()),
        input: payload(),
        parent: Some(parent()),
        tags: tags(),
        scheduled_start: Some(time(77)),
    };
    let completed = EventKind::ExecutionCompleted {
        status: OrchestrationStatus::ContinuedAsNew,
        result: Some(payload()),
        failure: Some(failure()),
    };
    let terminated = EventKind::ExecutionTerminated { reason: Some(payload()), recurse: true };
    vec![started, completed, terminated]
}

fn activity_and_child_events() -> Vec<EventKind> {
    let (version, tags) = (Some("1".to_owned()), tags());
    vec![
        EventKind::ActivityScheduled {
            name: name(),
            version: version.clone(),
            input: payload(),
            tags: tags.clone(),
            first_attempt: Some(1),
            attempt: 2,
        },
        EventKind::ActivityCompleted { scheduled_id: 3, result: payload() },
        EventKind::ActivityFailed { scheduled_id: 3, failure: failure() },
        EventKind::SubOrchestrationCreated {
            name: name(),
            version,
            instance_id: orchestration_id(),
            input: payload(),
            tags,
        },
        EventKind::SubOrchestrationCompleted { scheduled_id: 3, result: payload() },
        EventKind::SubOrchestrationFailed { scheduled_id: 3, failure: failure() },
        EventKind::TimerCreated { fire_at: time(9) },
        EventKind::TimerFired { timer_id: 3, fire_at: time(9) },
    ]
}

fn lifecycle_events() -> Vec<EventKind> {
    let (event, reason) = ("go".to_owned(), Some("why".to_owned()));
    vec![
        EventKind::OrchestratorStarted,
        EventKind::OrchestratorCompleted,
        EventKind::EventSent {
            instance_id: orchestration_id(),
            name: event.clone(),
            input: payload(),
        },
        EventKind::EventRaised { name: event, input: payload() },
        EventKind::GenericEvent { data: "info: a line".to_owned() },
        EventKind::HistoryState { state: payload() },
        EventKind::ContinuedAsNew { input: payload() },
        EventKind::ExecutionSuspended { reason: reason.clone() },
        EventKind::ExecutionResumed { reason: reason.clone() },
        EventKind::ExecutionRewound { reason },
    ]
}

fn entity_events() -> Vec<EventKind> {
    let (request_id, critical_section_id) = (guid(5), guid(4));
    let operation = "add".to_owned();
    vec![
        EventKind::EntityOperationSignaled {
            request_id,
            entity: lock_owner(),
            operation: operation.clone(),
            input: Some(payload()),
            scheduled_time: Some(time(77)),
            refusal: Some("why not".to_owned()),
        },
        EventKind::EntityOperationCalled {
            request_id,
            entity: lock_owner(),
            operation,
            input: Some(payload()),
        },
        EventKind::EntityOperationCompleted {
            scheduled_id: 3,
            request_id,
            output: Some(payload()),
        },
        EventKind::EntityOperationFailed { scheduled_id: 3, request_id, failure: failure() },
        EventKind::EntityLockRequested { critical_section_id, lock_set: vec![lock_owner()] },
        EventKind::EntityLockGranted { scheduled_id: 3, critical_section_id },
        EventKind::EntityUnlockSent { critical_section_id, entity: lock_owner() },
    ]
}

/// A message of each kind, in the order of the kinds.
pub(super) fn messages() -> Vec<Message> {
    let mut call = message("add");
    if let MessageBody::EntityOperation { reply_to, trace: of, .. } = &mut call.body {
        *reply_to = Some(Box::new(address()));
        *of = Some(Box::new(trace()));
    }
    assert_eq!(call.target, entity_id());
    let start = to_orchestration(MessageBody::StartOrchestration(Box::new(start())));
    let mut messages = vec![start, call];
    messages.extend(results().into_iter().map(to_orchestration));
    messages.push(timer_message(3));
    messages.extend(orders().into_iter().map(to_orchestration));
    let [request, reply, release, expiry] = locks_and_expiry();
    let to_entity = |body| Message { target: entity_id(), body };
    messages.extend([
        to_entity(request),
        to_orchestration(reply),
        to_entity(release),
        to_entity(expiry),
    ]);
    messages
}

fn address() -> ReplyAddress {
    ReplyAddress { instance_id: orchestration_id(), execution_id: execution(1), scheduled_id: 3 }
}

fn to_orchestration(body: MessageBody) -> Message {
    Message { target: orchestration_id(), body }
}

fn results() -> Vec<MessageBody> {
    let (execution_id, scheduled_id, request_id) = (execution(1), 3, guid(5));
    let task = ActivityTask {
        execution_id,
        scheduled_id,
        request_id,
        name: name(),
        input: payload(),
        tags: tags(),
        idempotency_key: guid(7),
        attempt: 2,
        trace: Some(Box::new(trace())),
    };
    vec![
        MessageBody::EntityReply {
            execution_id,
            scheduled_id,
            request_id,
            result: Err(Box::new(failure())),
        },
        MessageBody::ActivityTask(Box::new(task)),
        MessageBody::ActivityResult {
            execution_id,
            scheduled_id,
            request_id,
            result: Ok(payload()),
        },
        MessageBody::SubOrchestrationResult {
            execution_id,
            scheduled_id,
            request_id,
            result: Err(Box::new(failure())),
        },
    ]
}

fn orders() -> Vec<MessageBody> {
    let parent = Box::new(parent());
    vec![
        MessageBody::RaiseEvent { name: "go".to_owned(), input: payload() },
        MessageBody::Terminate { reason: Some(payload()), parent: parent.clone() },
        MessageBody::Proceed {
            execution_id: execution(1),
            name: name(),
            component: None,
            events: vec![EventKind::ExecutionResumed { reason: None }],
        },
        MessageBody::Rewind(Box::new(RewindChild {
            reason: Some("why".to_owned()),
            start: start(),
        })),
        MessageBody::Purge { parent },
    ]
}

fn locks_and_expiry() -> [MessageBody; 4] {
    let (request_id, rest) = (guid(4), vec![lock_owner()]);
    let request = LockRequest { reply_to: address(), request_id, rest: rest.clone() };
    let result = Err(Box::new(failure()));
    [
        MessageBody::LockRequest(Box::new(request)),
        MessageBody::LockReply { execution_id: execution(1), scheduled_id: 3, request_id, result },
        MessageBody::ReleaseLock { request_id, rest },
        MessageBody::EntityExpiry,
    ]
}
