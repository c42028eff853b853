//! Golden tests of the responses about orchestrations.

use std::sync::Arc;

use everstate_engine::guest::{HttpResponse, StatusResponses};
use everstate_types::{
    EventKind, Failure, HistoryEvent, InstanceId, OrchestrationStatus, Payload, RuntimeStatus,
    Timestamp,
};

use super::{HubParameters, Links, ManagementResponses};
use crate::test_status::{START_MS, status};

fn header<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn body(response: &HttpResponse) -> &str {
    std::str::from_utf8(&response.body).expect("UTF-8")
}

#[test]
fn check_status_document_is_the_one_of_the_original() {
    let id = InstanceId::orchestration("7af46ff000564c65aafbfe07d07c32a5").expect("a valid id");
    let response = ManagementResponses::default().check_status("http://localhost:7071", &id, false);
    let base = "http://localhost:7071/runtime/webhooks/durabletask/instances/\
                7af46ff000564c65aafbfe07d07c32a5";
    assert_eq!(response.status, 202);
    let hub = "taskHub=Everstate&connection=Storage";
    let location = format!("{base}?{hub}");
    assert_eq!(header(&response, "location"), Some(location.as_str()));
    assert_eq!(header(&response, "retry-after"), Some("10"));
    assert_eq!(header(&response, "content-type"), Some("application/json; charset=utf-8"));
    let expected = [
        r#"{"id":"7af46ff000564c65aafbfe07d07c32a5","#,
        r#""statusQueryGetUri":"BASE?HUB","#,
        r#""sendEventPostUri":"BASE/raiseEvent/{eventName}?HUB","#,
        r#""terminatePostUri":"BASE/terminate?reason={text}&HUB","#,
        r#""purgeHistoryDeleteUri":"BASE?HUB","#,
        r#""restartPostUri":"BASE/restart?HUB","#,
        r#""suspendPostUri":"BASE/suspend?reason={text}&HUB","#,
        r#""resumePostUri":"BASE/resume?reason={text}&HUB"}"#,
    ];
    assert_eq!(body(&response), expected.concat().replace("BASE", base).replace("HUB", hub));
}

#[test]
fn check_status_links_of_an_odd_id_are_encoded() {
    let id = InstanceId::orchestration("a b\"%é").expect("a valid id");
    let response = ManagementResponses::default().check_status("http://h", &id, true);
    let location = "http://h/runtime/webhooks/durabletask/instances/a%20b%22%25%C3%A9\
                    ?taskHub=Everstate&connection=Storage&returnInternalServerErrorOnFailure=true";
    assert_eq!(header(&response, "location"), Some(location));
    let document: serde_json::Value = serde_json::from_str(body(&response)).expect("JSON");
    assert_eq!(document["id"], "a b\"%é");
    assert_eq!(document["statusQueryGetUri"], location);
}

#[test]
fn check_status_links_carry_hub_and_credentials_behind_their_own_parameters() {
    let instance_id = InstanceId::orchestration("abc").expect("a valid id");
    let credentials = Some("code=a%2Fb");
    let hub = HubParameters::new("My Hub", "a&b");
    let links = Links { base_url: "http://h", instance_id: &instance_id, hub, credentials };
    let response = links.check_status(true);
    let base = "http://h/runtime/webhooks/durabletask/instances/abc";
    let document: serde_json::Value = serde_json::from_str(body(&response)).expect("JSON");
    for (field, rest) in [
        ("statusQueryGetUri", "?HUB&code=a%2Fb&returnInternalServerErrorOnFailure=true"),
        ("sendEventPostUri", "/raiseEvent/{eventName}?HUB&code=a%2Fb"),
        ("terminatePostUri", "/terminate?reason={text}&HUB&code=a%2Fb"),
        ("purgeHistoryDeleteUri", "?HUB&code=a%2Fb"),
        ("resumePostUri", "/resume?reason={text}&HUB&code=a%2Fb"),
    ] {
        let rest = rest.replace("HUB", "taskHub=My%20Hub&connection=a%26b");
        assert_eq!(document[field], format!("{base}{rest}"), "{field}");
    }
    assert_eq!(header(&response, "location"), document["statusQueryGetUri"].as_str());
}

#[test]
fn completed_orchestration_gives_its_raw_output() {
    for (output, expected) in [
        (Some(r#""my-value""#), r#""my-value""#),
        (Some(r#"{"b": 1,"a":2.0}"#), r#"{"b": 1,"a":2.0}"#),
        (Some("null"), "null"),
        (None, "null"),
    ] {
        let mut status = status(RuntimeStatus::Completed);
        status.record.output = output.map(Payload::from);
        let response = ManagementResponses::default().finished(&status, true);
        assert_eq!((response.status, body(&response)), (200, expected));
        assert_eq!(
            response.headers,
            [("content-type".to_owned(), "application/json; charset=utf-8".to_owned())]
        );
    }
}

#[test]
fn failed_orchestration_gives_its_status_document() {
    let mut status = status(RuntimeStatus::Failed);
    status.record.failure = Some(Failure::new("Boom", "it \"broke\""));
    let response = ManagementResponses::default().finished(&status, false);
    assert_eq!(response.status, 200);
    assert_eq!(
        body(&response),
        concat!(
            r#"{"name":"HelloSequence","instanceId":"abc","runtimeStatus":"Failed","#,
            r#""input":{"n": 1},"customStatus":null,"#,
            r#""output":"Orchestrator function 'HelloSequence' failed: it \"broke\"","#,
            r#""createdTime":"2019-05-23T22:30:35Z","lastUpdatedTime":"2019-05-23T22:30:36Z"}"#,
        )
    );
    assert_eq!(ManagementResponses::default().finished(&status, true).status, 500);
}

#[test]
fn terminated_orchestration_gives_its_reason_and_never_500() {
    let mut status = status(RuntimeStatus::Terminated);
    status.record.output = Some(Payload::from(r#""enough""#));
    let response = ManagementResponses::default().finished(&status, true);
    assert_eq!(response.status, 200);
    assert!(body(&response).contains(r#""runtimeStatus":"Terminated""#));
    assert!(body(&response).contains(r#""output":"enough""#));
}

#[test]
fn history_is_the_array_of_the_status_document() {
    let mut status = status(RuntimeStatus::Completed);
    let completed = EventKind::ExecutionCompleted {
        status: OrchestrationStatus::Completed,
        result: Some(Payload::from(r#""done""#)),
        failure: None,
    };
    let event = HistoryEvent::new(Timestamp::from_millis(START_MS), completed);
    status.history = Arc::new(vec![event]);
    let times = r#""Timestamp":"2019-05-23T22:30:35.000Z""#;
    let head = r#"[{"EventType":"ExecutionCompleted","OrchestrationStatus":"Completed","#;
    let without = ManagementResponses::default().history(&status, false);
    assert_eq!(without.as_str(), format!("{head}{times}}}]"));
    let with = ManagementResponses::default().history(&status, true);
    assert_eq!(with.as_str(), format!(r#"{head}"Result":"done",{times}}}]"#));
}
