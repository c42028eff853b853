//! Answers the requests about entities.

use std::time::Duration;

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use everstate_engine::ClientError;
use everstate_engine::client::SignalOptions;
use everstate_types::{EntityId, IdError, Payload};
use serde::de::IgnoredAny;
use tokio::task::spawn_blocking;

use super::document::{ShownEntity, entity_document, failure_document, list_document};
use super::query::EntityListing;
use crate::api::answers::{document, empty, page, payload_body};
use crate::api::{Api, ApiCall};
use crate::error::ApiError;

/// A path cannot have an empty segment; this stands for the empty key, as in the original.
const EMPTY_KEY: &str = "$";

/// Signals to the same entity with the same value of this count once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Many of them, or how many.
pub(super) async fn list(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let engine = &api.services.engine;
    let listing = EntityListing::of(call.optional("entityName"), &call.parts)?;
    let EntityListing { query, shown, is_count } = listing;
    if is_count {
        let count = api.settled(engine.count_entities(query.filter).await).await?;
        return Ok(document(StatusCode::OK, format!(r#"{{"count":{count}}}"#)));
    }
    let found = api.settled(engine.query_entities(query).await).await?;
    page(list_document(&found.entities, shown), found.continuation)
}

/// The state of one, or all that is known of it.
pub(super) async fn get(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    // What cannot be an id is not the id of an entity.
    let entity = entity_id(&call).map_err(|_| no_entity(&call))?;
    let found = api.settled(api.services.engine.get_entity(&entity).await).await?;
    let status = found.ok_or_else(|| no_entity(&call))?;
    let query = call.query();
    if query.is_set("details") {
        let state = query.flag("fetchState").unwrap_or(false);
        let shown = ShownEntity { state, details: true };
        return Ok(document(StatusCode::OK, entity_document(&entity, &status, shown)));
    }
    let state = status.record.state.value.ok_or_else(|| no_entity(&call))?;
    Ok(document(StatusCode::OK, payload_body(state)))
}

/// An operation that nobody waits for.
pub(super) async fn signal(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let operation = call.query().text("op").unwrap_or_default().to_owned();
    send(api, call, operation).await
}

/// The operation `delete`, the same way; or, if that is asked for, the end of all that is known of it.
pub(super) async fn delete(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    if call.query().is_set("purge") {
        return purge(api, call).await;
    }
    send(api, call, "delete".to_owned()).await
}

async fn purge(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let entity = entity_id(&call).map_err(|_| no_entity(&call))?;
    if !api.settled(api.services.engine.purge_entity(&entity).await).await? {
        return Err(no_entity(&call));
    }
    if let Some(logs) = api.services.telemetry.logs.clone() {
        let instance_id = entity.instance_id();
        let forgotten = spawn_blocking(move || logs.forget(&instance_id)).await;
        forgotten.map_err(|panic| ApiError::internal("logs_stay", panic.to_string()))?;
    }
    tracing::info!(%entity, "an entity was purged over the management API");
    Ok(document(StatusCode::OK, r#"{"entitiesDeleted":1}"#))
}

async fn send(api: &Api, mut call: ApiCall, operation: String) -> Result<Response, ApiError> {
    let entity = entity_id(&call).map_err(|error| wrong_id(&error))?;
    let headers = &call.parts.headers;
    let options = SignalOptions { at: None, idempotency_key: idempotency_key(headers)? };
    let body = call.read_body(api).await?;
    let input = operation_input(&call, &body)?;
    let accepted = api.services.engine.signal_entity(&entity, operation, input, options).await;
    api.settled(accepted.map_err(refusal)).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// An operation and its result.
pub(super) async fn call(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let entity = entity_id(&call).map_err(|error| wrong_id(&error))?;
    if call.parts.headers.contains_key(&IDEMPOTENCY_KEY) {
        let external = format!("The header `{IDEMPOTENCY_KEY}` is for signals, not for calls.");
        return Err(ApiError::bad_request(external));
    }
    let query = call.query();
    let operation = query.text("op").unwrap_or_default().to_owned();
    let asked = query.value("timeout").map(Duration::try_from_secs_f64);
    let limit_max = api.config.wait_max();
    let limit = asked.and_then(Result::ok).unwrap_or(limit_max).min(limit_max);
    let body = call.read_body(api).await?;
    let input = operation_input(&call, &body)?;
    let engine = &api.services.engine;
    let result = engine.call_entity(&entity, operation.clone(), input, limit).await;
    match api.settled(result.map_err(refusal)).await? {
        Ok(result) => {
            let result = result.unwrap_or_else(Payload::null);
            Ok(document(StatusCode::OK, payload_body(result)))
        }
        Err(failure) => {
            let body = failure_document(&entity, &operation, &failure);
            Ok(document(StatusCode::INTERNAL_SERVER_ERROR, body))
        }
    }
}

/// Takes the lock of one from its holder.
pub(super) async fn break_lock(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let entity = entity_id(&call).map_err(|error| wrong_id(&error))?;
    let is_released = api.settled(api.services.engine.release_lock(&entity).await).await?;
    if is_released {
        // Its holder may do wrong things from now on; whoever wonders why finds this.
        tracing::warn!(%entity, "the lock of an entity was broken over the management API");
    }
    Ok(document(StatusCode::OK, format!(r#"{{"released":{is_released}}}"#)))
}

fn entity_id(call: &ApiCall) -> Result<EntityId, IdError> {
    let (name, key) = name_and_key(call);
    EntityId::new(name, key)
}

fn name_and_key(call: &ApiCall) -> (&str, &str) {
    let key = call.optional("entityKey").unwrap_or_default();
    (call.value("entityName"), if key == EMPTY_KEY { "" } else { key })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    match str::from_utf8(value.as_bytes()) {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => {
            Err(ApiError::bad_request(format!("The header `{IDEMPOTENCY_KEY}` is not UTF-8.")))
        }
    }
}

/// JSON as it is, other text as a JSON string; nothing is no input.
fn operation_input(call: &ApiCall, body: &Bytes) -> Result<Option<Payload>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(body)
        .map_err(|_| ApiError::bad_request("The body is not text in UTF-8."))?;
    if !call.is_json() {
        let text = serde_json::to_string(text).expect("every text is a JSON string");
        return Ok(Some(Payload::from(text)));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(Some(Payload::from(text.trim_ascii()))),
        Err(error) => Err(ApiError::bad_request(format!("Could not parse JSON content: {error}"))),
    }
}

fn no_entity(call: &ApiCall) -> ApiError {
    let (name, key) = name_and_key(call);
    let external = format!("There is no entity '{name}' with the key '{key}'.");
    ApiError::new(StatusCode::NOT_FOUND, "no_entity", external)
}

fn wrong_id(error: &IdError) -> ApiError {
    ApiError::bad_request(error.to_string())
}

fn refusal(error: ClientError) -> ApiError {
    match error {
        ClientError::FunctionNotFound { .. } => {
            ApiError::new(StatusCode::NOT_FOUND, "no_function", error.to_string())
        }
        error => error.into(),
    }
}
