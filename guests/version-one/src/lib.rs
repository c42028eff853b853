//! The first of two components with the same functions and different code: what was started with
//! one finishes with it, and what is started later runs the newest. `guests/version-two` is the
//! other; each says which one it is.
//!
//! - `Versioned` says it before and after the event `go`, and has the activity `Version` say it,
//! - `VersionedParent` has a child say it when the event `go` comes,
//! - `VersionedGenerations` says it once in each generation; the event `go` ends one, and with
//!   `true` begins the next,
//! - `Rerouted` has `Version` say it and then waits for the event `go`; the other component waits first,
//! - `Rewritten` has `Step`s done, which the other component does otherwise, and fails while the
//!   entity `VersionedRepaired` is not set.

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityContext, EntityId, Failure, OrchestrationContext,
    activity, entity, orchestrator,
};

/// Which component this is.
const VERSION: &str = "one";

#[activity]
fn Version(_context: ActivityContext) -> String {
    VERSION.to_owned()
}

#[orchestrator]
async fn Versioned(context: OrchestrationContext) -> Result<[String; 3], Failure> {
    let before = VERSION.to_owned();
    context.wait_for_event::<()>("go").await?;
    Ok([before, VERSION.to_owned(), context.call_activity("Version", &()).await?])
}

#[orchestrator]
async fn VersionedParent(context: OrchestrationContext) -> Result<[String; 2], Failure> {
    context.wait_for_event::<()>("go").await?;
    let child = context.call_sub_orchestration("VersionedChild", &(), &ChildOptions::default());
    Ok([VERSION.to_owned(), child.await?])
}

#[orchestrator]
async fn VersionedChild(_context: OrchestrationContext) -> String {
    VERSION.to_owned()
}

#[orchestrator]
async fn VersionedGenerations(
    context: OrchestrationContext,
    said: Option<Vec<String>>,
) -> Result<Vec<String>, Failure> {
    let mut said = said.unwrap_or_default();
    said.push(VERSION.to_owned());
    context.set_custom_status(&said)?;
    if context.wait_for_event::<bool>("go").await? {
        context.continue_as_new(&said)?;
    }
    Ok(said)
}

#[orchestrator]
async fn Rerouted(context: OrchestrationContext) -> Result<String, Failure> {
    let version = context.call_activity("Version", &()).await?;
    context.wait_for_event::<()>("go").await?;
    Ok(version)
}

/// Gives back what it was given; fails at 2 while the entity `VersionedRepaired` of that orchestration is
/// not set.
#[activity]
fn Step(context: ActivityContext, step: u32) -> Result<u32, Failure> {
    let repaired = EntityId::new("VersionedRepaired", context.instance_id())?;
    if step == 2 && context.client().read_entity_state::<bool>(&repaired)?.is_none() {
        return Err(Failure::new("Broken", "step 2 is broken"));
    }
    Ok(step)
}

/// `set`: what is broken works from now on.
#[entity]
fn VersionedRepaired(context: &mut EntityContext) -> Result<(), Failure> {
    context.set_state(&true)
}

#[orchestrator]
async fn Rewritten(context: OrchestrationContext) -> Result<[u32; 2], Failure> {
    let first = context.call_activity("Step", &1).await?;
    let second = context.call_activity("Step", &2).await?;
    Ok([first, second])
}
