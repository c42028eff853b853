use everstate_sdk::{EntityContext, entity};

#[entity(version = 2, upgrade = upgrade_counter)]
fn Counter(context: &mut EntityContext) -> bool {
    context.has_state()
}

fn upgrade_counter(state: u32) -> u32 {
    state
}

fn main() {}
