use everstate_sdk::{EntityContext, entity};

#[entity(title = "Counter")]
fn counter(context: &mut EntityContext) -> bool {
    context.has_state()
}

fn main() {}
