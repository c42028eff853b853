//! What the attribute macros expand to calls of. Not for use by hand: it changes with the macros.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::entity::{EntityCall, EntityOptions, Upgrade};
pub use crate::registration::{Authorization, Registration, Run, RunEntity};

use crate::activity::ActivityContext;
use crate::client::DurableClient;
use crate::entity::{self, EntityContext};
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

/// The context of an operation that is to be run.
#[must_use]
pub fn entity_context(call: EntityCall) -> EntityContext {
    call.into_context()
}

/// Whether the operation is the one of that name; the case does not matter.
#[must_use]
pub fn is_operation(context: &EntityContext, name: &str) -> bool {
    context.operation_name().eq_ignore_ascii_case(name)
}

/// Reads an operation's input.
///
/// # Errors
/// An input of another shape, or none where one is needed.
pub fn operation_input<T: DeserializeOwned>(context: &EntityContext) -> Result<T, Failure> {
    context.input()
}

/// Runs a method that takes `&mut self`: reads the state, and writes it back if it is new or has
/// changed, unless the method said itself what becomes of it.
///
/// # Errors
/// The method's own failure; a state that cannot be read or written.
pub fn change_state<S: Default + Serialize + DeserializeOwned>(
    context: &mut EntityContext,
    operation: impl FnOnce(&mut S, &mut EntityContext) -> Result<Option<String>, Failure>,
) -> Result<Option<String>, Failure> {
    entity::change(context, operation)
}

/// Runs a method that takes `&self`: reads the state and does not write it.
///
/// # Errors
/// The method's own failure; a state that cannot be read.
pub fn look_at_state<S: Default + DeserializeOwned>(
    context: &mut EntityContext,
    operation: impl FnOnce(&S, &mut EntityContext) -> Result<Option<String>, Failure>,
) -> Result<Option<String>, Failure> {
    entity::look(context, operation)
}

/// What an entity does that no method is for: `delete` is built in.
///
/// # Errors
/// Any other operation is unknown.
pub fn other_operation(context: &mut EntityContext) -> Result<Option<String>, Failure> {
    if !is_operation(context, "delete") {
        return Err(Failure::unknown_operation(context.operation_name()));
    }
    context.delete_state();
    Ok(None)
}

/// What a return type gives when all is well.
pub trait Outcome {
    /// The result that a caller gets.
    type Value;
}

impl<T, E> Outcome for Result<T, E> {
    type Value = T;
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
