//! Messages between instances.
//!
//! A message is durable together with the state change that sent it, and is consumed together with
//! the state change that it causes: each is applied exactly once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::function::{ComponentHash, FunctionName};
use crate::id::{ExecutionId, InstanceId, RequestId};
use crate::payload::Payload;
use crate::record::Tags;

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

/// What a message says. Stored: new kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageBody {
    /// Begin this execution. The record of the orchestration is there already, as `Pending`,
    /// unless the start came from an instance.
    StartOrchestration {
        /// The orchestrator.
        name: FunctionName,
        /// The new execution.
        execution_id: ExecutionId,
        /// The code it is pinned to; absent where the sender could not know, which then is the newest.
        component: Option<ComponentHash>,
        /// What it is started with.
        input: Payload,
        /// Given at the start.
        tags: Tags,
    },
    /// Do an operation.
    EntityOperation {
        /// The request.
        request_id: RequestId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Who waits for the result; nobody for a signal.
        reply_to: Option<ReplyAddress>,
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
        result: Result<Option<Payload>, Failure>,
    },
}
