//! The responses that several modules make, and what lists have in common.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use everstate_engine::guest::HttpResponse;
use everstate_types::Payload;

use crate::error::ApiError;
use crate::json;

/// Where the next page begins: the name of the original, in requests and responses.
pub(crate) const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation-token");

/// How many a page of a list has: as in the original if nothing is said, and at most.
pub(crate) const PAGE_SIZE: usize = 100;
pub(crate) const PAGE_SIZE_MAX: usize = 1_000;

/// Where the page begins that a request asks for. Empty is as good as none: the original's last page
/// has an empty one.
pub(crate) fn continuation(parts: &Parts) -> Result<Option<String>, ApiError> {
    let Some(value) = parts.headers.get(&CONTINUATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| {
        ApiError::bad_request(format!("The header `{CONTINUATION}` is none that a page had."))
    })?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A response with a JSON document.
pub(crate) fn document(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(json::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A page of a list; `continuation` is where the next one begins.
pub(crate) fn page(
    body: impl Into<Body>,
    continuation: Option<String>,
) -> Result<Response, ApiError> {
    let mut response = document(StatusCode::OK, body);
    if let Some(continuation) = continuation {
        let value = HeaderValue::try_from(&continuation).map_err(|_| {
            let internal = format!("the continuation {continuation:?} fits into no header");
            ApiError::internal("bad_continuation", internal)
        })?;
        response.headers_mut().insert(CONTINUATION, value);
    }
    Ok(response)
}

/// A response that was made for a function.
pub(crate) fn as_response(response: HttpResponse) -> Response {
    let status = StatusCode::from_u16(response.status).expect("made by this crate");
    let mut answer = document(status, response.body);
    for (name, value) in response.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("made by this crate");
        let value = HeaderValue::try_from(value).expect("escaped by this crate");
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// The text of a payload without a copy: states are large at times.
pub(crate) fn payload_body(payload: Payload) -> Bytes {
    struct Text(Payload);
    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            json::payload_text(&self.0).as_bytes()
        }
    }
    Bytes::from_owner(Text(payload))
}
