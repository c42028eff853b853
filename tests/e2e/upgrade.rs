//! A data folder that an earlier build has written: everything in it is read, and goes on.
//!
//! `fixtures/data-format-4.tar.gz` was written by the build that introduced storage format 4, by
//! `writes_the_fixture` below, with the components of that day: what waits in it is pinned to code that
//! exists nowhere else. A change of the format adds a fixture and keeps this one. (Formats before this
//! one were never released; the storage refuses them.)

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{EXIT_DEADLINE, HostOptions, HostProcess};
use everstate_tests::http::Client;
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::options;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/fixtures/data-format-4.tar.gz");

/// How long something may take that has everything it needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// A time that these tests do not reach: 2100-01-01, in milliseconds.
const FAR_MS: u64 = 4_102_444_800_000;

/// A hundred years, in milliseconds.
const CENTURY_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// Characters of a state that is stored by itself.
const LARGE_CHARS: u64 = 2_000_000;

#[tokio::test]
async fn data_of_an_earlier_build_is_read_and_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    tar(&["-xzf", FIXTURE, "-C"], folder.path())?;
    // What drives the test, and the entities: the code of what waits is in the data folder.
    let components = [guests::LIFECYCLE, guests::ENTITIES];
    let host = HostProcess::start(options(&components).data(folder.path())).await?;
    let client = host.client();
    orchestrations_are_read_and_go_on(&client).await?;
    entities_are_read_and_go_on(&client).await
}

async fn orchestrations_are_read_and_go_on(client: &Client) -> Result<()> {
    let done = document(client, "done").await?;
    assert_eq!(
        (&done["runtimeStatus"], &done["output"]),
        (&json!("Completed"), &json!("Approved"))
    );
    let names: Vec<_> = history(&done).iter().map(|event| event["EventType"].clone()).collect();
    let expected = ["ExecutionStarted", "TimerCreated", "EventRaised", "ExecutionCompleted"];
    assert_eq!(names, expected);
    let failed = document(client, "failed").await?;
    assert_eq!(failed["failure"]["errorType"], "InvalidInput", "{failed:#}");
    let board = document(client, "board").await?;
    assert_eq!(board["customStatus"], json!({"step": 1}));
    assert_eq!(board["tags"], json!({"team": "blue"}));
    assert_eq!(document(client, "scheduled").await?["runtimeStatus"], "Pending");

    assert_eq!(found(client, "").await?, 7);
    assert_eq!(found(client, "tags=team:blue").await?, 1);
    assert_eq!(found(client, "statuses=Pending,Suspended").await?, 2);

    post(client, "raise/waiting/approval", "1").await?;
    assert_eq!(ended(client, "waiting").await?["output"], "Approved");
    post(client, "resume/suspended", "").await?;
    post(client, "raise/suspended/vote", "2").await?;
    assert_eq!(ended(client, "suspended").await?["output"], json!([1, 2]));
    post(client, "raise/board/end", "null").await?;
    assert_eq!(ended(client, "board").await?["runtimeStatus"], "Completed");
    Ok(())
}

