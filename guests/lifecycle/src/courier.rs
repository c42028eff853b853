//! An orchestration that raises an event once.

use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which event is to be raised where.
#[derive(Serialize, Deserialize)]
struct Parcel {
    to: String,
    event: String,
    data: Value,
}

#[orchestrator]
async fn Courier(context: OrchestrationContext, parcel: Parcel) -> Result<(), Failure> {
    context.send_event(&parcel.to, &parcel.event, &parcel.data)
}
