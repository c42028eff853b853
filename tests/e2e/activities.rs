//! Activities: one, in sequence, side by side; and what an orchestrator is given besides.

use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::HELLO, guests::LIFECYCLE])
}

in_every_way!(
    greeting_without_an_activity_is_the_output,
    greeting_of_an_activity_is_the_output,
    five_activities_in_sequence_give_their_results_in_order,
    factorial_by_one_activity_after_the_other_is_right,
    results_of_activities_side_by_side_are_all_taken_once,
    hundred_orchestrations_at_a_time_all_complete,
    guids_are_distinct_and_the_same_when_replayed,
    result_of_several_hundred_kilobytes_comes_back_whole,
    entity_is_asked_once_for_each_activity,
);

/// S12, inline.
async fn greeting_without_an_activity_is_the_output(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("HelloInline", "a", json!("World")).await?, "Hello, World!");
    Ok(())
}

/// S12, by an activity.
async fn greeting_of_an_activity_is_the_output(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("HelloActivity", "a", json!("World")).await?, "Hello, World!");
    Ok(())
}

/// The sequence that everybody measures.
async fn five_activities_in_sequence_give_their_results_in_order(driver: &Driver) -> Result<()> {
    let greetings = driver.run("Hello5", "a", Value::Null).await?;
    let expected =
        ["Tokyo", "Seattle", "London", "Amsterdam", "Seoul"].map(|city| format!("Hello, {city}!"));
    assert_eq!(greetings, json!(expected));
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TaskCompleted").len(), 5, "each is taken once: {status:#}");
    Ok(())
}

/// S13.
async fn factorial_by_one_activity_after_the_other_is_right(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("Factorial", "a", json!(10)).await?, 3_628_800);
    Ok(())
}

/// S14.
async fn results_of_activities_side_by_side_are_all_taken_once(driver: &Driver) -> Result<()> {
    let sum: u64 = (1..=40).map(|number| number * number).sum();
    assert_eq!(driver.run("SumOfSquares", "a", json!(40)).await?, sum);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TaskCompleted").len(), 40, "{status:#}");
    Ok(())
}

/// S15.
async fn hundred_orchestrations_at_a_time_all_complete(driver: &Driver) -> Result<()> {
    for number in 0..100 {
        driver
            .start_new("HelloActivity", &format!("a-{number}"), json!(number.to_string()))
            .await?;
    }
    for number in 0..100 {
        let greeting = driver.output(&format!("a-{number}")).await?;
        assert_eq!(greeting, format!("Hello, {number}!"));
    }
    Ok(())
}

/// S16.
async fn guids_are_distinct_and_the_same_when_replayed(driver: &Driver) -> Result<()> {
    driver.start_new("Guids", "a", json!(10_000)).await?;
    driver.start_new("Guids", "b", json!(10_000)).await?;
    let mut digests = HashSet::new();
    for id in ["a", "b"] {
        let waits = driver.until(id, "it waits", |it| it["customStatus"].is_object()).await?;
        assert_eq!(waits["customStatus"]["distinct"], 10_000);
        driver.raise(id, "go", Value::Null).await?;
        assert_eq!(driver.output(id).await?, waits["customStatus"], "not the same again");
        digests.insert(waits["customStatus"]["digest"].to_string());
    }
    assert_eq!(digests.len(), 2, "two orchestrations have the same GUIDs");
    Ok(())
}

/// S26.
async fn result_of_several_hundred_kilobytes_comes_back_whole(driver: &Driver) -> Result<()> {
    let text = driver.run("Echo", "a", json!(300_000)).await?;
    let text = text.as_str().context("a text")?;
    ensure!(text.len() == 300_000, "{} characters", text.len());
    assert_eq!(text, "0123456789abcdef".repeat(300_000 / 16));
    Ok(())
}

/// S52: activities may run again, operations of entities are done once.
async fn entity_is_asked_once_for_each_activity(driver: &Driver) -> Result<()> {
    let counted = driver.run("HelloCounted", "a", json!(["x", "y", "z"])).await?;
    let greetings = ["x", "y", "z"].map(|name| format!("Hello, {name}!"));
    assert_eq!(counted, json!({ "greetings": greetings, "count": 3 }));
    assert_eq!(driver.entity("Greetings", "a").await?, Some(json!(3)));
    Ok(())
}
