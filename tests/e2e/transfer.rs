//! Instances that move from one host to another as JSON lines.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::options;

const BASE: &str = "/runtime/webhooks/durabletask";

const DEADLINE: Duration = Duration::from_secs(60);

/// A host with these components.
async fn host(guests: &[&str]) -> Result<HostProcess> {
    HostProcess::start(options(guests)).await
}

/// A request with a JSON body.
async fn post(host: &HostProcess, path: &str, body: String) -> Result<Reply> {
    host.client().send("POST", path, &[("content-type", "application/json")], body).await
}

async fn start(host: &HostProcess, name: &str, id: &str, input: Value) -> Result<()> {
    let path = format!("{BASE}/orchestrators/{name}/{id}");
    let reply = post(host, &path, input.to_string()).await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{} {}", reply.status, reply.text());
    Ok(())
}

async fn status(host: &HostProcess, id: &str) -> Option<Value> {
    let path = format!("{BASE}/instances/{id}?showHistory=true&showHistoryOutput=true");
    let reply = host.client().get(&path).await.ok()?;
    reply.status.is_success().then(|| reply.json().ok())?
}

async fn until(host: &HostProcess, id: &str, runtime_status: &str) -> Result<Value> {
    eventually(&format!("{id} is {runtime_status}"), DEADLINE, || async {
        status(host, id).await.filter(|status| status["runtimeStatus"] == runtime_status)
    })
    .await
}

async fn export(host: &HostProcess, what: &str) -> Result<String> {
    let reply = host.client().get(&format!("{BASE}/{what}/export")).await?;
    ensure!(reply.status == StatusCode::OK, "{} {}", reply.status, reply.text());
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    Ok(reply.text())
}

async fn import(host: &HostProcess, lines: &str, query: &str) -> Result<(u16, Value)> {
    let reply = host.client().post(&format!("{BASE}/import{query}"), lines.to_owned()).await?;
    Ok((reply.status.as_u16(), reply.json()?))
}

async fn imported(host: &HostProcess, lines: &str, query: &str) -> Result<Value> {
    let (status, mut reply) = import(host, lines, query).await?;
    ensure!(status == 200, "{status} {reply}");
    Ok(reply["imported"].take())
}

/// The lines without the first, which has the time of the export.
fn behind_header(lines: &str) -> Vec<&str> {
    lines.lines().skip(1).collect()
}

#[tokio::test]
async fn orchestration_that_has_ended_is_elsewhere_what_it_was() -> Result<()> {
    let from = host(&[guests::HELLO]).await?;
    start(&from, "Hello5", "a", Value::Null).await?;
    let before = until(&from, "a", "Completed").await?;
    let lines = export(&from, "instances/a").await?;
    // It has no code there, and needs none.
    let mut to = host(&[]).await?;
    assert_eq!(imported(&to, &lines, "").await?, json!(["a"]));
    to.process().kill_9().await?;
    to.restart().await?;
    assert_eq!(status(&to, "a").await.context("it is there")?, before);
    assert_eq!(behind_header(&export(&to, "instances/a").await?), behind_header(&lines));
    let found = to.client().get(&format!("{BASE}/instances?runtimeStatus=Completed")).await?;
    assert_eq!(found.json()?.as_array().map(Vec::len), Some(1), "{}", found.text());
    // One that has ended may be replaced.
    assert_eq!(imported(&to, &lines, "").await?, json!(["a"]));
    Ok(())
}

