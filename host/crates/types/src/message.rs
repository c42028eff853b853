//! Messages between instances.
//!
//! A message is durable together with the state change that sent it, and is consumed together with
//! the state change that it causes: each is applied exactly once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::function::{ComponentHash, FunctionName};
use crate::history::EventKind;
use crate::id::{EntityId, ExecutionId, InstanceId, RequestId};
use crate::payload::Payload;
use crate::record::Tags;
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// The place of a message in the order of all messages of a node. Given when the message is
/// staged for the commit; unique among the messages that are alive.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MessageId(pub u64);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names a message that is delivered later. The sender makes it of what it knows, so that the sender
/// can take the message back. In the order in which such messages are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DelayedKey {
    /// Not to be delivered before.
    pub due: Timestamp,
    /// A GUID that no other delayed message has.
    pub guid: RequestId,
}

/// Names a message that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageKey {
    /// One that was delivered when it was sent.
    Sent(MessageId),
    /// One that was delivered when it was due.
    Delayed(DelayedKey),
}

/// Something that travels to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// To whom.
    pub target: InstanceId,
    /// What.
    pub body: MessageBody,
}

/// Who waits for the result of an entity operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyAddress {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// Its execution; a reply to another one is dropped.
    pub execution_id: ExecutionId,
    /// The number of the action that asked.
    pub scheduled_id: i32,
}

/// The orchestration that waits for the end of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentInstance {
    /// The parent.
    pub instance_id: InstanceId,
    /// Its execution; a result for another one is dropped.
    pub execution_id: ExecutionId,
    /// The number of the action that started the child.
    pub scheduled_id: i32,
    /// The GUID of that action.
    pub request_id: RequestId,
}

/// A start of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionStart {
    /// The orchestrator.
    pub name: FunctionName,
    /// The new execution.
    pub execution_id: ExecutionId,
    /// The code it is pinned to; absent where the sender could not know, which then is the newest.
    pub component: Option<ComponentHash>,
    /// What it is started with.
    pub input: Payload,
    /// Given at the start.
    pub tags: Tags,
    /// Who waits for its end.
    pub parent: Option<ParentInstance>,
    /// Not to be run before.
    pub start_at: Option<Timestamp>,
    /// Events that the generation before has not consumed: name and what they carry, oldest first.
    pub events: Vec<(String, Payload)>,
    /// Whether the record of the execution was there when the start was sent. If it is there no more,
    /// the execution was ended and removed since, and must not begin again.
    pub is_recorded: bool,
    /// The trace that the execution belongs to, and the span that started it.
    pub trace: Option<Box<TraceContext>>,
}

/// An orchestration asks for exclusive use of entities. The request goes from one to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// Who is to be told when all are held.
    pub reply_to: ReplyAddress,
    /// The request.
    pub request_id: RequestId,
    /// The entities that are to be taken after the one to which this is sent, in this order.
    pub rest: Vec<EntityId>,
}

/// An activity to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityTask {
    /// The execution that waits for it.
    pub execution_id: ExecutionId,
    /// The number of the action that scheduled it.
    pub scheduled_id: i32,
    /// The GUID of that action.
    pub request_id: RequestId,
    /// The activity.
    pub name: FunctionName,
    /// Its input.
    pub input: Payload,
    /// Its tags, with those that it inherits.
    pub tags: Tags,
    /// The same for every attempt at the same work, and for no other.
    pub idempotency_key: RequestId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The trace that the orchestration belongs to, and the span of its execution.
    pub trace: Option<Box<TraceContext>>,
}

/// An order to a child of an orchestration that was rewound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewindChild {
    /// Why.
    pub reason: Option<String>,
    /// The start with which the child begins anew, if there is nothing to be rewound.
    pub start: ExecutionStart,
}

/// What a message says. Stored: new kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageBody {
    /// Begin this execution. The record of the orchestration is there already, as `Pending`,
    /// unless the start came from an instance.
    StartOrchestration(Box<ExecutionStart>),
    /// Do an operation.
    EntityOperation {
        /// The request.
        request_id: RequestId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Who waits for the result; nobody for a signal.
        reply_to: Option<Box<ReplyAddress>>,
        /// The trace that the operation belongs to, and the span that asked for it.
        trace: Option<Box<TraceContext>>,
    },
    /// An operation ended.
    EntityReply {
        /// The execution that asked.
        execution_id: ExecutionId,
        /// The number of the action that asked.
        scheduled_id: i32,
        /// The request.
        request_id: RequestId,
        /// Its result.
        result: Result<Option<Payload>, Box<Failure>>,
    },
    /// Run an activity. Travels to the orchestration that waits for it, which has it run.
    ActivityTask(Box<ActivityTask>),
    /// An activity ended.
    ActivityResult {
        /// The execution that waits for it.
        execution_id: ExecutionId,
        /// The number of the action that scheduled it.
        scheduled_id: i32,
        /// The GUID of that action.
        request_id: RequestId,
        /// Its result.
        result: Result<Payload, Box<Failure>>,
    },
    /// A child ended.
    SubOrchestrationResult {
        /// The execution that waits for it.
        execution_id: ExecutionId,
        /// The number of the action that started it.
        scheduled_id: i32,
        /// The GUID of that action.
        request_id: RequestId,
        /// Its output.
        result: Result<Payload, Box<Failure>>,
    },
    /// A timer is due. A delayed message of an orchestration to itself.
    TimerFired {
        /// The execution that armed it.
        execution_id: ExecutionId,
        /// The number of the action that armed it.
        timer_id: i32,
        /// The GUID of that action.
        request_id: RequestId,
        /// When it is due.
        fire_at: Timestamp,
    },
    /// An event for the orchestration, whichever generation it is in.
    RaiseEvent {
        /// The event's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
    /// End, because the parent was terminated with its children.
    Terminate {
        /// Why.
        reason: Option<Payload>,
        /// The parent; a child of another one is not meant.
        parent: Box<ParentInstance>,
    },
    /// Go on with the newest code: after a rewind, or when an orchestration is resumed whose code
    /// did not fit its history.
    Proceed {
        /// The execution that is meant.
        execution_id: ExecutionId,
        /// The orchestrator, to find the newest code.
        name: FunctionName,
        /// The newest code; absent until the message is delivered.
        component: Option<ComponentHash>,
        /// What happens first in the next turn.
        events: Vec<EventKind>,
    },
    /// Run again what failed.
    Rewind(Box<RewindChild>),
    /// Remove a finished child, because its parent was purged with its children.
    Purge {
        /// The parent; a child of another one is not meant.
        parent: Box<ParentInstance>,
    },
    /// Let an orchestration have exclusive use of the entity.
    LockRequest(Box<LockRequest>),
    /// A request for locks ended.
    LockReply {
        /// The execution that asked.
        execution_id: ExecutionId,
        /// The number of the action that asked.
        scheduled_id: i32,
        /// The request.
        request_id: RequestId,
        /// Nothing if all are held; why none is.
        result: Result<(), Box<Failure>>,
    },
    /// Give a lock back, or up, if it has not been granted; and pass this on.
    ReleaseLock {
        /// The request that asked for it.
        request_id: RequestId,
        /// The entities to which this goes next, in this order.
        rest: Vec<EntityId>,
    },
    /// Look whether the entity has not been used for its time to live, and delete it then. A delayed
    /// message of an entity to itself.
    EntityExpiry,
}
