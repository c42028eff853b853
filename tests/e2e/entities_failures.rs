//! Operations that fail: what of them is taken back, and what of their batch stays (S57).

use anyhow::{Result, ensure};
use everstate_tests::driver::Driver;
use serde_json::{Value, json};

use crate::steps::{Target, call, error_type, failed, go, hold, host, play, signal, start};
use crate::ways::in_every_way;

in_every_way!(
    s57_state_without_a_json_form_is_never_stored,
    s57_state_that_cannot_be_read_exists_and_can_be_deleted,
    s57_what_a_failing_operation_set_or_deleted_is_as_before,
    s57_failure_in_a_batch_leaves_what_came_before_it,
    s57_failure_behind_a_deletion_in_a_batch_leaves_what_came_before_it,
    s57_state_without_a_json_form_in_a_batch_leaves_what_came_before_it,
    s57_state_that_cannot_be_read_in_a_batch_fails_what_comes_behind_it,
    s57_trap_in_a_batch_leaves_the_others,
    s57_signals_of_a_failing_operation_are_not_sent,
    s57_starts_of_a_failing_operation_do_not_happen,
    failing_signal_is_logged_and_harms_nobody,
);

/// The entity of all these scenarios.
const FAULTY: Target<'_> = ("FaultyEntity", "a");

fn get() -> Value {
    call(FAULTY, "get", Value::Null)
}

/// An operation that is asked to fail, and does.
fn asked_to_fail() -> Value {
    failed("AskedToFail", "failed as asked")
}

async fn exists(driver: &Driver) -> Result<bool> {
    Ok(driver.entity_status(FAULTY.0, FAULTY.1).await?.is_some_and(|it| it["exists"] == true))
}

async fn s57_state_without_a_json_form_is_never_stored(driver: &Driver) -> Result<()> {
    let broken = || call(FAULTY, "set_to_unserializable", Value::Null);
    let outcomes = play(driver, "a", &[broken()]).await?;
    assert_eq!(error_type(&outcomes[0]), "InvalidState", "{outcomes:?}");
    assert!(!exists(driver).await?);
    let outcomes = play(driver, "b", &[call(FAULTY, "set", 7), broken(), get()]).await?;
    assert_eq!(error_type(&outcomes[1]), "InvalidState", "{outcomes:?}");
    assert_eq!(outcomes[2], 7);
    Ok(())
}

async fn s57_state_that_cannot_be_read_exists_and_can_be_deleted(driver: &Driver) -> Result<()> {
    let broken = call(FAULTY, "set_to_undecodable", Value::Null);
    let outcomes = play(driver, "a", &[broken, get(), call(FAULTY, "set", 3)]).await?;
    assert_eq!(outcomes[0], Value::Null);
    assert_eq!(error_type(&outcomes[1]), "InvalidState", "{outcomes:?}");
    assert_eq!(error_type(&outcomes[2]), "InvalidState", "{outcomes:?}");
    assert!(exists(driver).await?);
    let failure = driver.call(FAULTY.0, FAULTY.1, "get", &Value::Null).await?.unwrap_err();
    assert_eq!(failure["errorType"], "InvalidState", "{failure:#}");
    // Deleting does not read.
    let outcomes = play(driver, "b", &[call(FAULTY, "delete", Value::Null), get()]).await?;
    assert_eq!(outcomes, [Value::Null, json!(0)]);
    assert!(!exists(driver).await?);
    Ok(())
}

async fn s57_what_a_failing_operation_set_or_deleted_is_as_before(driver: &Driver) -> Result<()> {
    let failing = || {
        ["set_then_fail", "store_then_fail", "delete_then_fail"]
            .map(|operation| call(FAULTY, operation, 333))
    };
    // Nothing was there.
    let outcomes = play(driver, "a", &failing()).await?;
    assert_eq!(outcomes, [(); 3].map(|()| asked_to_fail()));
    assert!(!exists(driver).await?);
    // Something was there.
    let mut steps = vec![call(FAULTY, "set", 3)];
    for failing in failing() {
        steps.extend([failing, get()]);
    }
    let outcomes = play(driver, "b", &steps).await?;
    let expected = [(); 3].map(|()| [asked_to_fail(), json!(3)]).concat();
    assert_eq!(outcomes[1..], expected);
    // A trap is a failure like any other.
    let outcomes = play(driver, "c", &[call(FAULTY, "set_then_trap", 333), get()]).await?;
    assert!(outcomes[0]["message"].to_string().contains("trapped as asked"), "{outcomes:?}");
    assert_eq!(outcomes[1], 3);
    // It was deleted.
    let steps = [call(FAULTY, "delete", Value::Null), call(FAULTY, "set_then_fail", 333), get()];
    assert_eq!(play(driver, "d", &steps).await?, [Value::Null, asked_to_fail(), json!(0)]);
    assert!(!exists(driver).await?);
    Ok(())
}

