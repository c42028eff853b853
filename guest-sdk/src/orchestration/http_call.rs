//! Durable HTTP requests: what goes out, what comes back, and the polling of what was accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::executor::{DurableFuture, decode_result};
use crate::orchestration::OrchestrationContext;
use crate::orchestration::retry::{RetryPolicy, retrying};
use crate::payload::from_json;

mod location;
#[cfg(test)]
mod tests;

const ACCEPTED: u16 = 202;

/// The wait before a poll if the response does not say how many seconds.
const POLL_INTERVAL_DEFAULT: Duration = Duration::from_secs(30);

/// A key for the function that was called first, not for its status.
const HEADER_NOT_FOR_POLLS: &str = "x-functions-key";

/// A durable HTTP request.
///
/// ```
/// use everstate_sdk::HttpCall;
///
/// let call = HttpCall::new("POST", "https://shop.example/orders")
///     .header("content-type", "application/json")
///     .body(r#"{"item":7}"#);
/// assert!(call.poll_while_accepted);
/// ```
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
    /// For each request by itself. `None`: the host's limit.
    pub timeout: Option<Duration>,
    /// Whether a 202 with `Location` is polled until something else comes. Default: yes.
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

    /// The same request with one header more.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same request with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The request that asks whether this one is done.
    fn poll(&self, uri: &str) -> Self {
        let is_for_polls =
            |(name, _): &&(String, String)| !name.eq_ignore_ascii_case(HEADER_NOT_FOR_POLLS);
        Self {
            method: "GET".to_owned(),
            uri: uri.to_owned(),
            headers: self.headers.iter().filter(is_for_polls).cloned().collect(),
            body: None,
            ..*self
        }
    }
}

/// What came back of an [`HttpCall`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCallResponse {
    /// 200 to 599.
    pub status_code: u16,
    /// All values of each name.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body as text.
    #[serde(default)]
    pub content: Option<String>,
}

impl HttpCallResponse {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status_code)
    }

    /// The first value of a header; the case of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, values) = headers.find(|(each, _)| each.eq_ignore_ascii_case(name))?;
        values.first().map(String::as_str)
    }

    /// The body as a JSON value.
    ///
    /// # Errors
    /// `InvalidInput` if the body is not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        from_json(self.content.as_deref().unwrap_or_default(), "the body of the HTTP response")
    }

    /// How long to wait before the next poll. A date is not understood: the default holds.
    fn retry_after(&self) -> Duration {
        let seconds = self.header("retry-after").and_then(|value| value.trim().parse().ok());
        seconds.map_or(POLL_INTERVAL_DEFAULT, Duration::from_secs)
    }
}

/// Durable HTTP.
impl OrchestrationContext {
    /// A durable HTTP request, made by the host at least once, and only to what its configuration
    /// allows. The future gives the response, whatever its status; it fails only if there was none.
    ///
    /// A 202 with a `Location` is not the end: after the seconds of `Retry-After`, or 30, the
    /// location is asked with the same headers but `x-functions-key`, until it answers something
    /// else. [`HttpCall::poll_while_accepted`] turns this off.
    ///
    /// ```no_run
    /// use everstate_sdk::{Failure, HttpCall, OrchestrationContext, orchestrator};
    ///
    /// #[orchestrator]
    /// async fn Quote(context: OrchestrationContext, item: u64) -> Result<u64, Failure> {
    ///     let uri = format!("https://shop.example/prices/{item}");
    ///     let response = context.call_http(&HttpCall::new("GET", uri)).await?;
    ///     if !response.is_success() {
    ///         return Err(Failure::new("NoPrice", format!("status {}", response.status_code)));
    ///     }
    ///     response.json()
    /// }
    /// # fn main() {}
    /// ```
    pub fn call_http(&self, request: &HttpCall) -> DurableFuture<HttpCallResponse> {
        self.call_and_poll(request, None)
    }

    /// The same, with further attempts as the policy says: after a request that got no response,
    /// and after a response with one of
    /// [`status_codes_to_retry`](RetryPolicy::status_codes_to_retry). The last response is the
    /// result, whatever its status. The policy holds for the request and for each poll by itself.
    pub fn call_http_with_retry(
        &self,
        request: &HttpCall,
        policy: &RetryPolicy,
    ) -> DurableFuture<HttpCallResponse> {
        self.call_and_poll(request, Some(policy.clone()))
    }

    fn call_and_poll(
        &self,
        request: &HttpCall,
        policy: Option<RetryPolicy>,
    ) -> DurableFuture<HttpCallResponse> {
        let answered = self.request(request.clone(), policy.as_ref());
        if !request.poll_while_accepted {
            return answered;
        }
        let (context, mut request) = (self.clone(), request.clone());
        DurableFuture::composed(async move {
            let mut response = answered.await?;
            let mut is_polling = false;
            while response.status_code == ACCEPTED {
                let uri = match response.header("location") {
                    Some(location) => location::resolve(&request.uri, location),
                    // Whoever said once where to ask need not say so again.
                    None if is_polling => request.uri.clone(),
                    None => break,
                };
                request = request.poll(&uri);
                is_polling = true;
                context.sleep(response.retry_after()).await?;
                response = context.request(request.clone(), policy.as_ref()).await?;
            }
            Ok(response)
        })
    }

    /// One request, with its retries.
    fn request(
        &self,
        request: HttpCall,
        policy: Option<&RetryPolicy>,
    ) -> DurableFuture<HttpCallResponse> {
        let context = self.clone();
        let attempt =
            move |_| context.executor.future(context.host.call_http(&request), decode_result);
        match policy {
            Some(policy) => retrying(self, policy, is_answer_to_retry, attempt),
            None => attempt(None),
        }
    }
}

fn is_answer_to_retry(policy: &RetryPolicy, outcome: &Result<HttpCallResponse, Failure>) -> bool {
    match outcome {
        Ok(response) => policy.wants_status(response.status_code),
        Err(failure) => policy.wants_failure(failure),
    }
}
