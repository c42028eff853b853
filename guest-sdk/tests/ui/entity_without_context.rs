use everstate_sdk::entity;

#[entity]
fn Counter() -> bool {
    true
}

fn main() {}
