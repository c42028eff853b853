//! Signals to ledgers, each with a token, and a ticker that signals itself.
//!
//! - A signal with an idempotency key is sent again when its answer was lost, and at times when it was
//!   not: it counts once.
//! - A scheduled signal has no such key: acknowledged, it counts once; else once or not at all.
//! - A client's signals come in the order in which it sent them, one after the other.
//! - Each ledger signals a tally; that counts once as well.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::http::{Client, Connection, Reply};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::Value;

use crate::API;
use crate::load::refused;

/// Ledgers that clients share.
const LEDGERS: u32 = 4;

/// How far ahead a signal is scheduled, in milliseconds.
const AHEAD_MS_MAX: u64 = 200;

/// How often the ticker ticks; so long that it lives through several crashes.
const TICKS: u64 = 200;

/// How long it may take until what was sent has come.
const DEADLINE: Duration = Duration::from_secs(60);

/// The signals to some ledgers.
pub(crate) struct Signals {
    accounts: Vec<String>,
    ticker: String,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Counts sendings and answers: their order is all that matters.
    clock: u64,
    tokens: Vec<Token>,
}

#[derive(Clone)]
struct Token {
    account: String,
    token: String,
    is_scheduled: bool,
    /// When it was sent first.
    sent: u64,
    /// When it was acknowledged first.
    acknowledged: Option<u64>,
}

impl Signals {
    /// To ledgers whose keys begin with this.
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            accounts: (0..LEDGERS).map(|number| format!("signals-{prefix}-{number}")).collect(),
            ticker: prefix.to_owned(),
            notes: Mutex::default(),
        }
    }

    /// Sets the ticker going.
    pub(crate) async fn begin(&self, client: Client) -> Result<()> {
        let pace = format!(r#"{{"everyMs":5,"times":{TICKS}}}"#);
        let reply = client.post(&format!("/Ticker/{}", self.ticker), pace).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{} {}", reply.status, reply.text());
        Ok(())
    }

    /// Sends a signal: a new one, or one once more. False: the connection is broken.
    pub(crate) async fn step(
        &self,
        connection: &mut Connection,
        random: &mut SmallRng,
    ) -> Result<bool> {
        let is_scheduled = random.random_bool(0.3);
        let number = match self.any_sent(random) {
            Some(number) if !is_scheduled && random.random_bool(0.3) => number,
            _ => self.new_token(is_scheduled, random),
        };
        let Token { account, token, .. } = self.notes.lock().unwrap().tokens[number].clone();
        let sent = match is_scheduled {
            true => {
                let due = now_ms() + random.random_range(0..AHEAD_MS_MAX);
                schedule(connection, &account, &token, due).await
            }
            false => signal_once(connection, &account, &token).await,
        };
        let Ok(reply) = sent else { return Ok(false) };
        if is_acknowledged(&reply)? {
            self.acknowledge(number);
        }
        Ok(true)
    }

    /// Sends again what was not acknowledged, waits until everything has come, and looks at what is there.
    pub(crate) async fn check(&self, client: Client) -> Result<()> {
        self.send_again(client).await?;
        self.send_last(client).await?;
        let tokens = self.notes.lock().unwrap().tokens.clone();
        for account in &self.accounts {
            let tokens: HashMap<&str, &Token> = tokens
                .iter()
                .filter(|token| token.account == *account)
                .map(|token| (token.token.as_str(), token))
                .collect();
            self.check_account(client, account, &tokens).await.with_context(|| account.clone())?;
        }
        let path = format!("/Ticker/{}", self.ticker);
        until(client, &path, "the ticker has ticked", |ticks| *ticks == TICKS).await.map(drop)
    }

    async fn send_again(&self, client: Client) -> Result<()> {
        let mut connection = Connection::open(client.address).await?;
        let tokens = self.notes.lock().unwrap().tokens.clone();
        for (number, token) in tokens.iter().enumerate() {
            if !token.is_scheduled && token.acknowledged.is_none() {
                let reply = signal_once(&mut connection, &token.account, &token.token).await?;
                ensure!(is_acknowledged(&reply)?, "{} {}", reply.status, reply.text());
                self.acknowledge(number);
            }
        }
        Ok(())
    }

    /// Schedules a last signal to every ledger. All others are due before it, so none comes after it.
    async fn send_last(&self, client: Client) -> Result<()> {
        let mut connection = Connection::open(client.address).await?;
        let due = now_ms() + AHEAD_MS_MAX + 1;
        for account in &self.accounts {
            let reply = schedule(&mut connection, account, &last_token(account), due).await?;
            ensure!(is_acknowledged(&reply)?, "{} {}", reply.status, reply.text());
        }
        Ok(())
    }

    async fn check_account(
        &self,
        client: Client,
        account: &str,
        tokens: &HashMap<&str, &Token>,
    ) -> Result<()> {
        let last = last_token(account);
        let path = format!("{API}/entities/ledger/first-{account}");
        let ledger = until(client, &path, "the last signal has come", |ledger| {
            ledger.as_array().is_some_and(|tokens| tokens.iter().any(|token| *token == last))
        })
        .await?;
        let ledger = ledger.as_array().context("no ledger")?;
        let ledger: Vec<&str> = ledger.iter().filter_map(Value::as_str).collect();
        let distinct: HashSet<&str> = ledger.iter().copied().collect();
        ensure!(distinct.len() == ledger.len(), "a signal counts twice: {ledger:?}");
        for (name, token) in tokens {
            let is_lost = token.acknowledged.is_some() && !distinct.contains(name);
            ensure!(!is_lost, "{name} was acknowledged and has not come");
        }
        for name in &ledger {
            ensure!(tokens.contains_key(name) || *name == last, "{name} was never sent");
        }
        check_order(ledger.iter().filter_map(|name| tokens.get(name).copied()))?;

        let count = ledger.len();
        let path = format!("{API}/entities/tally/{account}");
        until(client, &path, "the tally has heard of all", |tally| *tally == count).await.map(drop)
    }

    /// How many were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        let tokens = &self.notes.lock().unwrap().tokens;
        tokens.iter().filter(|token| token.acknowledged.is_some()).count()
    }

    fn any_sent(&self, random: &mut SmallRng) -> Option<usize> {
        let notes = self.notes.lock().unwrap();
        let keyed: Vec<usize> =
            (0..notes.tokens.len()).filter(|&number| !notes.tokens[number].is_scheduled).collect();
        // Rather one whose answer was lost.
        let lost: Vec<usize> = keyed
            .iter()
            .copied()
            .filter(|&number| notes.tokens[number].acknowledged.is_none())
            .collect();
        let choice = if lost.is_empty() { keyed } else { lost };
        (!choice.is_empty()).then(|| choice[random.random_range(0..choice.len())])
    }

    fn new_token(&self, is_scheduled: bool, random: &mut SmallRng) -> usize {
        let account = self.accounts[random.random_range(0..self.accounts.len())].clone();
        let token = format!("{:016x}", random.random::<u64>());
        let mut notes = self.notes.lock().unwrap();
        notes.clock += 1;
        let sent = notes.clock;
        notes.tokens.push(Token { account, token, is_scheduled, sent, acknowledged: None });
        notes.tokens.len() - 1
    }

    fn acknowledge(&self, number: usize) {
        let mut notes = self.notes.lock().unwrap();
        notes.clock += 1;
        let now = notes.clock;
        notes.tokens[number].acknowledged.get_or_insert(now);
    }
}

