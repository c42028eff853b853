//! [`Client`]: how the outside asks the engine for something.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everstate_types::{
    ExecutionId, ExecutionStart, FunctionKind, HistoryEvent, InstanceId, OrchestrationRecord,
    Payload, Tags, Timestamp, TraceContext,
};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

mod check;
mod entity;
mod explain;
mod exported;
mod lifecycle;
mod query;
mod transfer;

pub use self::entity::{EntityStatus, SignalOptions};
pub use self::exported::{ExportProblem, ExportedOrchestration, check_exported_entity};
pub use crate::error::ClientError;
use crate::guest::FoundFunction;
use crate::lane::ReplySender;
pub use crate::partition::Seen;
use crate::partition::{Input, Reply, Request, StartRequest as PartitionStart, WaitFor};
use crate::storage::{CommitSeq, StorageError};
use crate::task_hub::Node;

/// An answer, and the last state change that it depends on.
///
/// Answers run ahead of the disk. Whoever lets one out of the process waits for
/// [`Client::durable`] with its `seq` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed<T> {
    /// The answer.
    pub value: T,
    /// What must be durable before it leaves.
    pub seq: CommitSeq,
}

/// What is known of an orchestration.
#[derive(Clone, Debug)]
pub struct InstanceStatus {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// What is stored of it.
    pub record: OrchestrationRecord,
    /// The history of its current execution, oldest event first.
    pub history: Arc<Vec<HistoryEvent>>,
}

/// A start of an orchestration.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The orchestrator's name; ASCII case does not matter.
    pub name: String,
    /// What it is started with.
    pub input: Payload,
    /// The id; absent: a new GUID.
    pub instance_id: Option<InstanceId>,
    /// Names and values to be kept with it.
    pub tags: Tags,
    /// Not to be run before; absent: at once.
    pub start_at: Option<Timestamp>,
    /// What to do if the id is alive.
    pub on_conflict: ConflictPolicy,
}

/// What to do if an id is taken by an orchestration that is alive. One that has ended is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// Refuse: [`ClientError::AlreadyExists`].
    #[default]
    Fail,
    /// Start nothing and give its id.
    UseExisting,
    /// Terminate it and start the new one in its place.
    TerminateAndReplace,
}

/// Asks the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    node: Arc<Node>,
    /// The trace that what it starts belongs to, and the span that starts it.
    trace: Option<Box<TraceContext>>,
    /// Whether it asks for something that runs already.
    is_of_work: bool,
}

