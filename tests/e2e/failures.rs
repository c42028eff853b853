//! Failures: their texts and causes on the way up, and trying again.

use anyhow::{Context as _, Result};
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::FAMILY, guests::RETRIES, guests::LIFECYCLE])
}

in_every_way!(
    failure_of_an_activity_that_nobody_catches_is_the_output_of_the_original,
    failure_of_a_child_that_nobody_catches_tells_the_whole_way,
    failure_keeps_its_facts_and_its_causes_on_the_way_up,
    panic_of_an_activity_is_a_failure_that_says_what_it_said,
    failures_that_are_caught_are_counted_and_do_no_harm,
    retry_ends_after_the_last_attempt_with_its_failure,
    retry_that_succeeds_has_one_idempotency_key_for_all_attempts,
    retry_of_a_hopeless_failure_is_not_tried,
    retry_that_the_predicate_refuses_is_not_tried,
    retry_of_an_unknown_activity_is_not_tried,
    retry_waits_longer_each_time,
    retry_of_a_child_starts_another_one,
    policy_without_sense_fails_before_the_first_attempt,
    unknown_functions_fail_the_orchestration_that_calls_them,
    start_of_an_unknown_orchestrator_answers_404,
);

/// What the host says of a failed activity.
fn activity_failed(name: &str, message: &str) -> String {
    format!(
        "The activity function '{name}' failed: \"{message}\". See the function execution logs for \
         additional details."
    )
}

/// What the host says of a failed child.
fn child_failed(name: &str, message: &str) -> String {
    format!(
        "The orchestrator function '{name}' failed: \"{message}\". See the function execution logs \
         for additional details."
    )
}

/// Runs one that fails; gives its status document.
async fn fail(driver: &Driver, name: &str, id: &str, input: Value) -> Result<Value> {
    driver.start_new(name, id, input).await?;
    let status = driver.ended(id).await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    assert_eq!(status["output"], Value::Null, "{status:#}");
    Ok(status)
}

/// S21.
async fn failure_of_an_activity_that_nobody_catches_is_the_output_of_the_original(
    driver: &Driver,
) -> Result<()> {
    fail(driver, "ThrowOrchestrator", "a", json!("Kah-BOOOOM!!!")).await?;
    let message = activity_failed("ThrowActivity", "Kah-BOOOOM!!!");
    let expected = format!("Orchestrator function 'ThrowOrchestrator' failed: {message}");
    assert_eq!(driver.managed("a", "").await?["output"], expected);
    Ok(())
}

/// S21, nested.
async fn failure_of_a_child_that_nobody_catches_tells_the_whole_way(driver: &Driver) -> Result<()> {
    fail(driver, "CallOrchestrator", "a", json!("Kah-BOOOOM!!!")).await?;
    let message = activity_failed("ThrowActivity", "Kah-BOOOOM!!!");
    let message = child_failed("ThrowOrchestrator", &message);
    let expected = format!("Orchestrator function 'CallOrchestrator' failed: {message}");
    assert_eq!(driver.managed("a", "").await?["output"], expected);
    Ok(())
}

/// The structured failure: type, causes nearest first, whether to try again, further facts.
async fn failure_keeps_its_facts_and_its_causes_on_the_way_up(driver: &Driver) -> Result<()> {
    let known = driver.run("Causes", "a", json!("Kah-BOOOOM!!!")).await?;
    let message = activity_failed("ThrowActivity", "Kah-BOOOOM!!!");
    let expected = json!({
        "errorType": "SubOrchestrationFailed",
        "errorMessage": child_failed("ThrowOrchestrator", &message),
        "isNonRetriable": true,
        "properties": [["loudness", "11"]],
        "causes": [
            { "errorType": "ActivityFailed", "errorMessage": message },
            { "errorType": "Boom", "errorMessage": "Kah-BOOOOM!!!" },
        ],
    });
    assert_eq!(known, expected);
    Ok(())
}

async fn panic_of_an_activity_is_a_failure_that_says_what_it_said(driver: &Driver) -> Result<()> {
    let status = fail(driver, "PanicOrchestrator", "a", json!("out of ideas")).await?;
    let failure = &status["failure"];
    assert_eq!(failure["errorType"], "ActivityFailed", "{status:#}");
    let message = failure["innerFailures"][0]["errorMessage"].as_str().context("a cause")?;
    assert!(message.contains("out of ideas"), "{status:#}");
    Ok(())
}

/// S22.
async fn failures_that_are_caught_are_counted_and_do_no_harm(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("CatchLoop", "a", json!(5)).await?, 5);
    Ok(())
}

/// Tries that succeed at an attempt, three attempts at most.
fn trial(succeeds_at: u32) -> Value {
    json!({ "succeedsAt": succeeds_at, "firstIntervalMs": 10, "attempts": 3 })
}

/// How often the activity was tried and failed, by the history.
async fn failed_attempts(driver: &Driver, id: &str) -> Result<usize> {
    let status = driver.status(id).await?.context("it was run")?;
    Ok(events(&status, "TaskFailed").len())
}

