use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn add(mut self, amount: i64) -> i64 {
        self.0 += amount;
        self.0
    }
}

fn main() {}
