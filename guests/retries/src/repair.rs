//! Work that fails until something outside is repaired. All of it is done in the name of one
//! orchestration, whose id is the key of the entities.

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityContext, EntityId, Failure, OrchestrationContext,
    activity, entity, orchestrator,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

/// What is done in whose name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Work {
    key: String,
    name: String,
    /// Whether it fails until it is repaired.
    needs_repair: bool,
}

impl Work {
    fn new(key: &str, name: &str, needs_repair: bool) -> Self {
        Self { key: key.to_owned(), name: name.to_owned(), needs_repair }
    }
}

/// Greets, if it can, and counts that.
#[activity]
fn GreetRepaired(context: ActivityContext, work: Work) -> Result<String, Failure> {
    let client = context.client();
    let repaired = EntityId::new("Repaired", &work.key)?;
    if work.needs_repair && client.read_entity_state::<bool>(&repaired)?.is_none() {
        return Err(Failure::new("Broken", format!("{} cannot be greeted yet", work.name)));
    }
    let runs = EntityId::new("Runs", &format!("{} {}", work.key, work.name))?;
    client.signal_entity(&runs, "add", &())?;
    Ok(format!("Hello, {}!", work.name))
}

/// `set`: what is broken works from now on.
#[entity]
fn Repaired(context: &mut EntityContext) -> Result<(), Failure> {
    context.set_state(&true)
}

/// How often a piece of work was done. `add` counts one.
#[entity]
fn Runs(context: &mut EntityContext) -> Result<(), Failure> {
    let runs = context.get_state::<u64>()?.unwrap_or(0);
    context.set_state(&(runs + 1))
}

#[orchestrator]
async fn Repair(context: OrchestrationContext, name: String) -> Result<String, Failure> {
    let key = context.instance_id();
    context.call_activity::<String>("GreetRepaired", &Work::new(key, "first", false)).await?;
    context.call_activity("GreetRepaired", &Work::new(key, &name, true)).await
}

#[orchestrator]
async fn RepairMany(
    context: OrchestrationContext,
    names: Vec<String>,
) -> Result<Vec<String>, Failure> {
    let key = context.instance_id();
    // Every second one needs repair; all come to their end before a failure counts.
    let greetings = names.iter().enumerate().map(|(place, name)| {
        context.call_activity::<String>("GreetRepaired", &Work::new(key, name, place % 2 == 1))
    });
    join_all(greetings).await.into_iter().collect()
}

#[orchestrator]
async fn RepairNested(context: OrchestrationContext, name: String) -> Result<String, Failure> {
    let key = context.instance_id();
    context.call_activity::<String>("GreetRepaired", &Work::new(key, "first", false)).await?;
    let work = Work::new(key, &name, true);
    context.call_sub_orchestration("RepairChild", &work, &ChildOptions::default()).await
}

#[orchestrator]
async fn RepairChild(context: OrchestrationContext, work: Work) -> Result<String, Failure> {
    let before = Work::new(&work.key, "second", false);
    context.call_activity::<String>("GreetRepaired", &before).await?;
    context.call_activity("GreetRepaired", &work).await
}
