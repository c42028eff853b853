use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn new() -> Self {
        Self(0)
    }

    fn twice(amount: i64) -> i64 {
        amount * 2
    }
}

fn main() {}
