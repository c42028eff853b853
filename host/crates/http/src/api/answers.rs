//! The responses that several modules make.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use everstate_types::Payload;

use crate::error::ApiError;
use crate::json;

/// Where the next page begins: the name of the original, in requests and responses.
pub(crate) const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation-token");

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
