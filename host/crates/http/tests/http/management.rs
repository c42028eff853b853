//! The management API from outside.

use std::sync::MutexGuard;

use everstate_engine::storage::CommitSeq;
use everstate_types::{Failure, Payload, RuntimeStatus};

use crate::support::{FakeInstances, TestServer, soon, status};

pub(crate) const BASE: &str = "/runtime/webhooks/durabletask";

impl TestServer {
    /// What stands behind the server.
    pub(crate) fn instances(&self) -> MutexGuard<'_, FakeInstances> {
        self.engine.instances.lock().expect("no panic")
    }

    /// Knows an orchestration.
    pub(crate) fn with(&self, id: &str, runtime_status: RuntimeStatus) {
        let mut status = status(id, runtime_status);
        if runtime_status == RuntimeStatus::Failed {
            status.record.failure = Some(Failure::new("Boom", "it broke"));
        } else if runtime_status == RuntimeStatus::Completed {
            status.record.output = Some(Payload::from("[1]"));
        }
        self.instances().known.insert(id.to_owned(), status);
    }
}

#[tokio::test]
async fn running_orchestration_is_a_202_that_says_where_to_look_again() {
    let server = TestServer::start().await;
    for runtime_status in [RuntimeStatus::Running, RuntimeStatus::Pending, RuntimeStatus::Suspended]
    {
        server.with("r 1", runtime_status);
        let target = format!("{BASE}/instances/r%201?showInput=false");
        let response = server.get(&target).await;
        assert_eq!(response.status, 202);
        let location = format!("http://test:80{target}");
        assert_eq!(response.header("location"), Some(location.as_str()));
        assert_eq!(response.header("retry-after"), Some("5"));
        assert_eq!(
            response.body,
            format!(
                r#"{{"name":"Hello","instanceId":"r 1","runtimeStatus":"{runtime_status}","input":null,"customStatus":42,"output":null,"createdTime":"1970-01-01T00:00:00Z","lastUpdatedTime":"1970-01-01T00:00:01Z"}}"#
            )
        );
    }
}

#[tokio::test]
async fn finished_orchestration_is_a_200_or_if_asked_for_a_500() {
    let server = TestServer::start().await;
    server.with("good", RuntimeStatus::Completed);
    server.with("bad", RuntimeStatus::Failed);
    server.with("ended", RuntimeStatus::Terminated);
    let flag = "returnInternalServerErrorOnFailure=TRUE";
    for (target, code, part) in [
        ("instances/good".to_owned(), 200, r#""output":[1]"#),
        (format!("instances/good?{flag}"), 200, r#""input":"in""#),
        (
            "instances/bad".to_owned(),
            200,
            r#""output":"Orchestrator function 'Hello' failed: it broke""#,
        ),
        (format!("instances/bad?{flag}"), 500, r#""runtimeStatus":"Failed""#),
        (format!("instances/ended?{flag}"), 200, r#""runtimeStatus":"Terminated""#),
        ("instances/good?showHistory=true".to_owned(), 200, r#""historyEvents":[]"#),
        ("instances/good?showHistory=perhaps&other=1".to_owned(), 200, r#"01Z"}"#),
    ] {
        let response = server.get(&format!("{BASE}/{target}")).await;
        assert_eq!(response.status, code, "{target}");
        assert!(response.body.contains(part), "{target}: {}", response.body);
        assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!((response.header("location"), response.header("retry-after")), (None, None));
    }
}

#[tokio::test]
async fn path_of_the_management_api_matches_in_any_case() {
    let server = TestServer::start().await;
    server.with("Abc", RuntimeStatus::Completed);
    assert_eq!(server.get("/Runtime/WebHooks/DurableTask/Instances/Abc/").await.status, 200);
    assert_eq!(server.get("/Runtime/WebHooks/DurableTask/Instances/abc").await.status, 404);
}

#[tokio::test]
async fn unknown_instance_is_a_404_with_a_message() {
    let server = TestServer::start().await;
    for (id, name) in [("nothing", "nothing"), ("@register@1", "@register@1"), ("a%2Fb", "a/b")] {
        let response = server.get(&format!("{BASE}/instances/{id}")).await;
        assert_eq!(response.status, 404);
        let message = format!("There is no orchestration with the instance id '{name}'.");
        assert_eq!(response.body, format!(r#"{{"Message":"{message}"}}"#));
    }
}

#[tokio::test]
async fn status_leaves_only_when_it_is_durable() {
    let server = TestServer::start().await;
    server.engine.durable.send_replace(CommitSeq(6));
    let mut connection = server.connect().await;
    connection.send(&format!("GET {BASE}/instances/x HTTP/1.1\r\nhost: h\r\n\r\n")).await;
    soon(server.engine.waiting.subscribe().wait_for(|count| *count == 1)).await.expect("waits");
    server.with("x", RuntimeStatus::Completed);
    server.engine.durable.send_replace(CommitSeq(7));
    assert_eq!(connection.response().await.status, 404, "what was seen, not what came later");
}

#[tokio::test]
async fn wrong_method_or_path_of_the_management_api_is_refused() {
    let server = TestServer::start().await;
    for (method, path, allow) in [
        ("PUT", "instances/x", "GET, DELETE"),
        ("GET", "instances/x/terminate", "POST"),
        ("PUT", "entities/register", "GET, POST, DELETE"),
        ("PUT", "entities", "GET"),
        ("GET", "entities/register/1/call", "POST"),
        ("POST", "entities/register/1/lock", "DELETE"),
    ] {
        let response = server.request(method, &format!("{BASE}/{path}")).await;
        assert_eq!((response.status, response.header("allow")), (405, Some(allow)));
    }
    for path in ["", "/", "/instances/x/explode", "/orchestrators", "/instances/x/raiseEvent"] {
        assert_eq!(server.get(&format!("{BASE}{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn overloaded_engine_is_a_503() {
    let server = TestServer::start().await;
    let response = server.get(&format!("{BASE}/instances/overloaded")).await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn health_check_answers_ok() {
    let server = TestServer::start().await;
    let response = server.get("/runtime/health").await;
    assert_eq!((response.status, response.body.as_str()), (200, r#"{"status":"ok"}"#));
    assert_eq!(server.request("POST", "/runtime/health").await.status, 405);
}

#[tokio::test]
async fn key_was_made_when_the_clock_says_so() {
    let server = TestServer::start().await;
    assert_eq!(server.request("POST", "/admin/keys/host/ci").await.status, 201);
    let expected = r#"[{"scope":"host","name":"ci","createdTime":"2019-05-23T22:30:35.042Z"}]"#;
    assert_eq!(server.get("/admin/keys").await.body, expected);
}
