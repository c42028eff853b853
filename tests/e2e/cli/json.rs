//! `--json`: there is one value on standard output, however a command ends.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::Value;

use super::{run, run_in};
use crate::options;

/// Each command that can fail, as it fails where no host is and nothing is in the folder.
const FAILING: &[&[&str]] = &[
    &["backup", "kept"],
    &["build"],
    &["check"],
    &["deploy"],
    &["doctor", "--data", "nowhere"],
    &["entities", "call", "A", "1", "add"],
    &["entities", "delete", "A", "1"],
    &["entities", "export", "A", "1"],
    &["entities", "get", "A", "1"],
    &["entities", "list"],
    &["entities", "purge", "A", "1"],
    &["entities", "signal", "A", "1", "add"],
    &["entities", "unlock", "A", "1"],
    &["functions"],
    &["instances", "export", "a"],
    &["instances", "history", "a"],
    &["instances", "import", "nowhere"],
    &["instances", "list"],
    &["instances", "logs", "a"],
    &["instances", "purge", "a", "--yes"],
    &["instances", "raise", "a", "go"],
    &["instances", "restart", "a"],
    &["instances", "resume", "a"],
    &["instances", "rewind", "a"],
    &["instances", "show", "a"],
    &["instances", "start", "A"],
    &["instances", "suspend", "a"],
    &["instances", "terminate", "a"],
    &["instances", "wait", "a"],
    &["instances", "watch", "a"],
    &["instances", "why", "a"],
    &["keys", "delete", "host"],
    &["keys", "list"],
    &["keys", "rotate", "host"],
    &["keys", "set", "host"],
    &["locks"],
    &["new", "2shop"],
    &["restore", "--from", "nowhere", "--data", "data"],
    &["sdk"],
];

/// Those that give what is made of the arguments themselves, and the host.
const OTHERS: &[&str] = &["completions", "man", "run"];

/// The message of a value that says only what went wrong.
fn message(stdout: &str) -> Result<String> {
    let value: Value =
        serde_json::from_str(stdout).with_context(|| format!("not one value: {stdout}"))?;
    let message = value["error"]["message"].as_str().context("no message")?;
    Ok(message.to_owned())
}

#[tokio::test]
async fn every_command_that_fails_gives_the_reason_as_json() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for args in FAILING {
        let mut all = [args, &["--json"][..]].concat();
        if !matches!(args[0], "build" | "new" | "restore" | "sdk") {
            all.extend(["--host", "127.0.0.1:1"]);
        }
        let ran = run_in(folder.path(), &all).await?;
        let told = message(&ran.stdout).with_context(|| format!("{args:?}"))?;
        let line = ran.failure().with_context(|| format!("{args:?}"))?;
        assert_eq!(line, format!("everstate: {told}"), "{args:?}");
    }
    Ok(())
}

/// So that a new command comes into the list above.
#[tokio::test]
async fn every_command_is_tried_with_json() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let written = run_in(folder.path(), &["man", "--folder", "pages", "--json"]).await?.json()?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder.path().join("pages"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.insert(name.trim_end_matches(".1").to_owned());
    }
    assert_eq!(written["pages"], names.len());
    let tried = FAILING.iter().map(|args| match args[0] {
        group @ ("entities" | "instances" | "keys") => format!("everstate-{group}-{}", args[1]),
        command => format!("everstate-{command}"),
    });
    let others = OTHERS.iter().map(|name| format!("everstate-{name}"));
    let tried: BTreeSet<String> = tried.chain(others).collect();
    let is_group = |name: &String| {
        names.iter().any(|other| other.starts_with(&format!("{name}-"))) || name.contains("help")
    };
    let commands: BTreeSet<String> = names.iter().filter(|it| !is_group(it)).cloned().collect();
    assert_eq!(commands, tried);
    Ok(())
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_as_json_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = run_in(folder.path(), &["instances", "show", "--json"]).await?;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(message(&ran.stdout)?.contains("<ID>"), "{}", ran.stdout);
    assert!(ran.stderr.contains("Usage:"), "{}", ran.stderr);
    for args in [&["completions", "bash"][..], &["man"]] {
        let printed = run_in(folder.path(), &[args, &["--json"]].concat()).await?.json()?;
        assert_eq!(printed.as_object().map(|fields| fields.len()), Some(1), "{args:?}");
    }
    Ok(())
}

/// What a command found is its value, though it ends with 1.
#[tokio::test]
async fn result_that_is_not_as_hoped_is_the_value() -> Result<()> {
    let host = HostProcess::start(options(&[guests::HELLO])).await?;
    let args =
        ["instances", "start", "Factorial", "--id", "f", "--input", "30", "--wait", "--json"];
    let ran = run(&host, &args).await?;
    let status: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!((&status["runtimeStatus"], ran.code), (&"Failed".into(), 1));
    let shown = run(&host, &["instances", "show", "none", "--json"]).await?;
    assert!(message(&shown.stdout)?.contains("no orchestration `none`"), "{}", shown.stdout);
    Ok(())
}