/// S23: three attempts.
async fn retry_ends_after_the_last_attempt_with_its_failure(driver: &Driver) -> Result<()> {
    let status = fail(driver, "Persistent", "a", trial(4)).await?;
    let message = status["failure"]["errorMessage"].as_str().context("a message")?;
    assert_eq!(message, activity_failed("Flaky", "attempt 3 failed"));
    assert_eq!(failed_attempts(driver, "a").await?, 3);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TimerFired").len(), 2, "no wait after the last: {status:#}");
    Ok(())
}

/// Attempts are counted under the key: at least one for each, and none under another key.
async fn retry_that_succeeds_has_one_idempotency_key_for_all_attempts(
    driver: &Driver,
) -> Result<()> {
    let success = driver.run("Persistent", "a", trial(3)).await?;
    assert_eq!(success["attempt"], 3);
    assert_eq!(failed_attempts(driver, "a").await?, 2);
    let key = success["idempotencyKey"].as_str().context("a key")?;
    let attempts = driver.entity("Attempts", key).await?.and_then(|count| count.as_u64());
    assert!(attempts >= Some(3), "{attempts:?} attempts under {key}");
    Ok(())
}

/// S23: non-retriable.
async fn retry_of_a_hopeless_failure_is_not_tried(driver: &Driver) -> Result<()> {
    let mut trial = trial(2);
    trial["isHopeless"] = json!(true);
    let status = fail(driver, "Persistent", "a", trial).await?;
    assert_eq!(status["failure"]["isNonRetriable"], true, "{status:#}");
    assert_eq!(failed_attempts(driver, "a").await?, 1);
    Ok(())
}

/// S23: the predicate.
async fn retry_that_the_predicate_refuses_is_not_tried(driver: &Driver) -> Result<()> {
    let mut trial = trial(2);
    trial["errorType"] = json!("Fatal");
    let status = fail(driver, "Persistent", "a", trial).await?;
    assert_eq!(status["failure"]["innerFailures"][0]["errorType"], "Fatal", "{status:#}");
    assert_eq!(failed_attempts(driver, "a").await?, 1);
    Ok(())
}

/// S23: task not found.
async fn retry_of_an_unknown_activity_is_not_tried(driver: &Driver) -> Result<()> {
    let mut trial = trial(2);
    trial["activity"] = json!("NoSuchActivity");
    let status = fail(driver, "Persistent", "a", trial).await?;
    let message = status["failure"]["errorMessage"].as_str().context("a message")?;
    assert!(message.contains("The function 'NoSuchActivity' doesn't exist"), "{message}");
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TimerCreated").len(), 0, "{status:#}");
    Ok(())
}

/// S23: waits of 1, 2, 4, here of 50 milliseconds each; without growth they would be 150 together.
async fn retry_waits_longer_each_time(driver: &Driver) -> Result<()> {
    let trial =
        json!({ "succeedsAt": 4, "firstIntervalMs": 50, "attempts": 4, "coefficient": 2.0 });
    let took = driver.run("Patient", "a", trial).await?;
    assert!(took.as_u64() >= Some(50 + 100 + 200), "it took {took} ms");
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TimerFired").len(), 3, "{status:#}");
    Ok(())
}

/// Two that fail and one that does not, each counted once; the parent counts itself as the fourth.
async fn retry_of_a_child_starts_another_one(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("PersistentChild", "a", trial(3)).await?, 4);
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "SubOrchestrationInstanceFailed").len(), 2, "{status:#}");
    assert_eq!(events(&status, "SubOrchestrationInstanceCompleted").len(), 1, "{status:#}");
    assert_eq!(driver.entity("Tries", "a").await?, Some(json!(4)));
    Ok(())
}

/// S23: options without sense.
async fn policy_without_sense_fails_before_the_first_attempt(driver: &Driver) -> Result<()> {
    let trial = json!({ "succeedsAt": 1, "firstIntervalMs": 0, "attempts": 3 });
    let status = fail(driver, "Persistent", "a", trial).await?;
    assert_eq!(status["failure"]["errorType"], "InvalidArgument", "{status:#}");
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(events(&status, "TaskCompleted").len(), 0, "{status:#}");
    Ok(())
}

/// S24: an activity and a child that do not exist.
async fn unknown_functions_fail_the_orchestration_that_calls_them(driver: &Driver) -> Result<()> {
    for (caller, kind, name) in [
        ("CallUnknownActivity", "activity", "NoSuchActivity"),
        ("CallUnknownOrchestrator", "orchestrator", "NoSuchOrchestrator"),
    ] {
        let status = fail(driver, caller, caller, Value::Null).await?;
        let message = status["failure"]["errorMessage"].as_str().context("a message")?;
        let expected = format!(
            "The function '{name}' doesn't exist, is disabled, or is not an {kind} function."
        );
        assert!(message.contains(&expected), "{message}");
    }
    Ok(())
}

/// S24: a client that starts one that does not exist.
async fn start_of_an_unknown_orchestrator_answers_404(driver: &Driver) -> Result<()> {
    driver.run("Child", "other", Value::Null).await?;
    let reply = driver.post("/lifecycle/start/NoSuchOrchestrator?id=a", &Value::Null).await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
    let message = "The function 'NoSuchOrchestrator' doesn't exist, is disabled, or is not an \
                   orchestrator function.";
    assert_eq!(reply.json()?["Message"], message);
    assert!(driver.status("a").await?.is_none());
    Ok(())
}
