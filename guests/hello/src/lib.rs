//! Activities: one, several in sequence, in a chain, side by side.
//!
//! `POST Hello/{orchestrator}` starts that orchestrator with the body (JSON) as its input and waits
//! for it:
//!
//! - `HelloInline` greets a name by itself, `HelloActivity` has an activity do it,
//! - `Hello5` has five cities greeted, one after the other,
//! - `Chain` adds one so many times, each time from the result before,
//! - `SumOfSquares` has so many numbers squared side by side and adds the squares,
//! - `Factorial` multiplies up to a number, one activity after the other,
//! - `Echo` gives back a text of so many characters that an activity made,
//! - `HelloCounted` greets names one after the other and counts each greeting in an entity,
//! - `Guids` makes so many GUIDs and shows a digest of them before it waits for the event `go`, and
//!   gives it again after that.

use std::collections::HashSet;

use everstate_sdk::{
    ActivityContext, DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest,
    HttpResponse, OrchestrationContext, activity, entity, http_trigger, orchestrator,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

/// What `Multiply` multiplies.
#[derive(Serialize, Deserialize)]
struct Factors {
    left: u64,
    right: u64,
}

/// What `HelloCounted` gives.
#[derive(Serialize)]
struct CountedGreetings {
    greetings: Vec<String>,
    /// What the entity says how many there were.
    count: u64,
}

/// What `Guids` shows and gives.
#[derive(Serialize)]
struct Guids {
    distinct: usize,
    /// The first, the last, and the sum of all.
    digest: (String, String, u64),
}

#[http_trigger(route = "Hello/{orchestrator}", methods = ["POST"])]
fn Hello_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let orchestrator = request.route_value("orchestrator").unwrap_or_default();
    let input: serde_json::Value = request.json()?;
    let instance_id = client.start_new(orchestrator, &input)?;
    Ok(client.wait_for_completion_or_create_check_status_response(&instance_id, None)?)
}

#[activity]
fn SayHello(_context: ActivityContext, name: String) -> String {
    format!("Hello, {name}!")
}

#[activity]
fn AddOne(_context: ActivityContext, number: u64) -> u64 {
    number + 1
}

#[activity]
fn Square(_context: ActivityContext, number: u64) -> u64 {
    number * number
}

#[activity]
fn Multiply(_context: ActivityContext, factors: Factors) -> Result<u64, Failure> {
    let Factors { left, right } = factors;
    left.checked_mul(right).ok_or_else(|| {
        Failure::new("Overflow", format!("{left} times {right} is too large")).non_retriable()
    })
}

#[activity]
fn MakeText(_context: ActivityContext, chars: usize) -> String {
    "0123456789abcdef".chars().cycle().take(chars).collect()
}

/// How many greetings there were. `add` counts one, `get` gives the count.
#[entity]
fn Greetings(context: &mut EntityContext) -> Result<u64, Failure> {
    let count: u64 = context.get_state()?.unwrap_or(0);
    match context.operation_name() {
        "add" => {
            context.set_state(&(count + 1))?;
            Ok(count + 1)
        }
        "get" => Ok(count),
        other => Err(Failure::unknown_operation(other)),
    }
}

#[orchestrator]
async fn HelloInline(_context: OrchestrationContext, name: String) -> String {
    format!("Hello, {name}!")
}

#[orchestrator]
async fn HelloActivity(context: OrchestrationContext, name: String) -> Result<String, Failure> {
    context.call_activity("SayHello", &name).await
}

#[orchestrator]
async fn Hello5(context: OrchestrationContext) -> Result<Vec<String>, Failure> {
    let mut greetings = Vec::new();
    for city in ["Tokyo", "Seattle", "London", "Amsterdam", "Seoul"] {
        greetings.push(context.call_activity("SayHello", city).await?);
    }
    Ok(greetings)
}

#[orchestrator]
async fn Chain(context: OrchestrationContext, links: u64) -> Result<u64, Failure> {
    let mut number = 0;
    for _ in 0..links {
        number = context.call_activity("AddOne", &number).await?;
    }
    Ok(number)
}

#[orchestrator]
async fn SumOfSquares(context: OrchestrationContext, numbers: u64) -> Result<u64, Failure> {
    // Every call begins when it is made, so all are under way before the first is awaited.
    let calls = (1..=numbers).map(|number| context.call_activity::<u64>("Square", &number));
    Ok(try_join_all(calls).await?.into_iter().sum())
}

#[orchestrator]
async fn Factorial(context: OrchestrationContext, number: u64) -> Result<u64, Failure> {
    let mut product = 1;
    for factor in 1..=number {
        let factors = Factors { left: product, right: factor };
        product = context.call_activity("Multiply", &factors).await?;
    }
    Ok(product)
}

#[orchestrator]
async fn Echo(context: OrchestrationContext, chars: usize) -> Result<String, Failure> {
    context.call_activity("MakeText", &chars).await
}

#[orchestrator]
async fn HelloCounted(
    context: OrchestrationContext,
    names: Vec<String>,
) -> Result<CountedGreetings, Failure> {
    let counter = EntityId::new("Greetings", context.instance_id())?;
    let mut counted = CountedGreetings { greetings: Vec::new(), count: 0 };
    for name in names {
        counted.greetings.push(context.call_activity("SayHello", &name).await?);
        counted.count = context.call_entity(&counter, "add", &()).await?;
    }
    Ok(counted)
}

#[orchestrator(name = "Guids")]
async fn make_guids(context: OrchestrationContext, count: usize) -> Result<Guids, Failure> {
    let guids: Vec<String> = (0..count).map(|_| context.new_guid()).collect();
    let sum = guids
        .iter()
        .flat_map(|guid| guid.bytes())
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let end = |guid: Option<&String>| guid.cloned().unwrap_or_default();
    let made = Guids {
        distinct: guids.iter().collect::<HashSet<_>>().len(),
        digest: (end(guids.first()), end(guids.last()), sum),
    };
    context.set_custom_status(&made)?;
    context.wait_for_event::<()>("go").await?;
    Ok(made)
}
