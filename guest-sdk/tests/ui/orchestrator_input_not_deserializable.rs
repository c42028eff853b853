use everstate_sdk::{OrchestrationContext, orchestrator};

struct Opaque;

#[orchestrator]
async fn Hello(_: OrchestrationContext, _: Opaque) -> String {
    String::new()
}

fn main() {}
