//! The second of two components with the same entities and different code: see `guests/entity-one`.

use everstate_sdk::{
    ActivityContext, EntityContext, EntityId, Failure, OrchestrationContext, activity, entity,
    orchestrator,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contact {
    first: String,
    last: String,
}

/// What the first component wrote is upgraded when it is read, and stored with the next change.
#[entity(indexes("last"), version = 2, upgrade = split_name)]
impl Contact {
    fn set(&mut self, name: String) -> Result<(), Failure> {
        let (first, last) = split(&name)?;
        *self = Self { first, last };
        Ok(())
    }

    fn get(&self) -> String {
        format!("{}, {}", self.last, self.first)
    }
}

/// Older versions have the whole name in one field.
fn split_name(_from: u32, mut state: Value) -> Result<Value, Failure> {
    let name = state["name"].take();
    let (first, last) = split(name.as_str().unwrap_or_default())?;
    Ok(json!({ "first": first, "last": last }))
}

fn split(name: &str) -> Result<(String, String), Failure> {
    match name.split_once(' ') {
        Some((first, last)) => Ok((first.to_owned(), last.to_owned())),
        None => Err(Failure::new("NoLastName", format!("`{name}` has no last name"))),
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Unruly {
    done: u64,
}

#[entity]
impl Unruly {
    /// However it is to be done: it is done well.
    fn work(&mut self, _how: String) -> u64 {
        self.done += 1;
        self.done
    }

    fn done(&self) -> u64 {
        self.done
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    value: i64,
}

#[entity]
impl Held {
    fn add(&mut self, amount: i64) -> i64 {
        self.value += amount;
        self.value
    }
}

/// Adds something else than the first component.
#[orchestrator]
async fn Holding(context: OrchestrationContext, key: String) -> Result<[i64; 2], Failure> {
    let held = Held::proxy(&key)?;
    let _lock = context.lock_entities(&[held.entity_id().clone()]).await?;
    let first = held.add(100).call(&context).await?;
    context.call_activity::<()>("HeldStep", &()).await?;
    Ok([first, held.add(100).call(&context).await?])
}

/// Fails while the entity `HeldRepaired` of that orchestration is not set.
#[activity]
fn HeldStep(context: ActivityContext) -> Result<(), Failure> {
    let repaired = EntityId::new("HeldRepaired", context.instance_id())?;
    match context.client().read_entity_state::<bool>(&repaired)? {
        Some(_) => Ok(()),
        None => Err(Failure::new("Broken", "this step is broken")),
    }
}

/// `set`: what is broken works from now on.
#[entity]
fn HeldRepaired(context: &mut EntityContext) -> Result<(), Failure> {
    context.set_state(&true)
}
