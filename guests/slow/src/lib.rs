//! An operation that takes as long as asked: `PUT Slow/{key}/{millis}` answers when the entity
//! `Sluggish` has computed for so many milliseconds, or with a 202 before.

use std::time::{Duration, Instant};

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, entity, http_trigger, orchestrator,
};

#[http_trigger(route = "Slow/{key}/{millis:int}", methods = ["PUT"])]
fn Slow_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let key = request.route_value("key").unwrap_or_default();
    let millis: u64 = request.parse_route_value("millis")?;
    let instance_id = client.start_new("Slow_Orchestrator", &(key, millis))?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

#[orchestrator]
async fn Slow_Orchestrator(
    context: OrchestrationContext,
    (key, millis): (String, u64),
) -> Result<u64, Failure> {
    let sluggish = EntityId::new("Sluggish", &key)?;
    context.call_entity(&sluggish, "compute", &millis).await
}

/// `compute` keeps a processor busy for so many milliseconds; the state is the sum of them.
#[entity]
fn Sluggish(context: &mut EntityContext) -> Result<u64, Failure> {
    let millis: u64 = context.input()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(millis) {
        std::hint::black_box(());
    }
    let total = context.get_state::<u64>()?.unwrap_or(0) + millis;
    context.set_state(&total)?;
    Ok(millis)
}
