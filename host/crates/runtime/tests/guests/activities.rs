//! Activities: what they are given and give, how they end badly, how many run at a time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use everstate_engine::guest::{
    ActivityWorkItem, EntityOperation, EntityWorkItem, GuestExecutor, HttpFunctions,
};
use everstate_engine::storage::CommitSeq;
use everstate_runtime::{ActivitiesConfig, OutgoingHttpConfig, Runtime, RuntimeConfig};
use everstate_types::{
    ComponentHash, EntityId, EntityState, Failure, FunctionKind, FunctionName, InstanceId, Payload,
};
use futures_util::poll;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::Server;
use crate::{Fixture, Responses, load, small};

/// The first attempt at an activity.
pub(crate) fn item(name: &str, input: &str) -> ActivityWorkItem {
    let name = match name {
        "http" => FunctionName::http_activity(),
        _ => FunctionName::new(name).expect("a valid name"),
    };
    ActivityWorkItem {
        instance_id: InstanceId::orchestration("an-instance").expect("a valid id"),
        name,
        component: None,
        input: Payload::from(input),
        tags: Vec::new(),
        idempotency_key: Uuid::nil(),
        attempt: 1,
        trace: None,
        seq: CommitSeq::default(),
        is_abandoned: Arc::new(AtomicBool::new(false)),
    }
}

pub(crate) async fn run(fixture: &Fixture, name: &str, input: &str) -> Result<String, Failure> {
    let result = fixture.runtime.run_activity(item(name, input)).await;
    result.map(|output| output.as_str().to_owned())
}

/// The text of a result that is a JSON text.
pub(crate) fn text(result: Result<String, Failure>) -> String {
    serde_json::from_str(&result.expect("it went well")).expect("a JSON text")
}

/// Requests may go to the loopback.
pub(crate) fn reaching_out() -> RuntimeConfig {
    let allow = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    RuntimeConfig {
        outgoing_http: OutgoingHttpConfig { allow, ..OutgoingHttpConfig::default() },
        ..small()
    }
}

#[tokio::test]
async fn activity_is_given_its_key_attempt_and_tags_and_gives_its_result() {
    let fixture = Fixture::with_guests(&["outbound"]).await;
    let mut item = item("outbound_GIVEN", "\"an input\"");
    item.idempotency_key = Uuid::max();
    item.attempt = 3;
    item.tags = vec![("a".to_owned(), "b".to_owned())];
    let output = fixture.runtime.run_activity(item).await.expect("it went well");
    let given: Value = serde_json::from_str(output.as_str()).expect("JSON");
    assert_eq!(
        given,
        json!({
            "name": "Outbound_Given",
            "input": "an input",
            "instanceId": "an-instance",
            "idempotencyKey": "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "attempt": 3,
            "tags": [["a", "b"]],
        })
    );
}

#[tokio::test]
async fn activity_that_ends_badly_says_why_and_the_next_one_runs() {
    let config = RuntimeConfig { activity_wall_ms_max: 1_000, ..small() };
    let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
    for (how, error_type, message) in [
        ("trap", "GuestTrapped", "asked to trap"),
        ("loop", "CpuTimeExceeded", "CPU time"),
        ("sleep", "WallTimeExceeded", "1000 ms"),
        ("fail", "Asked", "asked to fail"),
    ] {
        let result = run(&fixture, "Outbound_Misbehave", &format!("\"{how}\"")).await;
        let failure = result.expect_err(how);
        assert_eq!(failure.error_type, error_type);
        assert!(failure.error_message.contains(message), "{failure:?}");
        assert_eq!(failure.is_non_retriable, how == "fail");
        assert_eq!(text(run(&fixture, "Outbound_Misbehave", "\"behave\"").await), "behave");
    }
}

#[tokio::test]
async fn result_above_the_limit_is_a_failure() {
    let config = RuntimeConfig { payload_bytes_max: 100, ..small() };
    let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
    let failure = run(&fixture, "Outbound_Given", "\"x\"").await.expect_err("too large");
    assert_eq!(failure.error_type, "PayloadTooLarge");
}

#[tokio::test]
async fn unknown_activity_fails_for_good() {
    let fixture = Fixture::with_guests(&["outbound"]).await;
    for name in ["Nobody", "Outbound_Orchestrator"] {
        let failure = run(&fixture, name, "null").await.expect_err("there is none");
        let message = format!(
            "The function '{name}' doesn't exist, is disabled, or is not an activity function."
        );
        assert_eq!(failure, Failure::new("FunctionNotFound", message).non_retriable());
    }
}

#[tokio::test]
async fn activity_of_code_that_is_not_deployed_any_more_runs_from_the_kept_copy() {
    let fixture = Fixture::with_guests(&["outbound"]).await;
    let found = fixture.runtime.find(FunctionKind::Activity, "Outbound_Given").expect("published");
    let mut old = item("Outbound_Given", "\"a\"");
    old.component = Some(found.component);
    let fixture = fixture.restart();
    assert!(fixture.runtime.run_activity(old.clone()).await.is_ok());
    let mut absent = item("Outbound_Nobody", "\"a\"");
    absent.component = Some(found.component);
    let mut without_code = old;
    without_code.component = Some(ComponentHash([7; 32]));
    for item in [absent, without_code] {
        let failure = fixture.runtime.run_activity(item).await.expect_err("there is none");
        assert_eq!(failure.error_type, "FunctionNotFound");
    }
}

