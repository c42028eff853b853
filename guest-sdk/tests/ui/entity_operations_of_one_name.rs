use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn add(&mut self, amount: i64) {
        self.0 += amount;
    }

    fn Add(&mut self) {
        self.0 += 1;
    }

    fn delete(&mut self) {}

    fn DELETE(&mut self) {}
}

fn main() {}
