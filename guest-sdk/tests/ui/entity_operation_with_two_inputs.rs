use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn add(&mut self, amount: i64, times: u32) {
        self.0 += amount * i64::from(times);
    }
}

fn main() {}
