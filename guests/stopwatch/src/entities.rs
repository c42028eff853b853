//! What `make bench` asks of entities, beside what other guests offer.
//!
//! - `POST Stopwatch/Burst?count=100&first=7&counters=10000` signals the counters of `guests/counter` with
//!   the numbers 7, 8, 9 and so on, one after the other, so many signals in all; behind the last counter
//!   comes the first. With `counters=1` all go to one.
//! - `POST Stopwatch/Fill/{key}?mib=64` has an entity make itself a state of so many MiB, which does
//!   not compress well, and answers when it has it.

use everstate_sdk::{
    DurableClient, EntityContext, EntityId, Failure, HttpError, HttpRequest, HttpResponse, entity,
    http_trigger,
};

/// `fill` sets the state to a text of so many MiB of JSON.
#[entity]
fn Ballast(context: &mut EntityContext) -> Result<(), Failure> {
    match context.operation_name() {
        "fill" => {
            let mib: usize = context.input()?;
            // The quotes of the JSON text count.
            context.set_state(&letters((mib << 20).saturating_sub(2)))
        }
        other => Err(Failure::unknown_operation(other)),
    }
}

#[http_trigger(route = "Stopwatch/Burst", methods = ["POST"])]
fn Burst_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let first: u64 = number(&request, "first")?;
    let counters: u64 = number(&request, "counters")?;
    for signal in 0..number(&request, "count")? {
        let key = (first + signal) % counters.max(1);
        client.signal_entity(&EntityId::new("Counter", &key.to_string())?, "add", &1)?;
    }
    Ok(HttpResponse::new(202))
}

#[http_trigger(route = "Stopwatch/Fill/{key}", methods = ["POST"])]
fn Fill_HttpStart(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let ballast = EntityId::new("Ballast", request.route_value("key").unwrap_or_default())?;
    client.call_entity::<()>(&ballast, "fill", &number(&request, "mib")?)?;
    Ok(HttpResponse::new(200))
}

fn number(request: &HttpRequest, name: &str) -> Result<u64, HttpError> {
    let value = request.query(name).and_then(|text| text.parse().ok());
    value.ok_or_else(|| HttpError::bad_request(format!("`{name}` is a number")))
}

/// Letters without a pattern that a compressor would find.
fn letters(count: usize) -> String {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut text = String::with_capacity(count);
    while text.len() < count {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let bytes = seed.to_le_bytes();
        text.extend(bytes.iter().take(count - text.len()).map(|byte| char::from(b'a' + byte % 16)));
    }
    text
}
