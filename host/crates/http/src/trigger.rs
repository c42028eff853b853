//! HTTP triggers: request → route → guest → response.
//!
//! The answer of a guest runs ahead of the disk. It leaves when everything that it depends on is
//! durable, and not before; a client that goes away in the meantime loses the answer only.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use everstate_engine::guest::{
    HttpAnswer, HttpFunctionError, HttpFunctions, HttpRequest, HttpResponse,
};
use everstate_types::FunctionName;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::base_url::base_url;
use crate::body::read_body;
use crate::config::HttpConfig;
use crate::detached::Detached;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::matcher::Found;
use crate::matching::RouteValues;
use crate::path::query_parameters;
use crate::routes::{RouteTarget, SharedRoutes};
use crate::telemetry::UnderWay;

/// Answers the requests that start functions.
pub(crate) struct Triggers {
    pub(crate) functions: Arc<dyn HttpFunctions>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) routes: Arc<SharedRoutes>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) config: HttpConfig,
    /// Scheme and authority for requests that do not name a host.
    pub(crate) default_base_url: String,
    /// Guests whose clients have gone.
    pub(crate) detached: TaskTracker,
}

impl Triggers {
    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        parts: Parts,
        body: Body,
        under_way: &mut UnderWay<'_>,
    ) -> Result<Response, ApiError> {
        let (target, route_values) = self.find(&parts)?;
        let (target, trace) = under_way.is_for(target, &parts.headers);
        let function = &target.function;
        self.admission.to_function(&parts, &function.name, target.level)?;
        let body = read_body(body, &self.config).await?;
        let request = self.guest_request(&parts, route_values, body)?;
        let request = HttpRequest { trace, ..request };
        let call = self.functions.handle(function.clone(), request);
        let answer = Detached::new(call, log_lost, self.detached.clone());
        let answer = answer.await.map_err(|error| refusal(&error))?;
        self.engine.durable(answer.seq).await;
        into_response(&function.name, answer.response)
    }

    fn find(&self, parts: &Parts) -> Result<(Arc<RouteTarget>, RouteValues), ApiError> {
        match self.routes.load().find(parts.method.as_str(), parts.uri.path()) {
            Found::Route { target, values } => Ok((Arc::clone(target), values)),
            Found::MethodNotAllowed { allow } => Err(ApiError::method_not_allowed(&allow)),
            Found::Nothing => Err(ApiError::no_route()),
            Found::Malformed => Err(ApiError::malformed_path()),
        }
    }

    fn guest_request(
        &self,
        parts: &Parts,
        route_values: RouteValues,
        body: Bytes,
    ) -> Result<HttpRequest, ApiError> {
        let base_url = base_url(parts, &self.default_base_url, &self.config)?;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(HttpRequest {
            method: parts.method.as_str().to_owned(),
            url: format!("{base_url}{target}"),
            base_url,
            route_values,
            query: query_parameters(parts.uri.query()),
            headers: text_headers(&parts.headers),
            body,
            trace: None,
        })
    }
}

/// Names and values; a value that is not text is left out.
fn text_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), text.to_owned()))
        })
        .collect()
}

/// A function ended and nobody is there to take its answer.
fn log_lost(result: Result<HttpAnswer, HttpFunctionError>) {
    match result {
        Ok(_) => tracing::debug!("a client went away before its answer"),
        Err(error) => tracing::error!(%error, "after its client went away"),
    }
}

/// The failure goes to the log; the caller learns that there was one.
fn refusal(error: &HttpFunctionError) -> ApiError {
    match error {
        HttpFunctionError::NotFound(_) => ApiError::no_route(),
        HttpFunctionError::Overloaded => ApiError::overloaded(),
        HttpFunctionError::Failed { name, failure } => {
            let internal = format!(
                "the HTTP function `{name}` failed: {}: {}{}",
                failure.error_type,
                failure.error_message,
                failure.stack_trace.as_deref().map(|t| format!("\n{t}")).unwrap_or_default(),
            );
            ApiError::internal("function_failed", internal)
        }
    }
}

/// Makes the response that the guest asked for. How it is framed is the server's business, so
/// that those headers of the guest are left out.
fn into_response(function: &FunctionName, answer: HttpResponse) -> Result<Response, ApiError> {
    let refused = |what: String| {
        let internal = format!("the HTTP function `{function}` answered with {what}");
        ApiError::internal("bad_response", internal)
    };
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| refused(format!("the status {}", answer.status)))?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(answer.headers.len());
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refused(format!("the header name {name:?}")))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| refused(format!("a value that cannot stand in the header `{name}`")))?;
        if !FRAMING_HEADERS.contains(&name) && name != "keep-alive" {
            headers.append(name, value);
        }
    }
    Ok(response)
}

const FRAMING_HEADERS: [HeaderName; 6] =
    [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