fn last_token(account: &str) -> String {
    format!("last-{account}")
}

/// One that was sent after another was acknowledged comes behind it.
fn check_order<'a>(ledger: impl Iterator<Item = &'a Token>) -> Result<()> {
    let ledger: Vec<&Token> = ledger.filter(|token| !token.is_scheduled).collect();
    let mut next: Option<&Token> = None;
    for token in ledger.iter().rev() {
        if let Some(next) = next
            && next.acknowledged.is_some_and(|acknowledged| acknowledged < token.sent)
        {
            bail!("{} was acknowledged before {} was sent", next.token, token.token);
        }
        let time = |token: &Token| token.acknowledged.unwrap_or(u64::MAX);
        if next.is_none_or(|next| time(token) < time(next)) {
            next = Some(token);
        }
    }
    Ok(())
}

async fn signal_once(connection: &mut Connection, account: &str, token: &str) -> Result<Reply> {
    let path = format!("{API}/entities/ledger/first-{account}?op=append");
    connection.send("POST", &path, &[("idempotency-key", token)], token.to_owned()).await
}

/// The function answers with 200; only the management API knows that it is a signal.
async fn schedule(
    connection: &mut Connection,
    account: &str,
    token: &str,
    due_ms: u64,
) -> Result<Reply> {
    let path = format!("/lifecycle/signal/ledger/first-{account}/append?at={due_ms}");
    connection.send("POST", &path, &[], format!("\"{token}\"")).await
}

fn is_acknowledged(reply: &Reply) -> Result<bool> {
    if [StatusCode::OK, StatusCode::ACCEPTED].contains(&reply.status) {
        return Ok(true);
    }
    refused(reply)?;
    Ok(false)
}

/// Waits until what is there fits, and gives it.
async fn until(
    client: Client,
    path: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let found = eventually(&format!("{path}: {what}"), DEADLINE, || async {
        client.get(path).await.ok()?.json().ok().filter(&fits)
    })
    .await;
    match found {
        Ok(found) => Ok(found),
        Err(error) => Err(error.context(client.get(path).await?.text())),
    }
}

fn now_ms() -> u64 {
    SystemClock.now().as_millis()
}
