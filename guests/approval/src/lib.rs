//! External events: waiting for one, for several, for one or for the end of a limit.
//!
//! - `Approval` waits for the event `approval` and gives `"Approved"`, or `"Expired"` when the limit
//!   (its input, in milliseconds) is over,
//! - `ApprovalWithin` gives what the event carries, and fails when the limit is over,
//! - `ApprovalOr` gives `"nobody answered"` when the limit is over,
//! - `Votes` takes so many events `vote`, one after the other, logs each, and gives what they carry,
//! - `NewestFirst` has two waiters for `vote` and gives what the older and the newer of them got,
//! - `AllOf` waits for the events `first`, `second` and `third`, in whatever order they come,
//! - `ChangeOfMind` gives up waiting for `vote` when `skip` comes, and waits again when `again` comes:
//!   the event is not lost with the waiter,
//! - `StatusBoard` shows what the events `show` carry as its custom status, until `end`,
//! - `Greeter` shows an object as its custom status, which stays when it has ended.

use std::time::Duration;

use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
use futures_util::future::{Either, select, try_join3};
use serde::Serialize;
use serde_json::Value;

/// What `Greeter` shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    next_actions: [&'static str; 3],
    foo: u32,
}

#[orchestrator]
async fn Approval(context: OrchestrationContext, limit_ms: u64) -> Result<String, Failure> {
    let approval = context.wait_for_event::<Value>("approval");
    let limit = context.sleep(Duration::from_millis(limit_ms));
    // Whichever loses is given up with its future: the timer does not fire any more.
    match select(approval, limit).await {
        Either::Left((approval, _)) => approval.map(|_| "Approved".to_owned()),
        Either::Right((_, _)) => Ok("Expired".to_owned()),
    }
}

#[orchestrator]
async fn ApprovalWithin(context: OrchestrationContext, limit_ms: u64) -> Result<String, Failure> {
    let limit = Duration::from_millis(limit_ms);
    context.wait_for_event_with_timeout("Approval", limit).await
}

#[orchestrator]
async fn ApprovalOr(context: OrchestrationContext, limit_ms: u64) -> Result<String, Failure> {
    let limit = Duration::from_millis(limit_ms);
    context.wait_for_event_or("Approval", limit, "nobody answered".to_owned()).await
}

#[orchestrator]
async fn Votes(context: OrchestrationContext, votes: usize) -> Result<Vec<Value>, Failure> {
    let mut taken = Vec::new();
    while taken.len() < votes {
        let vote: Value = context.wait_for_event("vote").await?;
        // Once, however often this is replayed.
        context.info(&format!("vote {} of {votes}: {vote}", taken.len() + 1));
        taken.push(vote);
    }
    Ok(taken)
}

#[orchestrator]
async fn NewestFirst(context: OrchestrationContext) -> Result<[Value; 2], Failure> {
    let older = context.wait_for_event("vote");
    let newer = context.wait_for_event("vote");
    let newer = newer.await?;
    Ok([older.await?, newer])
}

#[orchestrator]
async fn AllOf(context: OrchestrationContext) -> Result<(Value, Value, Value), Failure> {
    try_join3(
        context.wait_for_event("first"),
        context.wait_for_event("second"),
        context.wait_for_event("third"),
    )
    .await
}

#[orchestrator]
async fn ChangeOfMind(context: OrchestrationContext) -> Result<Value, Failure> {
    let vote = context.wait_for_event::<Value>("vote");
    let skip = context.wait_for_event::<Value>("skip");
    if let Either::Left((vote, _)) = select(vote, skip).await {
        return vote;
    }
    context.set_custom_status("skipped")?;
    context.wait_for_event::<Value>("again").await?;
    context.wait_for_event("vote").await
}

#[orchestrator]
async fn StatusBoard(context: OrchestrationContext) -> Result<(), Failure> {
    loop {
        let show = context.wait_for_event::<Value>("show");
        let end = context.wait_for_event::<Value>("end");
        match select(show, end).await {
            Either::Left((shown, _)) => context.set_custom_status(&shown?)?,
            Either::Right((_, _)) => return Ok(()),
        }
    }
}

#[orchestrator]
async fn Greeter(context: OrchestrationContext, name: String) -> Result<String, Failure> {
    context.set_custom_status(&Plan { next_actions: ["A", "B", "C"], foo: 2 })?;
    Ok(format!("Hello, {name}!"))
}
