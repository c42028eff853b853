//! The command line as its users call it: a process, its output, its exit status.

mod deploying;
mod entities;
mod errors;
mod instances;
mod json;
mod keys;
mod projects;
mod steering;
mod tools;
mod transfer;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use everstate_tests::host::HostProcess;
use serde_json::Value;
use tokio::process::Command;

/// What a command printed and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// What it printed, if it did what it was to do.
    fn ok(self) -> Result<String> {
        anyhow::ensure!(self.code == 0, "exit {}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    fn json(self) -> Result<Value> {
        let text = self.ok()?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// The one line that says why it failed.
    fn failure(self) -> Result<String> {
        anyhow::ensure!(self.code == 1, "exit {}: {}{}", self.code, self.stdout, self.stderr);
        let line = self.stderr.trim_end();
        anyhow::ensure!(line.starts_with("everstate: "), "no reason: {line}");
        anyhow::ensure!(line.lines().count() == 1, "several lines: {line}");
        Ok(line.to_owned())
    }
}

/// A command in a folder, without a terminal and without settings of whoever runs the tests.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVERSTATE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

async fn finish(mut command: Command) -> Result<Ran> {
    let output = command.output().await?;
    Ok(Ran {
        code: output.status.code().context("it was killed")?,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Runs a command that needs no host.
async fn run_in(folder: &Path, args: &[&str]) -> Result<Ran> {
    finish(command(folder, args)).await
}

/// Runs a command against a host, which it learns of from its environment.
async fn run(host: &HostProcess, args: &[&str]) -> Result<Ran> {
    let mut command = command(&host.functions(), args);
    command.env("EVERSTATE_HOST_URL", format!("http://{}", host.address()));
    finish(command).await
}
