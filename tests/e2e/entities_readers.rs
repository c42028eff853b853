//! Operations that change nothing: clients that call one wait for nobody, and what it tries to change
//! is refused.

use anyhow::{Context as _, Result};
use everstate_tests::driver::Driver;
use serde_json::{Value, json};

use crate::steps::{call, go, hold, host, outcomes, play, start};
use crate::ways::{self, in_every_way};

in_every_way!(
    read_only_call_of_a_client_waits_for_no_lock_and_no_queue,
    read_only_call_sees_what_was_answered_before_it_began,
    read_only_operation_that_tries_to_change_something_fails_and_changes_nothing,
    reading_an_entity_that_does_not_exist_creates_nothing,
);

const QUEUE: u64 = 200;

async fn read_only_call_of_a_client_waits_for_no_lock_and_no_queue(driver: &Driver) -> Result<()> {
    let number = ("Number", "a");
    play(driver, "before", &[call(number, "add", 7)]).await?;
    hold(driver, "holder", &[number], &[]).await?;
    let add = json!({ "signal": ["Number", "a", "add", 1] });
    play(driver, "sender", &vec![add; usize::try_from(QUEUE)?]).await?;
    start(driver, "reader", &[call(number, "get", Value::Null)]).await?;
    driver
        .until_entity("Number", "a", "all wait", |it| it["waitingOperations"] == QUEUE + 1)
        .await?;
    assert_eq!(driver.result("Number", "a", "get", &Value::Null).await?, 7);
    assert_eq!(driver.result("number", "a", "GET", &Value::Null).await?, 7, "in any case");
    let status = driver.entity_status("Number", "a").await?.context("it is there")?;
    assert_eq!(status["waitingOperations"], QUEUE + 1, "it waited: {status:#}");
    go(driver, "holder").await?;
    // An orchestration's call waits its turn, read-only or not.
    assert_eq!(outcomes(driver, "reader").await?, [7 + QUEUE]);
    Ok(())
}

async fn read_only_call_sees_what_was_answered_before_it_began(driver: &Driver) -> Result<()> {
    for number in 1..=20 {
        driver.result("Number", "a", "set", &json!(number)).await?;
        assert_eq!(driver.result("Number", "a", "get", &Value::Null).await?, number);
    }
    Ok(())
}

async fn read_only_operation_that_tries_to_change_something_fails_and_changes_nothing(
    driver: &Driver,
) -> Result<()> {
    let liar = ("Liar", "a");
    play(driver, "before", &[call(liar, "set", 7)]).await?;
    for operation in ["read-and-set", "read-and-signal", "read-and-start", "read-and-delete"] {
        let called = driver.call("Liar", "a", operation, &Value::Null).await?;
        assert!(called.is_err(), "{operation} gave {called:?}");
        let outcomes = play(driver, operation, &[call(liar, operation, Value::Null)]).await?;
        assert!(outcomes[0]["error"].is_string(), "{operation} gave {outcomes:?}");
    }
    // Behind what they may have sent.
    assert_eq!(play(driver, "after", &[call(liar, "set", 8)]).await?, [8]);
    assert_eq!(driver.entity("Liar", "a").await?, Some(json!(8)));
    assert!(driver.status("started-by-a-reader").await?.is_none(), "it was started");
    Ok(())
}

async fn reading_an_entity_that_does_not_exist_creates_nothing(driver: &Driver) -> Result<()> {
    assert_eq!(driver.result("Number", "a", "get", &Value::Null).await?, 0);
    assert_eq!(play(driver, "a", &[call(("Number", "a"), "get", Value::Null)]).await?, [0]);
    assert_eq!(driver.entity_status("Number", "a").await?, None);
    Ok(())
}

/// How long a writer takes that runs while a reader is answered: far longer than any test waits.
const NAP_MS: u64 = 100_000;

/// Not in other ways: a host that starts again lets the writer begin anew.
#[tokio::test]
async fn read_only_call_of_a_client_does_not_wait_for_a_writer_that_runs() -> Result<()> {
    let limit = "[runtime]\noperation_wall_ms_max = 200_000\n";
    ways::plainly(host().config(limit), async |driver| {
        let napper = ("Napper", "a");
        play(driver, "before", &[call(napper, "nap", 0)]).await?;
        start(driver, "writer", &[call(napper, "nap", NAP_MS)]).await?;
        driver.until_entity("Napper", "a", "it naps", |it| it["waitingOperations"] == 1).await?;
        assert_eq!(driver.result("Napper", "a", "naps", &Value::Null).await?, 1);
        assert_eq!(driver.entity("Napper", "a").await?, Some(json!({ "naps": 1 })));
        let status = driver.entity_status("Napper", "a").await?.context("it is there")?;
        assert_eq!(status["waitingOperations"], 1, "it waited: {status:#}");
        // Other entities of the same function do not wait either.
        assert_eq!(driver.result("Napper", "b", "nap", &json!(0)).await?, 1);
        Ok(())
    })
    .await
}
