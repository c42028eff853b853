//! [`Client`]: how the outside asks the engine for something.

use std::sync::Arc;

use everstate_types::{HistoryEvent, InstanceId, OrchestrationRecord};

use crate::storage::CommitSeq;

/// An answer, and the last state change that it depends on.
///
/// Answers run ahead of the disk. Whoever lets one out of the process waits for
/// `Client::durable(seq)` first.
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
