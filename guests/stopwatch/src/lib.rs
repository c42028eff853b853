//! What `make bench` measures of timers, events and, in `entities.rs`, entities.
//!
//! - `POST Stopwatch/Lateness` with `{"timers": 1000, "spread_ms": 2000}` arms so many timers over the
//!   span and gives, for each, how many milliseconds late the orchestration learned of it.
//! - `POST Stopwatch/Pong` starts an orchestration that waits for the event `ping`, raises it, and
//!   answers when the orchestration has ended.
//! - `POST Stopwatch/Wait/{id}` starts one that waits, under that id, and does not wait for it;
//!   `POST Stopwatch/Resume/{id}` raises its event and answers when it has ended.

mod entities;

use std::time::Duration;

use everstate_sdk::{
    DurableClient, Failure, HttpError, HttpRequest, HttpResponse, OrchestrationContext,
    StartOptions, http_trigger, orchestrator,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

/// The timers of a measurement.
#[derive(Serialize, Deserialize)]
struct Plan {
    timers: u64,
    spread_ms: u64,
}

#[http_trigger(route = "Stopwatch/Lateness", methods = ["POST"])]
fn Lateness_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let instance_id = client.start_new("Lateness", &request.json::<Plan>()?)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

#[http_trigger(route = "Stopwatch/Pong", methods = ["POST"])]
fn Pong_HttpStart(_request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let instance_id = client.start_new("Pong", &())?;
    client.raise_event(&instance_id, "ping", &"ping")?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

#[http_trigger(route = "Stopwatch/Wait/{id}", methods = ["POST"])]
fn Wait_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let instance_id = request.route_value("id").map(str::to_owned);
    let options = StartOptions { instance_id, ..StartOptions::default() };
    let instance_id = client.start_new_with_options("Pong", &(), &options)?;
    Ok(client.create_check_status_response(&instance_id)?)
}

#[http_trigger(route = "Stopwatch/Resume/{id}", methods = ["POST"])]
fn Resume_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let instance_id = request.route_value("id").unwrap_or_default();
    client.raise_event(instance_id, "ping", &"ping")?;
    Ok(client.wait_for_completion_or_create_check_status_response(instance_id, None)?)
}

#[orchestrator]
async fn Lateness(context: OrchestrationContext, plan: Plan) -> Result<Vec<u64>, Failure> {
    let begin = context.current_time();
    let timers = (1..=plan.timers).map(|number| {
        let due = begin + Duration::from_millis(plan.spread_ms * number / plan.timers);
        let timer = context.create_timer(due);
        let context = context.clone();
        async move {
            timer.await?;
            Ok::<_, Failure>(context.current_time().unix_ms() - due.unix_ms())
        }
    });
    try_join_all(timers).await
}

#[orchestrator]
async fn Pong(context: OrchestrationContext) -> Result<String, Failure> {
    context.wait_for_event("ping").await
}
