//! [`Driver`]: drives orchestrations through the routes of `guests/lifecycle`, over HTTP.
//!
//! A scenario is written once against a driver and runs in several ways ([`Way`]). Where the host kills
//! itself on the way, the driver starts it again on the same data and asks again; each method
//! says what that means for it. What is asked again is asked so that it happens once, if that can be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::host::{EXIT_DEADLINE, HostOptions, HostProcess};
use crate::http::Reply;
use crate::wait::eventually;

mod entities;

/// How long anything may take that the driver waits for.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long one request waits for an end, in milliseconds; the driver asks again after that.
const WAIT_MS: u64 = 10_000;

/// The setting that lets a host kill itself.
const ABORT_VARIABLE: &str = "EVERSTATE_ENGINE__ABORT_AFTER_COMMITS";

/// Settings that keep nothing in memory.
const EVICTION: &str =
    "\n[runtime]\nsuspended_guests_max = 0\n[engine]\nloaded_instances_max = 1\n";

/// Settings that make as many commits as can be: nothing waits for company.
const NO_DELAY: &str = "\n[engine]\ncommit_delay_ms = 0\n";

/// In which way a scenario runs. Its results must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a user would run it.
    Plain,
    /// Nothing that waits is kept in memory: everything is loaded and replayed.
    Evicted,
    /// The host kills itself right after so many commits are on disk, and is started again.
    Killed {
        /// How many.
        after_commits: u32,
    },
}

/// A host and what drives it.
#[derive(Debug)]
pub struct Driver {
    way: Way,
    host: Mutex<HostProcess>,
    /// How often the host was started.
    starts: AtomicU64,
    /// Whether it has killed itself.
    has_died: AtomicBool,
    /// How many couriers there were.
    couriers: AtomicU64,
    /// The host's data outlives a start that fails.
    _data: TempDir,
}

/// Starting and ending.
impl Driver {
    /// Starts a host, whose options include the guest `lifecycle`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(options: HostOptions, way: Way) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("everstate-data-").tempdir()?;
        let options = match way {
            Way::Evicted => {
                let config = options.config.clone().unwrap_or_default();
                options.config(&format!("{config}{EVICTION}"))
            }
            Way::Killed { .. } => {
                let config = options.config.clone().unwrap_or_default();
                options.config(&format!("{config}{NO_DELAY}"))
            }
            Way::Plain => options,
        };
        let options = options.data(data.path());
        let (host, has_died) = match way {
            Way::Killed { after_commits } => {
                let dying = options.clone().env(ABORT_VARIABLE, &after_commits.to_string());
                match HostProcess::start(dying).await {
                    Ok(host) => (host, false),
                    // It killed itself before it listened; anything else fails again.
                    Err(_) => (HostProcess::start(options).await?, true),
                }
            }
            Way::Plain | Way::Evicted => (HostProcess::start(options).await?, false),
        };
        Ok(Self {
            way,
            host: Mutex::new(host),
            starts: AtomicU64::new(1),
            has_died: AtomicBool::new(has_died),
            couriers: AtomicU64::new(0),
            _data: data,
        })
    }

    /// In which way it runs.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Whether the host has killed itself so far.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.has_died.load(Ordering::SeqCst)
    }

    /// The host, for what the driver does not do. It must not be kept over a request.
    pub async fn host(&self) -> MutexGuard<'_, HostProcess> {
        self.host.lock().await
    }

    /// Kills the host and starts it again on its data.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn kill_and_restart(&self) -> Result<()> {
        let mut host = self.host.lock().await;
        self.restart(&mut host).await
    }

    async fn restart(&self, host: &mut HostProcess) -> Result<()> {
        host.options().env.retain(|(name, _)| name != ABORT_VARIABLE);
        host.restart().await?;
        self.starts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Starts the host again that did not answer, unless that has been done since.
    async fn revive(&self, starts: u64, error: anyhow::Error) -> Result<()> {
        let mut host = self.host.lock().await;
        if self.starts.load(Ordering::SeqCst) != starts {
            return Ok(());
        }
        if !matches!(self.way, Way::Killed { .. }) {
            return Err(error);
        }
        host.process().wait_exit(EXIT_DEADLINE).await.context("it did not answer, yet it lives")?;
        self.has_died.store(true, Ordering::SeqCst);
        self.restart(&mut host).await
    }
}