/// Has signals done together, in one batch, and gives what the call behind them got. They wait at the
/// entity while another orchestration holds it.
async fn batch(driver: &Driver, operations: &[(&str, Value)]) -> Result<Value> {
    hold(driver, "holder", &[FAULTY], &[]).await?;
    let signals = operations.iter().map(|(name, input)| signal(FAULTY, name, input.clone()));
    let steps: Vec<Value> = signals.chain([get()]).collect();
    start(driver, "batch", &steps).await?;
    let waits = format!("{} operations wait", steps.len());
    driver
        .until_entity(FAULTY.0, FAULTY.1, &waits, |it| it["waitingOperations"] == steps.len())
        .await?;
    go(driver, "holder").await?;
    let outcomes = driver.output("batch").await?;
    let outcome = outcomes.as_array().and_then(|all| all.last()).cloned();
    ensure!(outcome.is_some(), "the batch gave nothing: {outcomes}");
    Ok(outcome.unwrap_or_default())
}

async fn s57_failure_in_a_batch_leaves_what_came_before_it(driver: &Driver) -> Result<()> {
    let operations = [
        ("set", json!(42)),
        ("set_then_fail", json!(333)),
        ("store_then_fail", json!(333)),
        ("delete_then_fail", Value::Null),
    ];
    assert_eq!(batch(driver, &operations).await?, 42);
    Ok(())
}

async fn s57_failure_behind_a_deletion_in_a_batch_leaves_what_came_before_it(
    driver: &Driver,
) -> Result<()> {
    let operations = [
        ("get", Value::Null),
        ("set", json!(42)),
        ("delete", Value::Null),
        ("set", json!(43)),
        ("delete_then_fail", Value::Null),
    ];
    assert_eq!(batch(driver, &operations).await?, 43);
    Ok(())
}

async fn s57_state_without_a_json_form_in_a_batch_leaves_what_came_before_it(
    driver: &Driver,
) -> Result<()> {
    let operations = [("set", json!(55)), ("set_to_unserializable", Value::Null)];
    assert_eq!(batch(driver, &operations).await?, 55);
    Ok(())
}

async fn s57_state_that_cannot_be_read_in_a_batch_fails_what_comes_behind_it(
    driver: &Driver,
) -> Result<()> {
    let operations = [
        ("set", json!(56)),
        ("set_to_undecodable", Value::Null),
        ("set", json!(12)),
        ("set_then_fail", json!(999)),
    ];
    let outcome = batch(driver, &operations).await?;
    assert_eq!(error_type(&outcome), "InvalidState", "{outcome}");
    assert!(exists(driver).await?);
    Ok(())
}

async fn s57_trap_in_a_batch_leaves_the_others(driver: &Driver) -> Result<()> {
    let operations = [
        ("set", json!(42)),
        ("set_then_trap", json!(333)),
        ("set_then_fail", json!(333)),
        ("set", json!(43)),
        ("set_then_trap", json!(333)),
    ];
    assert_eq!(batch(driver, &operations).await?, 43);
    Ok(())
}

/// Had one of the failing operations sent something, it would have come before what is sent well.
async fn s57_signals_of_a_failing_operation_are_not_sent(driver: &Driver) -> Result<()> {
    let steps = ["send_then_fail", "send_then_make_unserializable", "send"]
        .map(|operation| call(FAULTY, operation, "told"));
    let outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes[0], asked_to_fail());
    assert_eq!(error_type(&outcomes[1]), "InvalidState", "{outcomes:?}");
    assert_eq!(outcomes[2], Value::Null);
    driver.until_entity("Number", "told", "it is told", |it| it["exists"] == true).await?;
    assert_eq!(driver.result("Number", "told", "add", &json!(0)).await?, 1);
    Ok(())
}

/// The same: it would have been started before the one that is started well has ended.
async fn s57_starts_of_a_failing_operation_do_not_happen(driver: &Driver) -> Result<()> {
    let steps = [call(FAULTY, "start_then_fail", "one"), call(FAULTY, "start", "two")];
    let outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes, [asked_to_fail(), json!("two")]);
    driver.until("two", "it is there", |_| true).await?;
    driver.output("two").await?;
    assert!(driver.status("one").await?.is_none(), "it was started");
    Ok(())
}

async fn failing_signal_is_logged_and_harms_nobody(driver: &Driver) -> Result<()> {
    play(driver, "a", &[signal(FAULTY, "set_then_fail", 333), get()]).await?;
    if !driver.has_died() {
        driver.host().await.logs(&["@faultyentity@a", "failed as asked"]).await?;
    }
    assert!(!exists(driver).await?);
    Ok(())
}
