use everstate_sdk::{EntityContext, Failure, entity};

struct Opaque;

#[entity]
fn Counter(_: &mut EntityContext) -> Result<Opaque, Failure> {
    Ok(Opaque)
}

fn main() {}
