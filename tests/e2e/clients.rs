//! The management API is the one that clients of Durable Functions know: the libraries for Python and
//! JavaScript with every call that they have, and whatever its own OpenAPI document allows.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
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

async fn library_for_javascript(way: &'static str) -> Result<()> {
    let folder = spawn_blocking(|| node("node", Path::new(BUILD))).await??;
    let host = host().await?;
    let mut script = Command::new("node");
    script.arg(folder.join("client.js")).args([&base_url(&host), way]);
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
    library_for_javascript("rpc").await
}

#[tokio::test]
async fn library_for_javascript_finds_what_its_users_expect_by_url_templates() -> Result<()> {
    library_for_javascript("templates").await
}
