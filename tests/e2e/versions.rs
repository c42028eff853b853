//! Old work keeps its code, new work gets the new code, and code that does not fit stops what it
//! does not fit until there is code that does.
//!
//! `guests/version-one` and `guests/version-two` have the same functions and say which one they are.

use anyhow::{Context as _, Result};
use everstate_tests::driver::Driver;
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::VERSION_ONE, guests::LIFECYCLE])
}

in_every_way!(
    orchestration_that_waits_while_its_component_is_replaced_ends_on_its_old_code,
    code_of_a_file_that_is_gone_is_kept_over_a_restart,
    child_takes_the_newest_code_when_it_is_started,
    continue_as_new_moves_to_the_newest_code,
    requests_during_a_replacement_are_all_answered,
    code_that_does_not_fit_stops_until_code_that_fits_is_deployed,
    code_that_does_not_fit_can_be_tried_again_by_resuming,
);

/// The file in which the components under test take turns.
fn file_name() -> &'static str {
    guests::VERSION_ONE.rsplit('/').next().unwrap_or_default()
}

/// Replaces the component, and waits until new orchestrations run the new one.
async fn deploy(driver: &Driver, component: &str, version: &str) -> Result<()> {
    driver.host().await.replace(component, file_name())?;
    runs(driver, version).await
}

/// Waits until new orchestrations run this version.
async fn runs(driver: &Driver, version: &str) -> Result<()> {
    let what = format!("new orchestrations run version {version}");
    eventually(&what, START_DEADLINE, || async {
        let reply = driver.post("/lifecycle/start/VersionedChild", &Value::Null).await.ok()?;
        let id = reply.json().ok()?["id"].as_str()?.to_owned();
        (driver.output(&id).await.ok()? == version).then_some(())
    })
    .await
}

/// Starts one that says which code it runs before and after the event `go`.
async fn start_versioned(driver: &Driver, id: &str) -> Result<()> {
    driver.start_new("Versioned", id, Value::Null).await?;
    driver.until_is(id, "Running").await.map(drop)
}

async fn go_on(driver: &Driver, id: &str) -> Result<Value> {
    driver.raise(id, "go", Value::Null).await?;
    driver.output(id).await
}

/// Activities are always the newest.
async fn orchestration_that_waits_while_its_component_is_replaced_ends_on_its_old_code(
    driver: &Driver,
) -> Result<()> {
    start_versioned(driver, "old").await?;
    deploy(driver, guests::VERSION_TWO, "two").await?;
    start_versioned(driver, "new").await?;
    assert_eq!(go_on(driver, "old").await?, json!(["one", "one", "two"]));
    assert_eq!(go_on(driver, "new").await?, json!(["two", "two", "two"]));
    Ok(())
}

/// An activity that no published component has is taken from the code that asks for it.
async fn code_of_a_file_that_is_gone_is_kept_over_a_restart(driver: &Driver) -> Result<()> {
    start_versioned(driver, "old").await?;
    std::fs::remove_file(driver.host().await.functions().join(file_name()))?;
    eventually("the functions are gone", START_DEADLINE, || async {
        let reply = driver.post("/lifecycle/start/VersionedChild", &Value::Null).await.ok()?;
        (reply.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await?;
    driver.kill_and_restart().await?;
    assert_eq!(go_on(driver, "old").await?, json!(["one", "one", "one"]));
    Ok(())
}

async fn child_takes_the_newest_code_when_it_is_started(driver: &Driver) -> Result<()> {
    driver.start_new("VersionedParent", "old", Value::Null).await?;
    driver.until_is("old", "Running").await?;
    deploy(driver, guests::VERSION_TWO, "two").await?;
    assert_eq!(go_on(driver, "old").await?, json!(["one", "two"]));
    Ok(())
}

async fn continue_as_new_moves_to_the_newest_code(driver: &Driver) -> Result<()> {
    driver.start_new("VersionedGenerations", "a", Value::Null).await?;
    driver.until("a", "it begins", |it| it["customStatus"] == json!(["one"])).await?;
    deploy(driver, guests::VERSION_TWO, "two").await?;
    driver.raise_once("a", "go", json!(true)).await?;
    driver.until("a", "it starts over", |it| it["customStatus"] == json!(["one", "two"])).await?;
    driver.raise_once("a", "go", json!(false)).await?;
    assert_eq!(driver.output("a").await?, json!(["one", "two"]));
    Ok(())
}

async fn requests_during_a_replacement_are_all_answered(driver: &Driver) -> Result<()> {
    start_versioned(driver, "old").await?;
    driver.host().await.replace(guests::VERSION_TWO, file_name())?;
    for number in 0.. {
        let said = driver.run("VersionedChild", &format!("child-{number}"), Value::Null).await?;
        if said == "two" {
            break;
        }
        assert_eq!(said, "one");
    }
    assert_eq!(go_on(driver, "old").await?, json!(["one", "one", "two"]));
    Ok(())
}

/// Fails on version one, and is rewound on version two, which does something else first. Gives the status
/// document of the stopped orchestration.
async fn stopped(driver: &Driver) -> Result<Value> {
    driver.start_new("Rewritten", "a", Value::Null).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    driver.signal("VersionedRepaired", "a", "set").await?;
    deploy(driver, guests::VERSION_TWO, "two").await?;
    driver.apply("rewind", "a", "").await?;
    driver.until_is("a", "Suspended").await
}

/// It says which event differs from what the code asked for.
fn says_what_differs(status: &Value) -> Result<()> {
    assert_eq!(status["failure"]["errorType"], "NonDeterminism", "{status:#}");
    let message = status["failure"]["errorMessage"].as_str().context("a message")?;
    assert!(message.contains("Step"), "it does not name the activity: {message}");
    Ok(())
}

async fn code_that_does_not_fit_stops_until_code_that_fits_is_deployed(
    driver: &Driver,
) -> Result<()> {
    says_what_differs(&stopped(driver).await?)?;
    deploy(driver, guests::VERSION_ONE, "one").await?;
    assert_eq!(driver.output("a").await?, json!([1, 2]));
    let status = driver.status("a").await?.context("it was run")?;
    assert_eq!(status["failure"], Value::Null, "{status:#}");
    Ok(())
}

/// Resuming tries the newest code: as long as that does not fit, it stops again.
async fn code_that_does_not_fit_can_be_tried_again_by_resuming(driver: &Driver) -> Result<()> {
    stopped(driver).await?;
    driver.apply("resume", "a", "?reason=try").await?;
    says_what_differs(&driver.until_is("a", "Suspended").await?)?;
    driver.raise("a", "unheard", Value::Null).await?;
    driver.apply("terminate", "a", "?reason=enough").await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Terminated", "{status:#}");
    Ok(())
}
