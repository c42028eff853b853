//! What is stored of an instance. These are storage formats: see docs/storage-format.md.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::function::{ComponentHash, FunctionName};
use crate::id::ExecutionId;
use crate::message::ParentInstance;
use crate::payload::Payload;
use crate::status::RuntimeStatus;
use crate::time::Timestamp;

/// Names and values that a caller gives to an orchestration.
pub type Tags = Vec<(String, String)>;

/// What is stored of an orchestration, beside its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestrationRecord {
    /// The orchestrator.
    pub name: FunctionName,
    /// The code that it is pinned to. Absent until it is known.
    pub component: Option<ComponentHash>,
    /// The current generation.
    pub execution_id: ExecutionId,
    /// Where it is in its life.
    pub status: RuntimeStatus,
    /// What the current generation was started with.
    pub input: Payload,
    /// What it returned.
    pub output: Option<Payload>,
    /// Why it failed; or, for one that is suspended, how its code does not fit its history.
    pub failure: Option<Failure>,
    /// What it shows of itself.
    pub custom_status: Option<Payload>,
    /// Given at the start.
    pub tags: Tags,
    /// Who waits for its end.
    pub parent: Option<ParentInstance>,
    /// Not to be run before.
    pub scheduled_start: Option<Timestamp>,
    /// How often it was rewound. Actions of different runs over the same numbers differ in it.
    pub rewinds: u32,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What is stored of an entity. An entity without state is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRecord {
    /// The state.
    pub state: Payload,
    /// When an operation last changed it.
    pub updated_at: Timestamp,
}