/// Requests.
impl Driver {
    /// Asks once; `None`: there was no answer, and the host runs again.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<Option<Reply>> {
        let (client, starts) = {
            let host = self.host.lock().await;
            (host.client(), self.starts.load(Ordering::SeqCst))
        };
        match client.send(method, path, &[], body.to_owned()).await {
            Ok(reply) => Ok(Some(reply)),
            Err(error) => {
                self.revive(starts, error.context(format!("{method} {path}"))).await?;
                Ok(None)
            }
        }
    }

    /// GET, until there is an answer.
    ///
    /// # Errors
    /// If the host does not answer.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        loop {
            if let Some(reply) = self.ask("GET", path, "").await? {
                return Ok(reply);
            }
        }
    }

    /// POST, until there is an answer: it may be done more than once.
    ///
    /// # Errors
    /// If the host does not answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        loop {
            if let Some(reply) = self.ask("POST", path, &body.to_string()).await? {
                return Ok(reply);
            }
        }
    }

    /// POST that must be answered well. One that is asked again may find that it was done before, which
    /// is a conflict.
    async fn change(&self, path: &str, body: &Value) -> Result<()> {
        let mut is_again = false;
        loop {
            if let Some(reply) = self.ask("POST", path, &body.to_string()).await? {
                let is_done = reply.status == StatusCode::CONFLICT && is_again;
                ensure!(is_done || reply.status == StatusCode::OK, told(path, &reply));
                return Ok(());
            }
            is_again = true;
        }
    }
}

