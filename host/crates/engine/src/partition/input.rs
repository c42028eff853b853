//! What goes into a partition and what comes out of it.

use std::fmt;
use std::sync::Arc;

use everstate_types::{
    ComponentHash, ExecutionId, Failure, FunctionName, InstanceId, Message, MessageId, Payload,
    RequestId, Tags,
};

use crate::client::InstanceStatus;
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{EntityOutcome, EntityWorkItem, OrchestrationOutcome, OrchestrationWorkItem};
use crate::storage::{CommitSeq, StoredInstance};

/// Somebody outside who waits for an answer.
pub trait ReplyTo: fmt::Debug {
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<R> {
    /// A client asks for something.
    Request(Request<R>),
    /// A message came; it is staged or stored.
    Message(MessageId, Message),
    /// An instance that was asked for was read from the storage.
    Loaded(InstanceId, Option<StoredInstance>),
    /// A turn of an orchestration has run.
    OrchestrationRan {
        /// The orchestration.
        instance_id: InstanceId,
        /// The token of the work item.
        token: u64,
        /// What it gave.
        outcome: OrchestrationOutcome,
    },
    /// Operations of an entity have run.
    EntityRan {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The token of the work item.
        token: u64,
        /// What they gave.
        outcome: EntityOutcome,
    },
}

/// What a client asks for.
#[derive(Debug)]
pub enum Request<R> {
    /// Start an orchestration.
    Start(Box<StartRequest<R>>),
    /// Tell the status of an orchestration.
    GetStatus {
        /// The orchestration.
        instance_id: InstanceId,
        /// Gets [`Reply::Status`].
        reply_to: R,
    },
    /// Tell the status of an orchestration when it has ended.
    WaitForCompletion {
        /// The orchestration.
        instance_id: InstanceId,
        /// Gets [`Reply::Status`].
        reply_to: R,
    },
    /// Do an operation and tell its result. Not durable before it has an effect: nobody was told.
    CallEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The request.
        request_id: RequestId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Gets [`Reply::Operation`].
        reply_to: R,
    },
    /// Take on an operation that nobody waits for.
    SignalEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The request.
        request_id: RequestId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Tell the state of an entity.
    ReadState {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Gets [`Reply::State`].
        reply_to: R,
    },
}

/// A start by a client.
#[derive(Debug)]
pub struct StartRequest<R> {
    /// The new orchestration's id.
    pub instance_id: InstanceId,
    /// Whether the id was made for this request, so that nobody can have used it.
    pub is_new_id: bool,
    /// The orchestrator.
    pub name: FunctionName,
    /// The code that it is pinned to.
    pub component: ComponentHash,
    /// The new execution.
    pub execution_id: ExecutionId,
    /// What it is started with.
    pub input: Payload,
    /// Given at the start.
    pub tags: Tags,
    /// Whether an orchestration that is alive is as good as a new one.
    pub use_existing: bool,
    /// Gets [`Reply::Started`].
    pub reply_to: R,
}

impl<R> Request<R> {
    /// Whom it is about.
    pub fn instance_id(&self) -> &InstanceId {
        match self {
            Self::Start(start) => &start.instance_id,
            Self::GetStatus { instance_id, .. }
            | Self::WaitForCompletion { instance_id, .. }
            | Self::CallEntity { instance_id, .. }
            | Self::SignalEntity { instance_id, .. }
            | Self::ReadState { instance_id, .. } => instance_id,
        }
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The orchestration with this id runs.
    Started(InstanceId),
    /// The status; `None`: there is no such orchestration.
    Status(Option<Arc<InstanceStatus>>),
    /// The result of an operation.
    Operation(Result<Option<Payload>, Failure>),
    /// The signal will be delivered.
    Accepted,
    /// The state; `None`: the entity does not exist.
    State(Option<Payload>),
    /// The request was refused and changed nothing.
    Refused(ClientError),
}

/// What an answer has to wait for before it may leave the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The turn that gave it.
    ThisTurn,
    /// An earlier turn.
    Turn(CommitSeq),
}

/// Guest code to be run.
#[derive(Debug)]
pub enum Work {
    /// A turn of an orchestration.
    Orchestration {
        /// Comes back with the outcome.
        token: u64,
        /// What to run.
        item: OrchestrationWorkItem,
    },
    /// Operations of an entity.
    Entity {
        /// The entity's instance id. Comes back with the outcome.
        instance_id: InstanceId,
        /// Comes back with the outcome.
        token: u64,
        /// What to run.
        item: EntityWorkItem,
    },
}

/// What a turn wants done, in this order: stage `changes` and `sent` as one; send, run, load, answer.
#[derive(Debug)]
pub struct Effects<R> {
    /// What has changed.
    pub changes: Vec<Change>,
    /// Messages to instances, to this partition's as well.
    pub sent: Vec<Message>,
    /// Guest code to be run.
    pub work: Vec<Work>,
    /// Instances to be read from the storage.
    pub loads: Vec<InstanceId>,
    /// Answers, and what each has to wait for.
    pub replies: Vec<(R, Reply, Gate)>,
}

impl<R> Default for Effects<R> {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            sent: Vec::new(),
            work: Vec::new(),
            loads: Vec::new(),
            replies: Vec::new(),
        }
    }
}
