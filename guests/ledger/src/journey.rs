//! The long way of a token: over everything that an orchestration can wait for. Wherever the host dies
//! meanwhile, the token arrives, in each ledger exactly once.

use std::time::Duration;

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityId, Failure, OrchestrationContext, RetryPolicy, activity,
    orchestrator,
};
use serde::{Deserialize, Serialize};

use crate::Posting;

/// A span that is never over while a test runs.
const NEVER: Duration = Duration::from_secs(3_600);

/// Where a token is on its way.
#[derive(Serialize, Deserialize)]
struct Journey {
    posting: Posting,
    /// Whether it has left the first ledger behind.
    #[serde(default)]
    is_halfway: bool,
}

/// The first generation has an activity confirm the token, has a child write the first ledger, and
/// waits for a herald. The second one takes the herald's other event, which came in the first, lets
/// a little time pass, and writes the second ledger.
#[orchestrator]
async fn Ledger_Journey_Orchestrator(
    context: OrchestrationContext,
    journey: Journey,
) -> Result<String, Failure> {
    let Journey { posting, is_halfway } = journey;
    if is_halfway {
        let token: String = context.wait_for_event_with_timeout("second", NEVER).await?;
        context.sleep(Duration::from_millis(5)).await?;
        append(&context, "second", &posting).await?;
        return Ok(token);
    }
    let policy = RetryPolicy::new(Duration::from_millis(1), 3);
    let token: String =
        context.call_activity_with_retry("Ledger_Confirm", &posting.token, &policy).await?;
    let id = |suffix: &str| ChildOptions {
        instance_id: Some(format!("{token}-{suffix}")),
        ..ChildOptions::default()
    };
    let child =
        context.call_sub_orchestration::<()>("Ledger_Child_Orchestrator", &posting, &id("child"));
    context.start_orchestration("Ledger_Herald_Orchestrator", &token, &id("herald"))?;
    child.await?;
    context.wait_for_event_with_timeout::<String>("first", NEVER).await?;
    context.continue_as_new(&Journey { posting, is_halfway: true })?;
    Ok(token)
}

/// Writes the first ledger.
#[orchestrator]
async fn Ledger_Child_Orchestrator(
    context: OrchestrationContext,
    posting: Posting,
) -> Result<(), Failure> {
    append(&context, "first", &posting).await
}

/// Raises both events at the token's orchestration.
#[orchestrator]
async fn Ledger_Herald_Orchestrator(
    context: OrchestrationContext,
    token: String,
) -> Result<(), Failure> {
    context.send_event(&token, "second", &token)?;
    context.send_event(&token, "first", &token)
}

/// Gives the token back. For every other token the first attempt fails.
#[activity]
fn Ledger_Confirm(context: ActivityContext, token: String) -> Result<String, Failure> {
    let is_difficult = token.bytes().next_back().is_some_and(|last| last % 2 == 0);
    if is_difficult && context.attempt() == 1 {
        return Err(Failure::new("Difficult", "not at the first attempt"));
    }
    Ok(token)
}

async fn append(
    context: &OrchestrationContext,
    side: &str,
    posting: &Posting,
) -> Result<(), Failure> {
    let ledger = EntityId::new("Ledger", &format!("{side}-{}", posting.account))?;
    context.call_entity::<Vec<String>>(&ledger, "append", &posting.token).await.map(drop)
}

/// The input of the orchestrator for a posting.
pub(crate) fn begin(posting: Posting) -> impl Serialize {
    Journey { posting, is_halfway: false }
}
