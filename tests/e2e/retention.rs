//! What ended long enough ago is removed by itself, and nothing else.

use anyhow::Result;
use everstate_tests::driver::{Driver, Way};
use everstate_tests::guests;
use serde_json::{Value, json};

use crate::ways::host_with;

/// What completed goes soon; what failed only where a function says so.
const CONFIG: &str = "\
[retention]
completed_ms = 200
interval_ms = 20
[retention.functions.counter]
failed_ms = 100
[retention.functions.HelloInline]
completed_ms = \"forever\"
";

async fn driver() -> Result<Driver> {
    let guests = [guests::HELLO, guests::COUNTER, guests::LIFECYCLE];
    Driver::start(host_with(&guests).config(CONFIG), Way::Plain).await
}

#[tokio::test]
async fn what_ended_long_ago_goes_and_what_is_alive_or_to_be_kept_stays() -> Result<()> {
    let driver = driver().await?;
    driver.start_new("Counter", "alive", json!(0)).await?;
    driver.run("HelloInline", "kept", json!("x")).await?;
    driver.start_new("HelloInline", "failed", json!(0)).await?;
    driver.start_new("Counter", "terminated", json!(0)).await?;
    driver.until_is("terminated", "Running").await?;
    driver.apply("terminate", "terminated", "").await?;
    for round in 0..3 {
        let failed = format!("failed-{round}");
        driver.start_new("Counter", &failed, json!(0)).await?;
        driver.raise(&failed, "operation", json!("unknown")).await?;
        let ids: Vec<String> = (0..20).map(|number| format!("gone-{round}-{number}")).collect();
        for id in &ids {
            driver.start_new("Hello5", id, Value::Null).await?;
        }
        for id in ids.iter().chain([&failed]) {
            driver.gone(id).await?;
        }
    }
    for (id, status) in [
        ("alive", "Running"),
        ("kept", "Completed"),
        ("failed", "Failed"),
        ("terminated", "Terminated"),
    ] {
        driver.until_is(id, status).await?;
    }
    Ok(())
}

/// The next one under the same id is another one, of its own age.
#[tokio::test]
async fn id_can_be_used_again_and_the_next_one_goes_after_its_own_end() -> Result<()> {
    let driver = driver().await?;
    for _ in 0..5 {
        driver.start_new("Counter", "again", json!(0)).await?;
        driver.until_is("again", "Running").await?;
        driver.raise("again", "operation", json!("end")).await?;
        driver.gone("again").await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_ended_before_a_kill_goes_after_the_next_start() -> Result<()> {
    let driver = driver().await?;
    driver.run("HelloInline", "kept", json!("x")).await?;
    for round in 0..3 {
        for number in 0..20 {
            driver.start_new("Hello5", &format!("gone-{round}-{number}"), Value::Null).await?;
        }
        driver.kill_and_restart().await?;
    }
    for round in 0..3 {
        for number in 0..20 {
            driver.gone(&format!("gone-{round}-{number}")).await?;
        }
    }
    driver.until_is("kept", "Completed").await?;
    Ok(())
}

/// Much of one function is not in the way of another.
#[tokio::test]
async fn functions_take_turns_in_being_removed() -> Result<()> {
    let guests = [guests::HELLO, guests::LIFECYCLE];
    let driver = Driver::start(host_with(&guests), Way::Plain).await?;
    let many: Vec<String> = (0..100).map(|number| format!("many-{number}")).collect();
    for id in &many {
        driver.run("Hello5", id, Value::Null).await?;
    }
    driver.run("HelloInline", "one", json!("x")).await?;
    for (name, value) in [("COMPLETED_MS", "0"), ("PURGES_PER_SECOND", "20")] {
        let variable = (format!("EVERSTATE_RETENTION__{name}"), value.into());
        driver.host().await.options().env.push(variable);
    }
    driver.kill_and_restart().await?;
    driver.gone("one").await?;
    let left = driver.status(&many[99]).await?;
    assert!(left.is_some(), "a hundred take five seconds");
    Ok(())
}
