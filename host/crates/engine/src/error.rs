//! Errors of the engine, as its clients see them.
//!
//! A refused request changed nothing. [`ClientError::Overloaded`] and [`ClientError::Busy`] are worth
//! another try after a moment, the others are not. Errors of the storage never come here: they end
//! the process.

use everstate_types::{FunctionKind, InstanceId, RuntimeStatus};

/// Why the engine refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The arguments are wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// No such function is loaded.
    #[error("The function '{name}' doesn't exist, is disabled, or is not an {kind} function.")]
    FunctionNotFound {
        /// The kind that was asked for.
        kind: FunctionKind,
        /// The name that was asked for.
        name: String,
    },
    /// The id is taken by an orchestration that is alive.
    #[error("An Orchestration instance with the status {status} already exists.")]
    AlreadyExists {
        /// The id.
        instance_id: InstanceId,
        /// Where that orchestration is in its life.
        status: RuntimeStatus,
    },
    /// What is there stands in the way of what was asked.
    #[error("{0}")]
    Conflict(String),
    /// There is no orchestration of that id.
    #[error("No instance with ID '{0}' was found.")]
    NotFound(InstanceId),
    /// The orchestration is in a state that forbids what was asked.
    #[error("{}", wrong_state(operation, instance_id, *status))]
    WrongState {
        /// What was asked, as a verb.
        operation: &'static str,
        /// The orchestration.
        instance_id: InstanceId,
        /// Where it is in its life.
        status: RuntimeStatus,
    },
    /// An orchestration holds the entity.
    #[error("The entity '{instance_id}' is locked by the orchestration '{holder}'.")]
    EntityLocked {
        /// The entity's instance id.
        instance_id: InstanceId,
        /// Who holds it, or is the first to get it.
        holder: InstanceId,
    },
    /// One instance has more waiting than its limit.
    #[error("The instance '{0}' has too many operations waiting.")]
    Busy(InstanceId),
    /// The node has more under way than its limits.
    #[error("The host is overloaded.")]
    Overloaded,
    /// The host is stopping.
    #[error("The host is stopping.")]
    Stopping,
    /// The result did not come in time; what was asked for may still happen.
    #[error("No result within {0} ms.")]
    TimedOut(u64),
}

fn wrong_state(operation: &str, instance_id: &InstanceId, status: RuntimeStatus) -> String {
    match operation {
        "rewind" => {
            "The rewind operation is only supported on failed orchestration instances.".to_owned()
        }
        _ => format!(
            "Cannot {operation} the orchestration instance {instance_id} because instance is in the \
             {status} state."
        ),
    }
}
