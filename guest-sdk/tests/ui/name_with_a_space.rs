use everstate_sdk::{EntityContext, entity};

#[entity(name = "My Counter")]
fn counter(context: &mut EntityContext) -> bool {
    context.has_state()
}

fn main() {}
