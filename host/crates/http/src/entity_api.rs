//! The management API of entities: see them, find them, have them do something, break their locks.
//!
//! The routes of the original answer as there, except that the name of an entity function that is not
//! loaded is a 404. Details, counts, filters by key and field, calls with a result and locks
//! are additions; see `docs/http-api.md`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use everstate_engine::ClientError;
use everstate_engine::client::{Observed, SignalOptions};
use everstate_types::{EntityId, IdError, Payload};
use serde::de::IgnoredAny;

use crate::body::read_body;
use crate::config::HttpConfig;
use crate::engine::Engine;
use crate::entity_document::{ShownEntity, entity_document, failure_document, list_document};
use crate::entity_query::{CONTINUATION, EntityListing};
use crate::error::ApiError;
use crate::json;
use crate::matching::RouteValues;
use crate::query::Query;

/// Longest wait for the result of a call, and the wait if the request names none: as long as
/// functions wait, and shorter than proxies do in general.
const CALL_LIMIT: Duration = Duration::from_secs(230);

/// A path cannot have an empty segment; this stands for the empty key, as in the original.
const EMPTY_KEY: &str = "$";

/// Signals to the same entity with the same value of this count once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is asked of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntityRoute {
    /// Many of them, or how many.
    List,
    /// The state of one, or all that is known of it.
    Get,
    /// An operation that nobody waits for.
    Signal,
    /// The operation `delete`, the same way.
    Delete,
    /// An operation and its result.
    Call,
    /// Take its lock from its holder.
    BreakLock,
}

/// Answers the requests about entities.
pub(crate) struct EntityApi {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) config: HttpConfig,
}