async fn entities_are_read_and_go_on(client: &Client) -> Result<()> {
    let entity = json_of(&client.get("/lifecycle/entity/Register/t").await?.body)?;
    assert_eq!(entity, json!("kept"));
    let digest = post(client, "call/Big/large/digest", "null").await?;
    assert_eq!((&digest["length"], &digest["changes"]), (&json!(LARGE_CHARS), &json!(1)));
    let expected = json!({ "length": LARGE_CHARS, "sum": digest["sum"], "changes": 2 });
    assert_eq!(post(client, "call/Big/large/touch", "null").await?, expected);

    assert_eq!(entities(client, "name=Person&field=city:%22Rome%22").await?, ["ann", "bob"]);
    assert_eq!(entities(client, "name=Person&field=age:30").await?, ["ann"]);
    assert_eq!(entities(client, "prefix=l").await?, ["large", "long"]);
    assert_eq!(entities(client, "name=Number").await?, ["b", "once"]);
    assert_eq!(entities(client, "name=Number&stateless=true").await?, ["a", "b", "once"]);
    post(client, "call/Person/ann/set", r#"{"city":"Oslo","age":31}"#).await?;
    assert_eq!(entities(client, "name=Person&field=city:%22Rome%22").await?, ["bob"]);

    // What was told once is not told again, though the host that heard it is another one.
    post(client, "signal/Number/once/add?idempotencyKey=k", "1").await?;
    assert_eq!(post(client, "call/Number/once/add", "1").await?, 2);
    assert_eq!(post(client, "call/Lasting/long/use_it", "null").await?, 3);

    for key in ["a", "b"] {
        assert_eq!(lock_holder(client, key).await?, json!("holder"));
    }
    post(client, "raise/holder/go", "null").await?;
    assert_eq!(ended(client, "holder").await?["runtimeStatus"], "Completed");
    assert_eq!(post(client, "call/Number/b/add", "1").await?, 4);
    assert_eq!(post(client, "call/Number/a/add", "1").await?, 1);
    Ok(())
}

#[tokio::test]
#[ignore = "writes a fixture into the source: run it when the storage format changes"]
async fn writes_the_fixture() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let components = [guests::LIFECYCLE, guests::APPROVAL, guests::DATABASE, guests::ENTITIES];
    let mut host = HostProcess::start(writer(&components, folder.path())).await?;
    let client = host.client();
    for (name, id, input) in [
        ("Approval", "done", CENTURY_MS.to_string()),
        ("Approval", "waiting", CENTURY_MS.to_string()),
        ("Approval", "failed", "\"not a number\"".to_owned()),
        ("Votes", "suspended", "2".to_owned()),
        ("StatusBoard", "board", "null".to_owned()),
        ("Approval", "scheduled", CENTURY_MS.to_string()),
    ] {
        let more = match id {
            "board" => "&tags=team:blue".to_owned(),
            "scheduled" => format!("&startAt={FAR_MS}"),
            _ => String::new(),
        };
        post(&client, &format!("start/{name}?id={id}{more}"), &input).await?;
    }
    post(&client, "raise/done/approval", "1").await?;
    ended(&client, "done").await?;
    ended(&client, "failed").await?;
    post(&client, "suspend/suspended?reason=lunch", "").await?;
    post(&client, "raise/suspended/vote", "1").await?;
    post(&client, "raise/board/show", r#"{"step":1}"#).await?;
    writes_entities(&client).await?;
    eventually("the board shows its step", DEADLINE, || async {
        let board = document(&client, "board").await.ok()?;
        (board["customStatus"] == json!({"step": 1})).then_some(())
    })
    .await?;
    host.process().terminate()?;
    host.process().wait_exit(EXIT_DEADLINE).await?;
    std::fs::remove_dir_all(folder.path().join("compiled"))?;
    keep_only(&[guests::APPROVAL, guests::ENTITIES], &folder.path().join("components"))?;
    tar(&["-czf", FIXTURE, "-C"], folder.path())
}

/// A state of each kind, and what an entity may have beside it.
async fn writes_entities(client: &Client) -> Result<()> {
    for (path, input) in [
        ("call/Register/t/set", "\"kept\"".to_owned()),
        ("call/Big/large/fill", LARGE_CHARS.to_string()),
        ("call/Person/ann/set", r#"{"city":"Rome","age":30}"#.to_owned()),
        ("call/Person/bob/set", r#"{"city":"Rome","age":40}"#.to_owned()),
        ("call/Number/b/add", "3".to_owned()),
        ("signal/Number/once/add?idempotencyKey=k", "1".to_owned()),
        ("call/Lasting/long/use_it", "null".to_owned()),
        ("call/Lasting/long/live_for", CENTURY_MS.to_string()),
    ] {
        post(client, path, &input).await?;
    }
    post(client, &format!("signal/Number/b/add?at={FAR_MS}"), "100").await?;
    let steps = r#"[{"lock":[["Number","a"],["Number","b"]]},{"wait":"go"}]"#;
    post(client, "start/Script?id=holder", steps).await?;
    eventually("the holder has its locks", DEADLINE, || async {
        (lock_holder(client, "b").await.ok()? == json!("holder")).then_some(())
    })
    .await
}

/// Removes the components that nothing is pinned to: they would only make the fixture larger.
fn keep_only(components: &[&str], kept: &Path) -> Result<()> {
    let wanted = components.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    for file in std::fs::read_dir(kept)? {
        let path = file?.path();
        if !wanted.contains(&std::fs::read(&path)?) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A host that remembers for a century which signals were taken on.
fn writer(guests: &[&str], data: &Path) -> HostOptions {
    let config = format!("[engine]\nidempotency_window_ms = {CENTURY_MS}\n");
    options(guests).data(data).config(&config)
}

/// Runs `tar` with these arguments on a folder.
fn tar(arguments: &[&str], folder: &Path) -> Result<()> {
    let folder = PathBuf::from(folder);
    let mut tar = Command::new("tar");
    tar.args(arguments).arg(&folder);
    if arguments[0].starts_with("-c") {
        tar.arg(".");
    }
    ensure!(tar.status().context("tar does not run")?.success(), "tar failed");
    Ok(())
}

async fn post(client: &Client, path: &str, body: &str) -> Result<Value> {
    let reply = client.post(&format!("/lifecycle/{path}"), body.to_owned()).await?;
    ensure!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text());
    json_of(&reply.body)
}

/// The orchestration that holds a number.
async fn lock_holder(client: &Client, key: &str) -> Result<Value> {
    let status = client.get(&format!("/lifecycle/entity-status/Number/{key}")).await?;
    Ok(json_of(&status.body)?["lock"]["instanceId"].clone())
}

/// The keys of the entities that fit, in their order.
async fn entities(client: &Client, filter: &str) -> Result<Vec<String>> {
    let page = json_of(&client.get(&format!("/lifecycle/entities?{filter}")).await?.body)?;
    let entities = page["entities"].as_array().context("no list")?;
    Ok(entities.iter().filter_map(|it| it["key"].as_str().map(str::to_owned)).collect())
}

async fn document(client: &Client, id: &str) -> Result<Value> {
    let path = format!("/lifecycle/status/{id}?history=true");
    json_of(&client.get(&path).await?.body)
}

async fn ended(client: &Client, id: &str) -> Result<Value> {
    let path = format!("/lifecycle/wait/{id}?timeout=30000");
    json_of(&client.get(&path).await?.body)
}

async fn found(client: &Client, filter: &str) -> Result<usize> {
    let page = json_of(&client.get(&format!("/lifecycle/query?{filter}")).await?.body)?;
    Ok(page["instances"].as_array().map_or(0, Vec::len))
}

fn history(document: &Value) -> &[Value] {
    document["history"].as_array().map_or(&[], Vec::as_slice)
}

fn json_of(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).with_context(|| String::from_utf8_lossy(body).into_owned())
}
