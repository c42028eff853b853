//! What the attribute macros expand to calls of. Not for use by hand: it changes with the macros.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::registration::{Registration, Run};

use crate::activity::ActivityContext;
use crate::client::DurableClient;
use crate::error::Failure;
use crate::orchestration::OrchestrationContext;
use crate::payload::{from_json, to_json, to_optional_json};

/// Runs an orchestrator and writes its output.
///
/// # Errors
/// The orchestrator's own failure, or an output without a JSON form.
pub fn run_orchestrator<F, T>(
    function: impl FnOnce(OrchestrationContext) -> F,
) -> Result<String, Failure>
where
    F: Future<Output = Result<T, Failure>>,
    T: Serialize,
{
    let context = OrchestrationContext::new();
    let executor = context.executor().clone();
    to_json(&executor.run(function(context))??)
}

/// Reads an orchestrator's input.
///
/// # Errors
/// An input of another shape.
pub fn orchestrator_input<T: DeserializeOwned>(
    context: &OrchestrationContext,
) -> Result<T, Failure> {
    context.input()
}

/// Writes what an entity operation gave; `()` and whatever else is `null` in JSON is no result.
///
/// # Errors
/// The operation's own failure, or a result without a JSON form.
pub fn operation_result<T: Serialize>(
    result: Result<T, Failure>,
) -> Result<Option<String>, Failure> {
    to_optional_json(&result?)
}

/// Reads an activity's input.
///
/// # Errors
/// An input of another shape.
pub fn activity_input<T: DeserializeOwned>(
    context: &ActivityContext,
    input: &str,
) -> Result<T, Failure> {
    from_json(input, &format!("the input of the activity `{}`", context.name()))
}

/// Writes what an activity gave.
///
/// # Errors
/// The activity's own failure, or a result without a JSON form.
pub fn activity_result<T: Serialize>(result: Result<T, Failure>) -> Result<String, Failure> {
    to_json(&result?)
}

/// Turns the error that an author chose into the one that the host is told.
///
/// # Errors
/// The same error, converted.
pub fn convert_error<T, E: Into<F>, F>(result: Result<T, E>) -> Result<T, F> {
    result.map_err(Into::into)
}

/// The client that an HTTP function gets.
#[must_use]
pub fn client() -> DurableClient {
    DurableClient::new()
}
