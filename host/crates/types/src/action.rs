//! [`Action`]: what an orchestrator asked for in one turn. Imperative; the history event that
//! confirms one is in the past tense and carries the same number.

use crate::function::FunctionName;
use crate::id::{EntityId, InstanceId};
use crate::payload::Payload;
use crate::record::Tags;

/// What an orchestrator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
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
    },
    /// Start an orchestration that nobody waits for.
    StartOrchestration {
        /// The orchestrator.
        name: FunctionName,
        /// The new orchestration's id.
        instance_id: InstanceId,
        /// Its input.
        input: Payload,
        /// Its tags.
        tags: Tags,
    },
}
