//! [`Action`]: what an orchestrator asked for in one turn. Imperative; the history event that
//! confirms one is in the past tense and carries the same number.

use crate::function::FunctionName;
use crate::id::{EntityId, InstanceId};
use crate::payload::Payload;
use crate::record::Tags;
use crate::time::Timestamp;

/// What an orchestrator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run an activity and wait for its result. A durable HTTP request is the activity
    /// [`FunctionName::http_activity`] of the host.
    CallActivity {
        /// The activity.
        name: FunctionName,
        /// Its input.
        input: Payload,
        /// Its tags, without those that it inherits.
        tags: Tags,
        /// The number of the action that was the first attempt at the same work; `None`: this is.
        first_attempt: Option<i32>,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// Start a child and wait for its end.
    CallSubOrchestration {
        /// The orchestrator.
        name: FunctionName,
        /// The child's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
        /// Its tags, without those that it inherits.
        tags: Tags,
        /// Not before.
        start_at: Option<Timestamp>,
    },
    /// Start an orchestration that nobody waits for.
    StartOrchestration {
        /// The orchestrator.
        name: FunctionName,
        /// The new orchestration's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
        /// Its tags, without those that it inherits.
        tags: Tags,
        /// Not before.
        start_at: Option<Timestamp>,
    },
    /// Ask an entity for an operation and wait for its result.
    CallEntity {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
    },
    /// Tell an entity to do an operation.
    SignalEntity {
        /// The entity.
        entity: EntityId,
        /// The operation.
        operation: String,
        /// Its input.
        input: Option<Payload>,
        /// Not before; `None`: at once.
        at: Option<Timestamp>,
        /// Why nothing is sent: there is no such entity.
        refusal: Option<String>,
    },
    /// Take exclusive use of entities: begins a critical section.
    LockEntities {
        /// Which, each once, in the order in which they are taken.
        entities: Vec<EntityId>,
        /// Why none is taken: there is no such entity.
        refusal: Option<String>,
    },
    /// Give one entity of a critical section back.
    UnlockEntity {
        /// The number of the action that asked for the lock.
        lock: i32,
        /// The entity.
        entity: EntityId,
    },
    /// Arm a timer.
    CreateTimer {
        /// When it is due; in the past: at once.
        fire_at: Timestamp,
    },
    /// Raise an event at another orchestration.
    SendEvent {
        /// The orchestration.
        instance_id: InstanceId,
        /// The event's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
}
