//! Looking into what is under way, and health.

use std::sync::Arc;

use everstate_engine::ClientError;
use everstate_engine::client::InstanceStatus;
use everstate_engine::explain::{Explanation, Reason, ReasonKind};
use everstate_engine::storage::CommitSeq;
use everstate_http::{HttpConfig, Warning};
use everstate_types::{
    EntityId, EntityLock, EventKind, ExecutionId, HistoryEvent, InstanceId, Payload, RuntimeStatus,
    Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Connection, TestServer, entity, held, record, soon, status};

const BASE: &str = "/runtime/webhooks/durabletask";

fn body(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn event(kind: EventKind) -> HistoryEvent {
    HistoryEvent::new(Timestamp::from_millis(5_000), kind)
}

fn raised(name: &str) -> HistoryEvent {
    event(EventKind::EventRaised { name: name.to_owned(), input: Payload::from("{\n\"a\":1}") })
}

/// An orchestration in this status with these events of its history.
fn with_history(of: RuntimeStatus, history: &[HistoryEvent]) -> InstanceStatus {
    InstanceStatus { history: Arc::new(history.to_vec()), ..status("a", of) }
}

#[tokio::test]
async fn wait_answers_when_it_has_come_and_202_when_the_time_is_over() {
    let server = TestServer::start().await;
    server.engine.set(status("a", RuntimeStatus::Pending));
    let late = server.get(&format!("{BASE}/instances/a/wait?for=start&timeout=0")).await;
    assert_eq!(late.status, 202);
    let location = format!("http://test:80{BASE}/instances/a/wait?for=start&timeout=0");
    assert_eq!(late.header("location"), Some(location.as_str()));
    assert_eq!(body(&late.body)["runtimeStatus"], "Pending");
    let mut waiting = server.connect().await;
    let target = format!("{BASE}/instances/a/wait?for=start");
    waiting.send(&format!("GET {target} HTTP/1.1\r\nhost: test:80\r\n\r\n")).await;
    server.engine.set(status("a", RuntimeStatus::Running));
    let begun = waiting.response().await;
    assert_eq!((begun.status, &body(&begun.body)["runtimeStatus"]), (200, &json!("Running")));
    assert_eq!(server.get(&format!("{BASE}/instances/a/wait?timeout=0")).await.status, 202);
    server.engine.set(status("a", RuntimeStatus::Completed));
    assert_eq!(server.get(&format!("{BASE}/instances/a/wait")).await.status, 200);
}

#[tokio::test]
async fn wait_for_nothing_nameable_or_for_nobody_is_refused() {
    let server = TestServer::start().await;
    assert_eq!(server.get(&format!("{BASE}/instances/a/wait?for=luck")).await.status, 400);
    assert_eq!(server.get(&format!("{BASE}/instances/a/wait")).await.status, 404);
}

#[tokio::test]
async fn wait_is_no_longer_than_the_host_allows_and_ends_when_it_stops() {
    let config = HttpConfig { wait_max_ms: 1, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    server.engine.set(status("a", RuntimeStatus::Pending));
    let long = format!("{BASE}/instances/a/wait?for=start&timeout=1000");
    assert_eq!(server.get(&long).await.status, 202);
    let server = TestServer::start().await;
    server.engine.set(status("a", RuntimeStatus::Pending));
    let mut waiting = server.connect().await;
    let target = format!("{BASE}/instances/a/wait?for=start&timeout=200");
    waiting.send(&format!("GET {target} HTTP/1.1\r\nhost: test:80\r\n\r\n")).await;
    // A second request on the same connection would come behind; this one shows that the first runs.
    assert_eq!(server.get("/health/live").await.status, 200);
    let stopped = server.shut_down();
    assert_eq!(waiting.response().await.status, 202);
    assert_eq!(soon(stopped).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn explanation_has_the_fields_that_apply_and_no_others() {
    let server = TestServer::start().await;
    let since = Timestamp::from_millis(2_000);
    let lock = EntityLock {
        instance_id: InstanceId::orchestration("holder").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        request_id: Uuid::nil(),
        since: Timestamp::from_millis(1_000),
    };
    let account = EntityId::new("Account", "ann").expect("a valid id");
    let entity = Reason {
        name: Some("add".to_owned()),
        entity: Some(account.clone()),
        held_by: Some(lock),
        waiting_count: Some(3),
        ..Reason::new(ReasonKind::Entity, since)
    };
    let timer = Reason {
        due: Some(Timestamp::from_millis(9_000)),
        ..Reason::new(ReasonKind::Timer, since)
    };
    let explanation = Explanation {
        instance_id: InstanceId::orchestration("a").expect("a valid id"),
        status: RuntimeStatus::Running,
        since,
        reasons: vec![entity, timer],
        more_count: 4,
        locks_held: vec![(account, since)],
    };
    server.engine.explanations.lock().expect("no panic").insert("a".to_owned(), explanation);
    let found = server.get(&format!("{BASE}/instances/a/why")).await;
    assert_eq!(found.status, 200);
    let expected = json!({
        "instanceId": "a",
        "runtimeStatus": "Running",
        "since": "1970-01-01T00:00:02.000Z",
        "reasons": [
            {
                "kind": "entity",
                "name": "add",
                "since": "1970-01-01T00:00:02.000Z",
                "entityId": "@account@ann",
                "heldBy": { "instanceId": "holder", "since": "1970-01-01T00:00:01.000Z" },
                "waitingOperations": 3,
            },
            {
                "kind": "timer",
                "since": "1970-01-01T00:00:02.000Z",
                "dueTime": "1970-01-01T00:00:09.000Z",
            },
        ],
        "moreReasons": 4,
        "locksHeld": [{ "entityId": "@account@ann", "since": "1970-01-01T00:00:02.000Z" }],
    });
    assert_eq!(body(&found.body), expected);
    assert_eq!(server.get(&format!("{BASE}/instances/b/why")).await.status, 404);
}

async fn open_stream(server: &TestServer, headers: &str) -> Connection {
    let mut connection = server.connect().await;
    let target = format!("{BASE}/instances/a/history/stream");
    connection.send(&format!("GET {target} HTTP/1.1\r\nhost: test:80\r\n{headers}\r\n")).await;
    let response = connection.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    connection
}

#[tokio::test]
async fn stream_tells_what_happens_when_it_is_durable_and_ends_with_the_orchestration() {
    let server = TestServer::start().await;
    let first = [event(EventKind::OrchestratorStarted), raised("one")];
    server.engine.set(with_history(RuntimeStatus::Running, &first));
    let mut stream = open_stream(&server, "").await;
    let generation = format!("{}.0", ExecutionId::new(Uuid::nil()));
    let told = stream.read_up_to("\n\n").await;
    assert!(told.contains(&format!("event: history\nid: {generation}.1\n")), "{told}");
    assert!(told.contains(r#""Name":"one","Input":{ "a":1}"#), "line breaks are none: {told}");
    assert!(stream.read_up_to("\n\n").await.contains("event: status\ndata: {"));
    // What is not durable is not told.
    server.engine.durable.send_replace(CommitSeq(0));
    let mut waiting = server.engine.waiting.subscribe();
    let before = *waiting.borrow_and_update();
    let both = [&first[..], &[raised("two")]].concat();
    server.engine.set(with_history(RuntimeStatus::Completed, &both));
    soon(waiting.wait_for(|count| *count > before)).await.expect("it waits");
    server.engine.durable.send_replace(CommitSeq(7));
    let told = stream.read_up_to("\n\n").await;
    assert!(told.contains(&format!("id: {generation}.2\n")), "{told}");
    assert!(stream.read_up_to("\n\n").await.contains(r#""runtimeStatus":"Completed""#));
    let end = stream.read_up_to("\n\n").await;
    let expected =
        format!("event: end\nid: {generation}.end\ndata: {{\"runtimeStatus\":\"Completed\"}}");
    assert!(end.contains(&expected), "{end}");
    // The end of a chunked body.
    stream.read_up_to("0\r\n\r\n").await;
}

#[tokio::test]
async fn stream_goes_on_behind_the_last_event_that_was_seen() {
    let server = TestServer::start().await;
    let history = [raised("one"), raised("two")];
    server.engine.set(with_history(RuntimeStatus::Completed, &history));
    let last = format!("last-event-id: {}.0.0\r\n", ExecutionId::new(Uuid::nil()));
    let mut stream = open_stream(&server, &last).await;
    let told = stream.read_up_to("0\r\n\r\n").await;
    assert!(!told.contains("\"one\"") && told.contains("\"two\""), "{told}");
    for strange in ["last-event-id: 1\r\n", "last-event-id: x.9\r\n"] {
        let mut stream = open_stream(&server, strange).await;
        assert!(stream.read_up_to("0\r\n\r\n").await.contains("\"one\""), "{strange}");
    }
}

/// A browser comes back when a stream ends, until it gets a 204.
#[tokio::test]
async fn stream_has_nothing_more_for_who_has_seen_the_end() {
    let server = TestServer::start().await;
    server.engine.set(with_history(RuntimeStatus::Completed, &[raised("one")]));
    let target = format!("{BASE}/instances/a/history/stream");
    let last = format!("{}.0.end", ExecutionId::new(Uuid::nil()));
    let headers = [("last-event-id", last.as_str())];
    let response = server.send("GET", &target, &headers, "").await;
    assert_eq!((response.status, response.body.as_str()), (204, ""));
    // It was rewound since: there is more.
    let mut rewound = with_history(RuntimeStatus::Completed, &[raised("two")]);
    rewound.record.rewinds = 1;
    server.engine.set(rewound);
    let mut stream = open_stream(&server, &format!("last-event-id: {last}\r\n")).await;
    assert!(stream.read_up_to("0\r\n\r\n").await.contains("\"two\""));
}

#[tokio::test]
async fn stream_merges_what_was_asked_for_before_into_what_comes_of_it() {
    let server = TestServer::start().await;
    let fire_at = Timestamp::from_millis(9_000);
    let name = everstate_types::FunctionName::new("Hello").expect("a valid name");
    let asked = HistoryEvent::of_action(
        0,
        Timestamp::from_millis(4_321),
        EventKind::ActivityScheduled {
            name,
            version: None,
            input: Payload::null(),
            tags: Vec::new(),
            first_attempt: None,
            attempt: 1,
        },
    );
    let first = [asked, event(EventKind::TimerCreated { fire_at })];
    server.engine.set(with_history(RuntimeStatus::Running, &first));
    let mut stream = open_stream(&server, "").await;
    let told = stream.read_up_to("event: status").await;
    assert!(told.contains(r#""FireAt":"1970-01-01T00:00:09.000Z""#), "{told}");
    let result = Payload::from("1");
    let ended = event(EventKind::ActivityCompleted { scheduled_id: 0, result });
    let both = [&first[..], &[ended]].concat();
    server.engine.set(with_history(RuntimeStatus::Completed, &both));
    let told = stream.read_up_to("\"FunctionName\":\"Hello\"").await;
    let times =
        r#""Timestamp":"1970-01-01T00:00:05.000Z","ScheduledTime":"1970-01-01T00:00:04.321Z""#;
    assert!(told.contains(times), "{told}");
}

#[tokio::test]
async fn stream_begins_anew_with_the_next_generation() {
    let server = TestServer::start().await;
    server.engine.set(with_history(RuntimeStatus::Running, &[raised("one")]));
    let mut stream = open_stream(&server, "").await;
    stream.read_up_to("event: status").await;
    let mut next = with_history(RuntimeStatus::Running, &[raised("two")]);
    next.record.execution_id = ExecutionId::new(Uuid::from_u128(2));
    server.engine.set(next);
    let told = stream.read_up_to("\"two\"").await;
    assert!(
        told.contains(&format!("id: {}.0.0\n", ExecutionId::new(Uuid::from_u128(2)))),
        "{told}"
    );
}

#[tokio::test]
async fn stream_ends_when_the_host_stops() {
    let server = TestServer::start().await;
    server.engine.set(with_history(RuntimeStatus::Running, &[raised("one")]));
    let mut stream = open_stream(&server, "").await;
    stream.read_up_to("event: status").await;
    let stopped = server.shut_down();
    stream.read_up_to("0\r\n\r\n").await;
    assert_eq!(soon(stopped).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn locks_are_listed_by_entity_with_their_holders() {
    let server = TestServer::start().await;
    {
        let mut entities = server.engine.entities.lock().expect("no panic");
        let status =
            everstate_engine::client::EntityStatus { record: held(record(None)), waiting: 0 };
        entities.known.insert(entity("1"), status);
        entities.continuation = Some("next".to_owned());
    }
    let found = server.get(&format!("{BASE}/locks?top=7")).await;
    assert_eq!((found.status, found.header("x-ms-continuation-token")), (200, Some("next")));
    let expected = json!([{
        "entityId": "@counter@1",
        "heldBy": { "instanceId": "holder" },
        "since": "1970-01-01T00:00:01.000Z",
    }]);
    assert_eq!(body(&found.body), expected);
    let entities = server.engine.entities.lock().expect("no panic");
    let query = entities.queries.last().expect("a query");
    assert!(query.filter.only_locked && query.filter.includes_stateless && query.page_size == 7);
}

#[tokio::test]
async fn purge_of_an_entity_says_what_it_did_or_why_not() {
    let server = TestServer::start().await;
    {
        let mut entities = server.engine.entities.lock().expect("no panic");
        let free = everstate_engine::client::EntityStatus { record: record(Some("7")), waiting: 0 };
        entities.known.insert(entity("1"), free.clone());
        let record = held(free.record);
        let locked = everstate_engine::client::EntityStatus { record, waiting: 0 };
        entities.known.insert(entity("2"), locked);
    }
    let purge = |key: &str| format!("{BASE}/entities/counter/{key}?purge");
    let purged = server.request("DELETE", &purge("1")).await;
    assert_eq!((purged.status, purged.body.as_str()), (200, r#"{"entitiesDeleted":1}"#));
    assert_eq!(server.request("DELETE", &purge("1")).await.status, 404);
    let refused = server.request("DELETE", &purge("2")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("holder"), "{}", refused.body);
}

#[tokio::test]
async fn readiness_has_its_reasons() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/health/live").await.body, r#"{"status":"alive"}"#);
    let ready = server.get("/health/ready").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, r#"{"status":"ready","reasons":[]}"#));
    let (kind, message) = ("brokenComponent", "it has no code".to_owned());
    server.warnings.set(vec![Warning { kind, file: Some("a.wasm".to_owned()), message }]);
    let warned = server.get("/health/ready").await;
    let broken =
        json!({ "kind": "brokenComponent", "file": "a.wasm", "message": "it has no code" });
    assert_eq!(
        (warned.status, body(&warned.body)),
        (200, json!({"status":"ready","reasons":[broken]}))
    );
    for (error, kind) in
        [(ClientError::Overloaded, "overloaded"), (ClientError::Stopping, "stopping")]
    {
        *server.engine.refusal.lock().expect("no panic") = Some(error);
        let refused = server.get("/health/ready").await;
        let refused_body = body(&refused.body);
        assert_eq!((refused.status, &refused_body["status"]), (503, &json!("notReady")));
        assert_eq!(refused_body["reasons"][0]["kind"], kind);
    }
}
