//! Durable HTTP on a test's host: the polling of what was accepted, and retries.

use std::time::Duration;

use crate::error::Failure;
use crate::orchestration::{HttpCall, HttpCallResponse, RetryPolicy};
use crate::testing::{TestAction, TestHost};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn response(status_code: u16, headers: &[(&str, &str)]) -> HttpCallResponse {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
    HttpCallResponse { status_code, headers: headers.collect(), content: None }
}

/// A host that gives these responses one after the other.
fn answering(responses: Vec<Result<HttpCallResponse, Failure>>) -> TestHost {
    let host = TestHost::new();
    let mut responses = responses.into_iter();
    host.on_http(move |_| responses.next().expect("the test has an answer for each request"));
    host
}

fn requests(host: &TestHost) -> Vec<HttpCall> {
    let request = |action| match action {
        TestAction::CallHttp(request) => Some(request),
        _ => None,
    };
    host.actions().into_iter().filter_map(request).collect()
}

fn call(host: &TestHost, request: &HttpCall) -> Result<HttpCallResponse, Failure> {
    host.run(|context| context.call_http(request))
}

#[test]
fn accepted_request_is_polled_at_its_location_until_it_is_done() {
    let host = answering(vec![
        Ok(response(202, &[("Location", "/status/7?a=b"), ("Retry-After", "5")])),
        Ok(response(202, &[("location", "https://other.example/status")])),
        Ok(response(202, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")])),
        Ok(response(200, &[])),
    ]);
    let request = HttpCall {
        timeout: Some(s(9)),
        ..HttpCall::new("POST", "https://shop.example/orders")
            .header("X-Functions-Key", "secret")
            .header("accept", "text/plain")
            .body("an order")
    };
    assert_eq!(call(&host, &request).unwrap().status_code, 200);
    assert_eq!(host.timers(), [s(5), s(30), s(30)]);
    let polls = ["https://shop.example/status/7?a=b", "https://other.example/status"];
    let poll = |uri: &str| HttpCall {
        timeout: Some(s(9)),
        ..HttpCall::new("GET", uri).header("accept", "text/plain")
    };
    assert_eq!(requests(&host), [request, poll(polls[0]), poll(polls[1]), poll(polls[1])]);
}

#[test]
fn accepted_request_without_location_or_without_polling_is_a_response() {
    let host = answering(vec![Ok(response(202, &[]))]);
    let request = HttpCall::new("GET", "https://shop.example/");
    assert_eq!(call(&host, &request).unwrap().status_code, 202);

    let host = answering(vec![Ok(response(202, &[("location", "/status")]))]);
    let request = HttpCall { poll_while_accepted: false, ..request };
    assert_eq!(call(&host, &request).unwrap().status_code, 202);
    assert_eq!(host.timers(), []);
}

#[test]
fn every_status_is_a_response_and_no_response_a_failure() {
    let host = answering(vec![Ok(response(404, &[])), Err(Failure::new("HttpFailed", "refused"))]);
    let request = HttpCall::new("GET", "https://shop.example/");
    assert_eq!(call(&host, &request).unwrap().status_code, 404);
    assert_eq!(call(&host, &request).unwrap_err().error_type, "HttpFailed");
}

fn call_with_retry(
    host: &TestHost,
    request: &HttpCall,
    policy: &RetryPolicy,
) -> Result<HttpCallResponse, Failure> {
    host.run(|context| context.call_http_with_retry(request, policy))
}

#[test]
fn retry_repeats_what_is_not_2xx_and_gives_the_last_response() {
    let policy = RetryPolicy::new(s(1), 3).backoff_coefficient(3.0);
    let request = HttpCall::new("GET", "https://shop.example/");
    let host = answering(vec![
        Ok(response(404, &[])),
        Err(Failure::new("HttpFailed", "refused")),
        Ok(response(503, &[])),
    ]);
    assert_eq!(call_with_retry(&host, &request, &policy).unwrap().status_code, 503);
    assert_eq!(host.timers(), [s(1), s(3)]);

    let host = answering(vec![Ok(response(500, &[])), Ok(response(204, &[]))]);
    assert_eq!(call_with_retry(&host, &request, &policy).unwrap().status_code, 204);
}

#[test]
fn retry_with_status_codes_repeats_only_those() {
    let policy = RetryPolicy::new(s(1), 5).status_codes_to_retry([503]);
    let host = answering(vec![Ok(response(503, &[])), Ok(response(404, &[]))]);
    let answered = call_with_retry(&host, &HttpCall::new("GET", "https://shop.example/"), &policy);
    assert_eq!((answered.unwrap().status_code, host.timers()), (404, vec![s(1)]));
}

#[test]
fn failed_poll_is_retried_without_repeating_the_request() {
    let policy = RetryPolicy::new(s(1), 2);
    let host = answering(vec![
        Ok(response(202, &[("location", "/status"), ("retry-after", "2")])),
        Ok(response(502, &[])),
        Ok(response(200, &[])),
    ]);
    let request = HttpCall::new("POST", "https://shop.example/orders").body("an order");
    assert_eq!(call_with_retry(&host, &request, &policy).unwrap().status_code, 200);
    let methods: Vec<_> = requests(&host).into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["POST", "GET", "GET"]);
    assert_eq!(host.timers(), [s(2), s(1)]);
}

#[test]
fn body_and_headers_are_read() {
    let json = r#"{"statusCode":200,"headers":{"Set-Cookie":["a","b"]},"content":"{\"n\":1}"}"#;
    let response: HttpCallResponse = serde_json::from_str(json).unwrap();
    assert!(response.is_success());
    assert_eq!(response.header("set-cookie"), Some("a"));
    assert_eq!(response.headers["Set-Cookie"], ["a", "b"]);
    assert_eq!(response.json::<serde_json::Value>().unwrap()["n"], 1);
    assert_eq!(response.json::<Vec<u8>>().unwrap_err().error_type, "InvalidInput");
}
