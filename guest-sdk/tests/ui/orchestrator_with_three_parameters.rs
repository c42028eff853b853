use everstate_sdk::{OrchestrationContext, orchestrator};

#[orchestrator]
async fn Hello(_: OrchestrationContext, first: String, second: String) -> String {
    first + &second
}

fn main() {}
