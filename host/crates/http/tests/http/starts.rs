//! Starts of orchestrations over the management API, and waiting for their ends.

use std::time::Duration;

use everstate_types::{Payload, RuntimeStatus};

use crate::management::BASE;
use crate::support::{Response, TestServer};

const HUB: &str = "taskHub=Everstate&connection=Storage";

/// The links of an orchestration, with these parameters.
fn links(id: &str, query: &str) -> String {
    let instance = format!("http://test:80{BASE}/instances/{id}");
    let (first, next) = (format!("?{query}"), format!("&{query}"));
    format!(
        "{{\"id\":\"{id}\",\"statusQueryGetUri\":\"{instance}{first}\",\
         \"sendEventPostUri\":\"{instance}/raiseEvent/{{eventName}}{first}\",\
         \"terminatePostUri\":\"{instance}/terminate?reason={{text}}{next}\",\
         \"purgeHistoryDeleteUri\":\"{instance}{first}\",\
         \"restartPostUri\":\"{instance}/restart{first}\",\
         \"suspendPostUri\":\"{instance}/suspend?reason={{text}}{next}\",\
         \"resumePostUri\":\"{instance}/resume?reason={{text}}{next}\"}}"
    )
}

async fn post(server: &TestServer, path: &str, body: &str) -> Response {
    server.send("POST", &format!("{BASE}/{path}"), &[], body).await
}

