//! What is asked of one entity.

use everstate_sdk::{DurableClient, EntityId, HttpError, HttpRequest, HttpResponse, http_trigger};
use serde_json::{Value, json};

use crate::parameters::{answer, body, route, time};

#[http_trigger(route = "lifecycle/entity/{name}/{key}", methods = ["GET"])]
fn Lifecycle_Entity(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    match client.read_entity_state::<Value>(&entity(&request)?)? {
        Some(state) => answer(&state),
        None => Err(HttpError::not_found("there is no such entity")),
    }
}

#[http_trigger(route = "lifecycle/signal/{name}/{key}/{operation}", methods = ["POST"])]
fn Lifecycle_Signal(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let at = time(&request, "at")?;
    let operation = route(&request, "operation");
    client.signal_entity(&entity(&request)?, operation, &body(&request)?, at)?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/call/{name}/{key}/{operation}", methods = ["POST"])]
fn Lifecycle_Call(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let operation = route(&request, "operation");
    let input = body(&request)?;
    answer(&client.call_entity::<Value>(&entity(&request)?, operation, &input, None)?)
}

fn entity(request: &HttpRequest) -> Result<EntityId, HttpError> {
    Ok(EntityId::new(route(request, "name"), route(request, "key"))?)
}