impl Client {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, trace: None, is_of_work: false }
    }

    /// A client whose starts, signals and calls of entities belong to this trace, below its span.
    #[must_use]
    pub fn in_trace(self, trace: Option<Box<TraceContext>>) -> Self {
        Self { trace, ..self }
    }

    /// A client of something that runs already: it also reaches functions that are retiring.
    #[must_use]
    pub fn of_work(self) -> Self {
        Self { is_of_work: true, ..self }
    }

    fn find(&self, kind: FunctionKind, name: &str) -> Option<FoundFunction> {
        match self.is_of_work {
            true => self.node.executor.find_for_work(kind, name),
            false => self.node.executor.find(kind, name),
        }
    }

    /// Returns when a state change is durable.
    pub async fn durable(&self, seq: CommitSeq) {
        self.node.commits.durable(seq).await;
    }

    /// Makes a durable copy of all that is stored in a folder, which must not exist: of everything that was
    /// answered before this call, and of a prefix of the rest. What runs goes on meanwhile.
    ///
    /// # Errors
    /// If the copy cannot be made. Nothing else is hurt by that.
    pub async fn backup(&self, folder: PathBuf) -> Result<(), StorageError> {
        self.durable(self.node.commits.seq()).await;
        let storage = Arc::clone(&self.node.storage);
        let copied = tokio::task::spawn_blocking(move || storage.backup(&folder)).await;
        copied.map_err(|error| StorageError(error.into()))?
    }

    /// Starts an orchestration of the newest code and gives its id.
    ///
    /// # Errors
    /// If there is no such orchestrator, the id is alive, no path of a URL could name it, the tags are too
    /// many or have names that are too long, or the node has too much to do.
    pub async fn start_orchestration(
        &self,
        request: StartRequest,
    ) -> Result<Observed<InstanceId>, ClientError> {
        check::check_start(&request)?;
        self.start_checked(request).await
    }

    async fn start_checked(
        &self,
        request: StartRequest,
    ) -> Result<Observed<InstanceId>, ClientError> {
        let StartRequest { name, input, instance_id, tags, start_at, on_conflict } = request;
        let kind = FunctionKind::Orchestrator;
        let Some(found) = self.find(kind, &name) else {
            return Err(ClientError::FunctionNotFound { kind, name });
        };
        let is_new_id = instance_id.is_none();
        let instance_id = instance_id.unwrap_or_else(|| InstanceId::from_guid(Uuid::new_v4()));
        self.admit(&instance_id)?;
        let request = |reply_to| {
            Request::Start(Box::new(PartitionStart {
                instance_id,
                is_new_id,
                start: ExecutionStart {
                    name: found.name,
                    execution_id: ExecutionId::new(Uuid::new_v4()),
                    component: Some(found.component),
                    input,
                    tags,
                    parent: None,
                    start_at,
                    events: Vec::new(),
                    is_recorded: true,
                    trace: self.trace.clone(),
                },
                on_conflict,
                reply_to,
            }))
        };
        let answer = self.ask(request).await?;
        match answer.value {
            Reply::Started(id) => Ok(Observed { value: id, seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    /// The status of an orchestration; `None` if there is none of that id.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn get_status(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
        let instance_id = instance_id.clone();
        status(self.ask(|reply_to| Request::GetStatus { instance_id, reply_to }).await?)
    }

    /// The status of an orchestration when it has ended, or when `limit` is over; `None` at once if
    /// there is none of that id.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn wait_for_completion(
        &self,
        instance_id: &InstanceId,
        limit: Duration,
    ) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
        self.wait(instance_id, WaitFor::Completion, limit).await
    }

    /// The status of an orchestration when it has begun to run, or when `limit` is over; `None` at
    /// once if there is none of that id.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn wait_for_start(
        &self,
        instance_id: &InstanceId,
        limit: Duration,
    ) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
        self.wait(instance_id, WaitFor::Start, limit).await
    }

    /// The status of an orchestration when there is more to be told of it than `seen`, or when `limit`
    /// is over; `None` at once if there is none of that id.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn wait_for_change(
        &self,
        instance_id: &InstanceId,
        seen: Seen,
        limit: Duration,
    ) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
        self.wait(instance_id, WaitFor::Change(seen), limit).await
    }

    async fn wait(
        &self,
        instance_id: &InstanceId,
        wait_for: WaitFor,
        limit: Duration,
    ) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
        let id = instance_id.clone();
        let end = self.ask(|reply_to| Request::Wait { instance_id: id, wait_for, reply_to });
        match timeout(limit, end).await {
            Ok(answer) => status(answer?),
            Err(_) => self.get_status(instance_id).await,
        }
    }

    /// Why new work would be refused now; `None`: it would not.
    #[must_use]
    pub fn refusal(&self) -> Option<ClientError> {
        if self.node.is_stopping() {
            return Some(ClientError::Stopping);
        }
        let is_full =
            self.node.commits.is_full() || self.node.lanes.iter().any(|lane| lane.is_full());
        is_full.then_some(ClientError::Overloaded)
    }

    /// Whether there is time for work that can wait: nothing is refused, and little waits for the disk.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.node.commits.is_busy() && !self.node.lanes.iter().any(|lane| lane.is_full())
    }

    /// Refuses new work where it would only make a queue longer. Work that is accepted is never refused.
    fn admit(&self, id: &InstanceId) -> Result<(), ClientError> {
        if self.node.is_stopping() {
            return Err(ClientError::Stopping);
        }
        if self.node.lane_of(id).is_full() || self.node.commits.is_full() {
            return Err(ClientError::Overloaded);
        }
        Ok(())
    }

    async fn ask(
        &self,
        request: impl FnOnce(ReplySender) -> Request<ReplySender>,
    ) -> Result<Observed<Reply>, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let request = request(ReplySender(sender));
        let lane = self.node.lane_of(request.instance_id());
        lane.submit(&self.node, Input::Request(request));
        let answer = receiver.await.map_err(|_| ClientError::Stopping)?;
        // An error has no place for what it depends on (that an id is taken, say), so it waits here.
        if let Reply::Refused(error) = &answer.value
            && !matches!(error, ClientError::Busy(_))
        {
            self.durable(answer.seq).await;
        }
        Ok(answer)
    }
}

fn status(answer: Observed<Reply>) -> Result<Observed<Option<Arc<InstanceStatus>>>, ClientError> {
    match answer.value {
        Reply::Status(status) => Ok(Observed { value: status, seq: answer.seq }),
        other => Err(refusal(other)),
    }
}

/// The error of an answer that is not the expected one.
fn refusal(reply: Reply) -> ClientError {
    match reply {
        Reply::Refused(error) => error,
        other => ClientError::InvalidArgument(format!("the instance answered {other:?}")),
    }
}
