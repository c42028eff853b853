//! A counter for each key.
//!
//! - `POST Counter/{key}/add` with a number as the body adds it and answers with the count,
//! - `POST Counter/{key}/signal` adds it some time soon; with the header `idempotency-key` it counts
//!   once, however often it is sent,
//! - `GET Counter/{key}` answers with the count,
//! - `POST Counter/{key}/reset` makes it 0, for whoever has a key of the function or of the host,
//! - `DELETE Counter/{key}` deletes the counter: the next one begins at 0.

use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, entity, http_trigger};
use serde::{Deserialize, Serialize};

/// The state of a counter that nobody has used is the default.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter {
    value: i64,
}

/// Each method is an operation; what it leaves in `self` is stored when it returns. `delete` is there
/// without being written.
#[entity]
impl Counter {
    fn add(&mut self, amount: i64) -> i64 {
        self.value += amount;
        self.value
    }

    fn reset(&mut self) {
        self.value = 0;
    }

    /// With `&self` it changes nothing: a client that calls it waits for nobody.
    fn get(&self) -> i64 {
        self.value
    }
}

#[http_trigger(route = "Counter/{key}/add", methods = ["POST"])]
fn Counter_Add(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let count = Counter::proxy(key(&request))?.add(request.json()?).call(&client)?;
    Ok(HttpResponse::ok_json(&count)?)
}

#[http_trigger(route = "Counter/{key}/signal", methods = ["POST"])]
fn Counter_Signal(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let addition = Counter::proxy(key(&request))?.add(request.json()?);
    match request.header("idempotency-key") {
        Some(idempotency_key) => addition.signal_once(&client, idempotency_key)?,
        None => addition.signal(&client)?,
    }
    Ok(HttpResponse::new(202))
}

/// The host has looked at the caller's key before this runs.
#[http_trigger(route = "Counter/{key}/reset", methods = ["POST"], auth = "function")]
fn Counter_Reset(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    Counter::proxy(key(&request))?.reset().call(&client)?;
    Ok(HttpResponse::new(204))
}

#[http_trigger(route = "Counter/{key}", methods = ["GET", "DELETE"])]
fn Counter_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let counter = Counter::proxy(key(&request))?;
    if request.method() == "DELETE" {
        counter.delete().call(&client)?;
        return Ok(HttpResponse::new(204));
    }
    Ok(HttpResponse::ok_json(&counter.get().call(&client)?)?)
}

fn key(request: &HttpRequest) -> &str {
    request.route_value("key").unwrap_or_default()
}
