//! Every form of function that the attributes accept.
#![deny(warnings)]

use everstate_sdk::{
    ActivityContext, DurableClient, EntityContext, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, RetryPolicy, activity, entity, http_trigger, orchestrator,
};

#[entity]
fn Plain(context: &mut EntityContext) -> bool {
    context.has_state()
}

#[entity(name = "Renamed.Entity-1")]
fn without_result(context: &mut EntityContext) {
    context.delete_state();
}

#[orchestrator]
async fn ByValue(context: OrchestrationContext, input: (String, u64)) -> Result<String, Failure> {
    Ok(format!("{}{}{}", context.new_guid(), input.0, input.1))
}

#[orchestrator]
async fn by_reference(context: &OrchestrationContext) -> Result<u64, std::num::ParseIntError> {
    context.name().parse()
}

#[orchestrator]
async fn plain(context: OrchestrationContext) -> u64 {
    context.random()
}

#[orchestrator]
async fn composed(context: &OrchestrationContext, policy: (u64, u32)) -> Result<String, Failure> {
    let policy = RetryPolicy::new(std::time::Duration::from_secs(policy.0), policy.1);
    // One type of future for whatever is awaited.
    let calls = [
        context.call_activity("Greet", "Ada"),
        context.call_activity_with_retry("Greet", "Grace", &policy),
        context.wait_for_event_or("greeting", std::time::Duration::MAX, String::new()),
    ];
    let mut greetings = String::new();
    for call in calls {
        greetings += &call.await?;
    }
    Ok(greetings)
}

#[activity]
fn Greet(context: &ActivityContext, name: String) -> String {
    format!("{name}{}", context.attempt())
}

#[activity]
fn no_input(_: ActivityContext) -> std::io::Result<()> {
    Ok(())
}

#[http_trigger(route = "A/{b}", methods = ["GET", "PUT"], name = "Named")]
fn both(request: &HttpRequest, client: &DurableClient) -> Result<HttpResponse, HttpError> {
    Ok(client.create_check_status_response(request.method())?)
}

#[http_trigger(route = "C", auth = "anonymous")]
fn anonymous(_: HttpRequest) -> HttpResponse {
    HttpResponse::new(204)
}

#[http_trigger(route = "D", auth = "function")]
fn for_clients(_: HttpRequest) -> HttpResponse {
    HttpResponse::new(204)
}

#[http_trigger(route = "E", auth = "admin")]
fn for_operators(_: HttpRequest) -> HttpResponse {
    HttpResponse::new(204)
}

#[http_trigger(route = "{*rest}")]
fn request_only(_: HttpRequest) -> HttpResponse {
    HttpResponse::new(204)
}

fn main() {}
