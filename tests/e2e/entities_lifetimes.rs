//! How long entities live that nobody uses.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::driver::Driver;
use everstate_tests::host::START_DEADLINE;
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::steps::{call, go, hold, host, outcomes, play};
use crate::ways::{self, in_every_way};

in_every_way!(
    entity_that_nobody_uses_is_deleted_when_its_time_is_over_and_not_before,
    entity_that_is_used_lives_on,
    entity_that_is_only_read_lives_on,
    entity_can_have_a_time_of_its_own,
    entity_that_is_held_lives_on_until_it_is_released,
    time_to_live_goes_on_over_a_restart,
);

/// The time to live of `Fleeting`.
const TIME_TO_LIVE: Duration = Duration::from_secs(1);

async fn gone(driver: &Driver, name: &str, key: &str) -> Result<()> {
    driver.until_entity(name, key, "it is gone", Value::is_null).await.map(drop)
}

async fn entity_that_nobody_uses_is_deleted_when_its_time_is_over_and_not_before(
    driver: &Driver,
) -> Result<()> {
    play(driver, "a", &[call(("Fleeting", "a"), "use_it", Value::Null)]).await?;
    let last_use = match driver.entity_status("Fleeting", "a").await? {
        Some(status) => status["lastOperationTime"].as_u64().context("a time")?,
        // This machine was very slow.
        None => return Ok(()),
    };
    gone(driver, "Fleeting", "a").await?;
    assert!(SystemClock.now().as_millis() >= last_use + 1_000, "it was deleted too early");
    assert!(driver.keys("name=Fleeting").await?.is_empty());
    let again = play(driver, "b", &[call(("Fleeting", "a"), "use_it", Value::Null)]).await?;
    assert_eq!(again, [1], "its id can be used again");
    Ok(())
}

/// Calls an operation of one entity until another one that nobody uses is gone; the results of those
/// calls that came soon enough after the one before must be as `fits` says of both.
async fn outlives(driver: &Driver, operation: &str, fits: impl Fn(i64, i64) -> bool) -> Result<()> {
    let fleeting = |key| call(("Fleeting", key), "use_it", Value::Null);
    play(driver, "begin", &[fleeting("used"), fleeting("unused")]).await?;
    let mut before: Option<(Instant, i64)> = None;
    while driver.entity("Fleeting", "unused").await?.is_some() {
        let began = Instant::now();
        let result = driver.result("Fleeting", "used", operation, &Value::Null).await?;
        let result = result.as_i64().context("a number")?;
        if let Some((last, before)) = before
            && last.elapsed() < TIME_TO_LIVE
        {
            assert!(fits(before, result), "{before}, then {result}: it was deleted");
        }
        before = Some((began, result));
    }
    assert!(before.is_some() || driver.has_died(), "it was not used once");
    Ok(())
}

async fn entity_that_is_used_lives_on(driver: &Driver) -> Result<()> {
    outlives(driver, "use_it", |before, result| result > before).await
}

async fn entity_that_is_only_read_lives_on(driver: &Driver) -> Result<()> {
    // After a crash a use that changed nothing may not count.
    outlives(driver, "look", |before, result| result == before || driver.has_died()).await
}

async fn entity_can_have_a_time_of_its_own(driver: &Driver) -> Result<()> {
    let steps = [
        call(("Fleeting", "short"), "live_for", 50),
        call(("Fleeting", "for ever"), "live_for", Value::Null),
        call(("Fleeting", "as its type"), "use_it", Value::Null),
        call(("Lasting", "short"), "live_for", 50),
        call(("Lasting", "as its type"), "use_it", Value::Null),
        call(("Lasting", "again as its type"), "live_for", 100_000),
        call(("Lasting", "again as its type"), "live_for", Value::Null),
    ];
    play(driver, "a", &steps).await?;
    for (name, key) in
        [("Fleeting", "short"), ("Lasting", "short"), ("Fleeting", "as%20its%20type")]
    {
        gone(driver, name, key).await?;
    }
    assert_eq!(driver.keys("name=Fleeting").await?, ["for ever"]);
    assert_eq!(driver.keys("name=Lasting").await?, ["again as its type", "as its type"]);
    // A new life begins with the time of the type.
    let steps = ["delete", "use_it"].map(|it| call(("Fleeting", "for ever"), it, Value::Null));
    play(driver, "b", &steps).await?;
    gone(driver, "Fleeting", "for%20ever").await
}

async fn entity_that_is_held_lives_on_until_it_is_released(driver: &Driver) -> Result<()> {
    let held = ("Fleeting", "held");
    let use_it = |key| call(("Fleeting", key), "use_it", Value::Null);
    hold(driver, "holder", &[held], &[use_it("held")]).await?;
    go(driver, "holder").await?;
    outcomes(driver, "holder").await?;
    hold(driver, "again", &[held], &[use_it("held")]).await?;
    let was_alive = driver.entity("Fleeting", "held").await?.is_some();
    play(driver, "other", &[use_it("other")]).await?;
    gone(driver, "Fleeting", "other").await?;
    if was_alive {
        assert!(driver.entity("Fleeting", "held").await?.is_some(), "it was deleted while held");
        go(driver, "again").await?;
        assert_eq!(outcomes(driver, "again").await?[2], 2);
    } else {
        go(driver, "again").await?;
    }
    gone(driver, "Fleeting", "held").await
}

/// It may be over before the host is there again.
async fn time_to_live_goes_on_over_a_restart(driver: &Driver) -> Result<()> {
    play(driver, "a", &[call(("Fleeting", "a"), "use_it", Value::Null)]).await?;
    driver.kill_and_restart().await?;
    gone(driver, "Fleeting", "a").await
}

#[tokio::test]
async fn idempotency_key_is_forgotten_when_its_time_is_over() -> Result<()> {
    let window = "[engine]\nidempotency_window_ms = 500\n";
    ways::plainly(host().config(window), async |driver| {
        eventually("the same key counts again", START_DEADLINE, || async {
            driver.tell_once("Number", "a", "add", &json!(1), "key").await.ok()?;
            let sum = driver.result("Number", "a", "add", &json!(0)).await.ok()?;
            (sum == 2).then_some(())
        })
        .await
    })
    .await
}
