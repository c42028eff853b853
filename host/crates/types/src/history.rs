//! The history of an execution: what happened, in order, never changed.
//!
//! The shape is that of the durabletask protocol, with `Activity` for its `Task`. An event that
//! confirms an action carries the action's number as its `event_id`; all others carry
//! [`NO_EVENT_ID`]. Each turn begins with `OrchestratorStarted`, whose timestamp *is* the
//! orchestrator's clock, and ends with `OrchestratorCompleted`.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::function::FunctionName;
use crate::id::{EntityId, InstanceId, RequestId};
use crate::message::ParentInstance;
use crate::payload::Payload;
use crate::record::Tags;
use crate::time::Timestamp;

/// The `event_id` of an event that confirms no action.
pub const NO_EVENT_ID: i32 = -1;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEvent {
    /// The number of the action that this event confirms, or [`NO_EVENT_ID`].
    pub event_id: i32,
    /// When it was recorded.
    pub timestamp: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

impl HistoryEvent {
    /// An event that confirms no action.
    #[must_use]
    pub fn new(timestamp: Timestamp, kind: EventKind) -> Self {
        Self { event_id: NO_EVENT_ID, timestamp, kind }
    }

    /// An event that confirms the action with this number.
    #[must_use]
    pub fn of_action(event_id: i32, timestamp: Timestamp, kind: EventKind) -> Self {
        Self { event_id, timestamp, kind }
    }
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrchestrationStatus {
    /// Well.
    Completed,
    /// With a failure.
    Failed,
    /// By a client.
    Terminated,
    /// With a new generation.
    ContinuedAsNew,
}

/// What happened. Stored: new kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum EventKind {
    /// The first event: who was started, with what.
    ExecutionStarted {
        /// The orchestrator.
        name: FunctionName,
        /// The version the caller asked for.
        version: Option<String>,
        /// What it was started with.
        input: Payload,
        /// The awaiting parent.
        parent: Option<ParentInstance>,
        /// Given at the start.
        tags: Tags,
        /// Not to be run before.
        scheduled_start: Option<Timestamp>,
    },
    /// The last event: how it ended.
    ExecutionCompleted {
        /// How.
        status: OrchestrationStatus,
        /// The output, or the next generation's input.
        result: Option<Payload>,
        /// Why, if it failed.
        failure: Option<Failure>,
    },
    /// A client ended it.
    ExecutionTerminated {
        /// Why.
        reason: Option<Payload>,
        /// Whether the children end too.
        recurse: bool,
    },
    /// An activity was scheduled. Confirms an action.
    ActivityScheduled {
        /// The activity.
        name: FunctionName,
        /// The version the caller asked for.
        version: Option<String>,
        /// Its input.
        input: Payload,
        /// Given with the call, and inherited.
        tags: Tags,
        /// The number of the action that was the first attempt at the same work; `None`: this is.
        first_attempt: Option<i32>,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// An activity ended well.
    ActivityCompleted {
        /// The number of the action that scheduled it.
        scheduled_id: i32,
        /// Its result.
        result: Payload,
    },
    /// An activity failed.
    ActivityFailed {
        /// The number of the action that scheduled it.
        scheduled_id: i32,
        /// Why.
        failure: Failure,
    },
    /// A child was started. Confirms an action.
    SubOrchestrationCreated {
        /// The orchestrator.
        name: FunctionName,
        /// The version the caller asked for.
        version: Option<String>,
        /// The child's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
        /// Given with the call.
        tags: Tags,
    },
    /// A child ended well.
    SubOrchestrationCompleted {
        /// The number of the action that started it.
        scheduled_id: i32,
        /// Its output.
        result: Payload,
    },
    /// A child failed.
    SubOrchestrationFailed {
        /// The number of the action that started it.
        scheduled_id: i32,
        /// Why.
        failure: Failure,
    },
    /// A timer was armed. Confirms an action.
    TimerCreated {
        /// When it is due.
        fire_at: Timestamp,
    },
    /// A timer fired.
    TimerFired {
        /// The number of the action that armed it.
        timer_id: i32,
        /// When it was due.
        fire_at: Timestamp,
    },
    /// A turn began. The timestamp is the orchestrator's clock for the turn.
    OrchestratorStarted,
    /// A turn ended.
    OrchestratorCompleted,
    /// An event was sent to another orchestration. Confirms an action.
    EventSent {
        /// To whom.
        instance_id: InstanceId,
        /// The event's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
    /// An event came in.
    EventRaised {
        /// The event's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
    /// A note without effect: a line of the orchestrator's log.
    GenericEvent {
        /// The note: the level, `: ` and the line.
        data: String,
    },
    /// A snapshot of the state, where a history was folded.
    HistoryState {
        /// The snapshot.
        state: Payload,
    },
    /// The execution ended and the next generation begins.
    ContinuedAsNew {
        /// The next generation's input.
        input: Payload,
    },
    /// A client paused it.
    ExecutionSuspended {
        /// Why.
        reason: Option<String>,
    },
    /// A client let it go on.
    ExecutionResumed {
        /// Why.
        reason: Option<String>,
    },
    /// A client let its failed parts run again.
    ExecutionRewound {
        /// Why.
        reason: Option<String>,
    },
    /// An entity was told to do an operation. Confirms an action.
    EntityOperationSignaled {
        /// The request.
        request_id: RequestId,
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Not before.
        scheduled_time: Option<Timestamp>,
        /// Why nothing was sent: there was no such entity.
        refusal: Option<String>,
    },
    /// An entity was asked for an operation. Confirms an action.
    EntityOperationCalled {
        /// The request.
        request_id: RequestId,
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
    },
    /// An operation ended well.
    EntityOperationCompleted {
        /// The number of the action that asked for it.
        scheduled_id: i32,
        /// The request.
        request_id: RequestId,
        /// Its result.
        output: Option<Payload>,
    },
    /// An operation failed.
    EntityOperationFailed {
        /// The number of the action that asked for it.
        scheduled_id: i32,
        /// The request.
        request_id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// Exclusive use of entities was asked for. Confirms an action.
    EntityLockRequested {
        /// The critical section.
        critical_section_id: RequestId,
        /// In the order in which they are taken.
        lock_set: Vec<EntityId>,
    },
    /// All locks are held.
    EntityLockGranted {
        /// The number of the action that asked for them.
        scheduled_id: i32,
        /// The critical section.
        critical_section_id: RequestId,
    },
    /// A lock was given back. Confirms an action.
    EntityUnlockSent {
        /// The critical section.
        critical_section_id: RequestId,
        /// The entity.
        entity: EntityId,
    },
    /// An orchestration was started that nobody waits for. Confirms an action.
    OrchestrationStartSent {
        /// The orchestrator.
        name: FunctionName,
        /// The new orchestration's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
    },
}

impl EventKind {
    /// The number of the action that came to its end with this event.
    #[must_use]
    pub fn completed_action(&self) -> Option<i32> {
        match self {
            Self::ActivityCompleted { scheduled_id, .. }
            | Self::ActivityFailed { scheduled_id, .. }
            | Self::SubOrchestrationCompleted { scheduled_id, .. }
            | Self::SubOrchestrationFailed { scheduled_id, .. }
            | Self::EntityOperationCompleted { scheduled_id, .. }
            | Self::EntityOperationFailed { scheduled_id, .. }
            | Self::EntityLockGranted { scheduled_id, .. } => Some(*scheduled_id),
            Self::TimerFired { timer_id, .. } => Some(*timer_id),
            _ => None,
        }
    }

    /// The payloads in it.
    #[must_use]
    pub fn payloads(&self) -> Vec<&Payload> {
        match self {
            Self::ExecutionStarted { input, .. }
            | Self::ActivityScheduled { input, .. }
            | Self::SubOrchestrationCreated { input, .. }
            | Self::EventSent { input, .. }
            | Self::EventRaised { input, .. }
            | Self::ContinuedAsNew { input }
            | Self::OrchestrationStartSent { input, .. } => vec![input],
            Self::ActivityCompleted { result, .. }
            | Self::SubOrchestrationCompleted { result, .. } => vec![result],
            Self::HistoryState { state } => vec![state],
            Self::ExecutionCompleted { result: payload, .. }
            | Self::ExecutionTerminated { reason: payload, .. }
            | Self::EntityOperationSignaled { input: payload, .. }
            | Self::EntityOperationCalled { input: payload, .. }
            | Self::EntityOperationCompleted { output: payload, .. } => payload.iter().collect(),
            Self::ActivityFailed { .. }
            | Self::SubOrchestrationFailed { .. }
            | Self::TimerCreated { .. }
            | Self::TimerFired { .. }
            | Self::OrchestratorStarted
            | Self::OrchestratorCompleted
            | Self::GenericEvent { .. }
            | Self::ExecutionSuspended { .. }
            | Self::ExecutionResumed { .. }
            | Self::ExecutionRewound { .. }
            | Self::EntityOperationFailed { .. }
            | Self::EntityLockRequested { .. }
            | Self::EntityLockGranted { .. }
            | Self::EntityUnlockSent { .. } => Vec::new(),
        }
    }
}
