//! Parents and children that live well.

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityContext, EntityId, Failure, OrchestrationContext,
    activity, entity, orchestrator,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

/// What a `Child` knows.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descent {
    child: String,
    /// `None`: nobody awaits it.
    parent: Option<String>,
}

/// What a `Herald` is to do.
#[derive(Serialize, Deserialize)]
struct Errand {
    id: String,
    name: String,
}

#[activity]
fn Greet(_context: ActivityContext, name: String) -> String {
    format!("Hello, {name}!")
}

/// Gives back what it was given.
#[activity]
fn Mark(_context: ActivityContext, leaf: u64) -> u64 {
    leaf
}

/// How many were born. `add` counts one and gives the count.
#[entity]
fn Births(context: &mut EntityContext) -> Result<u64, Failure> {
    let births = context.get_state::<u64>()?.unwrap_or(0) + 1;
    context.set_state(&births)?;
    Ok(births)
}

#[orchestrator]
async fn Parent(context: OrchestrationContext, child: Option<String>) -> Result<Descent, Failure> {
    let options = ChildOptions { instance_id: child, ..Default::default() };
    context.call_sub_orchestration("Child", &(), &options).await
}

#[orchestrator]
async fn Child(context: OrchestrationContext) -> Descent {
    Descent {
        child: context.instance_id().to_owned(),
        parent: context.parent_instance_id().map(str::to_owned),
    }
}

#[orchestrator]
async fn Selfish(context: OrchestrationContext) -> Result<Descent, Failure> {
    let own_id = Some(context.instance_id().to_owned());
    let options = ChildOptions { instance_id: own_id, ..Default::default() };
    context.call_sub_orchestration("Child", &(), &options).await
}

#[orchestrator]
async fn Household(context: OrchestrationContext, children: u64) -> Result<u64, Failure> {
    let household = context.instance_id();
    let births = (0..children).map(|_| {
        context.call_sub_orchestration::<u64>("Birth", household, &ChildOptions::default())
    });
    Ok(try_join_all(births).await?.into_iter().sum())
}

#[orchestrator]
async fn Birth(context: OrchestrationContext, household: String) -> Result<u64, Failure> {
    context.call_entity(&EntityId::new("Births", &household)?, "add", &()).await
}

#[orchestrator]
async fn FireAndForget(context: OrchestrationContext, errand: Errand) -> Result<String, Failure> {
    let options = ChildOptions { instance_id: Some(errand.id), ..Default::default() };
    context.start_orchestration("Herald", &errand.name, &options)
}

#[orchestrator]
async fn Herald(context: OrchestrationContext, name: String) -> Result<String, Failure> {
    context.wait_for_event::<()>("speak").await?;
    context.call_activity("Greet", &name).await
}

#[orchestrator]
async fn TreeRoot(context: OrchestrationContext, leaves: u64) -> Result<u64, Failure> {
    let branch = Some(format!("{}-branch", context.instance_id()));
    let options = ChildOptions { instance_id: branch, ..Default::default() };
    context.call_sub_orchestration("TreeBranch", &leaves, &options).await
}

#[orchestrator]
async fn TreeBranch(context: OrchestrationContext, leaves: u64) -> Result<u64, Failure> {
    let leaves = (0..leaves).map(|leaf| {
        let id = Some(format!("{}-leaf-{leaf}", context.instance_id()));
        let options = ChildOptions { instance_id: id, ..Default::default() };
        context.call_sub_orchestration::<u64>("TreeLeaf", &leaf, &options)
    });
    Ok(try_join_all(leaves).await?.into_iter().sum())
}

#[orchestrator]
async fn TreeLeaf(context: OrchestrationContext, leaf: u64) -> Result<u64, Failure> {
    context.wait_for_event::<()>("go").await?;
    context.call_activity("Mark", &leaf).await
}

#[orchestrator]
async fn Heir(context: OrchestrationContext, from: u64) -> Result<String, Failure> {
    context.call_sub_orchestration("Countdown", &from, &ChildOptions::default()).await
}

#[orchestrator]
async fn Countdown(context: OrchestrationContext, from: u64) -> Result<String, Failure> {
    if from > 0 {
        context.continue_as_new(&(from - 1))?;
    }
    Ok(format!("zero, for {}", context.parent_instance_id().unwrap_or("nobody")))
}
