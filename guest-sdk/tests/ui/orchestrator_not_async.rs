use everstate_sdk::{OrchestrationContext, orchestrator};

#[orchestrator]
fn Hello(context: OrchestrationContext) -> String {
    context.new_guid()
}

fn main() {}
