//! An orchestrator that reaches for everything that is not deterministic and tells what it got. For
//! the runtime's tests.
//!
//! It looks at the world before and after it waited for an entity. What ends a guest at once is tried
//! by an orchestrator of its own.

mod attempts;

use std::sync::atomic::{AtomicU32, Ordering};

use everstate_sdk::{EntityId, Failure, OrchestrationContext, orchestrator};
use serde::Serialize;

/// What was seen on two occasions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Views {
    before: View,
    after: View,
}

/// What an orchestrator sees of the world, and of its host.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    world: attempts::World,
    /// How often this was asked for since the static variable was initialized.
    looks_before: u32,
    current_time: u64,
    guid: String,
    random: u64,
}

/// Carried from one execution to the next if the host used an instance twice.
static LOOKS: AtomicU32 = AtomicU32::new(0);

#[orchestrator]
async fn Determinism_Orchestrator(
    context: OrchestrationContext,
    key: String,
) -> Result<Views, Failure> {
    let before = look(&context);
    let pause = EntityId::new("Determinism_Pause", &key)?;
    context.call_entity::<()>(&pause, "pause", &before.random).await?;
    Ok(Views { before, after: look(&context) })
}

fn look(context: &OrchestrationContext) -> View {
    View {
        world: attempts::World::seen(),
        looks_before: LOOKS.fetch_add(1, Ordering::Relaxed),
        current_time: context.current_time().unix_ms(),
        guid: context.new_guid(),
        random: context.random(),
    }
}

/// Takes so many turns and computes in each: little in one, much over all.
#[orchestrator]
async fn Determinism_Busy_Orchestrator(
    context: OrchestrationContext,
    turns: u32,
) -> Result<u32, Failure> {
    let pause = EntityId::new("Determinism_Pause", "busy")?;
    for turn in 0..turns {
        for step in 0..4_000_000_u32 {
            std::hint::black_box(step);
        }
        context.call_entity::<()>(&pause, "pause", &turn).await?;
    }
    Ok(turns)
}

/// Tries what the sandbox answers with a trap.
#[orchestrator]
async fn Determinism_Trap_Orchestrator(
    _context: OrchestrationContext,
    how: String,
) -> Result<String, Failure> {
    attempts::trap(&how);
    Ok(format!("nothing happened: {how}"))
}
