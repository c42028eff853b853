//! What is stored of an instance. These are storage formats: see docs/storage-format.md. As JSON they are in
//! exports, where a field that is unknown is refused: it would be lost.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::function::{ComponentHash, FunctionName};
use crate::id::{ExecutionId, InstanceId, RequestId};
use crate::message::ParentInstance;
use crate::payload::Payload;
use crate::status::RuntimeStatus;
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// Names and values that a caller gives to an orchestration.
pub type Tags = Vec<(String, String)>;

/// What is stored of an orchestration, beside its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// How often its locks were taken from it. Requests for the same lock differ in it.
    pub lock_epoch: u32,
    /// Whether it must not run before the lock is back that it held when it stopped.
    pub awaits_lock: bool,
    /// The trace that it belongs to, and the span that started it.
    pub trace: Option<Box<TraceContext>>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl OrchestrationRecord {
    /// Of one that has been started and has not begun: with `null` as its input, and neither code nor tags.
    #[must_use]
    pub fn pending(name: FunctionName, execution_id: ExecutionId, now: Timestamp) -> Self {
        Self {
            name,
            component: None,
            execution_id,
            status: RuntimeStatus::Pending,
            input: Payload::null(),
            output: None,
            failure: None,
            custom_status: None,
            tags: Tags::new(),
            parent: None,
            scheduled_start: None,
            rewinds: 0,
            lock_epoch: 0,
            awaits_lock: false,
            trace: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What is stored of an entity. One that has neither state nor lock is not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityRecord {
    /// What its operations see and change.
    pub state: EntityState,
    /// Where the value of the state is stored, if not in the record: it is large.
    pub large: Option<LargeId>,
    /// When it did an operation last. Exact for one that changed the state; an operation that did not is
    /// noted at most a minute, or an eighth of the time to live, late.
    pub last_operation_at: Timestamp,
    /// Who holds it.
    pub lock: Option<EntityLock>,
    /// When somebody looks whether it was not used for its time to live.
    pub expiry: Option<Expiry>,
}

impl EntityRecord {
    /// Whether there is anything to be stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.value.is_none() && self.lock.is_none()
    }
}

/// What an operation of an entity may change. Without a value the entity does not exist, and all else
/// is as in the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityState {
    /// The state; `None`: it does not exist.
    pub value: Option<Payload>,
    /// The version of the shape of the value, as the guest numbers it.
    pub version: u32,
    /// Fields of the state that the entity is found by: name and JSON value, in the order of the names.
    pub fields: Vec<(String, Payload)>,
    /// How long it lives since its last use, in milliseconds; `None`: what its type says,
    /// [`u64::MAX`]: for ever.
    pub time_to_live_ms: Option<u64>,
}

/// The delayed message of an entity that looks whether it was used lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// When it is due.
    pub due: Timestamp,
    /// How long the entity lives since its last use, in milliseconds.
    pub time_to_live_ms: u64,
}

/// An entity is held by an orchestration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityLock {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// Its execution.
    pub execution_id: ExecutionId,
    /// The request that was granted.
    pub request_id: RequestId,
    /// Since when.
    pub since: Timestamp,
}

/// Names a value that is stored by itself because it is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LargeId(pub u64);
