//! The host as a process of its own, with folders of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::http::Client;
use crate::process::{Output, ServerProcess};
use crate::wait::eventually;

/// How long a start may take on a busy machine; components are compiled in it.
pub const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long a line may take that tells of something that has happened already.
const LINE_DEADLINE: Duration = Duration::from_secs(15);

/// How long an end may take.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(30);

/// How to start a host.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The binary.
    pub binary: PathBuf,
    /// Components to put into the functions folder before the start.
    pub guests: Vec<PathBuf>,
    /// The text of the configuration file; none is passed if it is absent.
    pub config: Option<String>,
    /// Environment variables for the host.
    pub env: Vec<(String, String)>,
    /// The address to listen on; `None`: the flag is left out.
    pub listen: Option<String>,
    /// The data folder, if it is not to be the host's own.
    pub data: Option<PathBuf>,
    /// A folder for compiled components that hosts share, so that each is compiled once.
    pub compiled: Option<PathBuf>,
    /// Further arguments, after all others.
    pub args: Vec<String>,
    /// A program, with its arguments, that runs the host, for instance `strace`.
    pub run_by: Vec<String>,
}

impl HostOptions {
    /// A host with these components (constants of [`crate::guests`]) on a free port.
    #[must_use]
    pub fn new(binary: &str, guests: &[&str]) -> Self {
        Self {
            binary: binary.into(),
            guests: guests.iter().map(PathBuf::from).collect(),
            config: None,
            env: Vec::new(),
            listen: Some("127.0.0.1:0".into()),
            data: None,
            compiled: None,
            args: Vec::new(),
            run_by: Vec::new(),
        }
    }

    /// With this configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.into());
        self
    }

    /// With this environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With this data folder.
    #[must_use]
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// With this folder for compiled components, which other hosts use as well.
    #[must_use]
    pub fn compiled(mut self, folder: &Path) -> Self {
        self.compiled = Some(folder.into());
        self
    }

    /// With these further arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }
}

/// A host with a functions folder and a data folder that last as long as this value.
#[derive(Debug)]
pub struct HostProcess {
    process: ServerProcess,
    address: SocketAddr,
    options: HostOptions,
    folder: TempDir,
}

impl HostProcess {
    /// Starts a host and waits until it listens.
    ///
    /// # Errors
    /// If it does not start; the message has its output.
    pub async fn start(options: HostOptions) -> Result<Self> {
        let folder = prepare(&options)?;
        let mut process = ServerProcess::spawn(command(&options, folder.path()))?;
        let address = process.address(START_DEADLINE).await?;
        Ok(Self { process, address, options, folder })
    }

    /// Starts a host that is expected not to start; gives how it ended and what it said.
    ///
    /// # Errors
    /// If it runs.
    pub async fn start_and_fail(options: HostOptions) -> Result<(ExitStatus, Output)> {
        let folder = prepare(&options)?;
        let mut process = ServerProcess::spawn(command(&options, folder.path()))?;
        let status = process.wait_exit(START_DEADLINE).await?;
        let output = process.output().clone();
        output.closed(EXIT_DEADLINE).await?;
        Ok((status, output))
    }

