use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn add<T: Into<i64>>(&mut self, amount: T) {
        self.0 += amount.into();
    }

    fn sub(&mut self, amount: impl Into<i64>) {
        self.0 -= amount.into();
    }
}

fn main() {}
