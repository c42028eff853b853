//! What changes the way of an orchestration, and what is seen of it: rewind, events with data, logs, locks.

use std::process::Stdio;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{command, run};
use crate::options;

#[tokio::test]
async fn failed_orchestration_is_rewound_when_its_cause_is_gone() -> Result<()> {
    let host = HostProcess::start(options(&[guests::VERSION_ONE])).await?;
    let failed = run(&host, &["instances", "start", "Rewritten", "--id", "a b", "--wait"]).await?;
    let failed = failed.failure()?;
    assert!(failed.contains("step 2 is broken") && failed.contains("history 'a b'"), "{failed}");
    run(&host, &["entities", "call", "VersionedRepaired", "a b", "set"]).await?.ok()?;
    let rewound = run(&host, &["instances", "rewind", "a b", "--reason", "mended"]).await?.ok()?;
    assert_eq!(rewound, "Rewound `a b`.\n");
    assert_eq!(run(&host, &["instances", "wait", "a b"]).await?.ok()?, "[1,2]\n");
    let history = run(&host, &["instances", "history", "a b"]).await?.ok()?;
    assert!(history.contains("mended"), "{history}");
    let again = run(&host, &["instances", "rewind", "a b"]).await?.failure()?;
    assert!(again.contains("restart 'a b'"), "{again}");
    Ok(())
}

#[tokio::test]
async fn event_carries_data_and_what_is_logged_is_shown() -> Result<()> {
    let host = HostProcess::start(options(&[guests::APPROVAL])).await?;
    run(&host, &["instances", "start", "Votes", "--id", "v", "--input", "2"]).await?.ok()?;
    for data in [r#"{"name": "Ada"}"#, "\"no\""] {
        run(&host, &["instances", "raise", "v", "vote", "--data", data]).await?.ok()?;
    }
    let output = run(&host, &["instances", "wait", "v", "--json"]).await?.json()?;
    assert_eq!(output["output"], json!([{"name": "Ada"}, "no"]));
    eventually("both lines are kept", START_DEADLINE, || async {
        let logs = run(&host, &["instances", "logs", "v"]).await.ok()?.ok().ok()?;
        (logs.contains("vote 1 of 2") && logs.contains("Votes: vote 2 of 2")).then_some(())
    })
    .await?;
    let newest = run(&host, &["instances", "logs", "v", "--top", "1", "--json"]).await?.json()?;
    assert_eq!(newest.as_array().map(Vec::len), Some(1), "{newest}");
    Ok(())
}

#[tokio::test]
async fn lock_is_listed_with_its_holder_and_broken() -> Result<()> {
    let host = HostProcess::start(options(&[guests::ENTITIES])).await?;
    let steps = json!([{"lock": [["Number", "a"]]}, {"wait": "go"}]).to_string();
    run(&host, &["instances", "start", "Script", "--id", "holder", "--input", &steps])
        .await?
        .ok()?;
    let locks = eventually("the entity is held", START_DEADLINE, || async {
        let locks = run(&host, &["locks", "--json"]).await.ok()?.json().ok()?;
        locks.as_array().is_some_and(|locks| !locks.is_empty()).then_some(locks)
    })
    .await?;
    assert_eq!(locks[0]["heldBy"]["instanceId"], "holder", "{locks}");
    let shown = run(&host, &["locks"]).await?.ok()?;
    let row = shown.lines().nth(1).context("a row")?;
    assert!(row.contains("@a") && row.contains("holder"), "{shown}");
    let refused = run(&host, &["entities", "purge", "Number", "a"]).await?.failure()?;
    assert!(refused.contains("everstate entities unlock Number a"), "{refused}");
    let broken = run(&host, &["entities", "unlock", "Number", "a", "--json"]).await?.json()?;
    assert_eq!(broken, json!({"released": true}));
    assert_eq!(run(&host, &["locks"]).await?.ok()?, "No entity is locked.\n");
    Ok(())
}

#[tokio::test]
async fn host_that_dies_while_it_is_watched_is_told_as_gone() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::APPROVAL])).await?;
    run(&host, &["instances", "start", "Votes", "--id", "v", "--input", "1"]).await?.ok()?;
    let mut watch = command(&host.functions(), &["instances", "watch", "v", "--json"]);
    watch.env("EVERSTATE_HOST_URL", format!("http://{}", host.address()));
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut events = BufReader::new(watch.stdout.take().context("its output")?).lines();
    events.next_line().await?.context("an event")?;
    host.process().kill_9().await?;
    let mut last = String::new();
    while let Some(line) = events.next_line().await? {
        last = line;
    }
    let ended = watch.wait_with_output().await?;
    let line = String::from_utf8(ended.stderr)?;
    // Nothing listens there, or a connection that was still open ends.
    assert!(line.contains("the host run"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(last.starts_with(r#"{"error":{"message":"#), "{last}");
    Ok(())
}
