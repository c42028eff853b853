//! `everstate doctor`, `completions` and `man`.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{run, run_in};
use crate::database;

/// The findings about something.
fn about<'a>(report: &'a Value, about: &str) -> Vec<&'a Value> {
    let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings.iter().filter(|finding| finding["about"] == about).collect()
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_with_a_host_that_runs() -> Result<()> {
    let host = database().await?;
    let config = host.functions().with_file_name("doctor.toml");
    let (functions, data) = (host.functions(), host.data());
    fs::write(
        &config,
        format!("listen = '{}'\nfunctions = {functions:?}\ndata = {data:?}", host.address()),
    )?;
    let config = config.to_str().context("text")?;
    let report = run(&host, &["doctor", "--json", "--config", config]).await?.json()?;
    for name in ["configuration", "functions folder", "data folder", "clock", "port", "host"] {
        let findings = about(&report, name);
        assert!(!findings.is_empty(), "{name} is looked at");
        assert!(findings.iter().all(|finding| finding["level"] == "ok"), "{findings:?}");
    }
    let lock = about(&report, "data folder");
    let lock = lock.iter().filter_map(|finding| finding["text"].as_str());
    assert!(
        lock.clone().any(|text| text.contains("is in use by")),
        "{:?}",
        lock.collect::<Vec<_>>()
    );
    Ok(())
}

#[tokio::test]
async fn doctor_names_each_problem_and_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("functions"))?;
    fs::write(folder.path().join("functions/half.wasm"), b"\0asm")?;
    fs::write(folder.path().join("everstate.toml"), "colour = 1")?;
    let ran = run_in(folder.path(), &["doctor", "--json", "--host", "127.0.0.1:1"]).await?;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout)?;
    for (name, words) in [("configuration", "colour"), ("functions folder", "half.wasm")] {
        let [problem] = about(&report, name)[..] else { panic!("one finding about {name}") };
        assert_eq!(problem["level"], "problem");
        assert!(problem["text"].as_str().is_some_and(|text| text.contains(words)), "{problem}");
        assert!(problem["advice"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    assert_eq!(about(&report, "host")[0]["level"], "warning");
    assert!(ran.stderr.starts_with("everstate: there are 2 problems"), "{}", ran.stderr);
    Ok(())
}

#[tokio::test]
async fn completions_know_the_commands_in_every_shell() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run_in(folder.path(), &["completions", shell]).await?.ok()?;
        for word in ["everstate", "instances", "terminate", "doctor"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn manual_is_a_page_or_a_page_for_each_command() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let page = run_in(folder.path(), &["man"]).await?.ok()?;
    assert!(page.contains(".TH everstate 1") && page.contains("instances"), "{page}");
    run_in(folder.path(), &["man", "--folder", "pages"]).await?.ok()?;
    for name in ["everstate.1", "everstate-instances-list.1"] {
        assert!(folder.path().join("pages").join(name).is_file(), "{name}");
    }
    Ok(())
}
