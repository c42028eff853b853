//! The seam to the code of the guests: *history in, actions out*.
//!
//! A work item holds all that a guest may see, its outcome all that the guest wants; running one
//! changes nothing. The engine applies the outcome, or drops it, and may run the same work item
//! again after a crash.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use everstate_types::{
    Action, ComponentHash, EntityId, EntityState, ExecutionId, Failure, FunctionKind, FunctionName,
    HistoryEvent, InstanceId, LargeId, Payload, RequestId, Tags, Timestamp, TraceContext,
};

use crate::client::{Client, InstanceStatus};
use crate::storage::CommitSeq;

/// Guest code under way.
pub type GuestFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs orchestrators, entities and activities.
pub trait GuestExecutor: Send + Sync + 'static {
    /// Gives the engine that guests may talk to. Called once, before anything is run: what goes on
    /// after a restart needs it at once.
    fn connect(&self, _client: Client) {}

    /// The newest function of this kind and name; ASCII case does not matter.
    fn find(&self, kind: FunctionKind, name: &str) -> Option<FoundFunction>;

    /// The same for what runs already and what it sends: also a function that is retiring, which nobody
    /// outside can use any more but live orchestrations of its component may need.
    fn find_for_work(&self, kind: FunctionKind, name: &str) -> Option<FoundFunction> {
        self.find(kind, name)
    }

    /// Runs one turn of an orchestration: up to where it waits for something that the history does
    /// not have, or to its end. The executor may keep the suspended guest for the next turn of the
    /// same execution, or replay; the outcome must not depend on which.
    fn run_orchestration(&self, item: OrchestrationWorkItem) -> GuestFuture<OrchestrationOutcome>;

    /// Runs operations of one entity, one after the other. May stop after any of them, so that
    /// other entities have a turn and newer code is used.
    fn run_entity(&self, item: EntityWorkItem) -> GuestFuture<EntityOutcome>;

    /// What the newest entity function of this name says of its entities, be it a retiring one; `None`:
    /// there is none.
    fn entity_options(&self, name: &str) -> Option<Arc<EntityOptions>>;

    /// Runs an activity: the newest function of that name, or else that of the component that the
    /// orchestration is pinned to. Waits until the limits of the configuration let it run.
    fn run_activity(&self, item: ActivityWorkItem) -> GuestFuture<Result<Payload, Failure>>;

    /// What the guest of an orchestration waits for, given its history and nothing new; if it is not
    /// kept, it is replayed. `None`: that cannot be told, because its code is not there or does not
    /// follow the history.
    fn awaited(&self, item: OrchestrationWorkItem) -> GuestFuture<Option<Vec<Awaited>>>;

    /// Whether the activity with this idempotency key runs at this moment.
    fn is_activity_running(&self, idempotency_key: RequestId) -> bool;

    /// Whether the code of a component is here, deployed or kept; it is then kept for a while longer.
    fn has_component(&self, _component: ComponentHash) -> bool {
        true
    }

    /// Drops a kept guest of this instance, if there is one.
    fn forget(&self, instance_id: &InstanceId);
}

/// A function that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFunction {
    /// Its name as its author wrote it.
    pub name: FunctionName,
    /// The component that has it.
    pub component: ComponentHash,
}

/// One turn of an orchestration.
#[derive(Clone, Debug)]
pub struct OrchestrationWorkItem {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// Its execution.
    pub execution_id: ExecutionId,
    /// The orchestrator.
    pub name: FunctionName,
    /// The code that the execution is pinned to.
    pub component: ComponentHash,
    /// The awaiting parent, if any.
    pub parent_instance_id: Option<InstanceId>,
    /// Given at the start.
    pub tags: Tags,
    /// The trace that it belongs to, for what is logged.
    pub trace_id: Option<u128>,
    /// What happened in earlier turns.
    pub history: Arc<Vec<HistoryEvent>>,
    /// What happened since: first `OrchestratorStarted`, then what came in.
    pub new_events: Arc<Vec<HistoryEvent>>,
}

