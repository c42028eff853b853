//! What the client tells of an orchestration.

use serde::de::DeserializeOwned;

use crate::bindings::imports::client as host;
use crate::error::{Failure, failure_from_wit};
use crate::payload::{from_json, from_optional_json};
use crate::time::Timestamp;

/// Where an orchestration is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuntimeStatus {
    /// Accepted, not yet begun.
    Pending,
    /// Begun.
    Running,
    /// Paused.
    Suspended,
    /// Ended with an output.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended from outside.
    Terminated,
    /// Seen in histories only.
    ContinuedAsNew,
}

impl RuntimeStatus {
    pub(super) fn from_wit(status: host::RuntimeStatus) -> Self {
        match status {
            host::RuntimeStatus::Pending => Self::Pending,
            host::RuntimeStatus::Running => Self::Running,
            host::RuntimeStatus::Suspended => Self::Suspended,
            host::RuntimeStatus::Completed => Self::Completed,
            host::RuntimeStatus::Failed => Self::Failed,
            host::RuntimeStatus::Terminated => Self::Terminated,
            host::RuntimeStatus::ContinuedAsNew => Self::ContinuedAsNew,
        }
    }

    pub(super) fn to_wit(self) -> host::RuntimeStatus {
        match self {
            Self::Pending => host::RuntimeStatus::Pending,
            Self::Running => host::RuntimeStatus::Running,
            Self::Suspended => host::RuntimeStatus::Suspended,
            Self::Completed => host::RuntimeStatus::Completed,
            Self::Failed => host::RuntimeStatus::Failed,
            Self::Terminated => host::RuntimeStatus::Terminated,
            Self::ContinuedAsNew => host::RuntimeStatus::ContinuedAsNew,
        }
    }
}

/// How much of an instance is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusOptions {
    /// With the input.
    pub show_input: bool,
    /// With the history.
    pub show_history: bool,
    /// With the results in the history.
    pub show_history_output: bool,
}

impl StatusOptions {
    pub(super) fn into_wit(self) -> host::StatusOptions {
        host::StatusOptions {
            show_input: self.show_input,
            show_history: self.show_history,
            show_history_output: self.show_history_output,
        }
    }
}

/// What is known of an orchestration. Payloads are JSON text.
#[derive(Clone, Debug)]
pub struct InstanceStatus {
    /// The orchestrator function's name.
    pub name: String,
    /// The id.
    pub instance_id: String,
    /// Where it is in its life.
    pub runtime_status: RuntimeStatus,
    /// `None` if it was not asked for.
    pub input: Option<String>,
    /// The result of one that has completed, the reason of one that was terminated.
    pub output: Option<String>,
    /// Why it failed, if it failed.
    pub failure: Option<Failure>,
    /// What the orchestrator set.
    pub custom_status: Option<String>,
    /// When it was accepted.
    pub created_time: Timestamp,
    /// When it changed last.
    pub last_updated_time: Timestamp,
    /// Pairs of name and value.
    pub tags: Vec<(String, String)>,
    /// The history as the JSON array of the management API; `None` if it was not asked for.
    pub history: Option<String>,
}

impl InstanceStatus {
    /// The output as a value; an absent one is read as `null`.
    ///
    /// # Errors
    /// `InvalidInput` if the output is not a `T`.
    pub fn read_output<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        from_optional_json(self.output.as_deref(), "the orchestration's output")
    }

    /// The custom status as a value, if there is one.
    ///
    /// # Errors
    /// `InvalidInput` if the custom status is not a `T`.
    pub fn read_custom_status<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let Some(json) = &self.custom_status else { return Ok(None) };
        from_json(json, "the orchestration's custom status").map(Some)
    }

    pub(super) fn from_wit(status: host::InstanceStatus) -> Self {
        Self {
            name: status.name,
            instance_id: status.instance_id,
            runtime_status: RuntimeStatus::from_wit(status.runtime_status),
            input: status.input,
            output: status.output,
            failure: status.failure.map(failure_from_wit),
            custom_status: status.custom_status,
            created_time: Timestamp::from_unix_ms(status.created_time),
            last_updated_time: Timestamp::from_unix_ms(status.last_updated_time),
            tags: status.tags,
            history: status.history,
        }
    }
}
