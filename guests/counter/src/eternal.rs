//! Orchestrations that go on for ever: each generation starts the next one and forgets its history.
//!
//! - `Counter` counts: the event `operation` with `"incr"` or `"decr"` changes the count, which is
//!   the input of the next generation, and `"end"` makes it the output,
//! - `Generations` starts over so many times and gives how often it did,
//! - `Gather` takes one event `item` in each generation, lets time pass if asked to, and gives
//!   all of them in the order in which they came,
//! - `Forgetful` starts over once, without the events that nobody has taken, and gives the first
//!   one that comes after that.

use std::time::Duration;

use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
use serde::{Deserialize, Serialize};

/// What is left to do, and what is done.
#[derive(Serialize, Deserialize)]
struct Progress {
    left: u64,
    #[serde(default)]
    done: u64,
}

/// What `Gather` has, and still wants.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gathered {
    wanted: usize,
    /// How long each generation waits before it starts the next one.
    #[serde(default)]
    pause_ms: u64,
    #[serde(default)]
    items: Vec<u64>,
}

#[orchestrator]
async fn Counter(context: OrchestrationContext, count: i64) -> Result<i64, Failure> {
    let operation: String = context.wait_for_event("operation").await?;
    match operation.as_str() {
        "incr" => context.continue_as_new(&(count + 1))?,
        "decr" => context.continue_as_new(&(count - 1))?,
        "end" => {}
        other => return Err(Failure::unknown_operation(other)),
    }
    // Ignored where the next generation starts.
    Ok(count)
}

#[orchestrator]
async fn Generations(context: OrchestrationContext, progress: Progress) -> Result<u64, Failure> {
    let Progress { left, done } = progress;
    if left > 0 {
        context.continue_as_new(&Progress { left: left - 1, done: done + 1 })?;
    }
    Ok(done)
}

#[orchestrator]
async fn Gather(
    context: OrchestrationContext,
    mut gathered: Gathered,
) -> Result<Vec<u64>, Failure> {
    if gathered.items.len() < gathered.wanted {
        gathered.items.push(context.wait_for_event("item").await?);
        if gathered.pause_ms > 0 {
            context.sleep(Duration::from_millis(gathered.pause_ms)).await?;
        }
        context.continue_as_new(&gathered)?;
    }
    Ok(gathered.items)
}

#[orchestrator]
async fn Forgetful(context: OrchestrationContext, generation: u64) -> Result<u64, Failure> {
    if generation == 0 {
        context.wait_for_event::<()>("go").await?;
        context.continue_as_new_without_events(&1)?;
        return Ok(0);
    }
    context.wait_for_event("item").await
}
