//! `load scale`: what much data and many waiting orchestrations cost the host, in time and memory.
//!
//! The host starts on data that was written straight into the storage like on its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use everstate_tests::http::Connection;
use everstate_tests::process::ServerProcess;
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::bench::{print, progress};
use crate::large;
use crate::report::millis;
use crate::server::{Place, Target};
use crate::stored::{Beside, write_idle, write_states};

/// Connections that start and resume orchestrations.
const CONNECTIONS: usize = 64;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
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
    for (what, beside) in [
        (format!("{idle} idle entities and {idle} timers"), Beside::Timer),
        (format!("{idle} idle entities with a time to live"), Beside::TimeToLive),
    ] {
        let data = options.place.fresh_folder()?;
        write_idle(data.path(), idle, beside)?;
        let (mut server, _, took) = start(options, data.path()).await?;
        report(&format!("{what}: start"), took, &server)?;
        server.kill_9().await?;
    }
    recovery(options).await?;
    large::run(&options.place).await
}

/// Orchestrations that wait, a crash beside much data, and how soon each of them goes on.
async fn recovery(options: &Options) -> Result<()> {
    let data = options.place.fresh_folder()?;
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
    let began = Instant::now();
    let (server, address) = options.place.start(Target::Host, data).await?;
    Ok((server, address, began.elapsed()))
}

fn report(what: &str, took: Duration, server: &ServerProcess) -> Result<()> {
    let resident = server.resident_bytes()? >> 20;
    print(&format!("{what} {:.0} ms, RSS {resident} MiB", millis(took)));
    Ok(())
}
