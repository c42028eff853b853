//! HTTP requests of guests: to whom, by whom, and when they leave.

use everstate_engine::client::{Client, SignalOptions};
use everstate_engine::guest::{GuestExecutor, HttpFunctions};
use everstate_engine::storage::CommitSeq;
use everstate_runtime::{OutgoingHttpConfig, Runtime, RuntimeConfig};
use everstate_types::EntityId;
use serde_json::{Value, json};

use crate::activities::{item, reaching_out, run, run_entity, text};
use crate::orchestration::{failure, first_turn};
use crate::server::Server;
use crate::{Fixture, engine, open, small};

async fn allowing(allow: &[&str]) -> Fixture {
    let allow = allow.iter().map(|&entry| entry.to_owned()).collect();
    let outgoing_http = OutgoingHttpConfig { allow, ..OutgoingHttpConfig::default() };
    let config = RuntimeConfig { outgoing_http, ..small() };
    Fixture::with_config(config).publish(&["outbound"]).await
}

/// The input of a durable HTTP request.
fn call(method: &str, url: &str) -> String {
    let call = json!({
        "method": method, "uri": url, "headers": [], "content": null, "timeoutMs": null,
    });
    call.to_string()
}

#[tokio::test]
async fn request_is_denied_by_default_and_says_what_to_configure() {
    let fixture = Fixture::with_guests(&["outbound"]).await;
    let server = Server::start().await;
    let url = server.url("localhost", "/");
    let failure = run(&fixture, "Outbound_Get", &format!("\"{url}\"")).await.expect_err("denied");
    assert!(failure.error_message.contains("`outgoing_http.allow`"), "{failure:?}");
    let failure = run(&fixture, "http", &call("GET", &url)).await.expect_err("denied");
    assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("HttpNotAllowed", true));
    assert!(failure.error_message.contains("`outgoing_http.allow`"), "{failure:?}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn request_goes_to_a_host_that_is_allowed_by_name_and_port() {
    let server = Server::start().await;
    let port = server.address.port();
    let fixture = allowing(&[&format!("localhost:{port}")]).await;
    let url = server.url("localhost", "/a?b=c");
    let got = text(run(&fixture, "Outbound_Get", &format!("\"{url}\"")).await);
    assert_eq!(got, "200 hello from /a");
    let received = server.received();
    assert_eq!(received[0].line, "GET /a");
    let host = ("host".to_owned(), format!("localhost:{port}"));
    assert_eq!(received[0].headers.iter().filter(|(name, _)| name == "host").count(), 1);
    assert!(received[0].headers.contains(&host), "{received:?}");
    let other_port = allowing(&[&format!("localhost:{}", port.wrapping_add(1))]).await;
    assert!(run(&other_port, "Outbound_Get", &format!("\"{url}\"")).await.is_err());
}

/// `127.1` is no address as the list has them, and a name that every resolver takes for 127.0.0.1.
#[tokio::test]
async fn name_that_resolves_to_the_loopback_is_refused_unless_the_address_is_allowed() {
    let server = Server::start().await;
    let url = server.url("127.1", "/a");
    let fixture = allowing(&["127.1"]).await;
    let failure = run(&fixture, "Outbound_Get", &format!("\"{url}\"")).await.expect_err("refused");
    assert!(failure.error_message.contains("127.0.0.1"), "{failure:?}");
    let failure = run(&fixture, "http", &call("GET", &url)).await.expect_err("refused");
    assert_eq!(failure.error_type, "HttpNotAllowed");
    assert_eq!(server.received(), []);
    let fixture = allowing(&["127.1", "127.0.0.1"]).await;
    let got = text(run(&fixture, "Outbound_Get", &format!("\"{url}\"")).await);
    assert_eq!(got, "200 hello from /a");
}

