//! Orchestrations that continue as new: what goes along, and what does not.

use anyhow::{Context as _, Result};
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::COUNTER, guests::LIFECYCLE])
}

in_every_way!(
    counter_that_is_awaited_between_its_events_counts_right,
    counter_whose_events_come_all_at_once_counts_right,
    events_that_nobody_took_go_along_in_their_order,
    events_that_nobody_took_go_along_with_timers_between,
    events_that_nobody_took_stay_behind_if_asked_to,
    many_generations_leave_the_history_of_the_last_one_only,
);

/// S29, one after the other.
async fn counter_that_is_awaited_between_its_events_counts_right(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(0)).await?;
    let mut count = 0;
    for operation in ["incr", "incr", "incr", "decr", "incr"] {
        count += if operation == "incr" { 1 } else { -1 };
        driver.raise_once("a", "operation", json!(operation)).await?;
        driver.until("a", "it counted", |it| it["input"] == count).await?;
    }
    driver.raise_once("a", "operation", json!("end")).await?;
    assert_eq!(driver.output("a").await?, 3);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(status["input"], 3, "the newest generation's: {status:#}");
    Ok(())
}

/// S29, without waiting between.
async fn counter_whose_events_come_all_at_once_counts_right(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(0)).await?;
    for operation in ["incr", "incr", "incr", "decr", "incr", "end"] {
        driver.raise_once("a", "operation", json!(operation)).await?;
    }
    assert_eq!(driver.output("a").await?, 3);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(status["input"], 3, "the newest generation's: {status:#}");
    Ok(())
}

/// Ten events for one that takes one in each generation.
async fn gathers_all(driver: &Driver, pause_ms: u64) -> Result<()> {
    driver.start_new("Gather", "a", json!({ "wanted": 10, "pauseMs": pause_ms })).await?;
    for item in 0..10 {
        driver.raise_once("a", "item", json!(item)).await?;
    }
    let expected: Vec<u64> = (0..10).collect();
    assert_eq!(driver.output("a").await?, json!(expected));
    Ok(())
}

/// S36, without timers.
async fn events_that_nobody_took_go_along_in_their_order(driver: &Driver) -> Result<()> {
    gathers_all(driver, 0).await
}

/// S36, with timers.
async fn events_that_nobody_took_go_along_with_timers_between(driver: &Driver) -> Result<()> {
    gathers_all(driver, 10).await
}

/// What the original does unless told otherwise.
async fn events_that_nobody_took_stay_behind_if_asked_to(driver: &Driver) -> Result<()> {
    driver.start_new("Forgetful", "a", json!(0)).await?;
    driver.raise_once("a", "item", json!(1)).await?;
    driver.raise("a", "go", Value::Null).await?;
    driver.until("a", "it started over", |it| it["input"] == 1).await?;
    driver.raise("a", "item", json!(2)).await?;
    assert_eq!(driver.output("a").await?, 2, "the event of before came through");
    Ok(())
}

async fn many_generations_leave_the_history_of_the_last_one_only(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("Generations", "a", json!({ "left": 200 })).await?, 200);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(status["input"], json!({ "left": 0, "done": 200 }));
    assert_eq!(events(&status, "ExecutionStarted").len(), 1, "{status:#}");
    let history = status["history"].as_array().context("a history")?;
    assert!(history.len() < 10, "{status:#}");
    Ok(())
}
