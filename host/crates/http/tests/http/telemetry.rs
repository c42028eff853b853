//! What observers are told of requests.

use everstate_http::HttpConfig;
use everstate_types::TraceContext;

use crate::support::{NOW, TestServer, soon};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The trace with which a function sees a request that has these headers.
async fn trace_of(headers: &[(&str, &str)]) -> Option<Box<TraceContext>> {
    let server = TestServer::start().await;
    assert_eq!(server.send("GET", "/Database/1", headers, "").await.status, 200);
    server.functions.last_request().trace
}

#[tokio::test]
async fn request_that_is_answered_is_counted_and_has_a_span() {
    let server = TestServer::start().await;
    for status in [200, 200] {
        let answer = server.send("GET", "/Database/1", &[("traceparent", TRACE)], "").await;
        assert_eq!(answer.status, status);
    }
    let span = server.spans.first().await;
    assert_eq!((span.name.as_str(), &span.error), ("GET /Database/{key}", &None));
    assert_eq!(span.started.timestamp(), NOW);
    assert!(span.attributes.contains(&("http.response.status_code", 200.into())));
    let metrics = server.spans.metrics();
    let count = r#"http_requests_total{function="Database_HttpStart",status="200"} 2"#;
    assert!(metrics.contains(count), "{metrics}");
    let durations = r#"http_request_duration_seconds_count{function="Database_HttpStart"} 2"#;
    assert!(metrics.contains(durations), "{metrics}");
}

#[tokio::test]
async fn request_whose_client_goes_away_is_counted_and_has_a_span() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection
        .send(&format!("GET /wait HTTP/1.1\r\nhost: h\r\ntraceparent: {TRACE}\r\n\r\n"))
        .await;
    soon(server.functions.waits.subscribe().wait_for(|waits| *waits == (1, 0)))
        .await
        .expect("waits");
    drop(connection);
    let span = server.spans.first().await;
    assert_eq!(span.name, "GET /wait");
    assert_eq!(span.error.as_deref(), Some("the client went away before the answer"));
    assert!(span.attributes.iter().all(|(name, _)| *name != "http.response.status_code"));
    let metrics = server.spans.metrics();
    for series in [
        r#"http_requests_total{function="Wait",status="499"} 1"#,
        r#"http_request_duration_seconds_count{function="Wait"} 1"#,
        "http_requests_under_way 0",
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
}

#[tokio::test]
async fn request_with_too_long_a_target_is_counted() {
    let config = HttpConfig { target_bytes_max: 100, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let response = server.get(&format!("/Database/{}", "x".repeat(100))).await;
    assert_eq!(response.status, 414);
    let metrics = server.spans.metrics();
    let series = r#"http_requests_total{function="(other)",status="414"} 1"#;
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn trace_of_a_request_reaches_its_function() {
    let trace = trace_of(&[("traceparent", TRACE), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    let trace = trace.await.expect("a trace");
    assert_eq!(trace.to_string()[..36], TRACE[..36]);
    assert_eq!(trace.state, "a=1,b=2");
}

#[tokio::test]
async fn request_that_says_two_traces_belongs_to_none() {
    assert_eq!(trace_of(&[("traceparent", TRACE), ("traceparent", TRACE)]).await, None);
}

#[tokio::test]
async fn state_of_a_trace_that_is_malformed_is_left_out_as_a_whole() {
    for malformed in ["b", "B=2", "\u{e4}=2"] {
        let headers = [("traceparent", TRACE), ("tracestate", "a=1"), ("tracestate", malformed)];
        let trace = trace_of(&headers).await.expect("a trace");
        assert_eq!(trace.state, "", "{malformed}");
    }
}
