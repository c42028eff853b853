//! Reading, adding and writing, with a lock as the only protection.

use everstate_sdk::{
    ActivityContext, EntityId, Failure, OrchestrationContext, activity, orchestrator,
};
use serde::{Deserialize, Serialize};

/// What is counted where.
#[derive(Serialize, Deserialize)]
struct Increment {
    /// The key of the `Number` that is locked, and of which nothing else is used.
    lock: String,
    /// The key of the `Number` that is counted up without being locked.
    count: String,
}

/// A number that is to be written.
#[derive(Serialize, Deserialize)]
struct Writing {
    key: String,
    value: i64,
}

/// Counts up by one, in three steps that others must not come between; gives the new count.
#[orchestrator]
async fn LockedIncrement(
    context: OrchestrationContext,
    increment: Increment,
) -> Result<i64, Failure> {
    let lock = EntityId::new("Number", &increment.lock)?;
    let _guard = context.lock_entities(&[lock]).await?;
    let value: i64 = context.call_activity("ReadNumber", &increment.count).await?;
    let writing = Writing { key: increment.count, value: value + 1 };
    context.call_activity("WriteNumber", &writing).await
}

#[activity]
fn ReadNumber(context: ActivityContext, key: String) -> Result<i64, Failure> {
    Ok(context.client().call_entity(&EntityId::new("Number", &key)?, "get", &())?)
}

#[activity]
fn WriteNumber(context: ActivityContext, writing: Writing) -> Result<i64, Failure> {
    let Writing { key, value } = writing;
    context.client().call_entity::<()>(&EntityId::new("Number", &key)?, "set", &value)?;
    Ok(value)
}
