//! Tells what a function can see of the world.
//!
//! `GET Environment/{kind}` answers with what a function of that kind (`http`, `orchestrator`)
//! sees. The orchestrator looks twice, before and after it waited for an entity that takes `?ms=…`
//! milliseconds; what it saw before stands in its custom status while it waits, so that a test can
//! compare the runs before and after a replay.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, entity, http_trigger, orchestrator,
};
use serde::Serialize;

/// What is visible through the standard library alone.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    /// Names of the environment variables.
    variables: Vec<String>,
    arguments: Vec<String>,
    /// What listing the root folder gives: names, or an error.
    files: Result<Vec<String>, String>,
    /// What writing a file gives.
    written: Result<(), String>,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    wall_clock: u128,
    /// Whether the monotonic clock moved while the function computed.
    monotonic_clock_moves: bool,
    /// The keys of a hash map as they come: its order is random.
    hash_order: Vec<u32>,
}

/// What an orchestrator sees, before and after it waited.
#[derive(Serialize)]
struct Views {
    before: View,
    after: View,
}

#[http_trigger(route = "Environment/{kind}", methods = ["GET"])]
fn Environment_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    match request.route_value("kind") {
        Some("http") => Ok(HttpResponse::ok_json(&look())?),
        Some("orchestrator") => {
            let ms: u64 = request.query("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
            let instance_id = client.start_new("Environment_Orchestrator", &ms)?;
            Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
        }
        _ => Err(HttpError::not_found("the kinds are http and orchestrator")),
    }
}

#[orchestrator]
async fn Environment_Orchestrator(
    context: OrchestrationContext,
    ms: u64,
) -> Result<Views, Failure> {
    let before = look();
    context.set_custom_status(&before)?;
    let pause = EntityId::new("Environment_Pause", context.instance_id())?;
    context.call_entity::<()>(&pause, "pause", &ms).await?;
    Ok(Views { before, after: look() })
}

/// Computes for so many milliseconds and leaves nothing behind.
#[entity]
fn Environment_Pause(context: &mut EntityContext) -> Result<(), Failure> {
    let ms: u64 = context.input()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(ms) {
        std::hint::black_box(());
    }
    Ok(())
}

fn look() -> View {
    let map: HashMap<u32, ()> = (0..32).map(|key| (key, ())).collect();
    View {
        variables: std::env::vars_os().map(|(name, _)| name.to_string_lossy().into()).collect(),
        arguments: std::env::args_os().map(|text| text.to_string_lossy().into()).collect(),
        files: list_files().map_err(|error| error.to_string()),
        written: std::fs::write("/file", "text").map_err(|error| error.to_string()),
        wall_clock: wall_clock(),
        monotonic_clock_moves: monotonic_clock_moves(),
        hash_order: map.into_keys().collect(),
    }
}

fn list_files() -> std::io::Result<Vec<String>> {
    let entries = std::fs::read_dir("/")?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[expect(clippy::disallowed_methods, reason = "to see what the sandbox makes of it")]
fn wall_clock() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

fn monotonic_clock_moves() -> bool {
    let start = Instant::now();
    (0..100_000).any(|_| std::hint::black_box(start.elapsed()) > Duration::ZERO)
}