#[tokio::test]
async fn orchestration_that_waits_for_events_gets_them_elsewhere() -> Result<()> {
    let from = host(&[guests::COUNTER]).await?;
    start(&from, "Counter", "a", json!(3)).await?;
    until(&from, "a", "Running").await?;
    // An event that no turn has seen is not lost.
    let suspend = format!("{BASE}/instances/a/suspend");
    from.client().post(&suspend, "").await?;
    until(&from, "a", "Suspended").await?;
    let raise = format!("{BASE}/instances/a/raiseEvent/operation");
    ensure!(post(&from, &raise, r#""incr""#.to_owned()).await?.status == StatusCode::ACCEPTED);
    let lines = eventually("the event is there", DEADLINE, || async {
        export(&from, "instances/a").await.ok().filter(|lines| lines.contains("waiting"))
    })
    .await?;
    drop(from);

    let mut to = host(&[guests::COUNTER]).await?;
    assert_eq!(imported(&to, &lines, "").await?, json!(["a"]));
    to.process().kill_9().await?;
    to.restart().await?;
    until(&to, "a", "Suspended").await?;
    let (status, refusal) = import(&to, &lines, "").await?;
    assert_eq!(status, 409, "{refusal}");
    to.client().post(&format!("{BASE}/instances/a/resume"), "").await?;
    ensure!(post(&to, &raise, r#""end""#.to_owned()).await?.status == StatusCode::ACCEPTED);
    assert_eq!(until(&to, "a", "Completed").await?["output"], 4);
    Ok(())
}

#[tokio::test]
async fn timers_and_activities_are_asked_for_again_elsewhere() -> Result<()> {
    let from = host(&[guests::MONITOR, guests::HELLO]).await?;
    start(&from, "Remind", "timer", json!(5_000)).await?;
    start(&from, "SumOfSquares", "activities", json!(20)).await?;
    until(&from, "timer", "Running").await?;
    let timer = export(&from, "instances/timer").await?;
    // At whatever place of its life it is.
    let activities = export(&from, "instances/activities").await?;
    drop(from);
    let mut to = host(&[guests::MONITOR, guests::HELLO]).await?;
    let both = imported(&to, &format!("{timer}{activities}"), "").await?;
    assert_eq!(both, json!(["timer", "activities"]));
    to.process().kill_9().await?;
    to.restart().await?;
    assert_eq!(until(&to, "activities", "Completed").await?["output"], 2_870);
    let output = until(&to, "timer", "Completed").await?["output"].clone();
    assert!(output["after"].as_u64() >= output["due"].as_u64(), "{output}");
    Ok(())
}

#[tokio::test]
async fn orchestration_that_waits_for_somebody_there_is_refused_with_the_reason() -> Result<()> {
    let from = host(&[guests::FAMILY]).await?;
    start(&from, "TreeRoot", "root", json!(1)).await?;
    until(&from, "root", "Running").await?;
    until(&from, "root-branch", "Running").await?;
    let to = host(&[guests::FAMILY]).await?;
    for (id, reason) in [
        ("root", "it waits for its child 'root-branch'"),
        ("root-branch", "its parent 'root' waits for it"),
    ] {
        let lines = export(&from, &format!("instances/{id}")).await?;
        let (status, refusal) = import(&to, &lines, "?replace").await?;
        assert_eq!(status, 409, "{refusal}");
        assert!(refusal["Message"].as_str().unwrap_or_default().contains(reason), "{refusal}");
        assert!(self::status(&to, id).await.is_none());
    }
    // Nobody has the code.
    let alone = host(&[guests::COUNTER]).await?;
    start(&alone, "Counter", "a", json!(1)).await?;
    until(&alone, "a", "Running").await?;
    let lines = export(&alone, "instances/a").await?;
    let (status, refusal) = import(&to, &lines, "").await?;
    assert_eq!(status, 400, "{refusal}");
    assert!(refusal["Message"].as_str().unwrap_or_default().contains("Counter"), "{refusal}");
    // Nor is anything imported that stands before it.
    start(&from, "Countdown", "ended", json!(0)).await?;
    until(&from, "ended", "Completed").await?;
    let ended = export(&from, "instances/ended").await?;
    let (status, refusal) = import(&to, &format!("{ended}{lines}"), "").await?;
    let line = ended.lines().count() + 2;
    let expected = format!("Nothing was imported: line {line}: ");
    assert_eq!(status, 400, "{refusal}");
    assert!(refusal["Message"].as_str().unwrap_or_default().contains(&expected), "{refusal}");
    assert!(self::status(&to, "ended").await.is_none());
    Ok(())
}

/// The lines of an export, with another id.
fn renamed(lines: &str, from: &str, to: &str) -> Result<String> {
    let (header, rest) = lines.split_once('\n').context("there are several")?;
    let header: Value = serde_json::from_str(header)?;
    let data = header["data"].to_string();
    let data = data.replacen(&format!(r#""id":"{from}""#), &format!(r#""id":"{to}""#), 1);
    let crc32 = crc32fast::hash(format!("1:{data}").as_bytes());
    Ok(format!("{{\"line\":1,\"crc32\":\"{crc32:08x}\",\"data\":{data}}}\n{rest}"))
}

#[tokio::test]
async fn execution_that_goes_on_here_does_not_come_in_under_another_id() -> Result<()> {
    let host = host(&[guests::MONITOR]).await?;
    start(&host, "Remind", "a", json!(600_000)).await?;
    until(&host, "a", "Running").await?;
    let lines = export(&host, "instances/a").await?;
    let again = renamed(&lines, "a", "b")?;
    let (status, refusal) = import(&host, &again, "").await?;
    assert_eq!(status, 409, "{refusal}");
    let expected = "'b' is not imported: its execution goes on here already, as 'a'.";
    assert!(refusal["Message"].as_str().unwrap_or_default().contains(expected), "{refusal}");
    assert!(self::status(&host, "b").await.is_none());
    assert_eq!(imported(&host, &lines, "?replace").await?, json!(["a"]));
    host.client().post(&format!("{BASE}/instances/a/terminate"), "").await?;
    until(&host, "a", "Terminated").await?;
    assert_eq!(imported(&host, &again, "").await?, json!(["b"]));
    Ok(())
}

#[tokio::test]
async fn entity_is_elsewhere_what_it_was_and_replaces_a_state_only_if_asked_to() -> Result<()> {
    let from = host(&[guests::DATABASE]).await?;
    // Large enough for a file of its own.
    for (key, value) in [("small", "one".to_owned()), ("large", "x".repeat(2 << 20))] {
        from.client().put(&format!("/Database/{key}"), value.clone()).await?;
        let lines = export(&from, &format!("entities/Register/{key}")).await?;
        let mut to = host(&[guests::DATABASE]).await?;
        let id = format!("@register@{key}");
        assert_eq!(imported(&to, &lines, "").await?, json!([id]));
        to.process().kill_9().await?;
        to.restart().await?;
        let again = export(&to, &format!("entities/Register/{key}")).await?;
        assert_eq!(behind_header(&again), behind_header(&lines));
        let read = to.client().get(&format!("/Database/{key}")).await?;
        assert_eq!(read.json()?, json!(value));

        to.client().put(&format!("/Database/{key}"), "two").await?;
        let (status, refusal) = import(&to, &lines, "").await?;
        assert_eq!(status, 409, "{refusal}");
        assert!(refusal.to_string().contains("it has a state here"), "{refusal}");
        assert_eq!(to.client().get(&format!("/Database/{key}")).await?.json()?, "two");
        assert_eq!(imported(&to, &lines, "?replace").await?, json!([id]));
        assert_eq!(to.client().get(&format!("/Database/{key}")).await?.json()?, json!(value));
    }
    let missing = from.client().get(&format!("{BASE}/entities/Register/none/export")).await?;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn damaged_line_is_named_and_nothing_is_imported() -> Result<()> {
    let from = host(&[guests::HELLO]).await?;
    start(&from, "Hello5", "a", Value::Null).await?;
    until(&from, "a", "Completed").await?;
    let lines = export(&from, "instances/a").await?;
    let to = host(&[]).await?;
    let all: Vec<&str> = lines.lines().collect();
    let mut swapped = all.clone();
    swapped.swap(3, 4);
    for (bad, reason) in [
        (lines.replacen("Tokyo", "Osaka", 1), "its checksum does not match"),
        (swapped.join("\n"), "line 4: it is line 5 of its export, where 4 is due"),
        (all[..all.len() - 1].join("\n"), "the export has no end"),
        (all[1..].join("\n"), "line 1: it is line 2 of its export, where 1 is due"),
        ("not JSON\n".to_owned(), "line 1: it is no line of an export"),
        (String::new(), "There is no export in the body"),
    ] {
        let (status, refusal) = import(&to, &bad, "").await?;
        assert_eq!(status, 400, "{refusal}");
        assert!(refusal["Message"].as_str().unwrap_or_default().contains(reason), "{refusal}");
    }
    assert!(status(&to, "a").await.is_none());
    Ok(())
}
