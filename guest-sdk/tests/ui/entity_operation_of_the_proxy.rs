use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn entity_id(&self) -> i64 {
        self.0
    }
}

fn main() {}
