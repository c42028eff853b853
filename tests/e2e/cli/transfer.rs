//! `export` and `import`: one instance leaves a host as JSON lines and comes into another.

use std::fs;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::{Value, json};

use super::run;
use crate::options;

/// Longer than a test.
const LONG: &str = "600000";

#[tokio::test]
async fn orchestration_goes_on_where_it_is_imported() -> Result<()> {
    let here = HostProcess::start(options(&[guests::APPROVAL])).await?;
    let there = HostProcess::start(options(&[guests::APPROVAL])).await?;
    let args = ["instances", "start", "Approval", "--id", "my order", "--input", LONG];
    run(&here, &args).await?.ok()?;
    let file = here.data().with_file_name("order.jsonl");
    let file = file.to_str().context("a path that is text")?;
    run(&here, &["instances", "wait", "my order", "--for", "start"]).await?.ok()?;
    let written = run(&here, &["instances", "export", "my order", "-o", file, "--json"]).await?;
    assert_eq!(written.json()?["bytes"], fs::metadata(file)?.len());
    let lines = run(&here, &["instances", "export", "my order"]).await?.ok()?;
    for line in lines.lines() {
        serde_json::from_str::<Value>(line)?;
    }
    let imported = run(&there, &["instances", "import", file, "--json"]).await?.json()?;
    assert_eq!(imported, json!({"imported": ["my order"]}));

    let refused = run(&there, &["instances", "import", file]).await?.failure()?;
    assert!(refused.contains("--replace"), "{refused}");
    let replaced = run(&there, &["instances", "import", file, "--replace"]).await?.ok()?;
    assert_eq!(replaced, "Imported my order\n");
    run(&there, &["instances", "raise", "my order", "approval", "--data", "true"]).await?.ok()?;
    let output = run(&there, &["instances", "wait", "my order"]).await?.ok()?;
    assert_eq!(output, "\"Approved\"\n");
    Ok(())
}

#[tokio::test]
async fn entity_is_imported_and_a_state_replaced_only_if_that_is_wanted() -> Result<()> {
    let host = HostProcess::start(options(&[guests::DATABASE])).await?;
    let set = async |value: &str| {
        run(&host, &["entities", "call", "Register", "1", "set", "--input", value]).await?.ok()
    };
    set("\"old\"").await?;
    let file = host.data().with_file_name("register.jsonl");
    let file = file.to_str().context("a path that is text")?;
    run(&host, &["entities", "export", "Register", "1", "--output", file]).await?.ok()?;
    set("\"new\"").await?;
    let refused = run(&host, &["instances", "import", file]).await?.failure()?;
    assert!(refused.contains("has a state here") && refused.contains("--replace"), "{refused}");
    run(&host, &["instances", "import", file, "--replace"]).await?.ok()?;
    assert_eq!(run(&host, &["entities", "get", "Register", "1"]).await?.ok()?, "\"old\"\n");
    fs::write(file, "{}\n")?;
    let damaged = run(&host, &["instances", "import", file]).await?.failure()?;
    assert!(damaged.contains("Nothing was imported"), "{damaged}");
    Ok(())
}
