use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity(read_only("get"))]
impl Counter {
    fn get(&self) -> i64 {
        self.0
    }
}

fn main() {}
