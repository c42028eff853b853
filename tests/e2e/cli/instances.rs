//! `everstate instances …` against a host.

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::json;

use super::run;
use crate::options;

/// How long `Approval` waits, in milliseconds: longer than a test.
const LONG: &str = "600000";

async fn host() -> Result<HostProcess> {
    HostProcess::start(options(&[guests::HELLO, guests::APPROVAL])).await
}

#[tokio::test]
async fn started_orchestration_is_waited_for_shown_and_listed() -> Result<()> {
    let host = host().await?;
    let output = run(
        &host,
        &["instances", "start", "HelloActivity", "--input", r#""Ada""#, "--id", "a", "--wait"],
    );
    assert_eq!(output.await?.ok()?, "\"Hello, Ada!\"\n");
    let shown = run(&host, &["instances", "show", "a"]).await?.ok()?;
    assert!(shown.contains("HelloActivity") && shown.contains("Completed"), "{shown}");
    let shown = run(&host, &["instances", "show", "a", "--json"]).await?.json()?;
    assert_eq!((&shown["input"], &shown["output"]), (&json!("Ada"), &json!("Hello, Ada!")));
    let history = run(&host, &["instances", "history", "a"]).await?.ok()?;
    assert!(history.contains(r#"SayHello <- "Ada" -> "Hello, Ada!""#), "{history}");
    let listed = run(&host, &["instances", "list"]).await?.ok()?;
    assert!(listed.starts_with("INSTANCE") && listed.contains("\na "), "{listed}");
    assert!(!listed.contains('\x1b'), "no colour without a terminal");
    Ok(())
}

#[tokio::test]
async fn list_finds_by_status_name_tag_and_prefix_over_pages() -> Result<()> {
    let host = host().await?;
    for (name, id, tag) in
        [("HelloInline", "a-1", "x=1"), ("HelloInline", "a-2", "x=2"), ("Approval", "b-1", "x=1")]
    {
        let input = if name == "Approval" { LONG } else { r#""Ada""# };
        run(&host, &["instances", "start", name, "--id", id, "--tag", tag, "--input", input])
            .await?
            .ok()?;
    }
    for id in ["a-1", "a-2"] {
        run(&host, &["instances", "wait", id]).await?.ok()?;
    }
    for (filter, expected) in [
        (&["--status", "completed"][..], &["a-1", "a-2"][..]),
        (&["--name", "Approval"], &["b-1"]),
        (&["--tag", "x=1"], &["a-1", "b-1"]),
        (&["--prefix", "a-", "--all"], &["a-1", "a-2"]),
        (&["--created-after", "1h"], &["a-1", "a-2", "b-1"]),
        (&["--created-before", "1h"], &[]),
    ] {
        let args = [&["instances", "list", "--json"], filter].concat();
        let listed = run(&host, &args).await?.json()?;
        let listed = listed.as_array().context("a list")?;
        let mut ids: Vec<&str> =
            listed.iter().filter_map(|status| status["instanceId"].as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{filter:?}");
    }
    assert_eq!(run(&host, &["instances", "list", "--count"]).await?.ok()?, "3\n");
    let first = run(&host, &["instances", "list", "--top", "1", "--json"]).await?.json()?;
    assert_eq!(first.as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn start_at_a_time_waits_for_it() -> Result<()> {
    let host = host().await?;
    let args =
        ["instances", "start", "HelloInline", "--id", "late", "--at", "1h", "--input", "\"A\""];
    run(&host, &args).await?.ok()?;
    let shown = run(&host, &["instances", "show", "late", "--json"]).await?.json()?;
    assert_eq!(shown["runtimeStatus"], "Pending");
    let waited = run(&host, &["instances", "wait", "late", "--timeout", "1"]).await?.failure()?;
    assert!(waited.contains("everstate instances why late"), "{waited}");
    Ok(())
}

#[tokio::test]
async fn waiting_orchestration_is_steered_to_its_end_and_purged() -> Result<()> {
    let host = host().await?;
    run(&host, &["instances", "start", "Approval", "--id", "a", "--input", LONG]).await?.ok()?;
    run(&host, &["instances", "wait", "a", "--for", "start"]).await?.ok()?;
    run(&host, &["instances", "suspend", "a", "--reason", "lunch"]).await?.ok()?;
    let resumed = run(&host, &["instances", "resume", "a", "--json"]).await?.json()?;
    assert_eq!(resumed, json!({"instanceId": "a", "resumed": true}));
    let why = run(&host, &["instances", "why", "a"]).await?.ok()?;
    assert!(why.contains("event"), "{why}");
    let terminated =
        run(&host, &["instances", "terminate", "a", "--reason", "enough"]).await?.ok()?;
    assert_eq!(terminated, "Terminated `a`.\n");
    let shown = run(&host, &["instances", "show", "a", "--json"]).await?.json()?;
    assert_eq!(
        (&shown["runtimeStatus"], &shown["output"]),
        (&json!("Terminated"), &json!("enough"))
    );
    let again = run(&host, &["instances", "restart", "a", "--json"]).await?.json()?;
    let again = again["id"].as_str().context("an id")?;
    run(&host, &["instances", "terminate", again]).await?.ok()?;
    let asked = run(&host, &["instances", "purge", "a"]).await?.failure()?;
    assert!(asked.contains("--yes"), "{asked}");
    run(&host, &["instances", "purge", "a", "--yes"]).await?.ok()?;
    run(&host, &["instances", "show", "a"]).await?.failure()?;
    let asked = run(&host, &["instances", "purge", "--status", "Terminated"]).await?.failure()?;
    assert!(asked.contains("--yes"), "{asked}");
    let purged = run(&host, &["instances", "purge", "--status", "Terminated", "--yes", "--json"]);
    assert_eq!(purged.await?.json()?["instancesDeleted"], 1);
    Ok(())
}

#[tokio::test]
async fn watch_follows_to_the_end_and_fails_if_that_is_no_good_one() -> Result<()> {
    let host = host().await?;
    run(&host, &["instances", "start", "Hello5", "--id", "good"]).await?.ok()?;
    let seen = run(&host, &["instances", "watch", "good"]).await?.ok()?;
    assert!(seen.contains("SayHello") && seen.contains("ExecutionCompleted"), "{seen}");
    let seen = run(&host, &["instances", "watch", "good", "--json"]).await?.ok()?;
    for line in seen.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        assert!(event["event"].is_string() && event["data"].is_object(), "{line}");
    }
    run(&host, &["instances", "start", "Factorial", "--id", "bad", "--input", "30"]).await?.ok()?;
    let failed = run(&host, &["instances", "watch", "bad"]).await?.failure()?;
    assert!(failed.contains("too large") && failed.contains("history bad"), "{failed}");
    Ok(())
}
