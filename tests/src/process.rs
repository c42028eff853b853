//! A server as a child process: its output is collected, its address is read from it, and it can be
//! ended in every way a process can end.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::wait::eventually;

/// What a server prints before its address.
const LISTENING: &str = "Now listening on: ";

/// A running (or ended) server. Dropped, it is killed.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    output: Output,
}

/// All lines that a process printed so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Output {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    stdout: Vec<String>,
    stderr: Vec<String>,
    /// How many of the two have ended.
    closed: u8,
}

impl Output {
    /// Standard output, then standard error.
    #[must_use]
    pub fn all(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = String::new();
        for line in lines.stdout.iter().chain(&lines.stderr) {
            all.push_str(line);
            all.push('\n');
        }
        all
    }

    /// The lines of standard error.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).stderr.clone()
    }

    /// The lines of standard output.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).stdout.clone()
    }

    /// The lines, of either kind, that contain all of `words`.
    #[must_use]
    pub fn lines_with(&self, words: &[&str]) -> Vec<String> {
        self.all()
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    fn address(&self) -> Option<SocketAddr> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.stdout.iter().find_map(|line| {
            let (_, url) = line.split_once(LISTENING)?;
            let (_, address) = url.split_once("://")?;
            address.trim().trim_end_matches('/').parse().ok()
        })
    }

    fn collect(
        &self,
        from: impl AsyncRead + Send + Unpin + 'static,
        choose: fn(&mut Lines) -> &mut Vec<String>,
    ) {
        let lines = Arc::clone(&self.lines);
        tokio::spawn(async move {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line).await, Ok(count) if count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                choose(&mut lines.lock().unwrap_or_else(PoisonError::into_inner)).push(text);
                line.clear();
            }
            lines.lock().unwrap_or_else(PoisonError::into_inner).closed += 1;
        });
    }

    /// Waits until nothing more can come, which is shortly after the process has ended.
    ///
    /// # Errors
    /// If something holds the output open for longer than `deadline`.
    pub async fn closed(&self, deadline: Duration) -> Result<()> {
        eventually("the output ends", deadline, || async {
            let closed = self.lines.lock().unwrap_or_else(PoisonError::into_inner).closed;
            (closed == 2).then_some(())
        })
        .await
    }
}

impl ServerProcess {
    /// Starts a command and collects what it prints.
    ///
    /// # Errors
    /// If the command cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = Output::default();
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        output.collect(stdout, |lines| &mut lines.stdout);
        output.collect(stderr, |lines| &mut lines.stderr);
        Ok(Self { child, output })
    }

    /// Waits until the server prints its address.
    ///
    /// # Errors
    /// If it ends before, or takes longer than `deadline`; the message has its output.
    pub async fn address(&mut self, deadline: Duration) -> Result<SocketAddr> {
        let output = self.output.clone();
        let child = &mut self.child;
        let found = eventually("the server prints its address", deadline, || {
            let found = output.address().map(Ok).or_else(|| match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(Err(format!("it ended with {status}"))),
                Err(error) => Some(Err(error.to_string())),
            });
            async { found }
        })
        .await;
        match found {
            Ok(Ok(address)) => Ok(address),
            Ok(Err(reason)) => bail!("no address: {reason}\n{}", self.output.all()),
            Err(error) => bail!("{error}\n{}", self.output.all()),
        }
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its process id; `None` once it has been waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill_9(&mut self) -> Result<()> {
        self.child.kill().await.context("kill -9")
    }

    /// Asks it to end (SIGTERM) and returns at once.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn terminate(&self) -> Result<()> {
        let id = self.id().context("the process has ended")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
        kill_process(pid, Signal::TERM).context("SIGTERM")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it is still there after `deadline`.
    pub async fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("still running after {deadline:?}\n{}", self.output.all()),
        }
    }

    /// Bytes that it has caused to be written to disk so far (`write_bytes` of `/proc/<pid>/io`).
    ///
    /// # Errors
    /// If the process has ended or the system does not count.
    pub fn disk_bytes_written(&self) -> Result<u64> {
        self.proc_number("io", "write_bytes:")
    }

    /// Memory that it has resident now, in bytes (`VmRSS`).
    ///
    /// # Errors
    /// If the process has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        Ok(self.proc_number("status", "VmRSS:")? * 1024)
    }

    fn proc_number(&self, file: &str, field: &str) -> Result<u64> {
        let id = self.id().context("the process has ended")?;
        let text = std::fs::read_to_string(format!("/proc/{id}/{file}"))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field));
        let number = value.and_then(|value| value.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).with_context(|| format!("no {field}"))
    }
}

/// A failing test shows what the server said.
impl Drop for ServerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it with the failure")]
            {
                eprintln!("--- output of the server\n{}---", self.output.all());
            }
        }
    }
}
