//! The management API of entities from outside.

use std::time::Duration;

use everstate_engine::client::{EntityStatus, SignalOptions};
use everstate_engine::storage::CommitSeq;
use everstate_http::HttpConfig;
use everstate_types::{EntityRecord, Payload};

use crate::support::{FakeEntities, TestServer, entity, held, record, soon};

const BASE: &str = "/runtime/webhooks/durabletask/entities";
const JSON: (&str, &str) = ("Content-Type", "Application/JSON; charset=utf-8");

impl TestServer {
    /// Knows an entity that nothing waits for but one request.
    fn with_entity(&self, key: &str, record: EntityRecord) {
        self.of_entities(|e| e.known.insert(entity(key), EntityStatus { record, waiting: 1 }));
    }

    fn of_entities<T>(&self, look: impl FnOnce(&mut FakeEntities) -> T) -> T {
        look(&mut self.engine.entities.lock().expect("no panic"))
    }
}

#[tokio::test]
async fn state_of_an_entity_is_the_body_and_dollar_is_the_empty_key() {
    let server = TestServer::start().await;
    for (key, path) in [("a/ü", "counter/a%2F%C3%BC"), ("", "Counter/$"), ("k", "COUNTER/k/")] {
        server.with_entity(key, held(record(Some(r#"{"n": 1}"#))));
        let response = server.get(&format!("{BASE}/{path}")).await;
        assert_eq!((response.status, response.body.as_str()), (200, r#"{"n": 1}"#));
        assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    }
}

#[tokio::test]
async fn entity_without_state_is_a_404_and_its_details_are_there() {
    let server = TestServer::start().await;
    server.with_entity("k", held(record(None)));
    for path in ["counter/k", "counter/other", "counter/other?details=true", "not%20a%20name/k"] {
        assert_eq!(server.get(&format!("{BASE}/{path}")).await.status, 404, "{path}");
    }
    let response = server.get(&format!("{BASE}/counter/k?details")).await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.body,
        r#"{"entityId":{"name":"counter","key":"k"},"lastOperationTime":"1970-01-01T00:00:01.500Z","state":null,"exists":false,"stateVersion":2,"lock":{"instanceId":"holder","since":"1970-01-01T00:00:01.000Z"},"waitingOperations":1}"#
    );
    server.with_entity("k", record(Some("7")));
    let response = server.get(&format!("{BASE}/counter/k?details=true&fetchState=true")).await;
    assert!(response.body.contains(r#""state":7,"exists":true"#), "{}", response.body);
}

#[tokio::test]
async fn signal_takes_json_as_it_is_other_text_as_a_string_and_nothing_as_no_input() {
    let server = TestServer::start().await;
    for (method, path, headers, body, expected) in [
        ("POST", "counter/k?op=add", &[JSON][..], " [1, 2]\n", ("k", "add", Some("[1, 2]"))),
        ("POST", "counter/k?OP=add", &[], "[1]", ("k", "add", Some("\"[1]\""))),
        ("POST", "counter/$?op=a+b", &[], "", ("", "a b", None)),
        ("POST", "Counter?op=add", &[JSON], "", ("", "add", None)),
        ("POST", "counter/k", &[("content-type", "text/plain")], "ü", ("k", "", Some("\"ü\""))),
        ("DELETE", "counter/k?op=add", &[], "", ("k", "delete", None)),
        ("DELETE", "counter", &[], "", ("", "delete", None)),
    ] {
        let response = server.send(method, &format!("{BASE}/{path}"), headers, body).await;
        assert_eq!((response.status, response.body.as_str()), (202, ""), "{path}");
        let signal = server.of_entities(|entities| entities.signals.pop()).expect("a signal");
        let (key, operation, input) = expected;
        let input = input.map(Payload::from);
        assert_eq!(signal, (entity(key), operation.to_owned(), input, SignalOptions::default()));
    }
}

#[tokio::test]
async fn signal_with_an_idempotency_key_passes_it_on() {
    let server = TestServer::start().await;
    for method in ["POST", "DELETE"] {
        let headers = [("Idempotency-Key", "ü 1")];
        let response = server.send(method, &format!("{BASE}/counter/k?op=o"), &headers, "").await;
        assert_eq!(response.status, 202);
        let signal = server.of_entities(|entities| entities.signals.pop()).expect("a signal");
        assert_eq!(signal.3.idempotency_key.as_deref(), Some("ü 1"));
    }
    let target = format!("{BASE}/counter/k/call?op=echo");
    let response = server.send("POST", &target, &[("idempotency-key", "1")], "").await;
    assert_eq!(response.status, 400, "nobody remembers the results of calls");
}

#[tokio::test]
async fn input_that_is_not_what_it_says_is_a_400() {
    let server = TestServer::start().await;
    for path in ["counter/k?op=add", "counter/k/call?op=echo"] {
        let response = server.send("POST", &format!("{BASE}/{path}"), &[JSON], "{\"a\":}").await;
        assert_eq!(response.status, 400);
        let begin = r#"{"Message":"Could not parse JSON content: "#;
        assert!(response.body.starts_with(begin), "{}", response.body);
        for wrong in ["a%20name/k", "counter/a%00b"] {
            let path = path.replace("counter/k", wrong);
            let response = server.send("POST", &format!("{BASE}/{path}"), &[], "").await;
            assert_eq!(response.status, 400, "{path}");
        }
    }
    assert!(server.of_entities(|entities| entities.signals.is_empty()));
}

#[tokio::test]
async fn input_larger_than_the_limit_is_a_413() {
    let config = HttpConfig { request_bytes_max: 4, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    for path in ["counter/k", "counter/k/call?op=echo"] {
        let response = server.send("POST", &format!("{BASE}/{path}"), &[], "12345").await;
        assert_eq!(response.status, 413);
    }
}

#[tokio::test]
async fn call_answers_with_the_result_or_the_failure() {
    let server = TestServer::start().await;
    for (operation, body, expected) in
        [("echo", "[ 1 ]", "[ 1 ]"), ("echo", "", "null"), ("nothing", "1", "null")]
    {
        let target = format!("{BASE}/counter/k/call?op={operation}");
        let response = server.send("POST", &target, &[JSON], body).await;
        assert_eq!((response.status, response.body.as_str()), (200, expected));
        assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    }
    let response = server.send("POST", &format!("{BASE}/counter/k/call?op=x"), &[], "").await;
    assert_eq!(response.status, 500);
    assert_eq!(
        response.body,
        r#"{"Message":"The operation 'x' of the entity '@counter@k' failed: No operation named 'x' was found.","failure":{"errorType":"UnknownOperation","errorMessage":"No operation named 'x' was found.","stackTrace":null,"innerFailure":null,"isNonRetriable":false,"properties":{}}}"#
    );
}

#[tokio::test]
async fn call_waits_as_long_as_it_is_told_within_the_limit() {
    let server = TestServer::start().await;
    for (timeout, seconds) in
        [("", 230.0), ("timeout=0.5", 0.5), ("timeout=1e9", 230.0), ("timeout=-1", 230.0)]
    {
        let target = format!("{BASE}/counter/k/call?op=echo&{timeout}");
        assert_eq!(server.send("POST", &target, &[], "").await.status, 200);
        let limit = server.of_entities(|entities| entities.limits.pop());
        assert_eq!(limit, Some(Duration::from_secs_f64(seconds)), "{timeout}");
    }
}

#[tokio::test]
async fn refusal_of_the_engine_says_whether_another_try_helps() {
    let server = TestServer::start().await;
    for (name, status, retry_after, message) in [
        ("missing", 404, None, "The function 'missing' doesn't exist, is disabled,"),
        ("busy", 429, Some("1"), "The instance '@busy@k' has too many operations waiting."),
        ("overloaded", 503, Some("1"), "The host is overloaded; try again later."),
        ("late", 504, None, "No result within 250 ms. What was asked for may still happen."),
    ] {
        for path in ["k?op=add", "k/call?op=add"] {
            let response = server.send("POST", &format!("{BASE}/{name}/{path}"), &[], "").await;
            assert_eq!((response.status, response.header("retry-after")), (status, retry_after));
            assert!(response.body.contains(message), "{}", response.body);
        }
    }
}

#[tokio::test]
async fn list_is_a_page_and_says_where_the_next_one_begins() {
    let server = TestServer::start().await;
    server.with_entity("a", record(Some("1")));
    server.with_entity("b", held(record(Some("2"))));
    server.of_entities(|entities| entities.continuation = Some("place".to_owned()));
    let target = format!("{BASE}/Counter?fetchState=true&top=2&field.owner=%22ann%22");
    let response = server.send("GET", &target, &[("x-ms-continuation-token", "here")], "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-ms-continuation-token"), Some("place"));
    assert_eq!(
        response.body,
        r#"[{"entityId":{"name":"counter","key":"a"},"lastOperationTime":"1970-01-01T00:00:01.500Z","state":1},{"entityId":{"name":"counter","key":"b"},"lastOperationTime":"1970-01-01T00:00:01.500Z","state":2}]"#
    );
    let query = server.of_entities(|entities| entities.queries.pop()).expect("a query");
    assert_eq!(query.filter.name.as_ref().map(|name| name.as_str()), Some("Counter"));
    assert_eq!(query.filter.fields, [("owner".to_owned(), Payload::from("\"ann\""))]);
    assert_eq!((query.page_size, query.fetches_state), (2, true));
    assert_eq!(query.continuation.as_deref(), Some("here"));

    server.of_entities(|entities| entities.continuation = None);
    let response = server.get(BASE).await;
    assert_eq!((response.status, response.header("x-ms-continuation-token")), (200, None));
    let query = server.of_entities(|entities| entities.queries.pop()).expect("a query");
    assert_eq!((query.filter.name, query.page_size), (None, 100));
}

#[tokio::test]
async fn count_is_of_the_same_entities_as_the_list() {
    let server = TestServer::start().await;
    server.with_entity("a", record(Some("1")));
    for path in ["?count", "/counter?count=true", "/counter?keyPrefix=a&count"] {
        let response = server.get(&format!("{BASE}{path}")).await;
        assert_eq!((response.status, response.body.as_str()), (200, r#"{"count":1}"#), "{path}");
    }
    let filter = server.of_entities(|entities| entities.counts.pop()).expect("a count");
    assert_eq!(filter.key_prefix.as_deref(), Some("a"));
    assert!(server.of_entities(|entities| entities.queries.is_empty()));
}

#[tokio::test]
async fn list_by_a_field_that_cannot_be_asked_for_is_a_400() {
    let server = TestServer::start().await;
    for path in ["/counter?field.unknown=1", "/counter?field.unknown=1&count", "/a%20b?top=1"] {
        assert_eq!(server.get(&format!("{BASE}{path}")).await.status, 400, "{path}");
    }
    let response = server.get(&format!("{BASE}/counter?field.owner=ann")).await;
    assert_eq!(response.status, 400);
    assert!(response.body.contains("a text stands in quotes"), "{}", response.body);
}

#[tokio::test]
async fn lock_is_broken_once() {
    let server = TestServer::start().await;
    server.with_entity("", held(record(Some("1"))));
    for (path, released) in [("$", true), ("$", false), ("other", false)] {
        let target = format!("{BASE}/counter/{path}/lock");
        let response = server.request("DELETE", &target).await;
        let body = format!(r#"{{"released":{released}}}"#);
        assert_eq!((response.status, response.body), (200, body), "{path}");
    }
    let response = server.get(&format!("{BASE}/counter/$?details")).await;
    assert!(response.body.contains(r#""lock":null"#), "{}", response.body);
}

#[tokio::test]
async fn answer_about_an_entity_leaves_only_when_it_is_durable() {
    let server = TestServer::start().await;
    for (method, path, status) in [
        ("GET", "/counter/k", 404),
        ("GET", "", 200),
        ("GET", "?count", 200),
        ("POST", "/counter/k?op=add", 202),
        ("POST", "/counter/k/call?op=echo", 200),
        ("POST", "/counter/k/call?op=fail", 500),
        ("DELETE", "/counter/k/lock", 200),
    ] {
        server.engine.durable.send_replace(CommitSeq(6));
        server.engine.waiting.send_replace(0);
        let mut connection = server.connect().await;
        let head = format!("{method} {BASE}{path} HTTP/1.1\r\nhost: h\r\n");
        connection.send(&format!("{head}content-length: 0\r\n\r\n")).await;
        let mut waiting = server.engine.waiting.subscribe();
        soon(waiting.wait_for(|count| *count == 1)).await.expect("waits");
        // What comes after the answer was given is not in it.
        server.with_entity("k", record(Some("1")));
        server.engine.durable.send_replace(CommitSeq(7));
        assert_eq!(connection.response().await.status, status, "{method} {path}");
        server.of_entities(|entities| entities.known.clear());
    }
}
