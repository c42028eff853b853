//! What goes into a partition and what comes out of it.

use std::fmt;
use std::sync::Arc;

use everstate_types::{
    ComponentHash, DelayedKey, EntityRecord, ExecutionId, ExecutionStart, Failure, FunctionName,
    HistoryEvent, InstanceId, Message, MessageKey, OrchestrationRecord, Payload, RequestId,
    RuntimeStatus, SpanId, Timestamp, TraceContext,
};

use super::Moment;
use super::orchestration::Explained;
use crate::client::{ConflictPolicy, EntityStatus, ExportedOrchestration, InstanceStatus};
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{
    ActivityWorkItem, EntityOperation, EntityOutcome, EntityWorkItem, OrchestrationOutcome,
    OrchestrationWorkItem,
};
use crate::storage::{CommitSeq, StoredInstance};
use crate::trace::FinishedSpan;

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
    Message(MessageKey, Message),
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
    /// An activity has run.
    ActivityRan {
        /// The orchestration that waits for it.
        instance_id: InstanceId,
        /// The message that it was scheduled with.
        message_key: MessageKey,
        /// What was run.
        task: ActivityRef,
        /// What it gave; `None`: it was not run, because nobody waits for it.
        result: Option<Result<Payload, Failure>>,
        /// The span of the attempt, if it belongs to a trace.
        span: Option<Box<FinishedSpan>>,
    },
    /// Operations of an entity have run.
    EntityRan {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The token of the work item.
        token: u64,
        /// What they gave.
        outcome: Box<EntityOutcome>,
        /// The spans of those operations that belong to a trace.
        spans: Vec<FinishedSpan>,
    },
}

/// Which activity of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityRef {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The number of the action that scheduled it.
    pub scheduled_id: i32,
    /// The GUID of that action.
    pub request_id: RequestId,
    /// The span of the execution, if it belongs to a trace.
    pub above: Option<SpanId>,
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
    /// Tell the status of an orchestration when it has come so far.
    Wait {
        /// The orchestration.
        instance_id: InstanceId,
        /// How far.
        wait_for: WaitFor,
        /// Gets [`Reply::Status`].
        reply_to: R,
    },
    /// Tell why an orchestration waits.
    Explain {
        /// The orchestration.
        instance_id: InstanceId,
        /// Gets [`Reply::Explained`].
        reply_to: R,
    },
    /// Let an instance leave for another host, or come from one.
    Transfer(Box<Transfer<R>>),
    /// Take on an event.
    RaiseEvent {
        /// The orchestration.
        instance_id: InstanceId,
        /// The event's name.
        name: String,
        /// What it carries.
        input: Payload,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Change where an orchestration is in its life.
    Change {
        /// The orchestration.
        instance_id: InstanceId,
        /// How.
        change: LifecycleChange,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Do an operation and tell its result. Not durable before it has an effect: nobody was told.
    CallEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The operation.
        call: OperationCall,
        /// Gets [`Reply::Operation`].
        reply_to: R,
    },
    /// Do an operation that changes nothing on the state as it is, and tell its result.
    ReadEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The operation.
        call: OperationCall,
        /// Gets [`Reply::Operation`].
        reply_to: R,
    },
    /// Take on an operation that nobody waits for.
    SignalEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// The operation.
        call: OperationCall,
        /// Not before; `None`: at once.
        at: Option<Timestamp>,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Take on an operation, unless this receipt says that it was taken on before.
    SignalOnce {
        /// The receipt: the instance that keeps the request.
        receipt: InstanceId,
        /// The entity's instance id.
        target: InstanceId,
        /// The operation.
        call: OperationCall,
        /// Not before; `None`: at once.
        at: Option<Timestamp>,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Say whether a client's operation would be taken on.
    CheckRoom {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Tell what is known of an entity.
    GetEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Gets [`Reply::Entity`].
        reply_to: R,
    },
    /// Take the lock of an entity from its holder.
    BreakLock {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Gets [`Reply::LockBroken`].
        reply_to: R,
    },
    /// Remove an entity when what came before is done, whatever its code would say to that.
    PurgeEntity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Gets [`Reply::EntityPurged`].
        reply_to: R,
    },
}

/// An operation that a client wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationCall {
    /// The request.
    pub request_id: RequestId,
    /// The operation.
    pub operation: String,
    /// Its input.
    pub input: Option<Payload>,
    /// The trace that it belongs to, and the span that asks for it.
    pub trace: Option<Box<TraceContext>>,
}

