//! Operations that change nothing, beside others that take their time.

use std::time::Duration;

use everstate_sdk::{EntityContext, Failure, entity};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Napper {
    naps: u64,
}

#[entity]
impl Napper {
    /// Keeps everybody else waiting for so many milliseconds.
    #[expect(clippy::disallowed_methods, reason = "that is what was asked for")]
    fn nap(&mut self, ms: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(ms));
        self.naps += 1;
        self.naps
    }

    fn naps(&self) -> u64 {
        self.naps
    }
}

/// What it calls reading tries everything that reading must not.
#[entity(read_only("read-and-set", "read-and-signal", "read-and-start", "read-and-delete"))]
fn Liar(context: &mut EntityContext) -> Result<Option<i64>, Failure> {
    let other = context.entity_id().clone();
    match context.operation_name() {
        "set" => {
            let value: i64 = context.input()?;
            context.set_state(&value)?;
        }
        "read-and-set" => context.set_state(&-1)?,
        "read-and-signal" => context.signal_entity(&other, "set", &-1)?,
        "read-and-start" => {
            context.start_orchestration("Nothing", &(), Some("started-by-a-reader"))?;
        }
        "read-and-delete" => context.delete_state(),
        other => return Err(Failure::unknown_operation(other)),
    }
    context.get_state()
}
