//! `load scale`: what much data and many waiting orchestrations cost the host, in time and memory.
//!
//! The data is written straight into the storage, because making it through the host would take
//! hours; the host then starts on it like on its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use everstate_engine::storage::{CommitBatch, CommitSeq, Storage as _};
use everstate_storage::{RocksStorage, StorageConfig};
use everstate_tests::http::Connection;
use everstate_tests::process::ServerProcess;
use everstate_types::{
    DelayedKey, EntityId, EntityRecord, ExecutionId, InstanceId, Message, MessageBody, Payload,
    RequestId, Timestamp,
};
use hyper::StatusCode;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::bench::{fresh_folder, print, progress, wait_for_first_answer};

/// Rows of one commit while the data is written.
const COMMIT_ROWS: usize = 10_000;

/// Connections that start and resume orchestrations.
const CONNECTIONS: usize = 64;

/// A year, in milliseconds: when the timers are due.
const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The host's binary.
    #[arg(long)]
    host: PathBuf,
    /// The functions folder with the components of guests/database and stopwatch.
    #[arg(long)]
    functions: PathBuf,
    /// Where to make the data folders; they are removed. Default: beside this program.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// Idle entities, and pending timers.
    #[arg(long, default_value_t = 1_000_000)]
    idle: usize,
    /// Orchestrations that wait.
    #[arg(long, default_value_t = 10_000)]
    waiting: usize,
    /// MiB of states of entities that are there besides when the host is killed.
    #[arg(long, default_value_t = 1_024)]
    data_mib: usize,
}

/// Measures and prints.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let idle = options.idle;
    let data = fresh_folder(options.scratch.as_deref())?;
    write_idle(data.path(), idle)?;
    let (mut server, _, took) = start(options, data.path()).await?;
    report(&format!("{idle} idle entities and {idle} timers: start"), took, &server)?;
    server.kill_9().await?;

    let data = fresh_folder(options.scratch.as_deref())?;
    write_states(data.path(), options.data_mib)?;
    let (mut server, at, _) = start(options, data.path()).await?;
    each(at, "Wait", options.waiting, StatusCode::ACCEPTED).await?;
    let count = options.waiting;
    report(&format!("{count} orchestrations wait"), Duration::ZERO, &server)?;
    server.kill_9().await?;
    let (mut server, at, took) = start(options, data.path()).await?;
    let what =
        format!("kill -9 with {} MiB of data and {count} orchestrations: start", options.data_mib);
    report(&what, took, &server)?;
    let mut latencies = each(at, "Resume", count, StatusCode::OK).await?;
    latencies.sort_unstable();
    let late = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    print(&format!(
        "resuming each: p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        millis(late(50)),
        millis(late(99)),
        millis(late(100))
    ));
    server.kill_9().await?;
    Ok(())
}

/// Sends one request for each orchestration; gives how long each took.
async fn each(
    at: SocketAddr,
    what: &'static str,
    count: usize,
    expected: StatusCode,
) -> Result<Vec<Duration>> {
    let mut connections = JoinSet::new();
    for first in 0..CONNECTIONS.min(count) {
        connections.spawn(async move {
            let mut connection = Connection::open(at).await?;
            let mut latencies = Vec::new();
            for number in (first..count).step_by(CONNECTIONS) {
                let sent = Instant::now();
                let path = format!("/Stopwatch/{what}/waiting-{number}");
                let reply = connection.send("POST", &path, &[], "").await?;
                ensure!(reply.status == expected, "{path}: {} {}", reply.status, reply.text());
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = connections.join_next().await {
        latencies.append(&mut done??);
    }
    progress(&format!("{what}: {count} done"));
    Ok(latencies)
}

/// Starts the host; gives how long it took to its first answer.
async fn start(options: &Options, data: &Path) -> Result<(ServerProcess, SocketAddr, Duration)> {
    let mut command = Command::new(&options.host);
    command.arg("run").arg("--functions").arg(&options.functions);
    command.arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    let began = Instant::now();
    let mut server = ServerProcess::spawn(command)?;
    let address = wait_for_first_answer(&mut server).await?;
    Ok((server, address, began.elapsed()))
}

/// Idle entities, and timers that are due in a year.
fn write_idle(data: &Path, count: usize) -> Result<()> {
    let storage = RocksStorage::open(data.join("state"), &StorageConfig::default())?;
    for first in (0..count).step_by(COMMIT_ROWS) {
        let mut batch = batch(first);
        for number in first..count.min(first + COMMIT_ROWS) {
            batch.entities.push(entity(&format!("idle-{number}"), "\"idle\"".to_owned())?);
            batch.delayed.push(timer(number)?);
        }
        storage.write(&batch)?;
    }
    storage.sync().context("the data is not durable")?;
    progress(&format!("{count} idle entities and timers are written"));
    Ok(())
}

/// Entities with states of 100 KiB that do not compress.
fn write_states(data: &Path, mib: usize) -> Result<()> {
    const STATE_BYTES: usize = 100 << 10;
    let storage = RocksStorage::open(data.join("state"), &StorageConfig::default())?;
    let mut random = SmallRng::seed_from_u64(1);
    for number in 0..(mib << 20) / STATE_BYTES {
        let letters = (0..STATE_BYTES).map(|_| char::from(random.random_range(b'a'..=b'z')));
        let state = format!("\"{}\"", letters.collect::<String>());
        let mut batch = batch(number);
        batch.entities.push(entity(&format!("large-{number}"), state)?);
        storage.write(&batch)?;
    }
    storage.sync().context("the data is not durable")?;
    progress(&format!("{mib} MiB of states are written"));
    Ok(())
}

fn batch(number: usize) -> CommitBatch {
    CommitBatch { seq: CommitSeq(number as u64 + 1), ..CommitBatch::default() }
}

fn entity(key: &str, state: String) -> Result<(InstanceId, Option<EntityRecord>)> {
    let id = EntityId::new("register", key)?.instance_id();
    Ok((id, Some(EntityRecord { state: Payload::from(state), updated_at: now() })))
}

fn timer(number: usize) -> Result<(DelayedKey, Message)> {
    let guid = RequestId::from_u128(number as u128 + 1);
    let fire_at = now().saturating_add(Duration::from_millis(YEAR_MS + number as u64));
    let body = MessageBody::TimerFired {
        execution_id: ExecutionId::new(guid),
        timer_id: 0,
        request_id: guid,
        fire_at,
    };
    let target = InstanceId::orchestration(&format!("{:032x}", number / 100))?;
    Ok((DelayedKey { due: fire_at, guid }, Message { target, body }))
}

fn now() -> Timestamp {
    everstate_engine::clock::Clock::now(&everstate_engine::clock::SystemClock)
}

fn report(what: &str, took: Duration, server: &ServerProcess) -> Result<()> {
    let resident = server.resident_bytes()? >> 20;
    print(&format!("{what} {:.0} ms, RSS {resident} MiB", millis(took)));
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
