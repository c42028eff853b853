//! The second of two components with the same functions and different code: see
//! `guests/version-one`.
//!
//! `Rewritten` begins with another step here, so that no history of the first component fits it; nor does
//! one of `Rerouted`, which waits here before it does anything.

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityContext, EntityId, Failure, OrchestrationContext,
    activity, entity, orchestrator,
};

/// Which component this is.
const VERSION: &str = "two";

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
    context.wait_for_event::<()>("go").await?;
    context.call_activity("Version", &()).await
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
    let first = context.call_activity("Step", &3).await?;
    let second = context.call_activity("Step", &2).await?;
    Ok([first, second])
}
