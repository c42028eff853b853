//! Entities that are deleted when nobody has used them for some time.

use std::time::Duration;

use everstate_sdk::{EntityContext, entity};
use serde::{Deserialize, Serialize};

/// Lives for a second since its last use, if it was not told otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Fleeting {
    uses: u64,
}

#[entity(time_to_live_s = 1)]
impl Fleeting {
    fn use_it(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Reading is a use as well.
    fn look(&self) -> u64 {
        self.uses
    }

    /// Lives for so many milliseconds from now on; `null`: for ever.
    fn live_for(&mut self, context: &mut EntityContext, ms: Option<u64>) {
        context.set_time_to_live(Some(ms.map_or(Duration::MAX, Duration::from_millis)));
        self.uses += 1;
    }
}

/// Lives for ever, if it was not told otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lasting {
    uses: u64,
}

#[entity]
impl Lasting {
    fn use_it(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Lives for so many milliseconds from now on; `null`: as its type.
    fn live_for(&mut self, context: &mut EntityContext, ms: Option<u64>) {
        context.set_time_to_live(ms.map(Duration::from_millis));
        self.uses += 1;
    }
}
