use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn get(&self) -> i64 {
        self.0
    }
}

fn main() {}