impl From<EntityOperation> for OperationCall {
    fn from(operation: EntityOperation) -> Self {
        let EntityOperation { request_id, operation, input, trace } = operation;
        Self { request_id, operation, input, trace }
    }
}

/// A start by a client.
#[derive(Debug)]
pub struct StartRequest<R> {
    /// The new orchestration's id.
    pub instance_id: InstanceId,
    /// Whether the id was made for this request, so that nobody can have used it.
    pub is_new_id: bool,
    /// The new execution.
    pub start: ExecutionStart,
    /// What to do with an orchestration that is alive.
    pub on_conflict: ConflictPolicy,
    /// Gets [`Reply::Started`].
    pub reply_to: R,
}

/// An instance leaves or comes.
#[derive(Debug)]
pub enum Transfer<R> {
    /// Tell all that another host needs to go on with an orchestration.
    Export {
        /// The orchestration.
        instance_id: InstanceId,
        /// Gets [`Reply::Exported`].
        reply_to: R,
    },
    /// Put an orchestration in its place as it was exported.
    Orchestration {
        /// The orchestration.
        instance_id: InstanceId,
        /// What it was elsewhere. It fits itself, and is pinned to code that there is.
        exported: Box<ExportedOrchestration>,
        /// Whether one of that id is replaced that is alive.
        is_replacing: bool,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
    /// Give an entity the state that it had elsewhere.
    Entity {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// What it was; with the name of its value, if that is stored by itself.
        record: Box<EntityRecord>,
        /// Whether a state is replaced.
        is_replacing: bool,
        /// Gets [`Reply::Accepted`].
        reply_to: R,
    },
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// That it has begun to run.
    Start,
    /// That it has ended.
    Completion,
    /// That there is something else to be told of it than this.
    Change(Seen),
}

/// How far somebody has seen an orchestration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The generation.
    pub execution_id: ExecutionId,
    /// How often it had been rewound: a rewind cuts the history.
    pub rewinds: u32,
    /// The events of its history.
    pub history_count: usize,
    /// Where it was in its life.
    pub status: RuntimeStatus,
}

impl Seen {
    /// All that this record and history tell.
    #[must_use]
    pub fn of(record: &OrchestrationRecord, history: &[HistoryEvent]) -> Self {
        Self {
            execution_id: record.execution_id,
            rewinds: record.rewinds,
            history_count: history.len(),
            status: record.status,
        }
    }
}

/// How a client changes where an orchestration is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleChange {
    /// It ends now.
    Terminate {
        /// Why; becomes its output.
        reason: Option<Payload>,
        /// Whether the children that it waits for end too.
        recurse: bool,
    },
    /// It pauses.
    Suspend {
        /// Why.
        reason: Option<String>,
    },
    /// It goes on.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// It does again what failed.
    Rewind {
        /// Why.
        reason: Option<String>,
    },
    /// It is removed.
    Purge {
        /// Whether finished children that it waited for are removed too.
        recurse: bool,
    },
    /// It is pinned to other code.
    Migrate {
        /// The code, which has the orchestrator and follows the history.
        component: ComponentHash,
    },
    /// It is removed, without its children, if it has not changed since.
    PurgeEnded {
        /// It changed then or earlier.
        before: Timestamp,
    },
}

impl LifecycleChange {
    /// As a verb, for messages.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Terminate { .. } => "terminate",
            Self::Suspend { .. } => "suspend",
            Self::Resume { .. } => "resume",
            Self::Rewind { .. } => "rewind",
            Self::Purge { .. } | Self::PurgeEnded { .. } => "purge",
            Self::Migrate { .. } => "migrate",
        }
    }
}

