//! From a request to a function and back.

use everstate_engine::storage::CommitSeq;
use everstate_http::HttpConfig;

use crate::support::{TestServer, soon, table};

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn function_sees_the_whole_request() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection
        .send(
            "PUT /database/a%2Fb?x=1&y=%20z HTTP/1.1\r\nHost: localhost:7071\r\nX-A: 1\r\n\
             X-a: 2\r\nContent-Length: 8\r\n\r\nmy-value",
        )
        .await;
    let response = connection.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-function"), Some("Database_HttpStart"));
    assert_eq!(response.body, "PUT http://localhost:7071/database/a%2Fb?x=1&y=%20z");

    let request = server.functions.last_request();
    assert_eq!(request.base_url, "http://localhost:7071");
    assert_eq!(request.route_values, pairs(&[("key", "a/b")]));
    assert_eq!(request.query, pairs(&[("x", "1"), ("y", " z")]));
    assert_eq!(
        request.headers,
        pairs(&[("host", "localhost:7071"), ("x-a", "1"), ("x-a", "2"), ("content-length", "8")])
    );
    assert_eq!(request.body, "my-value");
}

#[tokio::test]
async fn framing_headers_of_the_guest_do_not_reach_the_connection() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    for _ in 0..2 {
        connection.send("GET /Database/1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let response = connection.response().await;
        assert_eq!(response.header("connection"), None);
        assert_eq!(response.body, "GET http://h/Database/1");
    }
}

#[tokio::test]
async fn request_without_host_gets_links_to_the_listening_address() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection.send("GET /Database/1 HTTP/1.0\r\n\r\n").await;
    let expected = format!("GET http://{}/Database/1", server.address);
    assert_eq!(connection.response().await.body, expected);
    connection.closed().await;
}

#[tokio::test]
async fn path_without_function_is_404_and_wrong_method_405() {
    let server = TestServer::start().await;
    for path in ["/", "/Database", "/Database/", "/Database/1/2", "/nothing", "/admin", "/runtime"]
    {
        let response = server.get(path).await;
        assert_eq!((response.status, path), (404, path));
        assert_eq!(response.body, r#"{"Message":"There is nothing at this path."}"#);
    }
    for method in ["POST", "DELETE", "HEAD", "OPTIONS", "get"] {
        let response = server.request(method, "/Database/1").await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, PUT")));
    }
    assert_eq!(server.get("/Database/%zz").await.status, 400);
}

#[tokio::test]
async fn replaced_routes_hold_for_the_next_request() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/new").await.status, 404);
    server.routes.replace(table(&[("New", &["GET"], "new")]));
    assert_eq!(server.get("/new").await.header("x-function"), Some("New"));
    assert_eq!(server.get("/Database/1").await.status, 404);
}

#[tokio::test]
async fn failure_of_a_function_is_a_500_without_its_reason() {
    let server = TestServer::start().await;
    let response = server.get("/fail").await;
    assert_eq!(response.status, 500);
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(
        response.body,
        r#"{"Message":"Something went wrong while processing your request."}"#
    );
    let response = server.get("/bad-header").await;
    assert_eq!((response.status, response.header("x-evil")), (500, None));
    assert_eq!(server.get("/missing").await.status, 404);
}