/// Orchestrations, by their ids.
impl Driver {
    /// Starts an orchestration, once.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn start_new(&self, name: &str, id: &str, input: Value) -> Result<()> {
        self.start_with(name, id, "", input).await
    }

    /// The same, with further parameters: `&tags=a:b`.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn start_with(&self, name: &str, id: &str, more: &str, input: Value) -> Result<()> {
        let path = format!("/lifecycle/start/{name}?id={id}{more}");
        loop {
            if let Some(reply) = self.ask("POST", &path, &input.to_string()).await? {
                ensure!(reply.status == StatusCode::OK, told(&path, &reply));
                return Ok(());
            }
            // Nobody else starts it: if it is there, it was started.
            if self.status(id).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Starts one, waits for its end and gives its output, which it must have.
    ///
    /// # Errors
    /// If it does not complete.
    pub async fn run(&self, name: &str, id: &str, input: Value) -> Result<Value> {
        self.start_new(name, id, input).await?;
        self.output(id).await
    }

    /// Raises an event; at least once if the host is killed.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn raise(&self, id: &str, event: &str, data: Value) -> Result<()> {
        self.change(&format!("/lifecycle/raise/{id}/{event}"), &data).await
    }

    /// Raises an event once, by an orchestration if the host is killed.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn raise_once(&self, id: &str, event: &str, data: Value) -> Result<()> {
        if !matches!(self.way, Way::Killed { .. }) {
            return self.raise(id, event, data).await;
        }
        let courier = self.couriers.fetch_add(1, Ordering::SeqCst);
        let parcel = json!({ "to": id, "event": event, "data": data });
        self.run("Courier", &format!("courier-{courier}"), parcel).await.map(drop)
    }

    /// `terminate`, `suspend`, `resume` or `rewind`, with parameters: `?reason=enough`.
    ///
    /// # Errors
    /// If the host refuses.
    pub async fn apply(&self, verb: &str, id: &str, parameters: &str) -> Result<()> {
        self.change(&format!("/lifecycle/{verb}/{id}{parameters}"), &Value::Null).await
    }

    /// The status document, with the history; `None`: there is no such instance.
    ///
    /// # Errors
    /// If the host does not answer as it should.
    pub async fn status(&self, id: &str) -> Result<Option<Value>> {
        let path = format!("/lifecycle/status/{id}?history=true");
        let reply = self.get(&path).await?;
        match reply.status {
            StatusCode::OK => reply.json().map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!(told(&path, &reply)),
        }
    }

    /// The status document as the management API gives it.
    ///
    /// # Errors
    /// If there is no such instance.
    pub async fn managed(&self, id: &str, parameters: &str) -> Result<Value> {
        let path = format!("/runtime/webhooks/durabletask/instances/{id}{parameters}");
        self.get(&path).await?.json()
    }

    /// Waits for the end and gives the status document of then.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn ended(&self, id: &str) -> Result<Value> {
        let path = format!("/lifecycle/wait/{id}?timeout={WAIT_MS}");
        let waited = async {
            loop {
                let reply = self.get(&path).await?;
                ensure!(reply.status == StatusCode::OK, told(&path, &reply));
                let status = reply.json()?;
                if is_end(&status["runtimeStatus"]) {
                    return Ok(status);
                }
            }
        };
        match tokio::time::timeout(DEADLINE, waited).await {
            Ok(status) => status,
            Err(_) => bail!("{id} does not end: {:#}", self.status(id).await?.unwrap_or_default()),
        }
    }

    /// Waits for the end and gives the output, which it must have.
    ///
    /// # Errors
    /// If it does not complete.
    pub async fn output(&self, id: &str) -> Result<Value> {
        let mut status = self.ended(id).await?;
        ensure!(status["runtimeStatus"] == "Completed", "{id} did not complete: {status:#}");
        Ok(status["output"].take())
    }

    /// Waits until the status document fits, and gives it.
    ///
    /// # Errors
    /// If it does not fit in time.
    pub async fn until(
        &self,
        id: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = eventually(&format!("{id}: {what}"), DEADLINE, || async {
            match self.status(id).await {
                Ok(status) => status.filter(&fits).map(Ok),
                Err(error) => Some(Err(error)),
            }
        })
        .await;
        match found {
            Ok(found) => found,
            Err(error) => {
                let status = self.status(id).await?.unwrap_or_default();
                Err(error.context(format!("it is: {status:#}")))
            }
        }
    }

    /// Waits until it is in that place of its life.
    ///
    /// # Errors
    /// If it does not come there in time.
    pub async fn until_is(&self, id: &str, runtime_status: &str) -> Result<Value> {
        self.until(id, runtime_status, |status| status["runtimeStatus"] == runtime_status).await
    }
}

/// Orchestrations that are to be there, or not.
impl Driver {
    /// Waits until there is no such instance.
    ///
    /// # Errors
    /// If it does not go.
    pub async fn gone(&self, id: &str) -> Result<()> {
        eventually(&format!("{id} is gone"), DEADLINE, || async {
            matches!(self.status(id).await, Ok(None)).then_some(())
        })
        .await
    }

    /// Waits until so many instances fit a filter.
    ///
    /// # Errors
    /// If it is another number for too long.
    pub async fn until_count(&self, filter: &str, count: u64) -> Result<()> {
        let path = format!("/lifecycle/count?{filter}");
        eventually(&format!("{path} is {count}"), DEADLINE, || async {
            let found = self.get(&path).await.ok()?.json().ok()?;
            (found["count"] == count).then_some(())
        })
        .await
    }
}

/// The events of one type in a status document.
#[must_use]
pub fn events<'a>(status: &'a Value, event_type: &str) -> Vec<&'a Value> {
    let history = status["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    history.iter().filter(|event| event["EventType"] == event_type).collect()
}

/// Text as a value in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Whether an orchestration has ended.
#[must_use]
pub fn is_end(runtime_status: &Value) -> bool {
    ["Completed", "Failed", "Terminated"].iter().any(|end| runtime_status == end)
}

/// What a reply said that should have been another.
fn told(path: &str, reply: &Reply) -> String {
    format!("{path}: {} {}", reply.status, reply.text())
}

/// A failing test shows where the host was killed.
impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it with the failure")]
            {
                eprintln!("--- the scenario ran {:?}", self.way);
            }
        }
    }
}
