//! Components that are served no more: what runs with them finds their functions to its end.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Client;
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::deployments::{FILE, MANAGEMENT, post_json, put, start, until};
use crate::options;
use crate::steps::{call, error_type, signal, wait};

fn file_of(guest: &str) -> String {
    Path::new(guest).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

async fn remove(client: &Client, guest: &str) -> Result<()> {
    let path = format!("/admin/deployments/{}", file_of(guest));
    let reply = client.send("DELETE", &path, &[], "").await?;
    ensure!(reply.status == 200, "{}", reply.text());
    Ok(())
}

async fn post(client: &Client, path: &str, body: &Value) -> Result<u16> {
    let headers = [("content-type", "application/json")];
    let path = format!("{MANAGEMENT}/{path}");
    Ok(client.send("POST", &path, &headers, body.to_string()).await?.status.as_u16())
}

async fn script(client: &Client, id: &str, steps: &[Value]) -> Result<()> {
    let status = post(client, &format!("orchestrators/Script/{id}"), &json!(steps)).await?;
    ensure!(status == 202, "{status}");
    Ok(())
}

async fn raise(client: &Client, id: &str, input: &Value) -> Result<()> {
    let status = post(client, &format!("instances/{id}/raiseEvent/go"), input).await?;
    ensure!(status == 202, "{status}");
    Ok(())
}

async fn output(client: &Client, id: &str) -> Result<Value> {
    Ok(until(client, id, "Completed").await?["output"].clone())
}

/// How many live orchestrations need the versions that are retiring, by file.
async fn retiring(client: &Client) -> Result<Vec<(String, u64)>> {
    let listed = client.get("/admin/functions").await?.json()?;
    let files = listed["files"].as_array().context("no files")?;
    let retiring = files.iter().filter(|file| file["state"] == "retiring");
    retiring
        .map(|file| {
            let name = file["file"].as_str().context("a name")?;
            Ok((name.to_owned(), file["pinned"].as_u64().context("a count")?))
        })
        .collect()
}

async fn nobody_else_finds_them(client: &Client) -> Result<()> {
    for path in ["orchestrators/VersionedChild", "entities/Number/a?op=add"] {
        let status = post(client, path, &Value::Null).await?;
        ensure!((400..500).contains(&status), "{path}: {status}");
    }
    Ok(())
}

/// Entities, children and generations of an orchestration whose file is gone, over a restart.
#[tokio::test]
async fn what_runs_with_a_file_that_is_removed_finds_its_functions_to_its_end() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::ENTITIES, guests::VERSION_ONE])).await?;
    let client = host.client();
    let steps = [
        wait("go"),
        signal(("Number", "a"), "add", 2),
        call(("Number", "a"), "add", 3),
        wait("go"),
    ];
    script(&client, "calls", &steps).await?;
    start(&client, "VersionedParent", "parent").await?;
    start(&client, "VersionedGenerations", "eternal").await?;
    for id in ["calls", "parent", "eternal"] {
        until(&client, id, "Running").await?;
    }
    remove(&client, guests::ENTITIES).await?;
    remove(&client, guests::VERSION_ONE).await?;
    nobody_else_finds_them(&client).await?;
    raise(&client, "eternal", &json!(true)).await?;
    host.restart().await?;
    let client = host.client();
    let needed = [(file_of(guests::ENTITIES), 1), (file_of(guests::VERSION_ONE), 2)];
    assert_eq!(retiring(&client).await?, needed);
    nobody_else_finds_them(&client).await?;
    raise(&client, "calls", &Value::Null).await?;
    raise(&client, "parent", &Value::Null).await?;
    assert_eq!(output(&client, "parent").await?, json!(["one", "one"]));
    raise(&client, "eternal", &json!(false)).await?;
    assert_eq!(output(&client, "eternal").await?, json!(["one", "one"]));
    raise(&client, "calls", &Value::Null).await?;
    assert_eq!(output(&client, "calls").await?[2], json!(5));
    assert_eq!(retiring(&client).await?, []);
    Ok(())
}

