use everstate_sdk::{EntityContext, entity};

#[entity]
fn Counter(context: EntityContext) -> bool {
    context.has_state()
}

fn main() {}
