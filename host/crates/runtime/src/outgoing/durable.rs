//! Durable HTTP: the activity of the host that makes the requests of orchestrators.
//!
//! Every response is a result, whatever its status. Retries and the polling of accepted requests are
//! made by the SDKs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use everstate_engine::guest::ActivityWorkItem;
use everstate_types::{Failure, Payload};
use http_body_util::{BodyExt, Full};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName,
    InvalidHeaderValue,
};
use hyper::http::method::InvalidMethod;
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Uri};
use serde::{Deserialize, Serialize};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

use super::{SendError, Times, add_trace, send};
use crate::error::GuestError;
use crate::executor::Host;

/// The activity's input.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpCall {
    method: String,
    uri: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// The activity's result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpResult {
    status_code: u16,
    headers: BTreeMap<String, Vec<String>>,
    content: String,
}

/// Why the input makes no request.
#[derive(Debug, thiserror::Error)]
enum BadCall {
    #[error("no description of a request: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no method: {0}")]
    Method(#[from] InvalidMethod),
    #[error("no URI: {0}")]
    Uri(#[from] InvalidUri),
    #[error("no header: {0}")]
    HeaderName(#[from] InvalidHeaderName),
    #[error("no value of a header: {0}")]
    HeaderValue(#[from] InvalidHeaderValue),
}

/// Runs the activity.
pub(crate) async fn run(host: &Host, item: &ActivityWorkItem) -> Result<Payload, Failure> {
    let (mut request, total) = request(&item.input)
        .map_err(|error| Failure::new("InvalidInput", error.to_string()).non_retriable())?;
    add_trace(request.headers_mut(), item.trace.as_deref());
    let wall = Duration::from_millis(host.config.activity_wall_ms_max);
    let times = Times { total: Some(total.map_or(wall, |t| t.min(wall))), ..Times::default() };
    let result = exchange(host, item, request, times).await.map_err(|error| failure(&error))?;
    let text = serde_json::to_string(&result).expect("it has a JSON form");
    let (bytes, limit) = (text.len(), host.config.payload_bytes_max);
    if bytes > limit {
        let error = GuestError::PayloadTooLarge { what: "the response", bytes, limit };
        return Err(error.into_failure().non_retriable());
    }
    Ok(Payload::from(text))
}

fn request(input: &Payload) -> Result<(Request<Full<Bytes>>, Option<Duration>), BadCall> {
    let call: HttpCall = serde_json::from_str(input.as_str())?;
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let name = HeaderName::try_from(name)?;
        // How the request is framed is the business of the host.
        if name != CONTENT_LENGTH && !DEFAULT_FORBIDDEN_HEADERS.contains(&name) {
            headers.append(name, HeaderValue::try_from(value)?);
        }
    }
    if call.content.is_some() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    let mut request = Request::new(Full::from(call.content.unwrap_or_default()));
    *request.method_mut() = Method::from_bytes(call.method.to_ascii_uppercase().as_bytes())?;
    *request.uri_mut() = call.uri.parse::<Uri>()?;
    *request.headers_mut() = headers;
    Ok((request, call.timeout_ms.map(Duration::from_millis)))
}

async fn exchange(
    host: &Host,
    item: &ActivityWorkItem,
    request: Request<Full<Bytes>>,
    times: Times,
) -> Result<HttpResult, SendError> {
    let (head, body) = send(host, item.seq, request, times).await?.into_parts();
    let content = body.collect().await?.to_bytes();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    let content = String::from_utf8_lossy(&content).into_owned();
    Ok(HttpResult { status_code: head.status.as_u16(), headers, content })
}

fn failure(error: &SendError) -> Failure {
    let text = error.to_string();
    match error {
        SendError::HostRefused(..) | SendError::AddressRefused(..) => {
            Failure::new("HttpNotAllowed", text).non_retriable()
        }
        SendError::Uri(_) => Failure::new("InvalidInput", text).non_retriable(),
        SendError::TimedOut(_) => Failure::new("HttpTimeout", text),
        SendError::TooLarge(_) => Failure::new("HttpRequestFailed", text).non_retriable(),
        SendError::Unresolved(..)
        | SendError::Connect(..)
        | SendError::Tls(..)
        | SendError::Http(_)
        | SendError::NoEngine => Failure::new("HttpRequestFailed", text),
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::Payload;
    use hyper::header::{CONTENT_TYPE, HOST};

    use super::request;

    #[test]
    fn request_is_made_of_the_input() {
        let input = r#"{"method":"post","uri":"http://h/a?b","content":"c","timeoutMs":5,
                        "headers":[["X-A","1"],["x-a","2"],["Host","evil"],["Content-Length","9"]]}"#;
        let (request, timeout) = request(&Payload::from(input)).expect("a good input");
        assert_eq!(
            (request.method().as_str(), request.uri().to_string()),
            ("POST", "http://h/a?b".to_owned())
        );
        assert_eq!(timeout.map(|t| t.as_millis()), Some(5));
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(request.headers().get(HOST), None);
        assert_eq!(request.headers()[CONTENT_TYPE], "text/plain");
    }

    #[test]
    fn content_type_of_the_caller_stays_and_none_is_made_without_content() {
        let with = r#"{"method":"PUT","uri":"http://h/","content":"1","headers":[["content-type","application/json"]]}"#;
        let (with, _) = request(&Payload::from(with)).expect("a good input");
        assert_eq!(with.headers()[CONTENT_TYPE], "application/json");
        let without =
            r#"{"method":"GET","uri":"http://h/","headers":[],"content":null,"timeoutMs":null}"#;
        let (without, _) = request(&Payload::from(without)).expect("a good input");
        assert!(without.headers().is_empty());
    }

    #[test]
    fn input_that_makes_no_request_is_refused() {
        for bad in [
            "1",
            r#"{"method":"GET"}"#,
            r#"{"method":"G T","uri":"http://h/"}"#,
            r#"{"method":"GET","uri":"http://h o/"}"#,
            r#"{"method":"GET","uri":"http://h/","headers":[["a b","1"]]}"#,
            r#"{"method":"GET","uri":"http://h/","headers":[["a","1\n2"]]}"#,
        ] {
            assert!(request(&Payload::from(bad)).is_err(), "{bad}");
        }
    }
}
