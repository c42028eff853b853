//! What the management API does to orchestrations that exist, and what it removes and lists.

use everstate_engine::storage::InstanceFilter;
use everstate_types::{RuntimeStatus, Timestamp};

use crate::management::BASE;
use crate::support::{Response, TestServer};

const JSON: (&str, &str) = ("content-type", "Application/JSON; charset=utf-8");

async fn with_each_status() -> TestServer {
    let server = TestServer::start().await;
    server.with("pending", RuntimeStatus::Pending);
    server.with("running", RuntimeStatus::Running);
    server.with("paused", RuntimeStatus::Suspended);
    server.with("good", RuntimeStatus::Completed);
    server.with("bad", RuntimeStatus::Failed);
    server.with("ended", RuntimeStatus::Terminated);
    server
}

async fn post(server: &TestServer, path: &str) -> Response {
    server.request("POST", &format!("{BASE}/{path}")).await
}

/// S9.
#[tokio::test]
async fn event_is_refused_for_its_instance_first_and_then_for_its_content() {
    let server = with_each_status().await;
    let raise = |id: &'static str, headers, body| {
        let target = format!("{BASE}/instances/{id}/raiseEvent/go");
        let server = &server;
        async move { server.send("POST", &target, headers, body).await }
    };
    for id in ["good", "bad", "ended"] {
        assert_eq!(raise(id, &[], "{").await.status, 410, "{id}");
    }
    for id in ["unknown", "@counter@1"] {
        assert_eq!(raise(id, &[], "{").await.status, 404, "{id}");
    }
    let response = raise("running", &[("content-type", "text/plain")], "1").await;
    let message = r#"{"Message":"Only application/json request content is supported"}"#;
    assert_eq!((response.status, response.body.as_str()), (400, message));
    assert_eq!(raise("running", &[], "1").await.status, 400);
    let response = raise("running", &[JSON], "{").await;
    assert_eq!(response.status, 400);
    assert!(response.body.starts_with(r#"{"Message":"Invalid JSON content""#), "{}", response.body);
    assert!(server.instances().changes.is_empty());
}

#[tokio::test]
async fn event_is_passed_on_as_it_is_and_nothing_is_null() {
    let server = with_each_status().await;
    for (id, body) in [("running", " {\"a\": 1.0} "), ("pending", ""), ("paused", "\"x\"")] {
        let target = format!("{BASE}/Instances/{id}/raiseevent/A%2Fb");
        let response = server.send("POST", &target, &[JSON], body).await;
        assert_eq!((response.status, response.body.as_str()), (202, ""));
    }
    let changes = server.instances().changes.clone();
    assert_eq!(
        changes,
        ["raise running A/b {\"a\": 1.0}", "raise pending A/b null", "raise paused A/b \"x\""]
    );
}

/// S11.
#[tokio::test]
async fn reasons_are_handed_on() {
    let server = with_each_status().await;
    for path in [
        "instances/running/terminate?reason=say%C5%8Dnara",
        "instances/paused/terminate?recursive=true",
        "instances/running/suspend?reason=lunch",
        "instances/paused/resume?reason=back",
        "instances/bad/rewind?reason=fixed",
    ] {
        let response = post(&server, path).await;
        assert_eq!((response.status, response.body.as_str()), (202, ""), "{path}");
    }
    let changes = server.instances().changes.clone();
    assert_eq!(
        changes,
        [
            "terminate running \"sayōnara\" false",
            "terminate paused - true",
            "suspend running lunch",
            "resume paused back",
            "rewind bad fixed",
        ]
    );
}

#[tokio::test]
async fn change_in_the_wrong_state_is_refused_as_in_the_newer_versions_of_the_original() {
    let server = with_each_status().await;
    for (path, status) in [
        ("instances/unknown/terminate", 404),
        ("instances/unknown/suspend", 404),
        ("instances/unknown/resume", 404),
        ("instances/unknown/rewind", 404),
        ("instances/good/terminate", 410),
        ("instances/bad/suspend", 410),
        ("instances/ended/resume", 410),
        ("instances/paused/suspend", 409),
        ("instances/running/resume", 409),
        ("instances/good/rewind", 410),
        ("instances/ended/rewind", 410),
        ("instances/running/rewind", 412),
        ("instances/pending/rewind", 412),
    ] {
        let response = post(&server, path).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.body.starts_with(r#"{"Message":""#), "{path}: {}", response.body);
    }
    assert!(server.instances().changes.is_empty());
}

#[tokio::test]
async fn makeprimary_is_a_200() {
    let server = TestServer::start().await;
    assert_eq!(post(&server, "makeprimary").await.status, 200);
}

#[tokio::test]
async fn purge_of_one_is_of_what_has_ended() {
    let server = with_each_status().await;
    let delete = |path: &str| {
        let target = format!("{BASE}/instances/{path}");
        let server = &server;
        async move { server.request("DELETE", &target).await }
    };
    let response = delete("good").await;
    assert_eq!((response.status, response.body.as_str()), (200, r#"{"instancesDeleted":1}"#));
    let response = delete("bad?recursive=true").await;
    assert_eq!((response.status, response.body.as_str()), (200, r#"{"instancesDeleted":3}"#));
    assert_eq!(delete("running").await.status, 409);
    assert_eq!(delete("unknown").await.status, 404);
    assert_eq!(delete("@counter@1").await.status, 404);
    let changes = server.instances().changes.clone();
    assert_eq!(changes, ["purge good false", "purge bad true"]);
}

#[tokio::test]
async fn purge_of_many_needs_to_know_where_their_time_begins() {
    let server = with_each_status().await;
    for query in ["", "?createdTimeTo=2020-01-01", "?createdTimeFrom=soon"] {
        let response = server.request("DELETE", &format!("{BASE}/instances{query}")).await;
        let body = r#""Please provide value for 'createdTimeFrom' parameter.""#;
        assert_eq!((response.status, response.body.as_str()), (400, body), "{query}");
    }
    assert!(server.instances().purges.is_empty());
}

/// The original ignores what it cannot read, and removes more than was meant.
#[tokio::test]
async fn purge_of_many_does_nothing_if_a_condition_cannot_be_read() {
    let server = with_each_status().await;
    for (query, part) in [
        ("createdTimeTo=tomorrow", "'tomorrow' of `createdTimeTo`"),
        ("runtimeStatus=Failed,complete", "'complete' of `runtimeStatus`"),
    ] {
        let target = format!("{BASE}/instances?createdTimeFrom=2019-05-23&{query}");
        let response = server.request("DELETE", &target).await;
        assert_eq!(response.status, 400, "{query}");
        assert!(response.body.contains(part), "{}", response.body);
    }
    assert!(server.instances().purges.is_empty());
}

#[tokio::test]
async fn purge_of_many_says_how_many_or_that_there_are_none() {
    let server = with_each_status().await;
    let target = format!("{BASE}/instances?createdTimeFrom=1970-01-01T00:00:01Z");
    let response = server.request("DELETE", &target).await;
    assert_eq!((response.status, response.body.as_str()), (200, r#"{"instancesDeleted":3}"#));
    let statuses = format!("{target}&runtimeStatus=Failed,Running");
    assert_eq!(server.request("DELETE", &statuses).await.status, 200);
    let alive = format!("{target}&runtimeStatus=Running");
    assert_eq!(server.request("DELETE", &alive).await.status, 404);
    server.instances().known.clear();
    assert_eq!(server.request("DELETE", &target).await.status, 404);
    let all =
        InstanceFilter { created_from: Some(Timestamp::from_millis(1_000)), ..Default::default() };
    let failed = InstanceFilter { statuses: vec![RuntimeStatus::Failed], ..all.clone() };
    let purges = server.instances().purges.clone();
    assert_eq!(purges, [all.clone(), failed, all]);
}

/// S7.
#[tokio::test]
async fn list_is_a_page_of_status_documents_without_histories() {
    let server = TestServer::start().await;
    assert_eq!(server.get(&format!("{BASE}/instances")).await.body, "[]");
    server.with("a", RuntimeStatus::Running);
    server.with("b", RuntimeStatus::Completed);
    let target = format!("{BASE}/instances?showInput=false&showHistory=true&top=2");
    let response = server.get(&target).await;
    let document = |id, status, output| {
        format!(
            r#"{{"name":"Hello","instanceId":"{id}","runtimeStatus":"{status}","input":null,"customStatus":42,"output":{output},"createdTime":"1970-01-01T00:00:00Z","lastUpdatedTime":"1970-01-01T00:00:01Z"}}"#
        )
    };
    let documents = [document("a", "Running", "null"), document("b", "Completed", "[1]")].join(",");
    assert_eq!(response.header("x-ms-continuation-token"), None);
    assert_eq!((response.status, response.body), (200, format!("[{documents}]")));
    assert_eq!(server.instances().queries[1].page_size, 2);
}

/// S7.
#[tokio::test]
async fn list_says_where_the_next_page_begins_and_takes_it_back() {
    let server = TestServer::start().await;
    server.instances().continuation = Some("next".to_owned());
    let target = format!("{BASE}/instances");
    let response = server.get(&target).await;
    assert_eq!(response.header("x-ms-continuation-token"), Some("next"));
    let token = |token| [("x-ms-continuation-token", token)];
    assert_eq!(server.send("GET", &target, &token("next"), "").await.status, 200);
    assert_eq!(server.send("GET", &target, &token(""), "").await.status, 200);
    assert_eq!(server.send("GET", &target, &token("wrong"), "").await.status, 400);
    let queries = server.instances().queries.clone();
    let continuations: Vec<_> = queries.iter().map(|q| q.continuation.as_deref()).collect();
    assert_eq!(continuations, [None, Some("next"), None]);
}

#[tokio::test]
async fn count_is_a_number_and_nothing_is_asked_for_a_status_that_none_has() {
    let server = with_each_status().await;
    let response = server.get(&format!("{BASE}/instances?count&tag.team=red")).await;
    assert_eq!((response.status, response.body.as_str()), (200, r#"{"count":6}"#));
    for (query, body) in [("count&", r#"{"count":0}"#), ("", "[]")] {
        let target = format!("{BASE}/instances?{query}runtimeStatus=Canceled");
        assert_eq!(server.get(&target).await.body, body);
    }
    let instances = server.instances();
    assert_eq!(instances.counts.len(), 1);
    assert_eq!(instances.counts[0].tags, [("team".to_owned(), "red".to_owned())]);
    assert!(instances.queries.is_empty());
}

#[tokio::test]
async fn openapi_document_is_served() {
    let server = TestServer::start().await;
    let response = server.get(&format!("{BASE}/openapi.json")).await;
    let document: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!((response.status, &document["openapi"]), (200, &"3.1.0".into()));
}
