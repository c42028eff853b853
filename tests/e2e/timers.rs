//! Durable timers: never early, in their order, over downtime, and without an end in sight.

use anyhow::{Context as _, Result};
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::MONITOR, guests::LIFECYCLE])
}

in_every_way!(
    timer_fires_once_and_not_before_it_is_due,
    timer_in_the_past_fires_at_once,
    timers_fire_in_the_order_in_which_they_are_due,
    timers_that_were_due_while_the_host_was_down_fire_in_their_order,
    timer_of_a_hundred_days_waits_and_harms_nobody,
    loop_of_timers_and_activities_asks_an_entity_once_each_time,
);

/// S38.
async fn timer_fires_once_and_not_before_it_is_due(driver: &Driver) -> Result<()> {
    let reminded = driver.run("Remind", "a", json!(300)).await?;
    let time = |name: &str| reminded[name].as_u64().context("a time");
    assert_eq!(time("due")?, time("before")? + 300);
    assert!(time("after")? >= time("due")?, "too early: {reminded}");
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TimerFired").len(), 1, "{status:#}");
    Ok(())
}

async fn timer_in_the_past_fires_at_once(driver: &Driver) -> Result<()> {
    let reminded = driver.run("Remind", "a", json!(0)).await?;
    assert_eq!(reminded["due"], reminded["before"]);
    Ok(())
}

async fn timers_fire_in_the_order_in_which_they_are_due(driver: &Driver) -> Result<()> {
    let fired = driver.run("Deadlines", "a", json!([250, 50, 200, 100, 150])).await?;
    assert_eq!(fired, json!([50, 100, 150, 200, 250]));
    Ok(())
}

/// All of them may be due when the host is there again.
async fn timers_that_were_due_while_the_host_was_down_fire_in_their_order(
    driver: &Driver,
) -> Result<()> {
    driver.start_new("Deadlines", "a", json!([30, 10, 40, 20, 50])).await?;
    driver.kill_and_restart().await?;
    assert_eq!(driver.output("a").await?, json!([10, 20, 30, 40, 50]));
    Ok(())
}

/// S38: longer than the original's providers can wait in one go.
async fn timer_of_a_hundred_days_waits_and_harms_nobody(driver: &Driver) -> Result<()> {
    driver.start_new("FarAway", "a", Value::Null).await?;
    let waiting =
        driver.until("a", "its timer is armed", |it| events(it, "TimerCreated").len() == 1).await?;
    assert_eq!(waiting["runtimeStatus"], "Running", "{waiting:#}");
    driver.run("Remind", "b", json!(20)).await?;
    driver.raise("a", "done", Value::Null).await?;
    assert_eq!(driver.output("a").await?, "done", "it fired long before it was due");
    Ok(())
}

/// S52.
async fn loop_of_timers_and_activities_asks_an_entity_once_each_time(
    driver: &Driver,
) -> Result<()> {
    let seen = driver.run("Watch", "a", json!({ "looks": 4, "pauseMs": 15 })).await?;
    assert_eq!(seen, 1 + 2 + 3 + 4);
    assert_eq!(driver.entity("Sightings", "a").await?, Some(seen));
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TimerFired").len(), 4, "{status:#}");
    Ok(())
}
