//! Entities and orchestrations that reach one another.
//!
//! `POST Relay/{orchestrator}` starts that orchestrator with the body as its input and waits for
//! it; `?id=…` names the instance. The orchestrators:
//!
//! - `Relay_Forward_Orchestrator` lets a `Relay` signal a `Tally` and start
//!   `Relay_Add_Orchestrator`, and gives the id of what was started,
//! - `Relay_Add_Orchestrator` adds to a `Tally` and gives its total,
//! - `Relay_Signal_Orchestrator` signals a `Tally` a number of times and reads it then,
//! - `Relay_Report_Orchestrator` adds to several `Tally`s at the same time and gives, beside the
//!   totals, whatever must be the same on every replay,
//! - `Relay_Get_Orchestrator` gives the total of a `Tally`.

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse,
    OrchestrationContext, StartOptions, Timestamp, entity, http_trigger, orchestrator,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

/// What is to be added to which `Tally`, and by whom.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Forward {
    /// The key of the `Relay`.
    relay: String,
    /// The key of the `Tally`.
    tally: String,
    amount: i64,
    /// Whether the relay fails after it has signalled and started: then nothing may come of it.
    #[serde(default)]
    fails: bool,
}

/// What is to be added to one `Tally`.
#[derive(Serialize, Deserialize)]
struct Addition {
    tally: String,
    amount: i64,
}

/// Signals to one `Tally`.
#[derive(Deserialize)]
struct Signals {
    tally: String,
    count: i64,
}

/// What must be the same on every replay.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// In the order of the input.
    totals: Vec<i64>,
    guids: Vec<String>,
    randoms: Vec<u64>,
    /// Before and after the totals were known, in milliseconds.
    times: Vec<Timestamp>,
}

#[http_trigger(route = "Relay/{orchestrator}", methods = ["POST"])]
fn Relay_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let orchestrator = request.route_value("orchestrator").unwrap_or_default();
    let input: serde_json::Value = request.json()?;
    let options =
        StartOptions { instance_id: request.query("id").map(str::to_owned), ..Default::default() };
    let instance_id = client.start_new_with_options(orchestrator, &input, &options)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

/// A sum. `add` adds and gives the total, `get` gives the total.
#[entity]
fn Tally(context: &mut EntityContext) -> Result<i64, Failure> {
    let total: i64 = context.get_state()?.unwrap_or(0);
    match context.operation_name() {
        "add" => {
            let total = total + context.input::<i64>()?;
            context.set_state(&total)?;
            Ok(total)
        }
        "get" => Ok(total),
        other => Err(Failure::unknown_operation(other)),
    }
}

/// `forward` adds twice to a `Tally`: by a signal and through an orchestration, whose id it gives.
#[entity]
fn Relay(context: &mut EntityContext) -> Result<String, Failure> {
    let Forward { tally, amount, fails, .. } = context.input()?;
    let forwarded = context.get_state::<u64>()?.unwrap_or(0) + 1;
    context.set_state(&forwarded)?;
    context.signal_entity(&EntityId::new("Tally", &tally)?, "add", &amount)?;
    let addition = Addition { tally, amount };
    let started = context.start_orchestration("Relay_Add_Orchestrator", &addition, None)?;
    if fails {
        return Err(Failure::new("AskedToFail", "failed as asked"));
    }
    Ok(started)
}

#[orchestrator]
async fn Relay_Forward_Orchestrator(
    context: OrchestrationContext,
    forward: Forward,
) -> Result<String, Failure> {
    let relay = EntityId::new("Relay", &forward.relay)?;
    context.call_entity(&relay, "forward", &forward).await
}

#[orchestrator]
async fn Relay_Add_Orchestrator(
    context: OrchestrationContext,
    addition: Addition,
) -> Result<i64, Failure> {
    let tally = EntityId::new("Tally", &addition.tally)?;
    context.call_entity(&tally, "add", &addition.amount).await
}

#[orchestrator]
async fn Relay_Get_Orchestrator(
    context: OrchestrationContext,
    key: String,
) -> Result<i64, Failure> {
    context.call_entity(&EntityId::new("Tally", &key)?, "get", &()).await
}

#[orchestrator]
async fn Relay_Signal_Orchestrator(
    context: OrchestrationContext,
    signals: Signals,
) -> Result<i64, Failure> {
    let tally = EntityId::new("Tally", &signals.tally)?;
    for _ in 0..signals.count {
        context.signal_entity(&tally, "add", &1)?;
    }
    // Signals and calls of one sender arrive in order, so the total has all of them.
    context.call_entity(&tally, "get", &()).await
}

#[orchestrator]
async fn Relay_Report_Orchestrator(
    context: OrchestrationContext,
    additions: Vec<Addition>,
) -> Result<Report, Failure> {
    let mut report = Report {
        totals: Vec::new(),
        guids: vec![context.new_guid(), context.new_guid()],
        randoms: vec![context.random(), context.random()],
        times: vec![context.current_time()],
    };
    context.set_custom_status(&report)?;
    let calls = additions
        .iter()
        .map(|addition| {
            let tally = EntityId::new("Tally", &addition.tally)?;
            Ok(context.call_entity(&tally, "add", &addition.amount))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    report.totals = try_join_all(calls).await?;
    report.guids.push(context.new_guid());
    report.randoms.push(context.random());
    report.times.push(context.current_time());
    Ok(report)
}