#[tokio::test]
async fn only_activities_send_and_others_are_told_what_to_use() {
    let server = Server::start().await;
    let fixture = Fixture::with_config(reaching_out()).publish(&["outbound"]).await;
    let url = server.url("localhost", "/");
    let turn = first_turn(&fixture, "Outbound_Orchestrator", &format!("\"{url}\""));
    let outcome = fixture.runtime.run_orchestration(turn).await;
    let message = &failure(&outcome).error_message;
    assert!(message.contains("use an activity or `call-http`"), "{message}");

    let refused = run_entity(&fixture.runtime, "get", &format!("\"{url}\"")).await;
    let message = refused.expect_err("refused").error_message;
    assert!(message.contains("use an activity or `call-http`"), "{message}");

    let mut request = crate::http::request(&[("what", "get")]);
    request.query = vec![("url".to_owned(), url)];
    let function = fixture.http("Outbound_HttpStart");
    let answer = fixture.runtime.handle(function, request).await.expect("it answers");
    let message = String::from_utf8(answer.response.body.to_vec()).expect("text");
    assert!(message.contains("use an activity"), "{message}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn response_above_the_limit_breaks_off() {
    let server = Server::start().await;
    let mut config = reaching_out();
    config.outgoing_http.response_bytes_max = 50_000;
    let fixture = Fixture::with_config(config).publish(&["outbound"]).await;
    let url = server.url("localhost", "/large");
    let failure = run(&fixture, "Outbound_Get", &format!("\"{url}\"")).await.expect_err("large");
    assert!(failure.error_message.contains("BodySize"), "{failure:?}");
    let failure = run(&fixture, "http", &call("GET", &url)).await.expect_err("large");
    assert!(failure.error_message.contains("response_bytes_max"), "{failure:?}");
}

#[tokio::test]
async fn durable_request_gives_every_response_as_a_result() {
    let server = Server::start().await;
    let fixture = Fixture::with_config(reaching_out()).publish(&["outbound"]).await;
    let input = json!({
        "method": "post",
        "uri": server.url("localhost", "/a"),
        "headers": [["X-B", "1"], ["X-B", "2"]],
        "content": "a text",
        "timeoutMs": 60_000,
    });
    let result = run(&fixture, "http", &input.to_string()).await.expect("a response");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(result["statusCode"], 200);
    assert_eq!(result["headers"]["x-a"], json!(["1", "2"]));
    assert_eq!(result["content"], "hello from /a");
    let received = &server.received()[0];
    assert_eq!((received.line.as_str(), received.body.as_str()), ("POST /a", "a text"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(received.headers.contains(&header("content-type", "text/plain")), "{received:?}");
    for value in ["1", "2"] {
        assert!(received.headers.contains(&header("x-b", value)), "{received:?}");
    }
    for (path, status) in [("/missing", 404), ("/moved", 302)] {
        let result = run(&fixture, "http", &call("GET", &server.url("localhost", path))).await;
        let result: Value = serde_json::from_str(&result.expect("a response")).expect("JSON");
        assert_eq!(result["statusCode"], status);
    }
    assert_eq!(server.received().len(), 3, "a redirect is not followed");
}

#[tokio::test]
async fn durable_request_without_a_response_is_a_failure_that_may_be_tried_again() {
    let fixture = Fixture::with_config(reaching_out()).publish(&["outbound"]).await;
    let held = Server::start_held().await;
    let url = held.url("localhost", "/");
    let mut input: Value = serde_json::from_str(&call("GET", &url)).expect("JSON");
    input["timeoutMs"] = json!(1);
    let failure = run(&fixture, "http", &input.to_string()).await.expect_err("no response");
    assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("HttpTimeout", false));
    drop(held);
    let gone = Server::start().await.url("localhost", "/");
    let failure = run(&fixture, "http", &call("GET", &gone)).await.expect_err("no response");
    let found = (failure.error_type.as_str(), failure.is_non_retriable);
    assert_eq!(found, ("HttpRequestFailed", false));
    let failure = run(&fixture, "http", "{}").await.expect_err("no request");
    assert_eq!((failure.error_type.as_str(), failure.is_non_retriable), ("InvalidInput", true));
}

/// A state change that is not durable.
async fn pending_change(client: &Client) -> CommitSeq {
    let entity = EntityId::new("Outbound_Entity", "a").expect("a valid id");
    let signaled =
        client.signal_entity(&entity, "signaled".to_owned(), None, SignalOptions::default()).await;
    signaled.expect("accepted").seq
}

#[tokio::test(flavor = "multi_thread")]
async fn request_leaves_when_what_scheduled_the_activity_is_durable() {
    let server = Server::start().await;
    let fixture = Fixture::with_config(reaching_out()).publish(&["outbound"]).await;
    let (hub, storage) = engine::start(&fixture.runtime);
    for name in ["Outbound_Get", "http"] {
        storage.hold();
        let before = server.received().len();
        let url = server.url("localhost", "/");
        let input = if name == "http" { call("GET", &url) } else { format!("\"{url}\"") };
        let syncs = storage.syncs();
        let mut item = item(name, &input);
        item.seq = pending_change(&hub.client()).await;
        let mut running = fixture.runtime.run_activity(item);
        tokio::select! {
            result = &mut running => panic!("it did not wait: {result:?}"),
            () = storage.sync_begun(syncs) => {}
        }
        assert_eq!(server.received().len(), before);
        storage.release();
        assert!(running.await.is_ok());
        assert_eq!(server.received().len(), before + 1);
    }
    stop(hub, &fixture.runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_leaves_when_what_the_activity_did_itself_is_durable() {
    let server = Server::start().await;
    let fixture = Fixture::with_config(reaching_out()).publish(&["outbound"]).await;
    let (hub, storage) = engine::start(&fixture.runtime);
    let input = format!("\"{}\"", server.url("localhost", "/"));
    let item = item("Outbound_Signal_Get", &input);
    let mut running = fixture.runtime.run_activity(item);
    tokio::select! {
        result = &mut running => panic!("it did not wait: {result:?}"),
        () = storage.sync_begun(0) => {}
    }
    assert_eq!(server.received(), []);
    storage.release();
    assert!(running.await.is_ok());
    assert_eq!(server.received().len(), 1);
    stop(hub, &fixture.runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_that_wants_a_response_for_a_request_is_told_that_there_is_none() {
    let fixture = Fixture::with_guests(&["outbound"]).await;
    let (hub, storage) = engine::start(&fixture.runtime);
    storage.release();
    let failure = run(&fixture, "Outbound_CheckStatus", "\"a\"").await.expect_err("refused");
    assert!(failure.error_message.contains("no HTTP request"), "{failure:?}");
    stop(hub, &fixture.runtime).await;
}

async fn stop(hub: everstate_engine::TaskHub, runtime: &Runtime) {
    let stopped = tokio::task::spawn_blocking(move || hub.stop()).await;
    stopped.expect("no panic");
    runtime.close();
}

#[test]
fn list_with_an_entry_that_is_no_host_ends_the_start() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut config = small();
    config.outgoing_http.allow = vec!["https://example.com".to_owned()];
    let responses = std::sync::Arc::new(crate::Responses);
    let error = Runtime::new(config, data.path(), responses).expect_err("no host");
    assert!(error.to_string().contains("`https://example.com`"), "{error}");
    drop(open(small(), data.path()));
}