/// Something that a guest waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// What comes of the action with this number.
    Action(i32),
    /// An external event.
    Event {
        /// Its name, as the guest wrote it.
        name: String,
        /// When the guest began to wait for it.
        since: Timestamp,
    },
}

/// The error type of an activity that was not run because nobody waits for it any more.
pub const ABANDONED: &str = "Abandoned";

/// One attempt at an activity.
#[derive(Clone, Debug)]
pub struct ActivityWorkItem {
    /// The orchestration that waits for the result.
    pub instance_id: InstanceId,
    /// The activity.
    pub name: FunctionName,
    /// The code that the orchestration is pinned to.
    pub component: Option<ComponentHash>,
    /// Its input.
    pub input: Payload,
    /// Given with the call, and inherited.
    pub tags: Tags,
    /// The same for every attempt at the same work, and for no other.
    pub idempotency_key: RequestId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The trace that it belongs to, and the span of this attempt.
    pub trace: Option<Box<TraceContext>>,
    /// The state change that scheduled it. It must be durable before the activity has an effect
    /// outside of the process.
    pub seq: CommitSeq,
    /// Set when nobody waits for the result any more: an activity that has not begun need not run.
    pub is_abandoned: Arc<AtomicBool>,
}

/// What one turn gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrchestrationOutcome {
    /// What the guest asked for in this turn, in order. The first one has the number after the last
    /// action in the history, the others follow without a gap.
    pub actions: Vec<Action>,
    /// The numbers of the timers that the guest gave up on in this turn.
    pub cancelled: Vec<i32>,
    /// `Some` if the guest set (or cleared) its custom status in this turn.
    pub custom_status: Option<Option<Payload>>,
    /// What the guest logged in this turn: level, `: ` and line.
    pub logs: Vec<String>,
    /// Where the guest is now.
    pub result: OrchestrationResult,
}

impl OrchestrationOutcome {
    /// An outcome without anything but where the guest is.
    #[must_use]
    pub fn of(result: OrchestrationResult) -> Self {
        Self {
            actions: Vec::new(),
            cancelled: Vec::new(),
            custom_status: None,
            logs: Vec::new(),
            result,
        }
    }
}

/// Where an orchestrator is after a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrchestrationResult {
    /// It waits for something that has not happened.
    Waiting,
    /// It returned.
    Completed(Payload),
    /// It failed: by its own word, by a trap or by a limit.
    Failed(Failure),
    /// It ended and begins anew with this input.
    ContinuedAsNew {
        /// The next generation's input.
        input: Payload,
        /// Events that it has not consumed and that go along, oldest first.
        events: Vec<(String, Payload)>,
    },
    /// It does not follow its history: the failure says where. The turn has no effect.
    Diverged(Failure),
}

/// What an entity function says of its entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityOptions {
    /// Operations that change nothing and send nothing, in ASCII lower case.
    pub read_only: Vec<String>,
    /// How long an entity lives since its last use, in milliseconds; `None`: for ever.
    pub time_to_live_ms: Option<u64>,
    /// Fields of the state that entities may be found by.
    pub indexes: Vec<String>,
}

impl EntityOptions {
    /// Whether an operation is declared to change nothing; ASCII case does not matter.
    #[must_use]
    pub fn is_read_only(&self, operation: &str) -> bool {
        self.read_only.iter().any(|read_only| read_only.eq_ignore_ascii_case(operation))
    }
}

/// A batch of operations on one entity.
#[derive(Clone, Debug)]
pub struct EntityWorkItem {
    /// The entity.
    pub entity: EntityId,
    /// Its state before the first operation.
    pub state: EntityState,
    /// The operations, at least one.
    pub operations: Vec<EntityOperation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityOperation {
    /// The request.
    pub request_id: RequestId,
    /// The operation's name.
    pub operation: String,
    /// Its input.
    pub input: Option<Payload>,
    /// The trace that it belongs to, and the span that asked for it.
    pub trace: Option<Box<TraceContext>>,
}

/// What a batch of operations gave. An operation that fails leaves the state as it was before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityOutcome {
    /// A result for each operation, in order. Fewer than operations: the others have not run and
    /// are put back. At least one.
    pub results: Vec<OperationOutcome>,
    /// The state after the last operation that ran.
    pub state: EntityState,
    /// How long entities of this type live since their last use, in milliseconds; `None`: for ever.
    pub time_to_live_ms: Option<u64>,
    /// Where the value of the state is stored, if by itself. Filled in by the engine.
    pub large: Option<LargeId>,
}