impl<R> Request<R> {
    /// Whom it is about.
    pub fn instance_id(&self) -> &InstanceId {
        match self {
            Self::Start(start) => &start.instance_id,
            Self::Transfer(transfer) => match &**transfer {
                Transfer::Export { instance_id, .. }
                | Transfer::Orchestration { instance_id, .. }
                | Transfer::Entity { instance_id, .. } => instance_id,
            },
            Self::GetStatus { instance_id, .. }
            | Self::Wait { instance_id, .. }
            | Self::Explain { instance_id, .. }
            | Self::RaiseEvent { instance_id, .. }
            | Self::Change { instance_id, .. }
            | Self::CallEntity { instance_id, .. }
            | Self::ReadEntity { instance_id, .. }
            | Self::SignalEntity { instance_id, .. }
            | Self::SignalOnce { receipt: instance_id, .. }
            | Self::CheckRoom { instance_id, .. }
            | Self::GetEntity { instance_id, .. }
            | Self::BreakLock { instance_id, .. }
            | Self::PurgeEntity { instance_id, .. } => instance_id,
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
    /// Why an orchestration waits; `None`: there is no such orchestration.
    Explained(Option<Box<Explained>>),
    /// The result of an operation.
    Operation(Result<Option<Payload>, Failure>),
    /// All that another host needs to go on; `None`: there is no such orchestration.
    Exported(Option<Box<ExportedOrchestration>>),
    /// It is done, or will be.
    Accepted,
    /// What is known of an entity; `None`: it has no state, is not locked and nothing waits.
    Entity(Option<Box<EntityStatus>>),
    /// Whether the entity was locked.
    LockBroken(bool),
    /// Whether there was anything of the entity.
    EntityPurged(bool),
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

impl Gate {
    /// The turn that is waited for, if this one has the place `staged`.
    pub(crate) fn place(self, staged: CommitSeq) -> CommitSeq {
        match self {
            Self::ThisTurn => staged,
            Self::Turn(seq) => seq,
        }
    }
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
    /// An activity.
    Activity {
        /// Comes back with the outcome.
        message_key: MessageKey,
        /// Comes back with the outcome.
        task: ActivityRef,
        /// What to run; its `seq` is filled in when the turn has its place.
        item: ActivityWorkItem,
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

/// An operation that changes nothing, on the state as it was.
#[derive(Debug)]
pub struct EntityRead<R> {
    /// What to run: one operation.
    pub item: EntityWorkItem,
    /// Gets [`Reply::Operation`].
    pub reply_to: R,
    /// What the state depends on.
    pub gate: Gate,
}

/// An orchestration that stopped because its code does not follow its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// The orchestrator.
    pub name: FunctionName,
    /// The code that does not fit.
    pub component: Option<ComponentHash>,
}

/// What a turn wants done, in this order: stage `changes`, `sent` and `delayed` as one; send, run,
/// load, answer.
#[derive(Debug)]
pub struct Effects<R> {
    /// What has changed.
    pub changes: Vec<Change>,
    /// Messages to instances, to this partition's as well.
    pub sent: Vec<Message>,
    /// Messages that are to be delivered when they are due.
    pub delayed: Vec<(DelayedKey, Message)>,
    /// Guest code to be run.
    pub work: Vec<Work>,
    /// Operations to be run that change nothing: the caller gets the result, the partition does not.
    pub reads: Vec<EntityRead<R>>,
    /// Instances to be read from the storage.
    pub loads: Vec<InstanceId>,
    /// Orchestrations whose kept guests are of no use any more.
    pub forgotten: Vec<InstanceId>,
    /// Orchestrations that stopped because their code does not follow their history. If there is newer
    /// code by now, they are to be resumed: whoever announced it may not have seen them stop.
    pub stopped: Vec<Stopped>,
    /// Answers, and what each has to wait for.
    pub replies: Vec<(R, Reply, Gate)>,
    /// What is told to observers.
    pub facts: Vec<Fact>,
    /// The longest inbox of an entity that got an operation.
    pub inbox_peak: usize,
}

/// What a turn tells observers. Nothing depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An orchestration was started.
    Started(FunctionName),
    /// An execution has ended.
    Ended {
        /// The orchestrator.
        name: FunctionName,
        /// How; `None`: with a next generation.
        status: Option<RuntimeStatus>,
        /// Its span, if it belongs to a trace.
        span: Option<Box<FinishedSpan>>,
    },
    /// Something else has ended that belongs to a trace.
    Span(Box<FinishedSpan>),
}

impl<R> Effects<R> {
    /// Sends a message, at once or when it is due. The GUID names a message that waits.
    pub(super) fn send_at(
        &mut self,
        moment: Moment,
        at: Option<Timestamp>,
        guid: RequestId,
        message: Message,
    ) {
        match at.filter(|due| *due > moment.now) {
            Some(due) => self.delayed.push((DelayedKey { due, guid }, message)),
            None => self.sent.push(message),
        }
    }
}

impl<R> Default for Effects<R> {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            sent: Vec::new(),
            delayed: Vec::new(),
            work: Vec::new(),
            reads: Vec::new(),
            loads: Vec::new(),
            forgotten: Vec::new(),
            stopped: Vec::new(),
            replies: Vec::new(),
            facts: Vec::new(),
            inbox_peak: 0,
        }
    }
}
