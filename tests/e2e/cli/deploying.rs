//! `everstate deploy` and `everstate check`: into a folder or a host, and what is alive there meanwhile.

use std::fs;

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use super::{run, run_in};
use crate::options;

/// The file in which the components take turns.
const FILE: &str = "versions.wasm";

/// A host with version one and two orchestrations on it that wait: `fits`, whose history fits version two,
/// and `differs`.
async fn waiting() -> Result<HostProcess> {
    let host = HostProcess::start(options(&[])).await?;
    run(&host, &["deploy", guests::VERSION_ONE, "--as", "versions"]).await?.ok()?;
    for (name, id) in [("Versioned", "fits"), ("Rerouted", "differs")] {
        run(&host, &["instances", "start", name, "--id", id]).await?.ok()?;
        eventually(&format!("{id} waits"), START_DEADLINE, || async {
            let why = run(&host, &["instances", "why", id]).await.ok()?.ok().ok()?;
            why.contains("event").then_some(())
        })
        .await?;
    }
    Ok(host)
}

#[tokio::test]
async fn component_is_written_into_a_folder_and_served() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let functions = host.functions();
    let args = ["deploy", guests::DATABASE, "--as", "shop", "--functions", "."];
    run_in(&functions, &args).await?.ok()?;
    host.says(&["Database_HttpStart"]).await?;
    let names: Vec<_> = fs::read_dir(&functions)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    assert_eq!(names, ["shop.wasm"], "nothing else is left there");
    Ok(())
}

#[tokio::test]
async fn what_is_no_component_is_not_sent() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let file = host.data().with_file_name("module.wasm");
    let path = file.to_string_lossy().into_owned();
    for (bytes, words) in [
        (&b"\0asm\x01\0\0\0"[..], "is a WebAssembly module and no component"),
        (b"text", "is no WebAssembly component"),
    ] {
        fs::write(&file, bytes)?;
        for command in ["deploy", "check"] {
            let line = run(&host, &[command, &path]).await?.failure()?;
            assert!(line.contains(words), "{line}");
        }
    }
    let whole = fs::read(guests::DATABASE)?;
    fs::write(&file, &whole[..whole.len() - 10])?;
    for args in [&["deploy", &path][..], &["check", &path], &["deploy", &path, "--functions", "."]]
    {
        let line = run(&host, args).await?.failure()?;
        assert!(line.contains("is cut off"), "{line}");
    }
    assert_eq!(fs::read_dir(host.functions())?.count(), 0);
    let line = run(&host, &["deploy", "nowhere.wasm"]).await?.failure()?;
    assert!(line.contains("nowhere.wasm") && line.contains("folder of a project"), "{line}");
    Ok(())
}

#[tokio::test]
async fn check_shows_what_does_not_fit_and_deploying_with_it_changes_nothing() -> Result<()> {
    let host = waiting().await?;
    let fits = run(&host, &["check", guests::VERSION_ONE, "--as", "versions"]).await?.ok()?;
    assert_eq!(fits, format!("{FILE}: all 2 live orchestrations fit.\n"));
    for command in ["check", "deploy"] {
        let check: &[&str] = if command == "deploy" { &["--check"] } else { &[] };
        let args = [&[command, guests::VERSION_TWO, "--as", FILE], check].concat();
        let ran = run(&host, &args).await?;
        assert!(ran.stdout.contains("differs") && !ran.stdout.contains("fits"), "{}", ran.stdout);
        let line = ran.failure()?;
        assert!(line.contains("1 live orchestration does not fit"), "{line}");
        let report: Value =
            serde_json::from_str(&run(&host, &[&args[..], &["--json"]].concat()).await?.stdout)?;
        assert_eq!(report["diverging"][0]["instanceId"], "differs", "{report:#}");
    }
    let listed = run(&host, &["deploy", "--list", "--as", "versions"]).await?.ok()?;
    assert!(listed.contains("1 live orchestration does not fit"), "{listed}");
    Ok(())
}

/// Nothing diverges if nothing is there to be replayed; what is in use counts all the same.
#[tokio::test]
async fn function_in_use_that_would_be_gone_does_not_pass_a_check() -> Result<()> {
    let host = waiting().await?;
    run(&host, &["entities", "call", "VersionedRepaired", "1", "set"]).await?.ok()?;
    let args = ["check", guests::HELLO, "--as", FILE];
    let ran = run(&host, &args).await?;
    for row in ["Versioned", "Rerouted", "VersionedRepaired"] {
        assert!(ran.stdout.lines().any(|line| line.starts_with(row)), "{row}: {}", ran.stdout);
    }
    let line = ran.failure()?;
    assert!(line.contains("3 functions in use would be gone"), "{line}");
    let line = run(&host, &["deploy", guests::HELLO, "--as", FILE, "--check"]).await?.failure()?;
    assert!(line.contains("Versioned") && line.contains("would be gone"), "{line}");
    let served = run(&host, &["functions", "--json"]).await?.json()?;
    assert!(served["functions"].to_string().contains("Versioned"), "{served:#}");
    Ok(())
}

#[tokio::test]
async fn migration_says_what_moved_and_what_kept_its_code() -> Result<()> {
    let host = waiting().await?;
    let moved = run(&host, &["deploy", guests::VERSION_TWO, "--as", FILE, "--migrate"]).await?;
    let moved = moved.ok()?;
    assert!(
        moved.contains("1 of 2 live orchestrations moved to it; 1 kept the old code"),
        "{moved}"
    );
    assert!(moved.lines().any(|line| line.starts_with("differs")), "{moved}");
    let history = run(&host, &["instances", "history", "fits"]).await?.ok()?;
    assert!(history.contains("moved to the code"), "{history}");
    let back = run(&host, &["deploy", "--rollback", "versions", "--migrate", "--json"]).await?;
    let back = back.json()?;
    assert_eq!((&back["migrated"], &back["notMigrated"]), (&json!(1), &json!([])), "{back:#}");
    for id in ["fits", "differs"] {
        run(&host, &["instances", "raise", id, "go"]).await?.ok()?;
        run(&host, &["instances", "wait", id]).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn file_is_rolled_back_and_removed_by_its_name_with_or_without_its_ending() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    for component in [guests::VERSION_ONE, guests::VERSION_TWO] {
        run(&host, &["deploy", component, "--as", "versions"]).await?.ok()?;
    }
    let back = run(&host, &["deploy", "--rollback", "versions"]).await?.ok()?;
    assert!(back.starts_with("Rolled back versions.wasm"), "{back}");
    let said = run(&host, &["instances", "start", "VersionedChild", "--wait"]).await?.ok()?;
    assert_eq!(said, "\"one\"\n");
    let removed = run(&host, &["deploy", "--remove", "versions", "--json"]).await?.json()?;
    assert_eq!(removed["file"], FILE);
    let listed = run(&host, &["deploy", "--list", "--as", "versions", "--json"]).await?.json()?;
    let actions: Vec<&str> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|deployment| deployment["action"].as_str())
        .collect();
    for action in ["deployed", "rolledBack", "removed"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    let again = run(&host, &["deploy", "--remove", "versions"]).await?.failure()?;
    assert!(again.contains("no `versions.wasm` in the functions folder"), "{again}");
    let nothing = run(&host, &["deploy", "--rollback", "nothing"]).await?.failure()?;
    assert!(nothing.contains("no earlier version of `nothing.wasm`"), "{nothing}");
    Ok(())
}
