//! What is asked of one entity.

use everstate_sdk::{
    ClientError, DurableClient, EntityId, EntityStatus, HttpError, HttpRequest, HttpResponse,
    http_trigger,
};
use serde_json::{Value, json};

use crate::parameters::{answer, body, failure_document, flag, parsed, route, span, time};

#[http_trigger(route = "lifecycle/entity/{name}/{key}", methods = ["GET"])]
fn Lifecycle_Entity(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    match client.read_entity_state::<Value>(&entity(&request)?)? {
        Some(state) => answer(&state),
        None => Err(no_such_entity()),
    }
}

#[http_trigger(route = "lifecycle/entity-status/{name}/{key}", methods = ["GET"])]
fn Lifecycle_EntityStatus(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    match client.get_entity(&entity(&request)?, flag(&request, "state"))? {
        Some(status) => answer(&entity_document(&status)),
        None => Err(no_such_entity()),
    }
}

#[http_trigger(route = "lifecycle/signal/{name}/{key}/{operation}", methods = ["POST"])]
fn Lifecycle_Signal(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let (entity, operation) = (entity(&request)?, route(&request, "operation"));
    let input = body(&request)?;
    match (request.query("idempotencyKey"), time(&request, "at")?) {
        (None, None) => client.signal_entity(&entity, operation, &input)?,
        (None, Some(at)) => client.signal_entity_at(&entity, operation, &input, at)?,
        (Some(key), None) => client.signal_entity_once(&entity, operation, &input, key)?,
        (Some(key), Some(at)) => {
            client.signal_entity_once_at(&entity, operation, &input, key, at)?;
        }
    }
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/call/{name}/{key}/{operation}", methods = ["POST"])]
fn Lifecycle_Call(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let (entity, operation) = (entity(&request)?, route(&request, "operation"));
    let input = body(&request)?;
    if let Some(first) = request.query("signalFirst") {
        client.signal_entity(&entity, first, &input)?;
    }
    let called = match span(&request, "timeout")? {
        Some(limit) => client.call_entity_with_timeout(&entity, operation, &input, limit),
        None => client.call_entity(&entity, operation, &input),
    };
    match called {
        Ok(result) => answer(&result),
        Err(ClientError::Failed(failure)) => {
            Ok(answer(&failure_document(&failure))?.with_status(422))
        }
        Err(ClientError::Refused(refusal)) => Err(refusal.into()),
    }
}

#[http_trigger(route = "lifecycle/release-lock/{name}/{key}", methods = ["POST"])]
fn Lifecycle_ReleaseLock(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    answer(&json!({ "released": client.release_lock(&entity(&request)?)? }))
}

/// All that is known of an entity.
pub(crate) fn entity_document(status: &EntityStatus) -> Value {
    let lock = status.lock.as_ref();
    json!({
        "name": status.entity.name(),
        "key": status.entity.key(),
        "lastOperationTime": status.last_operation_time,
        "exists": status.exists,
        "state": parsed(status.state.as_deref()),
        "stateVersion": status.state_version,
        "lock": lock.map(|it| json!({ "instanceId": it.instance_id, "since": it.since })),
        "waitingOperations": status.waiting_operations,
    })
}

fn entity(request: &HttpRequest) -> Result<EntityId, HttpError> {
    Ok(EntityId::new(route(request, "name"), route(request, "key"))?)
}

fn no_such_entity() -> HttpError {
    HttpError::not_found("there is no such entity")
}