impl EntityApi {
    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        route: EntityRoute,
        parts: &Parts,
        values: &RouteValues,
        body: Body,
    ) -> Result<Response, ApiError> {
        match route {
            EntityRoute::List => self.list(parts, values).await,
            EntityRoute::Get => self.get(parts, values).await,
            EntityRoute::Signal => {
                let operation = Query::of(parts).text("op").unwrap_or_default().to_owned();
                self.signal(parts, values, body, operation).await
            }
            EntityRoute::Delete => self.signal(parts, values, body, "delete".to_owned()).await,
            EntityRoute::Call => self.call(parts, values, body).await,
            EntityRoute::BreakLock => self.break_lock(values).await,
        }
    }

    async fn list(&self, parts: &Parts, values: &RouteValues) -> Result<Response, ApiError> {
        let name = values.first().map(|(_, name)| name.as_str());
        let EntityListing { query, shown, is_count } = EntityListing::of(name, parts)?;
        if is_count {
            let count = self.settled(self.engine.count_entities(query.filter).await).await?;
            return Ok(document(StatusCode::OK, format!(r#"{{"count":{count}}}"#)));
        }
        let page = self.settled(self.engine.query_entities(query).await).await?;
        let mut response = document(StatusCode::OK, list_document(&page.entities, shown));
        if let Some(continuation) = page.continuation {
            let value = HeaderValue::try_from(&continuation).map_err(|_| {
                let internal = format!("the continuation {continuation:?} fits into no header");
                ApiError::internal("bad_continuation", internal)
            })?;
            response.headers_mut().insert(CONTINUATION, value);
        }
        Ok(response)
    }

    async fn get(&self, parts: &Parts, values: &RouteValues) -> Result<Response, ApiError> {
        // What cannot be an id is not the id of an entity.
        let entity = entity_id(values).map_err(|_| no_entity(values))?;
        let found = self.settled(self.engine.get_entity(&entity).await).await?;
        let status = found.ok_or_else(|| no_entity(values))?;
        let query = Query::of(parts);
        if query.is_set("details") {
            let state = query.flag("fetchState").unwrap_or(false);
            let shown = ShownEntity { state, details: true };
            return Ok(document(StatusCode::OK, entity_document(&entity, &status, shown)));
        }
        let state = status.record.state.value.ok_or_else(|| no_entity(values))?;
        Ok(document(StatusCode::OK, payload_body(state)))
    }

    async fn signal(
        &self,
        parts: &Parts,
        values: &RouteValues,
        body: Body,
        operation: String,
    ) -> Result<Response, ApiError> {
        let entity = entity_id(values).map_err(|error| wrong_id(&error))?;
        let options = SignalOptions { at: None, idempotency_key: idempotency_key(&parts.headers)? };
        let body = read_body(parts, body, &self.config).await?;
        let input = operation_input(&parts.headers, &body)?;
        let accepted = self.engine.signal_entity(&entity, operation, input, options).await;
        self.settled(accepted).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }

    async fn call(
        &self,
        parts: &Parts,
        values: &RouteValues,
        body: Body,
    ) -> Result<Response, ApiError> {
        let entity = entity_id(values).map_err(|error| wrong_id(&error))?;
        if parts.headers.contains_key(&IDEMPOTENCY_KEY) {
            let external = format!("The header `{IDEMPOTENCY_KEY}` is for signals, not for calls.");
            return Err(ApiError::bad_request(external));
        }
        let query = Query::of(parts);
        let operation = query.text("op").unwrap_or_default().to_owned();
        let asked = query.value("timeout").map(Duration::try_from_secs_f64);
        let limit = asked.and_then(Result::ok).unwrap_or(CALL_LIMIT).min(CALL_LIMIT);
        let body = read_body(parts, body, &self.config).await?;
        let input = operation_input(&parts.headers, &body)?;
        let result = self.engine.call_entity(&entity, operation.clone(), input, limit).await;
        match self.settled(result).await? {
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

    async fn break_lock(&self, values: &RouteValues) -> Result<Response, ApiError> {
        let entity = entity_id(values).map_err(|error| wrong_id(&error))?;
        let is_released = self.settled(self.engine.release_lock(&entity).await).await?;
        if is_released {
            // Its holder may do wrong things from now on; whoever wonders why finds this.
            tracing::warn!(%entity, "the lock of an entity was broken over the management API");
        }
        Ok(document(StatusCode::OK, format!(r#"{{"released":{is_released}}}"#)))
    }

    /// The answer, when all that it depends on is durable. Even that there is nothing may depend on
    /// something.
    async fn settled<T>(&self, answer: Result<Observed<T>, ClientError>) -> Result<T, ApiError> {
        let observed = answer.map_err(refusal)?;
        self.engine.durable(observed.seq).await;
        Ok(observed.value)
    }
}

fn entity_id(values: &RouteValues) -> Result<EntityId, IdError> {
    let (name, key) = name_and_key(values);
    EntityId::new(name, key)
}

fn name_and_key(values: &RouteValues) -> (&str, &str) {
    let (_, name) = values.first().expect("the routes have a name");
    let key = values.get(1).map_or("", |(_, key)| key);
    (name, if key == EMPTY_KEY { "" } else { key })
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
fn operation_input(headers: &HeaderMap, body: &Bytes) -> Result<Option<Payload>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(body)
        .map_err(|_| ApiError::bad_request("The body is not text in UTF-8."))?;
    if !is_json(headers) {
        let text = serde_json::to_string(text).expect("every text is a JSON string");
        return Ok(Some(Payload::from(text)));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(Some(Payload::from(text.trim_ascii()))),
        Err(error) => Err(ApiError::bad_request(format!("Could not parse JSON content: {error}"))),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// The text of a payload without a copy: states are large at times.
fn payload_body(payload: Payload) -> Bytes {
    struct Text(Payload);
    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            json::payload_text(&self.0).as_bytes()
        }
    }
    Bytes::from_owner(Text(payload))
}

fn document(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(json::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn no_entity(values: &RouteValues) -> ApiError {
    let (name, key) = name_and_key(values);
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