/// What one operation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationOutcome {
    /// Its result.
    pub result: Result<Option<Payload>, Failure>,
    /// What is sent because of it; empty if it failed.
    pub effects: Vec<EntityEffect>,
}

/// Something that an entity's operation sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityEffect {
    /// Tell an entity to do an operation.
    Signal {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Not before; `None`: at once.
        at: Option<Timestamp>,
    },
    /// Start an orchestration.
    Start {
        /// The orchestrator.
        name: FunctionName,
        /// The new orchestration's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
    },
}

/// Runs HTTP functions.
pub trait HttpFunctions: Send + Sync + 'static {
    /// Answers a request with this HTTP function, of this component even if there is a newer one by
    /// now: the route was matched in the same version. The answer must not leave the process before
    /// its `seq` is durable.
    fn handle(
        &self,
        function: FoundFunction,
        request: HttpRequest,
    ) -> GuestFuture<Result<HttpAnswer, HttpFunctionError>>;
}

/// A request for an HTTP function.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// In upper case.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Scheme and authority of the URL, for links: `http://localhost:7071`.
    pub base_url: String,
    /// The parameters of the route template, percent-decoded.
    pub route_values: Vec<(String, String)>,
    /// The parameters of the query, percent-decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The trace that it belongs to, and the span of the request.
    pub trace: Option<Box<TraceContext>>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// 200 to 599.
    pub status: u16,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// A response and what it depends on.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// What to send.
    pub response: HttpResponse,
    /// The last state change that the function saw; it must be durable before the response leaves.
    pub seq: CommitSeq,
}

/// Why an HTTP function gave no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFunctionError {
    /// No such function is loaded (any more).
    #[error("the HTTP function `{0}` is not loaded")]
    NotFound(FunctionName),
    /// The guest failed, trapped or ran into a limit.
    #[error("the HTTP function `{name}` failed: {}", failure.error_message)]
    Failed {
        /// The function.
        name: FunctionName,
        /// Why.
        failure: Failure,
    },
    /// More is running than the host allows.
    #[error("the host is overloaded")]
    Overloaded,
}

/// Keeps what guests log for their instances. Must not block, and may drop lines.
pub trait GuestLog: Send + Sync + fmt::Debug + 'static {
    /// Takes a line.
    fn keep(&self, line: GuestLogLine<'_>);
}

/// A line that a guest logged.
#[derive(Clone, Copy, Debug)]
pub struct GuestLogLine<'a> {
    /// The instance that it was logged for: the orchestration of an activity, the entity, the
    /// orchestration itself.
    pub instance_id: &'a InstanceId,
    /// The function that logged it.
    pub function: &'a str,
    /// `error`, `warning`, `information`, `debug` or `trace`.
    pub level: &'static str,
    /// What it logged.
    pub message: &'a str,
}

/// Makes the responses that tell about an orchestration. The shapes belong to the HTTP surface, the
/// moment to the guest that asks for them.
pub trait StatusResponses: Send + Sync + fmt::Debug + 'static {
    /// The 202 with the check-status document.
    fn check_status(
        &self,
        base_url: &str,
        instance_id: &InstanceId,
        internal_server_error_on_failure: bool,
    ) -> HttpResponse;

    /// The history as the JSON array of the management API.
    fn history(&self, status: &InstanceStatus, shows_output: bool) -> Payload;

    /// The answer for an orchestration that has ended: its output, or its status document.
    fn finished(
        &self,
        status: &InstanceStatus,
        internal_server_error_on_failure: bool,
    ) -> HttpResponse;
}
