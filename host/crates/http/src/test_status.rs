//! An orchestration to be shown in tests.

use std::sync::Arc;

use everstate_engine::client::InstanceStatus;
use everstate_types::{
    ExecutionId, FunctionName, InstanceId, OrchestrationRecord, Payload, RuntimeStatus, Timestamp,
};
use uuid::Uuid;

/// Milliseconds of 2019-05-23T22:30:35Z.
pub(crate) const START_MS: u64 = 1_558_650_635_000;

/// An orchestration `abc` in this status.
pub(crate) fn status(status: RuntimeStatus) -> InstanceStatus {
    let record = OrchestrationRecord {
        status,
        input: Payload::from(r#"{"n": 1}"#),
        updated_at: Timestamp::from_millis(START_MS + 1_000),
        ..OrchestrationRecord::pending(
            FunctionName::new("HelloSequence").expect("a valid name"),
            ExecutionId::new(Uuid::nil()),
            Timestamp::from_millis(START_MS),
        )
    };
    let instance_id = InstanceId::orchestration("abc").expect("a valid id");
    InstanceStatus { instance_id, record, history: Arc::default() }
}
