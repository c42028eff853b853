//! The first of two components with the same entities and different code, to show what a deployment does
//! to entities. The second one is `guests/entity-two`.
//!
//! - `Contact` keeps a name; the other component keeps it in two parts, and upgrades what it finds,
//! - `Unruly` misbehaves; in the other component it does its work,
//! - the orchestrator `Holding` locks a `Held` and goes on while `HeldRepaired` is set; in the other
//!   component it does something else, so that no history of this one fits it.

use std::hint::black_box;

use everstate_sdk::{
    ActivityContext, EntityContext, EntityId, Failure, OrchestrationContext, activity, entity,
    orchestrator,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contact {
    name: String,
}

#[entity(indexes("name"))]
impl Contact {
    fn set(&mut self, name: String) {
        self.name = name;
    }

    fn get(&self) -> String {
        self.name.clone()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Unruly {
    done: u64,
}

#[entity]
impl Unruly {
    #[expect(clippy::panic, reason = "that is what was asked for")]
    fn work(&mut self, how: String) -> u64 {
        match how.as_str() {
            "loop" => loop {
                black_box(());
            },
            "allocate" => {
                let mut held = Vec::new();
                loop {
                    held.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            "trap" => panic!("trapped as asked"),
            _ => self.done += 1,
        }
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

/// Adds twice, both within one critical section, and gives what it saw.
#[orchestrator]
async fn Holding(context: OrchestrationContext, key: String) -> Result<[i64; 2], Failure> {
    let held = Held::proxy(&key)?;
    let _lock = context.lock_entities(&[held.entity_id().clone()]).await?;
    let first = held.add(1).call(&context).await?;
    context.call_activity::<()>("HeldStep", &()).await?;
    Ok([first, held.add(1).call(&context).await?])
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