/// S3, S8.
#[tokio::test]
async fn start_is_a_202_with_the_links_of_the_original() {
    let server = TestServer::start().await;
    let response = post(&server, "orchestrators/Hello/abc", r#"{"b": 1,"a":2.0}"#).await;
    assert_eq!((response.status, response.body.as_str()), (202, links("abc", HUB).as_str()));
    let location = format!("http://test:80{BASE}/instances/abc?{HUB}");
    assert_eq!(response.header("location"), Some(location.as_str()));
    assert_eq!(response.header("retry-after"), Some("10"));
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    let start = server.instances().starts[0].clone();
    assert_eq!((start.name.as_str(), start.input.as_str()), ("Hello", r#"{"b": 1,"a":2.0}"#));
}

/// S3.
#[tokio::test]
async fn links_carry_the_key_that_came_in_the_query_and_none_from_a_header() {
    let server = TestServer::start().await;
    let response = post(&server, "orchestrators/Hello/abc?code=a/b%3D&other=1", "1").await;
    assert_eq!(response.body, links("abc", &format!("{HUB}&code=a%2Fb%3D")));
    let headers = [("x-functions-key", "secret")];
    let target = format!("{BASE}/orchestrators/Hello/xyz");
    let response = server.send("POST", &target, &headers, "1").await;
    assert_eq!(response.body, links("xyz", HUB));
}

/// S3: a custom task hub, a custom connection, both.
#[tokio::test]
async fn links_name_the_task_hub_and_the_connection_of_the_request() {
    let server = TestServer::start().await;
    for (query, expected) in [
        ("taskHub=SampleHub", "taskHub=SampleHub&connection=Storage"),
        ("connection=My%20Storage&taskHub=", "taskHub=Everstate&connection=My%20Storage"),
        ("Connection=b%26c&taskhub=a", "taskHub=a&connection=b%26c"),
    ] {
        let response = post(&server, &format!("orchestrators/Hello/abc?{query}"), "1").await;
        assert_eq!(response.body, links("abc", expected), "{query}");
        server.instances().known.clear();
    }
}

#[tokio::test]
async fn start_without_an_id_or_a_body_gets_a_new_id_and_null() {
    let server = TestServer::start().await;
    let response = post(&server, "Orchestrators/Hello", "").await;
    assert_eq!((response.status, response.body.as_str()), (202, links("new", HUB).as_str()));
    let start = server.instances().starts[0].clone();
    assert_eq!((start.instance_id, start.input), (None, Payload::null()));
}

/// S8.
#[tokio::test]
async fn start_that_cannot_be_says_why() {
    let server = TestServer::start().await;
    server.with("alive", RuntimeStatus::Running);
    for (path, body, status, message) in [
        ("orchestrators/Hello", "{\"a\":", 400, r#"{"Message":"Invalid JSON content","Exc"#),
        (
            "orchestrators/missing",
            "1",
            400,
            r#"{"Message":"The function 'missing' doesn't exist, is disabled, or is not an orchestr"#,
        ),
        (
            "orchestrators/Hello/@counter@1",
            "1",
            400,
            r#"{"Message":"an instance id must not start"#,
        ),
        ("orchestrators/Hello/a%2Fb", "1", 400, r#"{"Message":"an instance id must not contain"#),
        (
            "orchestrators/Hello/alive",
            "1",
            409,
            r#"{"Message":"An Orchestration instance with the status Running already exists."}"#,
        ),
    ] {
        let response = post(&server, path, body).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.body.starts_with(message), "{path}: {}", response.body);
    }
}

/// S4, S8.
#[tokio::test]
async fn start_that_waits_gives_the_output_or_the_links() {
    let server = TestServer::start().await;
    for query in ["timeout=100&pollingInterval=10", "timeout=5", "timeout=5&pollingInterval=5"] {
        let response = post(&server, &format!("orchestrators/Echo?{query}"), "\"Hi\"").await;
        assert_eq!((response.status, response.body.as_str()), (200, "\"Hi\""), "{query}");
        assert_eq!(response.header("location"), None);
        server.instances().known.clear();
    }
    let response =
        post(&server, "orchestrators/Hello/abc?timeout=0.5&pollingInterval=0.1", "").await;
    assert_eq!((response.status, response.body.as_str()), (202, links("abc", HUB).as_str()));
    let limits = server.instances().limits.clone();
    let seconds = [100.0, 5.0, 5.0, 0.5].map(Duration::from_secs_f64);
    assert_eq!(limits, seconds);
}

#[tokio::test]
async fn failed_orchestration_that_was_waited_for_is_its_status_and_if_asked_for_a_500() {
    let server = TestServer::start().await;
    for (query, code) in [("", 200), ("&returnInternalServerErrorOnFailure=true", 500)] {
        let response = post(&server, &format!("orchestrators/Fail/f?timeout=1{query}"), "1").await;
        assert_eq!(response.status, code);
        assert!(response.body.contains(r#""runtimeStatus":"Failed""#), "{}", response.body);
    }
}

/// S4: the text of the original, and nothing is started.
#[tokio::test]
async fn interval_longer_than_the_wait_is_a_400() {
    let server = TestServer::start().await;
    let response = post(&server, "orchestrators/Hello?timeout=0&pollingInterval=100", "1").await;
    let message = "Total timeout 0 should be bigger than retry timeout 100";
    assert_eq!((response.status, response.body), (400, format!(r#"{{"Message":"{message}"}}"#)));
    assert!(server.instances().starts.is_empty());
}

#[tokio::test]
async fn wait_takes_at_most_as_long_as_the_configuration_says() {
    let server = TestServer::start().await;
    for timeout in ["1e9", "inf", "-1", "NaN", "x", "1e300"] {
        let path = format!("orchestrators/Hello?timeout={timeout}");
        assert_eq!(post(&server, &path, "1").await.status, 202, "{timeout}");
        server.instances().known.clear();
    }
    let limits = server.instances().limits.clone();
    assert_eq!(limits, [230, 230, 0, 230].map(Duration::from_secs));
}

/// S11.
#[tokio::test]
async fn restart_starts_again_under_a_new_id_or_its_own() {
    let server = TestServer::start().await;
    server.with("done", RuntimeStatus::Completed);
    let response = post(&server, "instances/done/restart", "").await;
    assert_eq!((response.status, response.body.as_str()), (202, links("new", HUB).as_str()));
    let target = "instances/done/restart?restartWithNewInstanceId=false";
    let response = post(&server, target, "").await;
    assert_eq!((response.status, response.body.as_str()), (202, links("done", HUB).as_str()));
    assert_eq!(post(&server, target, "").await.status, 409, "it is alive now");
    let starts = server.instances().starts.clone();
    assert!(starts.iter().all(|start| start.input.as_str() == r#""in""#), "{starts:?}");
}

/// S11.
#[tokio::test]
async fn restart_can_wait_and_one_of_an_unknown_id_is_a_400() {
    let server = TestServer::start().await;
    assert_eq!(post(&server, "orchestrators/Echo/echo", "7").await.status, 202);
    let response = post(&server, "instances/echo/restart?timeout=1&pollingInterval=1", "").await;
    assert_eq!((response.status, response.body.as_str()), (200, "7"));
    let message = "InstanceId does not match a valid orchestration instance.";
    for id in ["unknown", "@counter@1"] {
        let response = post(&server, &format!("instances/{id}/restart"), "").await;
        assert_eq!(
            (response.status, response.body),
            (400, format!(r#"{{"Message":"{message}"}}"#))
        );
    }
}
