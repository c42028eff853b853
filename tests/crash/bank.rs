//! A bank under fire: money moves between accounts in critical sections while the host is killed
//! again and again. However it dies, nobody ever sees another sum, every transfer ends, and nothing stays
//! locked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess};
use everstate_tests::http::{Client, Connection, Reply};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::load::refused;
use crate::{API, books, campaign, disk, start_again};

/// How often the host is killed where nothing else is said.
const CYCLES: u64 = 5;

/// After how many cycles everything has to come to rest.
const CYCLES_PER_REST: u64 = 10;

/// How long the host lives, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 500..1_500;

/// How long it may take until everything has ended that was begun.
const REST_DEADLINE: Duration = Duration::from_secs(60);

/// Accounts, and what each holds in the beginning.
pub(crate) const ACCOUNTS: u32 = 100;
pub(crate) const BALANCE: i64 = 1_000;

/// What all accounts hold together, always.
pub(crate) const SUM: i64 = BALANCE * ACCOUNTS as i64;

/// Transfers at the same time, each asked for by a client of its own.
const TRANSFERRERS: u64 = 32;

/// Clients that audit, one audit after the other.
const AUDITORS: u64 = 2;

/// Some of the transfers and most of the audits that meet others take longer and are answered with 202.
const CONFIG: &str = "[runtime]\nwait_limit_ms = 200\n";

/// What clients asked for and were told.
#[derive(Default)]
pub(crate) struct Orders {
    /// Transfers, in the order in which they were asked for: the number is in the id.
    pub(crate) transfers: Vec<Transfer>,
    /// Audits that somebody wanted to terminate.
    pub(crate) terminated: HashSet<String>,
    /// Audits that were answered, or accepted with 202.
    audits: u64,
}

/// A transfer that was asked for.
#[derive(Clone)]
pub(crate) struct Transfer {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) amount: i64,
    /// The host took it on.
    pub(crate) is_accepted: bool,
    /// It said whether the money was moved.
    pub(crate) is_moved: Option<bool>,
}

/// The id of a transfer by its number.
pub(crate) fn transfer_id(number: usize) -> String {
    format!("transfer-{number}")
}

#[tokio::test]
async fn bank_under_kill_9_never_shows_another_sum_and_leaves_no_lock() -> Result<()> {
    let (seed, cycles) = campaign(CYCLES)?;
    run(seed, cycles).await.with_context(|| format!("seed {seed}"))
}

async fn run(seed: u64, cycles: u64) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(seed);
    let binary = env!("CARGO_BIN_EXE_host-under-test");
    let options = HostOptions::new(binary, &[guests::BANK, guests::LIFECYCLE]).config(CONFIG);
    let mut host = HostProcess::start(options).await?;
    open(host.client()).await.context("the bank does not open")?;

    let orders = Arc::new(Mutex::new(Orders::default()));
    for cycle in 1..=cycles {
        let clients = start(host.client(), &orders, &mut random);
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE_MS))).await;
        host.process().kill_9().await?;
        clients.join_all().await.into_iter().collect::<Result<()>>()?;
        start_again(&mut host, &mut random).await.with_context(|| format!("cycle {cycle}"))?;
        if cycle % CYCLES_PER_REST == 0 || cycle == cycles {
            at_rest(host.client())
                .await
                .with_context(|| format!("after cycle {cycle}\n{}", host.output().all()))?;
            let orders = orders.lock().unwrap();
            let transfers = orders.transfers.len();
            let audits = orders.audits;
            println!("{cycle} of {cycles} crashes, {transfers} transfers, {audits} audits");
        }
    }
    let storage = disk::nothing_is_left(&mut host).await?;
    let orders = orders.lock().unwrap();
    books::check(&orders, &disk::orchestrations(&storage)?, &disk::entities(&storage)?)
}

async fn open(client: Client) -> Result<()> {
    let opening = json!({ "accounts": ACCOUNTS, "balance": BALANCE }).to_string();
    let reply = client.post("/Bank/open", opening).await?;
    let is_accepted = [StatusCode::OK, StatusCode::ACCEPTED].contains(&reply.status);
    ensure!(is_accepted, "{} {}", reply.status, reply.text());
    at_rest(client).await.context("it has just opened")
}

/// Waits until every orchestration has ended and every account is unlocked, and looks at the sum.
async fn at_rest(client: Client) -> Result<()> {
    let path = "/lifecycle/count?statuses=Pending,Running,Suspended";
    let ended = eventually("every orchestration ends", REST_DEADLINE, || async {
        let document = client.get(path).await.ok()?.json().ok()?;
        (document["count"] == 0).then_some(())
    });
    if let Err(error) = ended.await {
        return Err(error.context(format!("locked: {:#?}", locked(client).await?)));
    }
    // The last locks are given back when their holder has ended already.
    let unlocked = eventually("no lock is held", REST_DEADLINE, || async {
        locked(client).await.ok().filter(Vec::is_empty)
    });
    if let Err(error) = unlocked.await {
        return Err(error.context(format!("locked: {:#?}", locked(client).await?)));
    }
    let audited = eventually("an audit ends in time", REST_DEADLINE, || async {
        let reply = audit(&mut Connection::open(client.address).await.ok()?).await.ok()?;
        (reply.status == StatusCode::OK).then_some(reply)
    });
    is_sum(&audited.await?)
}

