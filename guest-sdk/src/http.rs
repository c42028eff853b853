//! Requests, responses and errors of HTTP functions.
//!
//! An HTTP function answers with an [`HttpResponse`] or an [`HttpError`]. `?` turns every other
//! error into an [`HttpError`]: mistakes of the caller keep their text and become a 400, 404 or
//! 409, an overloaded host becomes a 503, and everything else becomes a 500 whose details go to
//! the host's log and not to the caller.

use std::error::Error;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::http_types as wit;
use crate::error::{ClientError, Failure, HostError};
use crate::id::IdError;
use crate::payload::to_json;

#[cfg(test)]
mod tests;

/// A request as the host received it.
#[derive(Debug)]
pub struct HttpRequest(wit::Request);

impl HttpRequest {
    pub(crate) fn new(request: wit::Request) -> Self {
        Self(request)
    }

    /// The method in upper case.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The whole URL as the caller wrote it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// A parameter of the route template, percent-decoded; `None` for an optional one that the
    /// caller left out.
    #[must_use]
    pub fn route_value(&self, name: &str) -> Option<&str> {
        find(&self.0.route_values, name)
    }

    /// A parameter of the route template, read as a `T`.
    ///
    /// # Errors
    /// A 400 that names the parameter if it is missing or no `T`.
    pub fn parse_route_value<T: FromStr>(&self, name: &str) -> Result<T, HttpError> {
        self.route_value(name).and_then(|text| text.parse().ok()).ok_or_else(|| {
            HttpError::bad_request(format!(
                "the part `{name}` of the address is missing or malformed"
            ))
        })
    }

    /// The first value of a parameter of the query, percent-decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.0.query, name)
    }

    /// All parameters of the query in order, percent-decoded.
    #[must_use]
    pub fn query_pairs(&self) -> &[(String, String)] {
        &self.0.query
    }

    /// The first value of a header; the case of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.0.headers, name)
    }

    /// All headers in order, their names in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.0.headers
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// A 400 if it is not UTF-8.
    pub fn text(&self) -> Result<String, HttpError> {
        match std::str::from_utf8(&self.0.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(HttpError::bad_request("the body is not UTF-8 text")),
        }
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// A 400 that says why if it is not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.0.body).map_err(|error| {
            HttpError::bad_request(format!("the body does not have the expected shape: {error}"))
        })
    }
}

/// A response. It leaves the host when everything it depends on is on disk.
///
/// ```
/// use everstate_sdk::HttpResponse;
///
/// let response = HttpResponse::text("moved").with_status(301).with_header("location", "/new");
/// assert_eq!((response.status(), response.body()), (301, b"moved".as_slice()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl HttpResponse {
    /// An empty response with a status from 200 to 599.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A 200 with a JSON body.
    ///
    /// # Errors
    /// A value without a JSON form.
    pub fn ok_json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Failure> {
        let body = to_json(value)?;
        Ok(Self::new(200).with_header("content-type", "application/json").with_body(body))
    }

    /// A 200 with a body of plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200)
            .with_header("content-type", "text/plain; charset=utf-8")
            .with_body(text.into())
    }

    /// The same with another status, from 200 to 599.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn from_wit(response: wit::Response) -> Self {
        Self { status: response.status, headers: response.headers, body: response.body }
    }

    pub(crate) fn into_wit(self) -> wit::Response {
        wit::Response { status: self.status, headers: self.headers, body: self.body }
    }
}

/// Why an HTTP function cannot answer as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError(Answer);

/// What becomes of an [`HttpError`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// This very response.
    Response(HttpResponse),
    /// A 500 without details; the host logs the failure.
    Internal(Failure),
}

impl HttpError {
    /// An error with a status from 400 to 599 and a text for the caller. The body is
    /// `{"Message": "…"}`.
    #[must_use]
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self(Answer::Response(error_response(status, &message.into())))
    }

    /// A 400: the caller's mistake.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// A 404: there is no such thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// The response to send, or the failure to log.
    pub(crate) fn into_response(self) -> Result<HttpResponse, Failure> {
        match self.0 {
            Answer::Response(response) => Ok(response),
            Answer::Internal(failure) => Err(failure),
        }
    }

    /// An error that passes: says when to try again.
    fn come_back(status: u16, message: &str) -> Self {
        let response = error_response(status, message).with_header("retry-after", "1");
        Self(Answer::Response(response))
    }

    fn from_refusal(refusal: &HostError) -> Option<Self> {
        let message = refusal.message();
        match refusal {
            HostError::InvalidArgument(_) => Some(Self::bad_request(message)),
            HostError::NotFound(_) => Some(Self::not_found(message)),
            HostError::Conflict(_) => Some(Self::new(409, message)),
            HostError::LimitExceeded(_) => Some(Self::new(413, message)),
            HostError::Overloaded(_) => Some(Self::come_back(503, message)),
            HostError::Busy(_) => Some(Self::come_back(429, message)),
            HostError::NotSupported(_) => None,
        }
    }
}

/// A failure is the function's own: a 500 without details.
impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        Self(Answer::Internal(failure))
    }
}

/// A refusal of the host keeps its meaning, a failure is a 500 without details.
impl From<ClientError> for HttpError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::Failed(failure) => failure.into(),
        }
    }
}

/// A refusal of the host keeps its meaning, an [`IdError`] is a 400, any other error is a 500
/// without details.
impl<E: Error + 'static> From<E> for HttpError {
    fn from(error: E) -> Self {
        let any: &(dyn Error + 'static) = &error;
        if let Some(answer) = any.downcast_ref().and_then(Self::from_refusal) {
            return answer;
        }
        if let Some(invalid) = any.downcast_ref::<IdError>() {
            return Self::bad_request(invalid.to_string());
        }
        Self(Answer::Internal(Failure::from(error)))
    }
}

/// What the caller sees of an error.
fn error_response(status: u16, message: &str) -> HttpResponse {
    let body = serde_json::json!({ "Message": message }).to_string();
    HttpResponse::new(status).with_header("content-type", "application/json").with_body(body)
}

/// The first value of that name; case does not matter.
fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
