use everstate_sdk::{ActivityContext, orchestrator};

#[orchestrator]
async fn Hello(context: ActivityContext) -> String {
    context.name().to_owned()
}

fn main() {}
