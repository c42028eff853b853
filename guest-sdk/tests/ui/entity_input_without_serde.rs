use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

struct Amount(i64);

#[entity]
impl Counter {
    fn add(&mut self, amount: Amount) {
        self.0 += amount.0;
    }
}

fn main() {}
