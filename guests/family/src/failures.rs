//! Failures on their way from an activity up through the orchestrations that do not catch them.

use everstate_sdk::{
    ActivityContext, ChildOptions, Failure, OrchestrationContext, activity, orchestrator,
};
use serde::Serialize;

/// What a caller knows of a failure.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    error_type: String,
    error_message: String,
    is_non_retriable: bool,
    /// Names and JSON texts.
    properties: Vec<(String, String)>,
    causes: Vec<Cause>,
}

/// One link of the chain.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cause {
    error_type: String,
    error_message: String,
}

#[activity]
fn ThrowActivity(_context: ActivityContext, message: String) -> Result<(), Failure> {
    let mut failure = Failure::new("Boom", message).non_retriable();
    failure.properties.push(("loudness".to_owned(), "11".to_owned()));
    Err(failure)
}

#[activity]
#[expect(clippy::panic, reason = "to see what the host makes of it")]
fn PanicActivity(_context: ActivityContext, message: String) {
    panic!("{message}");
}

#[orchestrator]
async fn ThrowOrchestrator(context: OrchestrationContext, message: String) -> Result<(), Failure> {
    context.call_activity("ThrowActivity", &message).await
}

#[orchestrator]
async fn PanicOrchestrator(context: OrchestrationContext, message: String) -> Result<(), Failure> {
    context.call_activity("PanicActivity", &message).await
}

#[orchestrator]
async fn CallOrchestrator(context: OrchestrationContext, message: String) -> Result<(), Failure> {
    context.call_sub_orchestration("ThrowOrchestrator", &message, &ChildOptions::default()).await
}

#[orchestrator]
async fn Causes(context: OrchestrationContext, message: String) -> Result<Known, Failure> {
    let child = context.call_sub_orchestration::<()>(
        "ThrowOrchestrator",
        &message,
        &ChildOptions::default(),
    );
    let Err(failure) = child.await else {
        return Err(Failure::new("Surprise", "the child did not fail"));
    };
    let causes = failure.inner_failures.iter().map(|inner| Cause {
        error_type: inner.error_type.clone(),
        error_message: inner.error_message.clone(),
    });
    Ok(Known {
        error_type: failure.error_type.clone(),
        error_message: failure.error_message.clone(),
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties.clone(),
        causes: causes.collect(),
    })
}

#[orchestrator]
async fn CallUnknownActivity(context: OrchestrationContext) -> Result<(), Failure> {
    context.call_activity("NoSuchActivity", &()).await
}

#[orchestrator]
async fn CallUnknownOrchestrator(context: OrchestrationContext) -> Result<(), Failure> {
    context.call_sub_orchestration("NoSuchOrchestrator", &(), &ChildOptions::default()).await
}
