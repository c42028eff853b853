use everstate_sdk::entity;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter(i64);

#[entity]
impl Counter {
    fn thread(&self) -> std::thread::ThreadId {
        std::thread::current().id()
    }
}

fn main() {}
