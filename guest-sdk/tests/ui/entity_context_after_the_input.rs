use everstate_sdk::{EntityContext, entity};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn add(&mut self, amount: i64, context: &mut EntityContext) {
        self.0 += amount;
        context.info("added");
    }

    fn own(&mut self, context: EntityContext) {
        context.info("taken");
    }

    fn only_here(&mut self, by: &mut i64) {
        self.0 += *by;
    }
}

fn main() {}