#[tokio::test]
async fn overload_is_a_503_that_says_when_to_try_again() {
    let server = TestServer::start().await;
    let response = server.get("/overloaded").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn answer_leaves_only_when_it_is_durable() {
    let server = TestServer::start().await;
    server.engine.durable.send_replace(CommitSeq(6));
    let mut connection = server.connect().await;
    connection.send("GET /Database/1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    soon(server.engine.waiting.subscribe().wait_for(|count| *count == 1)).await.expect("waits");
    let response = connection.response();
    tokio::pin!(response);
    assert!(is_pending(response.as_mut()).await);
    server.engine.durable.send_replace(CommitSeq(7));
    assert_eq!(response.await.status, 200);
}

/// Polls once; whether that was not enough.
async fn is_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn small_bodies() -> HttpConfig {
    HttpConfig { request_bytes_max: 1_000, ..HttpConfig::default() }
}

#[tokio::test]
async fn body_at_the_limit_is_taken_in_any_form() {
    let server = TestServer::start_with(small_bodies()).await;
    let mut connection = server.connect().await;
    let body = "x".repeat(1_000);
    connection
        .send(&format!("PUT /echo/a HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n{body}"))
        .await;
    assert_eq!(connection.response().await.status, 200);
    assert_eq!(server.functions.last_request().body, body);

    let half = format!("1f4\r\n{}\r\n", "x".repeat(500));
    connection
        .send(&format!(
            "PUT /echo/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{half}"
        ))
        .await;
    connection.send(&format!("{half}0\r\n\r\n")).await;
    assert_eq!(connection.response().await.status, 200);
    assert_eq!(server.functions.last_request().body, body);
}

#[tokio::test]
async fn body_above_the_limit_is_a_413_and_the_connection_stays_usable() {
    let server = TestServer::start_with(small_bodies()).await;
    let mut connection = server.connect().await;
    let body = "x".repeat(1_001);
    connection
        .send(&format!("PUT /echo/a HTTP/1.1\r\nhost: h\r\ncontent-length: 1001\r\n\r\n{body}"))
        .await;
    let response = connection.response().await;
    assert_eq!(response.status, 413);
    assert_eq!(response.body, r#"{"Message":"The body is larger than 1000 bytes."}"#);
    connection
        .send(&format!(
            "PUT /echo/a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(connection.response().await.status, 413);
    connection.send("GET /echo/a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
    assert_eq!(server.functions.requests.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn body_far_above_the_limit_is_a_413_and_the_end_of_the_connection() {
    let server = TestServer::start_with(small_bodies()).await;
    let mut connection = server.connect().await;
    let part = "x".repeat(2_500);
    connection
        .send(&format!(
            "PUT /echo/a HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000000\r\n\r\n{part}"
        ))
        .await;
    let response = connection.response().await;
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
}

/// The answer comes at once; what the client goes on sending breaks nothing.
#[tokio::test]
async fn request_that_is_refused_before_its_body_has_come_keeps_its_connection() {
    let server = TestServer::start_with(small_bodies()).await;
    let mut connection = server.connect().await;
    let part = "x".repeat(1_000_000);
    for (method, target, expected) in [
        ("POST", "/nothing/here", 404),
        ("POST", "/Database/1", 405),
        ("GET", "/clients", 401),
        ("PUT", "/echo/a", 413),
        ("POST", "/admin/nothing", 404),
        ("GET", "/health/live", 200),
    ] {
        connection
            .send(&format!(
                "{method} {target} HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n"
            ))
            .await;
        let response = connection.response().await;
        assert_eq!((response.status, response.header("connection")), (expected, None), "{target}");
        for _ in 0..9 {
            connection.send(&part).await;
        }
    }
    connection.send("GET /echo/a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
}

#[tokio::test]
async fn client_that_asks_before_a_large_body_is_refused_without_it() {
    let server = TestServer::start_with(small_bodies()).await;
    let mut connection = server.connect().await;
    connection
        .send(
            "PUT /echo/a HTTP/1.1\r\nhost: h\r\ncontent-length: 1001\r\n\
             expect: 100-continue\r\n\r\n",
        )
        .await;
    let response = connection.response().await;
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    connection.closed().await;
}

#[tokio::test]
async fn body_that_stops_coming_is_a_408() {
    let config = HttpConfig { body_idle_timeout_ms: 20, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let mut connection = server.connect().await;
    connection.send("PUT /echo/a HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc").await;
    let response = connection.response().await;
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    assert!(server.functions.requests.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn function_that_asks_for_a_key_is_not_called_without_one() {
    let server = TestServer::start().await;
    for target in ["/clients", "/clients?code=wrong", "/operators"] {
        let response = server.get(target).await;
        assert_eq!(response.status, 401, "{target}: {}", response.body);
        let challenge = response.header("www-authenticate").expect("what HTTP wants with a 401");
        assert!(challenge.starts_with("ApiKey realm="), "{challenge}");
    }
    assert!(server.functions.requests.lock().expect("no panic").is_empty());
}