/// Another file that has them takes over at once.
#[tokio::test]
async fn functions_that_another_file_has_are_taken_from_there() -> Result<()> {
    let host = HostProcess::start(options(&[guests::VERSION_ONE])).await?;
    let client = host.client();
    start(&client, "VersionedParent", "parent").await?;
    until(&client, "parent", "Running").await?;
    remove(&client, guests::VERSION_ONE).await?;
    assert_eq!(put(&client, guests::VERSION_TWO, "").await?.status, 200, "{FILE} is another file");
    post_json(&client, &format!("{MANAGEMENT}/instances/parent/raiseEvent/go")).await?;
    assert_eq!(output(&client, "parent").await?, json!(["one", "two"]));
    Ok(())
}

/// A new version of a file need not have what older orchestrations call.
#[tokio::test]
async fn functions_that_a_new_version_has_not_are_there_for_what_is_older() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    assert_eq!(put(&client, guests::VERSION_ONE, "").await?.status, 200);
    start(&client, "VersionedParent", "parent").await?;
    until(&client, "parent", "Running").await?;
    assert_eq!(put(&client, guests::HELLO, "").await?.status, 200);
    let child = "orchestrators/VersionedChild";
    assert_eq!(post(&client, child, &Value::Null).await?, 400, "it is no function any more");
    post_json(&client, &format!("{MANAGEMENT}/instances/parent/raiseEvent/go")).await?;
    assert_eq!(output(&client, "parent").await?, json!(["one", "one"]));
    Ok(())
}

#[tokio::test]
async fn functions_are_gone_when_nothing_is_pinned_to_their_component() -> Result<()> {
    let host = HostProcess::start(options(&[guests::ENTITIES, guests::ENTITY_ONE])).await?;
    let client = host.client();
    remove(&client, guests::ENTITY_ONE).await?;
    let calls = AtomicU64::new(0);
    eventually("nobody finds its entities", START_DEADLINE, || async {
        let id = calls.fetch_add(1, Ordering::Relaxed).to_string();
        script(&client, &id, &[call(("Contact", "a"), "get", Value::Null)]).await.ok()?;
        let outcomes = output(&client, &id).await.ok()?;
        (error_type(&outcomes[0]) != "none").then_some(())
    })
    .await
}

/// As after a restore without the functions folder.
#[tokio::test]
async fn file_that_is_missing_at_a_start_is_told_and_what_runs_goes_on() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::VERSION_ONE])).await?;
    start(&host.client(), "VersionedParent", "parent").await?;
    until(&host.client(), "parent", "Running").await?;
    let file = file_of(guests::VERSION_ONE);
    std::fs::remove_file(host.functions().join(&file))?;
    for _ in 0..2 {
        host.restart().await?;
        let client = host.client();
        eventually("it is told what needs the file", START_DEADLINE, || async {
            let ready = client.get("/health/ready").await.ok()?.text();
            let words = ["missingComponent", &file, "1 live orchestrations need it"];
            words.iter().all(|word| ready.contains(word)).then_some(())
        })
        .await?;
        let record = client.get("/admin/deployments").await?.json()?;
        assert_eq!(record.as_array().map(Vec::len), Some(1), "nobody removed it: {record}");
    }
    let client = host.client();
    raise(&client, "parent", &Value::Null).await?;
    assert_eq!(output(&client, "parent").await?, json!(["one", "one"]));
    eventually("it is removed when nothing needs it", START_DEADLINE, || async {
        let record = client.get("/admin/deployments").await.ok()?.json().ok()?;
        (record[0]["action"] == "removed").then_some(())
    })
    .await
}

#[tokio::test]
async fn file_that_is_missing_is_missed_because_of_its_entities_until_it_is_removed_on_purpose()
-> Result<()> {
    let mut host = HostProcess::start(options(&[guests::DATABASE])).await?;
    host.client().put("/Database/1", "kept").await?;
    std::fs::remove_file(host.functions().join(file_of(guests::DATABASE)))?;
    host.restart().await?;
    let client = host.client();
    eventually("it is told what needs the file", START_DEADLINE, || async {
        let ready = client.get("/health/ready").await.ok()?.text();
        ready.contains("entities (Register) need it").then_some(())
    })
    .await?;
    remove(&client, guests::DATABASE).await?;
    let ready = client.get("/health/ready").await?.json()?;
    assert_eq!(ready["reasons"], json!([]));
    Ok(())
}
