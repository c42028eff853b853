use everstate_sdk::entity;

#[entity]
struct Counter {
    count: u64,
}

fn main() {}
