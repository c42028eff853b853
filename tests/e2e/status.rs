//! What does not finish in time: 202, and a status URL that tells how it goes on.

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::options;

/// A host that waits for no orchestration, with one whose entity computes as long as it is asked to.
async fn host_that_does_not_wait() -> Result<HostProcess> {
    HostProcess::start(options(&[guests::SLOW]).config("[runtime]\nwait_limit_ms = 0\n")).await
}

/// The path of a URL of the host.
fn path_of(host: &HostProcess, url: &Value) -> String {
    let url = url.as_str().unwrap();
    let base = format!("http://{}", host.address());
    url.strip_prefix(&base).unwrap_or_else(|| panic!("{url} is not on {base}")).to_owned()
}

/// Asks the status URL until it no longer answers 202.
async fn ended(host: &HostProcess, path: &str) -> Result<Reply> {
    eventually("the status URL answers other than 202", START_DEADLINE, || async {
        let reply = host.client().get(path).await.ok()?;
        (reply.status != StatusCode::ACCEPTED).then_some(reply)
    })
    .await
}

#[tokio::test]
async fn request_over_the_wait_limit_answers_202_with_the_check_status_document() -> Result<()> {
    let host = host_that_does_not_wait().await?;
    let reply = host.client().put("/Slow/1/300", "").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), "10");
    assert_eq!(reply.header("content-type"), "application/json; charset=utf-8");
    let document = reply.json()?;
    assert_eq!(document["statusQueryGetUri"], reply.header("location"));
    let id = document["id"].as_str().unwrap();
    let instance = format!("http://{}/runtime/webhooks/durabletask/instances/{id}", host.address());
    for (field, rest) in [
        ("statusQueryGetUri", ""),
        ("sendEventPostUri", "/raiseEvent/{eventName}"),
        ("terminatePostUri", "/terminate?reason={text}"),
        ("purgeHistoryDeleteUri", ""),
        ("restartPostUri", "/restart"),
        ("suspendPostUri", "/suspend?reason={text}"),
        ("resumePostUri", "/resume?reason={text}"),
    ] {
        let url = document[field].as_str().unwrap_or_default();
        assert!(url.starts_with(&format!("{instance}{rest}")), "{field}: {url}");
    }
    Ok(())
}

#[tokio::test]
async fn status_url_answers_200_with_the_output_once_it_has_finished() -> Result<()> {
    let host = host_that_does_not_wait().await?;
    let document = host.client().put("/Slow/1/300", "").await?.json()?;
    let reply = ended(&host, &path_of(&host, &document["statusQueryGetUri"])).await?;
    assert_eq!(reply.status, StatusCode::OK);
    let status = reply.json()?;
    assert_eq!(status["name"], "Slow_Orchestrator");
    assert_eq!(status["instanceId"], document["id"]);
    assert_eq!(status["runtimeStatus"], "Completed");
    assert_eq!(status["output"], 300);
    for field in ["input", "customStatus", "createdTime", "lastUpdatedTime"] {
        assert!(status.get(field).is_some(), "no {field} in {status}");
    }
    assert!(status.get("historyEvents").is_none(), "{status}");
    Ok(())
}

#[tokio::test]
async fn status_url_answers_202_while_the_orchestration_runs() -> Result<()> {
    let host = host_that_does_not_wait().await?;
    let reply = host.client().put("/Slow/1/500", "").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let path = path_of(&host, &reply.json()?["statusQueryGetUri"]);
    let running = host.client().get(&path).await?;
    assert_eq!(running.status, StatusCode::ACCEPTED, "{}", running.text());
    assert!(running.header("location").ends_with(&path), "{}", running.header("location"));
    assert_eq!(running.header("retry-after"), "5");
    let status = running.json()?;
    assert!(
        ["Pending", "Running"].contains(&status["runtimeStatus"].as_str().unwrap()),
        "{status}"
    );
    assert_eq!(status["output"], Value::Null);
    assert_eq!(ended(&host, &path).await?.json()?["output"], 500);
    Ok(())
}

/// The 202 is a promise, whatever happens to the process that made it.
#[tokio::test]
async fn status_url_answers_with_the_output_after_kill_9_right_behind_the_202() -> Result<()> {
    let mut host = host_that_does_not_wait().await?;
    let reply = host.client().put("/Slow/1/300", "").await?;
    host.process().kill_9().await?;
    let path = path_of(&host, &reply.json()?["statusQueryGetUri"]);
    host.restart().await?;
    assert_eq!(ended(&host, &path).await?.json()?["output"], 300);
    Ok(())
}

#[tokio::test]
async fn status_url_of_an_unknown_instance_answers_404() -> Result<()> {
    let host = host_that_does_not_wait().await?;
    let path = "/runtime/webhooks/durabletask/instances/never-started";
    assert_eq!(host.client().get(path).await?.status, StatusCode::NOT_FOUND);
    Ok(())
}
