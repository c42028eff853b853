//! [`ApiError`]: a response that says no.
//!
//! An error has two audiences. The caller gets a status and a message that helps to correct the
//! request and tells nothing about the inside of the host; the log gets the stable code and the
//! cause. An error is logged here, once, when it becomes a response, and nowhere on its way.
//!
//! Not here: failures of orchestrations. They are data, and a status document is a good answer.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use everstate_engine::ClientError;

use crate::json::{self, ObjectWriter};

/// A response that says no.
#[derive(Debug)]
pub(crate) struct ApiError {
    /// 4xx or 5xx.
    status: StatusCode,
    /// A stable name of the error, for logs.
    code: &'static str,
    /// For the caller.
    external: String,
    /// For the caller who wants to know more: `ExceptionMessage`, as in the original.
    detail: Option<String>,
    /// For the log; without it nothing is logged, because the caller alone can do something.
    internal: Option<String>,
    /// Further headers.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error that the caller alone can do something about.
    pub(crate) fn new(status: StatusCode, code: &'static str, external: impl Into<String>) -> Self {
        Self {
            status,
            code,
            external: external.into(),
            detail: None,
            internal: None,
            headers: Vec::new(),
        }
    }

    /// 400.
    pub(crate) fn bad_request(external: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", external)
    }

    /// 400 for a path with a bad escape.
    pub(crate) fn malformed_path() -> Self {
        Self::bad_request("The path is not percent-encoded UTF-8.")
    }

    /// 404 for a path that leads nowhere.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_route", "There is nothing at this path.")
    }

    /// 404 for an orchestration.
    pub(crate) fn no_instance(id: &str) -> Self {
        let external = format!("There is no orchestration with the instance id '{id}'.");
        Self::new(StatusCode::NOT_FOUND, "no_instance", external)
    }

    /// 405; `allow` lists the methods that would do.
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let external = format!("The method is not allowed here; allowed: {allow}.");
        let allow = HeaderValue::from_str(allow).expect("methods are tokens");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", external)
            .with_header(ALLOW, allow)
    }

    /// 409 for an orchestration whose state forbids what was asked.
    pub(crate) fn conflict(external: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", external)
    }

    /// 410 for an orchestration that has ended.
    pub(crate) fn gone(external: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", external)
    }

    /// 413.
    pub(crate) fn body_too_large(request_bytes_max: usize) -> Self {
        let external = format!("The body is larger than {request_bytes_max} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", external)
    }

    /// 429 for an instance that has too much waiting: trying again a second later may help.
    pub(crate) fn busy(external: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", external)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500. The caller learns nothing but that it happened.
    pub(crate) fn internal(code: &'static str, internal: impl Into<String>) -> Self {
        let external = "Something went wrong while processing your request.";
        Self {
            internal: Some(internal.into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, external)
        }
    }

    /// 412 for an orchestration that is not in the state which the request takes for granted.
    pub(crate) fn precondition_failed(external: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", external)
    }

    /// 503: trying again a second later may help.
    pub(crate) fn overloaded() -> Self {
        let external = "The host is overloaded; try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", external)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 504 for a result that did not come in time.
    pub(crate) fn timed_out(limit_ms: u64) -> Self {
        let external =
            format!("No result within {limit_ms} ms. What was asked for may still happen.");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", external)
    }

    /// The same error with more about its reason.
    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Why the request was refused, if it was one that may be tried again later.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        let is_refusal =
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&self.status);
        is_refusal.then_some(self.code)
    }

    /// The same error; what it says is about this.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.external = format!("{what}: {}", self.external);
        self
    }

    /// The same error with one more header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// What the engine says, as a response.
impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Overloaded | ClientError::Stopping => Self::overloaded(),
            ClientError::Busy(_) => Self::busy(text),
            ClientError::TimedOut(limit_ms) => Self::timed_out(limit_ms),
            ClientError::NotFound(id) => Self::no_instance(id.as_str()),
            // A client of the original looks for the reason there.
            ClientError::InvalidArgument(_) | ClientError::FunctionNotFound { .. } => {
                Self::bad_request(&text).with_detail(text)
            }
            ClientError::AlreadyExists { .. }
            | ClientError::Conflict(_)
            | ClientError::EntityLocked { .. } => Self::conflict(text),
            // As the original: what has ended is gone for whoever wants to change it.
            ClientError::WrongState { status, .. } if status.is_finished() => Self::gone(text),
            ClientError::WrongState { .. } => Self::conflict(text),
            _ => Self::internal("engine_refused", text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(internal) = &self.internal {
            tracing::error!(code = self.code, status = self.status.as_u16(), "{internal}");
        } else {
            tracing::debug!(code = self.code, status = self.status.as_u16(), "{}", self.external);
        }
        let mut body = Vec::with_capacity(self.external.len() + 16);
        let mut document = ObjectWriter::new(&mut body);
        document.string("Message", &self.external);
        if let Some(detail) = &self.detail {
            document.string("ExceptionMessage", detail);
        }
        document.end();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(json::CONTENT_TYPE));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::ApiError;

    #[tokio::test]
    async fn internal_error_keeps_its_cause_from_the_caller() {
        let response = ApiError::internal("test", "the secret cause").into_response();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, r#"{"Message":"Something went wrong while processing your request."}"#);
    }

    #[tokio::test]
    async fn error_message_is_escaped() {
        let response = ApiError::bad_request("a \"quoted\" word").into_response();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, r#"{"Message":"a \"quoted\" word"}"#);
    }
}
