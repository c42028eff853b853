//! Answers the requests that wait, that ask why something waits, and for locks.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use axum::response::Response;
use everstate_engine::storage::{EntityFilter, EntityQuery};
use everstate_types::RuntimeStatus;

use super::document::{explanation_document, locks_document};
use crate::api::answers::{PAGE_SIZE, PAGE_SIZE_MAX, continuation, document, page};
use crate::api::{Api, ApiCall};
use crate::error::ApiError;
use crate::status_document::{Shown, status_document};

/// How long to wait if the request does not say.
const WAIT: Duration = Duration::from_secs(30);

/// How many seconds a client is asked to let pass before it waits again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Waits until an orchestration has come so far. When the host stops, the time is over.
pub(super) async fn wait(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let query = call.query();
    let is_start = match query.text("for").unwrap_or("completion") {
        "start" => true,
        "completion" => false,
        other => {
            let external = format!("`for` is `completion` or `start`, not `{other}`.");
            return Err(ApiError::bad_request(external));
        }
    };
    let instance_id = call.instance_id()?;
    let asked = query.value("timeout").map(Duration::try_from_secs_f64);
    let limit = asked.and_then(Result::ok).unwrap_or(WAIT).min(api.config.wait_max());
    let engine = &api.services.engine;
    let waiting = match is_start {
        true => engine.wait_for_start(&instance_id, limit),
        false => engine.wait_for_completion(&instance_id, limit),
    };
    let answer = tokio::select! {
        answer = waiting => answer,
        () = api.stopping.cancelled() => engine.get_status(&instance_id).await,
    };
    let status = api.settled(answer).await?;
    let status = status.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    let shown = Shown { input: query.flag("showInput").unwrap_or(true), ..Shown::default() };
    let body = status_document(&status, shown);
    let has_come = match is_start {
        true => status.record.status != RuntimeStatus::Pending,
        false => status.record.status.is_finished(),
    };
    if has_come {
        return Ok(document(StatusCode::OK, body));
    }
    let mut response = document(StatusCode::ACCEPTED, body);
    let location = HeaderValue::try_from(call.url(api)?).expect("a URL that came in a request");
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    Ok(response)
}

/// Why an orchestration waits.
pub(super) async fn why(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let explanation = api.settled(api.services.engine.explain(&instance_id).await).await?;
    let explanation = explanation.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    Ok(document(StatusCode::OK, explanation_document(&explanation)))
}

/// The entities that are locked.
pub(super) async fn locks(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let size = call.query().value("top").filter(|size| *size > 0).unwrap_or(PAGE_SIZE);
    let filter =
        EntityFilter { only_locked: true, includes_stateless: true, ..EntityFilter::default() };
    let query = EntityQuery {
        filter,
        page_size: size.min(PAGE_SIZE_MAX),
        continuation: continuation(&call.parts)?,
        fetches_state: false,
    };
    let found = api.settled(api.services.engine.query_entities(query).await).await?;
    page(locks_document(&found.entities), found.continuation)
}
