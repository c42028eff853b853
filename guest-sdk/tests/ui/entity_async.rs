use everstate_sdk::{EntityContext, entity};

#[entity]
async fn Counter(context: &mut EntityContext) -> bool {
    context.has_state()
}

fn main() {}