/// The accounts that are locked, of all that there are.
async fn locked(client: Client) -> Result<Vec<Value>> {
    let path = format!("{API}/entities/account?details&includeStateless&top=1000");
    let accounts = client.get(&path).await?.json()?;
    let accounts = accounts.as_array().context("no list of accounts")?;
    ensure!(accounts.len() == ACCOUNTS as usize, "{} accounts", accounts.len());
    Ok(accounts.iter().filter(|account| !account["lock"].is_null()).cloned().collect())
}

/// Starts the clients; each ends when its connection breaks.
fn start(
    client: Client,
    orders: &Arc<Mutex<Orders>>,
    random: &mut SmallRng,
) -> JoinSet<Result<()>> {
    let mut clients = JoinSet::new();
    for _ in 0..TRANSFERRERS {
        let random = SmallRng::seed_from_u64(random.random());
        clients.spawn(transfer_all(client, Arc::clone(orders), random));
    }
    for _ in 0..AUDITORS {
        clients.spawn(audit_all(client, Arc::clone(orders)));
    }
    let random = SmallRng::seed_from_u64(random.random());
    clients.spawn(terminate_all(client, Arc::clone(orders), random));
    clients
}

/// Moves money between random accounts.
async fn transfer_all(
    client: Client,
    orders: Arc<Mutex<Orders>>,
    mut random: SmallRng,
) -> Result<()> {
    let Ok(mut connection) = Connection::open(client.address).await else { return Ok(()) };
    loop {
        let from = random.random_range(0..ACCOUNTS);
        let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = random.random_range(1..BALANCE);
        let number = {
            let transfers = &mut orders.lock().unwrap().transfers;
            let (is_accepted, is_moved) = (false, None);
            transfers.push(Transfer { from, to, amount, is_accepted, is_moved });
            transfers.len() - 1
        };
        let path = format!("/Bank/transfer?id={}", transfer_id(number));
        let body = json!({ "from": from.to_string(), "to": to.to_string(), "amount": amount });
        let Ok(reply) = connection.send("POST", &path, &[], body.to_string()).await else {
            return Ok(());
        };
        let is_moved = match reply.status {
            StatusCode::OK => Some(reply.json()?.as_bool().with_context(|| reply.text())?),
            StatusCode::ACCEPTED => None,
            _ => {
                refused(&reply)?;
                continue;
            }
        };
        let transfer = &mut orders.lock().unwrap().transfers[number];
        transfer.is_accepted = true;
        transfer.is_moved = is_moved;
    }
}

/// Audits, one time after the other. What is answered with 202 is looked at in the end.
async fn audit_all(client: Client, orders: Arc<Mutex<Orders>>) -> Result<()> {
    let Ok(mut connection) = Connection::open(client.address).await else { return Ok(()) };
    loop {
        let Ok(reply) = audit(&mut connection).await else { return Ok(()) };
        match reply.status {
            StatusCode::OK => is_sum(&reply)?,
            StatusCode::ACCEPTED => {}
            _ => {
                refused(&reply)?;
                continue;
            }
        }
        orders.lock().unwrap().audits += 1;
    }
}

/// Begins audits and terminates them wherever they are: with no lock, with some, with all.
async fn terminate_all(
    client: Client,
    orders: Arc<Mutex<Orders>>,
    mut random: SmallRng,
) -> Result<()> {
    let Ok(mut connection) = Connection::open(client.address).await else { return Ok(()) };
    loop {
        let id = format!("terminated-{:016x}", random.random::<u64>());
        orders.lock().unwrap().terminated.insert(id.clone());
        let path = format!("/lifecycle/start/Bank_Audit?id={id}");
        let body = ACCOUNTS.to_string();
        let Ok(started) = connection.send("POST", &path, &[], body).await else { return Ok(()) };
        if started.status != StatusCode::OK {
            refused(&started)?;
            continue;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        let path = format!("/lifecycle/terminate/{id}");
        let Ok(ended) = connection.send("POST", &path, &[], "").await else { return Ok(()) };
        // It may have ended by itself.
        if ![StatusCode::OK, StatusCode::CONFLICT].contains(&ended.status) {
            refused(&ended)?;
        }
    }
}

async fn audit(connection: &mut Connection) -> Result<Reply> {
    connection.send("GET", &format!("/Bank/audit?accounts={ACCOUNTS}"), &[], "").await
}

fn is_sum(reply: &Reply) -> Result<()> {
    ensure!(reply.status == StatusCode::OK, "{} {}", reply.status, reply.text());
    ensure!(reply.json()? == SUM, "an audit finds {}, not {SUM}", reply.text());
    Ok(())
}
