//! States up to 64 MiB, and queues that are full.

use anyhow::{Context as _, Result, ensure};
use everstate_tests::driver::Driver;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::steps::{call, go, hold, host, outcomes, play, start};
use crate::ways::{self, in_every_way};

in_every_way!(state_of_some_mebibytes_is_stored_replaced_and_deleted_like_any_other);

/// What `Big` says of a text that it made.
fn digest(length: usize, changes: u64) -> Value {
    let digits = length.to_string();
    let sum: u64 = digits.bytes().cycle().take(length).map(u64::from).sum();
    json!({ "length": length, "sum": sum, "changes": changes })
}

/// From 1 MiB on a state is stored by itself.
async fn state_of_some_mebibytes_is_stored_replaced_and_deleted_like_any_other(
    driver: &Driver,
) -> Result<()> {
    let big = ("Big", "a");
    let (small, large) = (1_000, 3 << 20);
    let steps = [
        call(big, "fill", large),
        call(big, "touch", Value::Null),
        call(big, "fill", small),
        call(big, "fill", large),
    ];
    let expected = [digest(large, 1), digest(large, 2), digest(small, 3), digest(large, 4)];
    assert_eq!(play(driver, "a", &steps).await?, expected);
    driver.kill_and_restart().await?;
    let read = driver.result("Big", "a", "digest", &Value::Null).await?;
    assert_eq!(read, digest(large, 4));
    let state = driver.entity("Big", "a").await?.context("it is there")?;
    assert_eq!(state["text"].as_str().map(str::len), Some(large));
    let listed = driver.entities("name=Big&state=true", 10).await?;
    assert_eq!(listed[0]["state"]["text"].as_str().map(str::len), Some(large));
    play(driver, "b", &[call(big, "delete", Value::Null)]).await?;
    assert_eq!(driver.entity_status("Big", "a").await?, None);
    driver.kill_and_restart().await?;
    assert_eq!(driver.entity_status("Big", "a").await?, None);
    Ok(())
}

/// A state that is almost as large as the host allows, and one that is larger.
#[tokio::test]
async fn state_of_64_mebibytes_comes_back_and_others_go_on_beside_it() -> Result<()> {
    let limit = "[runtime]\nturn_cpu_ms_max = 60_000\noperation_wall_ms_max = 60_000\n";
    ways::plainly(host().config(limit), async |driver| {
        let length = (64 << 20) - 100;
        let big = ("Big", "a");
        start(driver, "big", &[call(big, "fill", length), call(big, "touch", Value::Null)]).await?;
        let mut others = 0;
        while driver.status("big").await?.context("it is there")?["runtimeStatus"] != "Completed" {
            others += 1;
            driver.result("Number", "other", "add", &json!(1)).await?;
        }
        assert!(others > 0, "nobody was served beside it");
        assert_eq!(outcomes(driver, "big").await?, [digest(length, 1), digest(length, 2)]);
        let outcomes = play(driver, "too-big", &[call(big, "fill", length + 200)]).await?;
        assert_eq!(outcomes[0]["error"], "LimitExceeded", "{outcomes:?}");
        driver.kill_and_restart().await?;
        let read = driver.result("Big", "a", "digest", &Value::Null).await?;
        assert_eq!(read, digest(length, 2));
        let path = "/runtime/webhooks/durabletask/entities/Big/a";
        let state = driver.get(path).await?;
        ensure!(state.status == StatusCode::OK, "{}", state.status);
        assert_eq!(state.json()?["text"].as_str().map(str::len), Some(length));
        Ok(())
    })
    .await
}

/// Clients are refused before anything was accepted; orchestrations, which were accepted already, are not.
#[tokio::test]
async fn clients_of_an_entity_with_too_much_waiting_are_told_to_come_back() -> Result<()> {
    let bound = "[engine]\nentity_inbox_count_max = 10\n";
    ways::plainly(host().config(bound), async |driver| {
        let number = ("Number", "a");
        hold(driver, "holder", &[number], &[]).await?;
        let mut accepted = 0;
        loop {
            let reply = driver.post("/lifecycle/signal/Number/a/add", &json!(1)).await?;
            if reply.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(reply.header("retry-after"), "1");
                break;
            }
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
            accepted += 1;
            ensure!(accepted <= 100, "it takes on everything");
        }
        assert!(accepted >= 10, "{accepted} were accepted");
        is_refused(driver, "call/Number/a/add").await?;
        is_refused(driver, "signal/Number/a/add?idempotencyKey=key").await?;
        let managed = "/runtime/webhooks/durabletask/entities/Number/a?op=add";
        let reply = driver.post(managed, &json!(1)).await?;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.text());
        // Who does not wait in that queue is served.
        assert_eq!(driver.result("Number", "a", "get", &Value::Null).await?, 0);
        assert_eq!(driver.result("Number", "b", "add", &json!(1)).await?, 1);
        start(driver, "orchestration", &[call(number, "add", 100)]).await?;
        go(driver, "holder").await?;
        assert_eq!(outcomes(driver, "orchestration").await?, [100 + accepted]);
        driver.tell_once("Number", "a", "add", &json!(1), "key").await?;
        let sum = driver.result("Number", "a", "add", &json!(0)).await?;
        assert_eq!(sum, 101 + accepted, "something that was refused was done");
        Ok(())
    })
    .await
}

async fn is_refused(driver: &Driver, path: &str) -> Result<()> {
    let reply = driver.post(&format!("/lifecycle/{path}"), &json!(1)).await?;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{path}: {}", reply.text());
    Ok(())
}
