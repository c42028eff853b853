//! Durable HTTP requests: what goes out and what comes back.

use std::time::Duration;

use serde::Deserialize;

use crate::bindings::imports::orchestration as host;
use crate::time::span_ms;

/// A durable HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// In upper case.
    pub method: String,
    /// The whole address.
    pub uri: String,
    /// Pairs of name and value.
    pub headers: Vec<(String, String)>,
    /// The body as text, if there is one.
    pub body: Option<String>,
    /// `None`: the host's limit.
    pub timeout: Option<Duration>,
    /// Whether a 202 with `Location` is polled until it ends.
    pub poll_while_accepted: bool,
}

impl HttpCall {
    /// A request without headers and body that polls while it is accepted.
    pub fn new(method: impl Into<String>, uri: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            uri: uri.into(),
            headers: Vec::new(),
            body: None,
            timeout: None,
            poll_while_accepted: true,
        }
    }

    pub(super) fn to_wit(&self) -> host::HttpCall {
        host::HttpCall {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout: self.timeout.map(span_ms),
            poll_while_accepted: self.poll_while_accepted,
        }
    }
}

/// What came back of an [`HttpCall`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCallResponse {
    /// 200 to 599.
    pub status_code: u16,
    /// Pairs of name and value.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body as text.
    #[serde(default)]
    pub content: Option<String>,
}
