//! What changes the way of an orchestration, and what is seen of it: rewind, events with data, logs, locks.

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use serde_json::json;

use super::run;
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
