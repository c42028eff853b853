//! New code and what is alive: a check finds what would not fit, a move brings over what does.

use anyhow::{Context as _, Result};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use everstate_tests::http::Client;
use serde_json::{Value, json};

use crate::deployments::{FILE, MANAGEMENT, post_json, put, start, until};
use crate::options;

/// What a check of a component says.
async fn check(client: &Client, component: &str) -> Result<Value> {
    let bytes = std::fs::read(component)?;
    let reply = client.post(&format!("/admin/check?file={FILE}"), bytes).await?;
    anyhow::ensure!(reply.status == 200, "{} {}", reply.status, reply.text());
    reply.json()
}

async fn go(client: &Client, id: &str) -> Result<Value> {
    post_json(client, &format!("{MANAGEMENT}/instances/{id}/raiseEvent/go")).await?;
    Ok(until(client, id, "Completed").await?["output"].clone())
}

/// A host with version one and an orchestration on it that waits, and whose history fits version two.
async fn waiting() -> Result<HostProcess> {
    let host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    anyhow::ensure!(put(&client, guests::VERSION_ONE, "").await?.status == 200);
    start(&client, "Versioned", "waits").await?;
    until(&client, "waits", "Running").await?;
    Ok(host)
}

/// An orchestration of version one that is alive, and whose history does not fit version two: it failed,
/// and is rewound where version two is the newest.
async fn stopped(client: &Client) -> Result<()> {
    start(client, "Rewritten", "differs").await?;
    until(client, "differs", "Failed").await?;
    anyhow::ensure!(put(client, guests::VERSION_TWO, "").await?.status == 200);
    client.post(&format!("{MANAGEMENT}/instances/differs/rewind?reason=try"), "").await?;
    until(client, "differs", "Suspended").await.map(drop)
}

#[tokio::test]
async fn check_names_what_does_not_fit_and_where_and_deploying_with_it_changes_nothing()
-> Result<()> {
    let host = waiting().await?;
    let client = host.client();
    let fits = check(&client, guests::VERSION_TWO).await?;
    assert_eq!((&fits["checked"], &fits["diverging"]), (&json!(1), &json!([])), "{fits:#}");
    stopped(&client).await?;
    let fits = check(&client, guests::VERSION_ONE).await?;
    assert_eq!((&fits["checked"], &fits["diverging"]), (&json!(2), &json!([])), "{fits:#}");
    let found = check(&client, guests::VERSION_TWO).await?;
    let [differs] = found["diverging"].as_array().context("a list")?.as_slice() else {
        anyhow::bail!("one does not fit: {found:#}");
    };
    assert_eq!(
        (&differs["instanceId"], &differs["name"]),
        (&json!("differs"), &json!("Rewritten"))
    );
    let message = differs["message"].as_str().context("a text")?;
    assert!(message.contains("Step") && message.contains("event"), "{message}");
    let refused = put(&client, guests::VERSION_TWO, "?check=true").await?;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(refused.json()?["diverging"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn what_fits_is_moved_with_the_deployment_and_goes_on_with_the_new_code() -> Result<()> {
    let mut host = waiting().await?;
    let client = host.client();
    let reply = put(&client, guests::VERSION_TWO, "?check=true&migrate=true").await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()?["migrated"], 1);
    let history = until(&client, "waits", "Running").await?["historyEvents"].to_string();
    assert!(history.contains("moved to the code"), "{history}");
    // It was durable when it was answered.
    host.restart().await?;
    assert_eq!(go(&host.client(), "waits").await?, json!(["two", "two", "two"]));
    Ok(())
}

#[tokio::test]
async fn what_is_not_moved_ends_on_its_old_code_and_one_can_be_moved_by_itself() -> Result<()> {
    let host = waiting().await?;
    let client = host.client();
    start(&client, "Versioned", "moved").await?;
    until(&client, "moved", "Running").await?;
    stopped(&client).await?;
    let path = format!("{MANAGEMENT}/instances/moved/migrate");
    for _ in 0..2 {
        assert_eq!(client.post(&path, "").await?.status, 202);
    }
    assert_eq!(go(&client, "moved").await?, json!(["two", "two", "two"]));
    assert_eq!(go(&client, "waits").await?, json!(["one", "one", "two"]));
    assert_eq!(client.post(&path, "").await?.status, 410, "it has ended");
    let refused = client.post(&format!("{MANAGEMENT}/instances/differs/migrate"), "").await?;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("Step"), "{}", refused.text());
    let unknown = format!("{MANAGEMENT}/instances/unknown/migrate");
    assert_eq!(client.post(&unknown, "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn check_names_functions_in_use_that_would_be_gone() -> Result<()> {
    let host = waiting().await?;
    let found = check(&host.client(), guests::HELLO).await?;
    let gone = json!([{ "name": "Versioned", "kind": "orchestrator", "instances": 1 }]);
    assert_eq!(found["missing"], gone, "{found:#}");
    Ok(())
}
