//! What guests log for their instances is kept and shown.

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::options;

const BASE: &str = "/runtime/webhooks/durabletask";

async fn post(host: &HostProcess, path: &str, body: &str) -> Result<()> {
    let headers = [("content-type", "application/json")];
    let (client, target) = (host.client(), format!("{BASE}/{path}"));
    let reply = client.send("POST", &target, &headers, body.to_owned()).await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{path}: {}", reply.text());
    Ok(())
}

/// The messages of the log, as soon as there are so many.
async fn messages(host: &HostProcess, path: &str, count: usize) -> Result<Vec<Value>> {
    let path = format!("{BASE}/{path}");
    eventually(&format!("{count} lines at {path}"), START_DEADLINE, || async {
        let lines = host.client().get(&path).await.ok()?.json().ok()?;
        lines.as_array().filter(|lines| lines.len() >= count).cloned()
    })
    .await
}

/// The orchestrator logs each vote that it takes. With nothing kept, each vote is a replay of those before.
#[tokio::test]
async fn log_of_an_orchestration_has_each_line_once_also_after_a_restart() -> Result<()> {
    let config = "[runtime]\nsuspended_guests_max = 0\n[engine]\nloaded_instances_max = 1\n";
    let mut host = HostProcess::start(options(&[guests::APPROVAL]).config(config)).await?;
    post(&host, "orchestrators/Votes/v", "3").await?;
    post(&host, "instances/v/raiseEvent/vote", "\"yes\"").await?;
    messages(&host, "instances/v/logs", 1).await?;
    host.restart().await?;
    post(&host, "instances/v/raiseEvent/vote", "\"no\"").await?;
    let lines = messages(&host, "instances/v/logs", 2).await?;
    let told: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(told, ["vote 1 of 3: \"yes\"", "vote 2 of 3: \"no\""]);
    assert_eq!(
        (&lines[0]["level"], &lines[0]["function"]),
        (&"information".into(), &"Votes".into())
    );
    let newest = messages(&host, "instances/v/logs?top=1", 1).await?;
    assert_eq!(newest, [lines[1].clone()]);
    Ok(())
}

#[tokio::test]
async fn log_of_no_instance_is_not_found_and_a_new_one_of_the_same_id_begins_with_none()
-> Result<()> {
    let host = HostProcess::start(options(&[guests::APPROVAL])).await?;
    let path = format!("{BASE}/instances/v/logs");
    assert_eq!(host.client().get(&path).await?.status, StatusCode::NOT_FOUND);
    post(&host, "orchestrators/Votes/v", "1").await?;
    post(&host, "instances/v/raiseEvent/vote", "1").await?;
    messages(&host, "instances/v/logs", 1).await?;
    let purge = format!("{BASE}/instances/v");
    eventually("it is purged", START_DEADLINE, || async {
        let reply = host.client().send("DELETE", &purge, &[], "").await.ok()?;
        (reply.status == StatusCode::OK).then_some(())
    })
    .await?;
    assert_eq!(host.client().get(&path).await?.status, StatusCode::NOT_FOUND);
    post(&host, "orchestrators/Votes/v", "1").await?;
    assert_eq!(host.client().get(&path).await?.json()?, serde_json::json!([]));
    Ok(())
}

#[tokio::test]
async fn log_of_a_purged_entity_is_not_shown_nor_to_the_next_of_its_key() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::ENTITY_ONE])).await?;
    let (path, entity) = ("instances/@unruly@k/logs", format!("{BASE}/entities/unruly/k"));
    let client = host.client();
    let call = format!("{entity}/call?op=work");
    assert_eq!(client.post(&call, "well").await?.status, StatusCode::OK);
    let failed = client.post(&call, "trap").await?;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", failed.text());
    messages(&host, path, 1).await?;
    let purged = client.send("DELETE", &format!("{entity}?purge=true"), &[], "").await?;
    assert_eq!(purged.status, StatusCode::OK, "{}", purged.text());
    let path = format!("{BASE}/{path}");
    assert_eq!(client.get(&path).await?.status, StatusCode::NOT_FOUND);
    host.restart().await?;
    let client = host.client();
    assert_eq!(client.get(&path).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(client.post(&call, "well").await?.status, StatusCode::OK);
    assert_eq!(client.get(&path).await?.json()?, serde_json::json!([]));
    Ok(())
}
