//! An entity that is found by fields of its state.

use everstate_sdk::{Failure, entity};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Person {
    city: Option<String>,
    age: u32,
    /// Nobody is found by this one.
    #[serde(default)]
    nickname: String,
}

#[entity(indexes("city", "age"))]
impl Person {
    fn set(&mut self, person: Person) {
        *self = person;
    }

    /// The fields that it is found by are to stay as they were.
    fn move_then_fail(&mut self, city: String) -> Result<(), Failure> {
        self.city = Some(city);
        Err(Failure::new("AskedToFail", "failed as asked"))
    }
}