    /// Ends what is left of it and starts it again on the same folders.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.respawn().await?;
        self.address = self.process.address(START_DEADLINE).await?;
        Ok(())
    }

    /// The same, but does not wait until it listens, so that it can be killed while it starts.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub async fn respawn(&mut self) -> Result<()> {
        self.process.kill_9().await?;
        self.process = ServerProcess::spawn(command(&self.options, self.folder.path()))?;
        Ok(())
    }

    /// How it is started the next time.
    pub fn options(&mut self) -> &mut HostOptions {
        &mut self.options
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client for it. A restart changes the address.
    #[must_use]
    pub fn client(&self) -> Client {
        Client { address: self.address }
    }

    /// The process, to end it or to look at it.
    pub fn process(&mut self) -> &mut ServerProcess {
        &mut self.process
    }

    /// What it printed since its last start.
    #[must_use]
    pub fn output(&self) -> &Output {
        self.process.output()
    }

    /// The functions folder.
    #[must_use]
    pub fn functions(&self) -> PathBuf {
        self.folder.path().join("functions")
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_folder(&self.options, self.folder.path())
    }

    /// The database in the data folder, for a look at it when the host has ended.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data().join("state")
    }

    /// Copies a component into the functions folder, as a user would.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn deploy(&self, component: &str, file_name: &str) -> Result<()> {
        std::fs::copy(component, self.functions().join(file_name))
            .with_context(|| format!("cannot copy {component}"))?;
        Ok(())
    }

    /// The same, but the file is there as a whole or not at all; it takes the place of one of that
    /// name.
    ///
    /// # Errors
    /// If it cannot be copied or moved.
    pub fn replace(&self, component: &str, file_name: &str) -> Result<()> {
        let staged = self.folder.path().join("staged.wasm");
        std::fs::copy(component, &staged).with_context(|| format!("cannot copy {component}"))?;
        std::fs::rename(staged, self.functions().join(file_name))?;
        Ok(())
    }

    /// Waits until a line with all of these words was printed.
    ///
    /// # Errors
    /// If there is none in time; the message has the output.
    pub async fn says(&self, words: &[&str]) -> Result<()> {
        self.line("printed", words, Output::all).await
    }

    /// Waits until a line with all of these words is in the log, which is standard error.
    ///
    /// # Errors
    /// If there is none in time; the message has the output.
    pub async fn logs(&self, words: &[&str]) -> Result<()> {
        self.line("logged", words, |output| output.stderr().join("\n")).await
    }

    async fn line(&self, what: &str, words: &[&str], text: fn(&Output) -> String) -> Result<()> {
        let output = self.output();
        eventually(&format!("a line with {words:?} is {what}"), LINE_DEADLINE, || async {
            let text = text(output);
            text.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        })
        .await
        .with_context(|| output.all())
    }
}

fn prepare(options: &HostOptions) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("everstate-").tempdir()?;
    let functions = folder.path().join("functions");
    std::fs::create_dir(&functions)?;
    for guest in &options.guests {
        let name = guest.file_name().context("a component is a file")?;
        std::fs::copy(guest, functions.join(name))
            .with_context(|| format!("cannot copy {}", guest.display()))?;
    }
    if let Some(text) = &options.config {
        std::fs::write(folder.path().join("everstate.toml"), text)?;
    }
    if let Some(compiled) = &options.compiled {
        share_compiled(compiled, &data_folder(options, folder.path()))?;
    }
    Ok(folder)
}

/// Makes the host's cache of compiled components a link to a folder, which it may use with others:
/// the files in it come as a whole and are named for what they are.
fn share_compiled(compiled: &Path, data: &Path) -> Result<()> {
    std::fs::create_dir_all(compiled)?;
    std::fs::create_dir_all(data)?;
    let link = data.join("compiled");
    if !link.is_symlink() {
        std::os::unix::fs::symlink(compiled, link)?;
    }
    Ok(())
}

fn data_folder(options: &HostOptions, folder: &Path) -> PathBuf {
    options.data.clone().unwrap_or_else(|| folder.join("data"))
}

fn command(options: &HostOptions, folder: &Path) -> Command {
    let mut words = options.run_by.iter().map(PathBuf::from).chain([options.binary.clone()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg("run");
    // What is set for the tests is not meant for the host, which refuses keys that it does not know.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVERSTATE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).envs(options.env.iter().map(|(name, value)| (name, value)));
    command.arg("--functions").arg(folder.join("functions"));
    command.arg("--data").arg(data_folder(options, folder));
    if let Some(listen) = &options.listen {
        command.args(["--listen", listen]);
    }
    if options.config.is_some() {
        command.arg("--config").arg(folder.join("everstate.toml"));
    }
    command.args(&options.args);
    command
}