#[tokio::test]
async fn newest_activity_runs_and_not_that_of_the_pinned_code() {
    let fixture = Fixture::new();
    let outbound = load(&fixture.runtime, "outbound").await;
    let database = load(&fixture.runtime, "database").await;
    fixture.runtime.publish(std::slice::from_ref(&outbound));
    let mut of_database = item("Outbound_Given", "\"a\"");
    of_database.component = Some(database.hash);
    assert!(fixture.runtime.run_activity(of_database.clone()).await.is_ok());
    fixture.runtime.publish(&[database]);
    let failure = fixture.runtime.run_activity(of_database).await.expect_err("there is none");
    assert_eq!(failure.error_type, "FunctionNotFound");
}

#[tokio::test]
async fn function_at_its_limit_keeps_only_itself_waiting() {
    let limits = BTreeMap::from([("OUTBOUND_get".to_owned(), 1)]);
    let config = RuntimeConfig { activity_limits: limits, ..reaching_out() };
    let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
    let server = Server::start_held().await;
    let start = |name: &str, path: &str| {
        let input = format!("\"{}\"", server.url("127.0.0.1", path));
        tokio::spawn(fixture.runtime.run_activity(item(name, &input)))
    };
    let first = start("Outbound_Get", "/first");
    server.wait_for(1).await;
    let second = start("Outbound_Get", "/second");
    let third = start("Outbound_Get", "/third");
    let other = start("Outbound_Get_Other", "/other");
    server.wait_for(2).await;
    assert_eq!(server.received()[1].line, "GET /other");
    // One of its own kind may go on when one has ended, and not before.
    server.release(2);
    assert!(first.await.expect("no panic").is_ok() && other.await.expect("no panic").is_ok());
    server.wait_for(3).await;
    assert_eq!(server.received().len(), 3);
    server.release(2);
    assert!(second.await.expect("no panic").is_ok() && third.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn activity_above_the_limit_of_the_host_waits_and_need_not_run_when_it_is_abandoned() {
    let config = RuntimeConfig { activities_concurrent_max: 1, ..reaching_out() };
    let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
    let server = Server::start_held().await;
    let of = |path: &str| item("Outbound_Get", &format!("\"{}\"", server.url("127.0.0.1", path)));
    let first = tokio::spawn(fixture.runtime.run_activity(of("/first")));
    server.wait_for(1).await;
    let abandoned = of("/abandoned");
    let is_abandoned = Arc::clone(&abandoned.is_abandoned);
    let mut abandoned = fixture.runtime.run_activity(abandoned);
    let mut last = fixture.runtime.run_activity(of("/last"));
    assert!(poll!(&mut abandoned).is_pending() && poll!(&mut last).is_pending());
    is_abandoned.store(true, Ordering::Release);
    server.release(2);
    assert!(first.await.expect("no panic").is_ok());
    let failure = abandoned.await.expect_err("nobody waits");
    assert_eq!(failure.error_type, "Abandoned");
    assert!(last.await.is_ok());
    let lines: Vec<_> = server.received().into_iter().map(|received| received.line).collect();
    assert_eq!(lines, ["GET /first", "GET /last"]);
}

#[tokio::test]
async fn environment_and_secrets_are_seen_by_activities_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "s3cret\n").expect("writable");
    for strict_isolation in [false, true] {
        let config = RuntimeConfig {
            strict_isolation,
            activities: ActivitiesConfig {
                environment: vec!["PATH".to_owned()],
                secrets: BTreeMap::from([("API_KEY".to_owned(), secret.clone())]),
            },
            ..small()
        };
        let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
        let path = std::env::var("PATH").expect("every process has it");
        // Twice: the second time on an instance that was used before.
        for _ in 0..2 {
            let seen = run(&fixture, "Outbound_Variables", "null").await.expect("it went well");
            let mut seen: Vec<(String, String)> = serde_json::from_str(&seen).expect("pairs");
            seen.sort();
            let expected = [("API_KEY", "s3cret"), ("PATH", path.as_str())];
            assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let request = crate::http::request(&[("what", "variables")]);
        let function = fixture.http("Outbound_HttpStart");
        let answer = fixture.runtime.handle(function, request).await.expect("it answers");
        assert_eq!(&answer.response.body[..], b"[]");
        assert_eq!(run_entity(&fixture.runtime, "variables", "null").await, Ok("\"\"".to_owned()));
    }
}

#[tokio::test]
async fn missing_secret_ends_the_start_with_a_line_that_names_it() {
    let config = RuntimeConfig {
        activities: ActivitiesConfig {
            environment: Vec::new(),
            secrets: BTreeMap::from([("API_KEY".to_owned(), "/no/such/file".into())]),
        },
        ..small()
    };
    let data = tempfile::tempdir().expect("a temporary folder");
    let error = Runtime::new(config, data.path(), Arc::new(Responses)).expect_err("missing");
    let text = error.to_string();
    assert!(text.contains("API_KEY") && text.contains("/no/such/file"), "{text}");
}

/// The result of one operation of the entity that reaches out.
pub(crate) async fn run_entity(
    runtime: &Runtime,
    operation: &str,
    input: &str,
) -> Result<String, Failure> {
    let outcome = runtime.run_entity(EntityWorkItem {
        entity: EntityId::new("Outbound_Entity", "a").expect("a valid id"),
        state: EntityState::default(),
        operations: vec![EntityOperation {
            request_id: Uuid::nil(),
            operation: operation.to_owned(),
            input: Some(Payload::from(input)),
            trace: None,
        }],
    });
    let mut results = outcome.await.results;
    let output = results.remove(0).result?;
    Ok(output.map_or_else(|| "null".to_owned(), |output| output.as_str().to_owned()))
}
