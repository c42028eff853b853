//! What the orchestrator `Script` of `guests/entities` is told to do.

use anyhow::{Context as _, Result};
use everstate_tests::driver::Driver;
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::{Value, json};

use crate::ways::host_with;

/// An entity: its name and its key.
pub(crate) type Target<'a> = (&'a str, &'a str);

/// A host with the entities that scripts use.
pub(crate) fn host() -> HostOptions {
    host_with(&[guests::ENTITIES, guests::LIFECYCLE])
}

/// Calls an entity and waits for the result.
pub(crate) fn call((name, key): Target<'_>, operation: &str, input: impl Into<Value>) -> Value {
    json!({ "call": [name, key, operation, input.into()] })
}

/// Begins a call, for which `"finish"` waits.
pub(crate) fn begin((name, key): Target<'_>, operation: &str, input: impl Into<Value>) -> Value {
    json!({ "begin": [name, key, operation, input.into()] })
}

/// Signals an entity.
pub(crate) fn signal((name, key): Target<'_>, operation: &str, input: impl Into<Value>) -> Value {
    json!({ "signal": [name, key, operation, input.into()] })
}

/// Locks entities.
pub(crate) fn lock(targets: &[Target<'_>]) -> Value {
    json!({ "lock": targets })
}

/// Asks for locks, for which `"awaitLock"` waits.
pub(crate) fn request_lock(targets: &[Target<'_>]) -> Value {
    json!({ "requestLock": targets })
}

/// Waits for an event.
pub(crate) fn wait(event: &str) -> Value {
    json!({ "wait": event })
}

/// Starts a script.
pub(crate) async fn start(driver: &Driver, id: &str, steps: &[Value]) -> Result<()> {
    driver.start_new("Script", id, json!(steps)).await
}

/// Runs a script; gives what came of each step.
pub(crate) async fn play(driver: &Driver, id: &str, steps: &[Value]) -> Result<Vec<Value>> {
    start(driver, id, steps).await?;
    outcomes(driver, id).await
}

/// Waits for the end of a script; gives what came of each step.
pub(crate) async fn outcomes(driver: &Driver, id: &str) -> Result<Vec<Value>> {
    driver.output(id).await?.as_array().cloned().context("a list")
}

/// Starts a script that holds entities until the event `go` comes, and goes on with these steps then.
pub(crate) async fn hold(
    driver: &Driver,
    id: &str,
    targets: &[Target<'_>],
    then: &[Value],
) -> Result<()> {
    start(driver, id, &[&[lock(targets), wait("go")], then].concat()).await?;
    for (name, key) in targets {
        driver.until_held(name, key, id).await?;
    }
    Ok(())
}

/// Lets a script go on.
pub(crate) async fn go(driver: &Driver, id: &str) -> Result<()> {
    driver.raise(id, "go", Value::Null).await
}

/// What came of a step that failed.
pub(crate) fn failed(error: &str, message: &str) -> Value {
    json!({ "error": error, "message": message })
}

/// The type of the failure of a step.
pub(crate) fn error_type(outcome: &Value) -> &str {
    outcome["error"].as_str().unwrap_or("none")
}
