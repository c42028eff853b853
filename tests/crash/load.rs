//! The load: clients that write, read, post, count and signal at random until their connection breaks,
//! and write down what they asked and what they were told.

use std::sync::{Arc, Mutex};

use anyhow::{Result, bail, ensure};
use everstate_tests::history::{Called, Recorder};
use everstate_tests::http::{Client, Connection, Reply};
use hyper::StatusCode;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::API;
use crate::counters::Counters;
use crate::signals::Signals;

/// Clients at the same time.
const CLIENTS: u64 = 8;

/// Keys that they share.
const KEYS: u32 = 24;

/// Accounts that they share.
const ACCOUNTS: u32 = 8;

/// What clients did on one set of keys and accounts, over several crashes.
pub(crate) struct Load {
    /// Begins every key and account.
    prefix: String,
    /// Writes and reads.
    pub(crate) recorder: Arc<Recorder>,
    /// Additions.
    pub(crate) counters: Arc<Counters>,
    /// Signals.
    pub(crate) signals: Arc<Signals>,
    notes: Arc<Mutex<Notes>>,
}

/// What has to be looked after when the host is up again.
#[derive(Default)]
pub(crate) struct Notes {
    /// Requests that were answered with 202.
    pub(crate) accepted: Vec<Accepted>,
    /// Tokens that were posted.
    pub(crate) postings: Vec<Posting>,
}

/// A promise that something ends.
pub(crate) struct Accepted {
    pub(crate) called: Called,
    pub(crate) is_write: bool,
    /// Path and query of the status URL.
    pub(crate) status_path: String,
}

/// A token that was sent to an account.
pub(crate) struct Posting {
    pub(crate) account: String,
    pub(crate) token: String,
    /// The host answered 200 or 202.
    pub(crate) acknowledged: bool,
}

impl Load {
    /// On keys and accounts with this prefix.
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            recorder: Arc::default(),
            counters: Arc::new(Counters::new(&prefix)),
            signals: Arc::new(Signals::new(&prefix)),
            notes: Arc::default(),
            prefix,
        }
    }

    /// How many requests were answered whose answers were checked.
    pub(crate) fn answered(&self) -> usize {
        self.recorder.answered() + self.counters.answered() + self.signals.acknowledged()
    }

    /// Every key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> + '_ {
        (0..KEYS).map(|number| format!("{}-{number}", self.prefix))
    }

    /// Every account.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = String> + '_ {
        (0..ACCOUNTS).map(|number| format!("{}-{number}", self.prefix))
    }

    /// What was written down.
    pub(crate) fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    /// Starts the clients; each ends when its connection breaks.
    pub(crate) fn start(&self, client: Client, random: &mut SmallRng) -> JoinSet<Result<()>> {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let one = OneClient {
                keys: self.keys().collect(),
                accounts: self.accounts().collect(),
                recorder: Arc::clone(&self.recorder),
                counters: Arc::clone(&self.counters),
                signals: Arc::clone(&self.signals),
                notes: Arc::clone(&self.notes),
                random: SmallRng::seed_from_u64(random.random()),
            };
            clients.spawn(one.run(client));
        }
        clients
    }
}

struct OneClient {
    keys: Vec<String>,
    accounts: Vec<String>,
    recorder: Arc<Recorder>,
    counters: Arc<Counters>,
    signals: Arc<Signals>,
    notes: Arc<Mutex<Notes>>,
    random: SmallRng,
}

impl OneClient {
    async fn run(mut self, client: Client) -> Result<()> {
        let Ok(mut connection) = Connection::open(client.address).await else { return Ok(()) };
        loop {
            let key = self.keys[self.random.random_range(0..self.keys.len())].clone();
            let goes_on = match self.random.random_range(0..100) {
                0..25 => self.write(&mut connection, &key).await?,
                25..45 => self.read(&mut connection, &key).await?,
                45..60 => self.post(&mut connection).await?,
                60..80 => self.counters.step(&mut connection, &mut self.random).await?,
                _ => self.signals.step(&mut connection, &mut self.random).await?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Each of these three gives false when the connection is broken. A register is written by an
    /// orchestration or called in one hop.
    async fn write(&mut self, connection: &mut Connection, key: &str) -> Result<bool> {
        let value = format!("{:016x}", self.random.random::<u64>());
        let called = self.recorder.write(key, &value);
        let (method, path) = match self.random.random_bool(0.5) {
            true => ("PUT", format!("/Database/{key}")),
            false => ("POST", format!("{API}/entities/register/{key}/call?op=set")),
        };
        let Ok(reply) = connection.send(method, &path, &[], value.clone()).await else {
            return Ok(false);
        };
        match reply.status {
            StatusCode::OK => {
                ensure!(reply.json()? == value.as_str(), "{path} answered {}", reply.text());
                self.recorder.written(called);
            }
            StatusCode::ACCEPTED => self.accepted(&reply, called, true)?,
            _ => refused(&reply)?,
        }
        Ok(true)
    }

    async fn read(&mut self, connection: &mut Connection, key: &str) -> Result<bool> {
        let called = self.recorder.read(key);
        let state = format!("{API}/entities/register/{key}");
        let (method, path) = match self.random.random_range(0..3) {
            0 => ("GET", format!("/Database/{key}")),
            1 => ("GET", state),
            _ => ("POST", format!("{state}/call?op=get")),
        };
        let Ok(reply) = connection.send(method, &path, &[], "").await else { return Ok(false) };
        match reply.status {
            // Only who asks for the state is told that there is no entity.
            StatusCode::NOT_FOUND => self.recorder.was_read(called, None),
            StatusCode::OK => {
                self.recorder.was_read(called, reply.json()?.as_str().map(str::to_owned));
            }
            StatusCode::ACCEPTED => self.accepted(&reply, called, false)?,
            _ => refused(&reply)?,
        }
        Ok(true)
    }

    async fn post(&mut self, connection: &mut Connection) -> Result<bool> {
        let account = self.accounts[self.random.random_range(0..self.accounts.len())].clone();
        let token = format!("{:016x}", self.random.random::<u64>());
        let way = if self.random.random_bool(0.5) { "?way=long" } else { "" };
        let path = format!("/Ledger/{account}/{token}{way}");
        let reply = connection.send("POST", &path, &[], "").await;
        let acknowledged = match &reply {
            Ok(reply) if [StatusCode::OK, StatusCode::ACCEPTED].contains(&reply.status) => true,
            Ok(reply) => {
                refused(reply)?;
                false
            }
            Err(_) => false,
        };
        self.notes.lock().unwrap().postings.push(Posting { account, token, acknowledged });
        Ok(reply.is_ok())
    }

    fn accepted(&self, reply: &Reply, called: Called, is_write: bool) -> Result<()> {
        let document = reply.json()?;
        let url: hyper::Uri = document["statusQueryGetUri"].as_str().unwrap_or_default().parse()?;
        let Some(path) = url.path_and_query() else { bail!("no status URL in {document}") };
        let accepted = Accepted { called, is_write, status_path: path.to_string() };
        self.notes.lock().unwrap().accepted.push(accepted);
        Ok(())
    }
}

/// An overloaded host may refuse; nothing else but 200 and 202 is an answer.
pub(crate) fn refused(reply: &Reply) -> Result<()> {
    let refusals = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    ensure!(refusals.contains(&reply.status), "unexpected: {} {}", reply.status, reply.text());
    Ok(())
}
