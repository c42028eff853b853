//! Durable timers, alone and in loops, and durable HTTP requests.
//!
//! - `Remind` waits for so many milliseconds and tells what its clock said before and after,
//! - `Deadlines` arms a timer for each of its delays and gives the delays in the order in which they
//!   fired,
//! - `FarAway` waits for an event `done`, or a hundred days,
//! - `Watch` has an activity look every so many milliseconds until it has seen so much,
//! - `Fetch` gets an address, polls while the answer is "accepted", and gives the last answer.

use std::time::Duration;

use everstate_sdk::{
    ActivityContext, EntityContext, EntityId, Failure, HttpCall, OrchestrationContext, Timestamp,
    activity, entity, orchestrator,
};
use futures_util::future::{Either, select, select_all};
use serde::{Deserialize, Serialize};

/// What `Remind` saw.
#[derive(Serialize)]
struct Reminded {
    before: Timestamp,
    due: Timestamp,
    after: Timestamp,
}

/// What `Watch` is to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watching {
    /// How often it looks.
    looks: u64,
    pause_ms: u64,
}

/// What `Fetch` got.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fetched {
    status_code: u16,
    content: Option<String>,
}

#[orchestrator]
async fn Remind(context: OrchestrationContext, delay_ms: u64) -> Result<Reminded, Failure> {
    let before = context.current_time();
    let due = before + Duration::from_millis(delay_ms);
    context.create_timer(due).await?;
    Ok(Reminded { before, due, after: context.current_time() })
}

#[orchestrator]
async fn Deadlines(
    context: OrchestrationContext,
    mut delays_ms: Vec<u64>,
) -> Result<Vec<u64>, Failure> {
    let mut timers: Vec<_> =
        delays_ms.iter().map(|delay| context.sleep(Duration::from_millis(*delay))).collect();
    let mut fired = Vec::new();
    while !timers.is_empty() {
        let (outcome, place, rest) = select_all(timers).await;
        outcome?;
        // As `select_all` does: the last one takes the place of the one that is taken out.
        fired.push(delays_ms.swap_remove(place));
        timers = rest;
    }
    Ok(fired)
}

#[orchestrator]
async fn FarAway(context: OrchestrationContext) -> Result<String, Failure> {
    let far_away = context.sleep(Duration::from_secs(100 * 24 * 60 * 60));
    match select(context.wait_for_event::<()>("done"), far_away).await {
        Either::Left((_, _)) => Ok("done".to_owned()),
        Either::Right((_, _)) => Ok("a hundred days later".to_owned()),
    }
}

#[orchestrator]
async fn Watch(context: OrchestrationContext, watching: Watching) -> Result<u64, Failure> {
    let sightings = EntityId::new("Sightings", context.instance_id())?;
    let mut seen = 0;
    for look in 1..=watching.looks {
        context.sleep(Duration::from_millis(watching.pause_ms)).await?;
        let sighted: u64 = context.call_activity("Look", &look).await?;
        seen = context.call_entity(&sightings, "add", &sighted).await?;
    }
    Ok(seen)
}

/// Sees as much as it is asked to.
#[activity]
fn Look(_context: ActivityContext, look: u64) -> u64 {
    look
}

/// How much was seen. `add` adds and gives the sum.
#[entity]
fn Sightings(context: &mut EntityContext) -> Result<u64, Failure> {
    let seen = context.get_state::<u64>()?.unwrap_or(0) + context.input::<u64>()?;
    context.set_state(&seen)?;
    Ok(seen)
}

#[orchestrator]
async fn Fetch(context: OrchestrationContext, address: String) -> Result<Fetched, Failure> {
    let response = context.call_http(&HttpCall::new("GET", address)).await?;
    Ok(Fetched { status_code: response.status_code, content: response.content })
}
