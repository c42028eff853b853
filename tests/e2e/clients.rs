//! The management API is the one that clients of Durable Functions know: the libraries for Python and
//! JavaScript with every call that they have, and whatever its own OpenAPI document allows.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use everstate_tests::foreign::{node, python, source, text_of};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use tokio::task::spawn_blocking;

use crate::options;

/// Where installed packages are kept between runs.
const BUILD: &str = env!("CARGO_TARGET_TMPDIR");

/// A host with what the scripts in `tests/clients` use.
async fn host() -> Result<HostProcess> {
    let guests =
        [guests::APPROVAL, guests::COUNTER, guests::ENTITIES, guests::HELLO, guests::RETRIES];
    HostProcess::start(options(&guests)).await
}

/// Runs a command beside the host; what it wrote is shown if it fails.
async fn succeed(mut command: Command) -> Result<()> {
    let output = spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", text_of(&output));
    Ok(())
}

fn base_url(host: &HostProcess) -> String {
    format!("http://{}/runtime/webhooks/durabletask/", host.address())
}

async fn library_for_python(links: &'static str) -> Result<()> {
    let folder = spawn_blocking(|| python("python", Path::new(BUILD))).await??;
    let host = host().await?;
    let mut script = Command::new(folder.join("bin/python"));
    script.arg(source("python").join("client.py")).args([&base_url(&host), links]);
    succeed(script).await
}

async fn library_for_javascript(host: &HostProcess, ways: &[&str]) -> Result<()> {
    let folder = spawn_blocking(|| node("node", Path::new(BUILD))).await??;
    let mut script = Command::new("node");
    script.arg(folder.join("client.js")).arg(base_url(host)).args(ways);
    succeed(script).await
}

#[tokio::test]
async fn library_for_python_finds_what_its_users_expect() -> Result<()> {
    library_for_python("rpc").await
}

#[tokio::test]
async fn library_for_python_makes_links_of_those_that_the_host_gives() -> Result<()> {
    library_for_python("templates").await
}

#[tokio::test]
async fn library_for_javascript_finds_what_its_users_expect_by_base_url() -> Result<()> {
    library_for_javascript(&host().await?, &["rpc"]).await
}

#[tokio::test]
async fn library_for_javascript_finds_what_its_users_expect_by_url_templates() -> Result<()> {
    library_for_javascript(&host().await?, &["templates"]).await
}

/// The key stands in the templates, and in the links that come of them.
#[tokio::test]
async fn library_for_javascript_brings_the_key_that_its_url_templates_have() -> Result<()> {
    let guests = options(&[
        guests::APPROVAL,
        guests::COUNTER,
        guests::ENTITIES,
        guests::HELLO,
        guests::RETRIES,
    ]);
    let host = HostProcess::start(guests.config("[http]\nrequire_keys = true\n")).await?;
    host.says(&["management/default"]).await?;
    let lines = host.output().stdout();
    let key = lines.iter().find_map(|line| line.trim().strip_prefix("management/default: "));
    library_for_javascript(&host, &["templates", key.context("no key")?]).await
}

/// Runs schemathesis with one of its configurations.
async fn answers_fit_the_document(config: &str) -> Result<()> {
    let folder = spawn_blocking(|| python("schemathesis", Path::new(BUILD))).await??;
    let guests = [guests::APPROVAL, guests::COUNTER, guests::HELLO, guests::RETRIES];
    // Nobody wants to wait for what does not end.
    let host = HostProcess::start(options(&guests).config("[http]\nwait_max_ms = 20\n")).await?;
    for number in 1..=4 {
        let path = format!("/runtime/webhooks/durabletask/orchestrators/Votes/Votes-{number}");
        host.client().post(&path, "1").await?;
    }
    let files = source("schemathesis");
    let mut schemathesis = Command::new(folder.join("bin/schemathesis"));
    schemathesis.current_dir(host.data()).env("PYTHONPATH", &files);
    schemathesis.env("PYTHONDONTWRITEBYTECODE", "1").env("SCHEMATHESIS_HOOKS", "hooks");
    schemathesis.arg("--config-file").arg(files.join(config)).arg("run");
    schemathesis.args(["--phases", "coverage,fuzzing", "--max-examples", "6", "--seed", "7"]);
    schemathesis.args(["--continue-on-failure", "--request-timeout", "20", "--no-color"]);
    schemathesis.args(["--generation-database", ":memory:", "--suppress-health-check", "all"]);
    schemathesis.args(["--warnings", "off", "--exclude-path-regex", LEFT_OUT]);
    schemathesis.arg(format!("{}openapi.json", base_url(&host)));
    succeed(schemathesis).await?;
    let log = host.output().stderr();
    let errors: Vec<_> = log.iter().filter(|line| line.contains(" ERROR ")).collect();
    assert!(errors.is_empty(), "the host calls these its own errors: {errors:?}");
    Ok(())
}

/// What ends with the orchestration only, writes outside of the host's folders, or locks the test out.
const LEFT_OUT: &str = "^/admin/(backup|keys)|/history/stream$";

#[tokio::test]
async fn whatever_the_openapi_document_allows_is_answered_as_it_says() -> Result<()> {
    answers_fit_the_document("anything.toml").await
}

#[tokio::test]
async fn requests_for_what_is_there_are_answered_as_the_openapi_document_says() -> Result<()> {
    answers_fit_the_document("known.toml").await
}
