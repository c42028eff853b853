//! `load entities`: signals, calls, reads and critical sections, on the host, beside what floor does in
//! the same run.
//!
//! Of signals is measured what a user sees of them: how many were done, from the first request until the
//! last signal is counted, whatever was accepted in between.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use everstate_tests::http::Connection;
use everstate_tests::process::ServerProcess;
use everstate_tests::wait::eventually;
use tokio::sync::Mutex;

use crate::asked::{
    ACCOUNTS, BURST, BURST_TO_MANY, BURST_TO_ONE, CALL, CALL_BY_API, COUNTERS, READ, READ_BY_API,
    SIGNAL, SIGNAL_BY_API, STATE, TRANSFER, counted, prepare,
};
use crate::bench::{print, progress};
use crate::drive::{Load, Work, drive, fill};
use crate::report::{OrchestrationRow, SignalRow, render_operations, render_signals};
use crate::server::{Place, Target};

/// How long what was accepted may take to be done, once nothing more is sent.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);

/// Requests a second, of all connections together, of the rows that are not measured at the limit.
const PACED_PER_SECOND: u32 = 5_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// How many connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds measured per row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Of the keys.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Measures and prints.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let connections = options.connections;
    let floor = floor_put(options).await.context("floor")?;
    print(&format!(
        "{} s a row, seed {}; floor gives {floor:.0} PUT/s at {connections} connections\n",
        options.seconds, options.seed
    ));
    let data = options.place.fresh_folder()?;
    let (mut server, at) = options.place.start(Target::Host, data.path()).await?;
    prepare(at).await?;
    let mut rows = Vec::new();
    for (what, work, counters, signals_per_request, goal) in [
        ("one counter, one a request", SIGNAL, 1, 1, ""),
        ("one counter, one a request, management API", SIGNAL_BY_API, 1, 1, ">= 20,000/s"),
        ("one counter, 100 a request", BURST_TO_ONE, 1, BURST, ">= 20,000/s"),
        ("10,000 counters, one a request", SIGNAL, COUNTERS, 1, ""),
        (
            "10,000 counters, one a request, management API",
            SIGNAL_BY_API,
            COUNTERS,
            1,
            ">= 30,000/s",
        ),
        ("10,000 counters, 100 a request", BURST_TO_MANY, COUNTERS, BURST, ">= 30,000/s"),
    ] {
        let load = options.load(work, counters, connections);
        let row = signals(&server, at, &load, signals_per_request).await;
        rows.push(row.with_context(|| what.to_owned())?.named(what, goal));
        progress(&format!("{what}: done"));
    }
    print(&render_signals(&rows, connections));
    let rows = operations(options, &server, at, floor).await?;
    server.kill_9().await?;
    print(&render_operations(&rows));
    Ok(())
}

async fn operations(
    options: &Options,
    server: &ServerProcess,
    at: SocketAddr,
    floor_put: f64,
) -> Result<Vec<(OrchestrationRow, &'static str)>> {
    let all = options.connections;
    let mut rows = Vec::new();
    for (what, work, keys, connections, is_paced, goal) in [
        ("call, one counter", CALL, 1, all, false, ""),
        ("call, one counter, management API", CALL_BY_API, 1, all, false, ""),
        ("call, 10,000 counters", CALL, COUNTERS, all, false, ""),
        ("call, 10,000 counters", CALL, COUNTERS, 1, false, ""),
        ("bank transfer, 1,000 accounts", TRANSFER, ACCOUNTS, 1, false, "p50 <= 15 ms"),
        ("bank transfer, 1,000 accounts", TRANSFER, ACCOUNTS, 16, false, "p50 <= 15 ms"),
        ("bank transfer, 1,000 accounts", TRANSFER, ACCOUNTS, all, false, ">= 1,000/s"),
        ("read-only call", READ, COUNTERS, all, false, ""),
        ("read-only call, 5,000 a second", READ, COUNTERS, all, true, "p50 < 1 ms"),
        ("read-only call, management API", READ_BY_API, COUNTERS, all, false, "p50 < 1 ms"),
        ("state read over HTTP", STATE, COUNTERS, all, false, "p50 < 1 ms"),
        ("state read over HTTP, 5,000 a second", STATE, COUNTERS, all, true, "p50 < 1 ms"),
    ] {
        let mut load = options.load(work, keys, connections);
        let pace = Duration::from_secs(1) * u32::try_from(connections)? / PACED_PER_SECOND;
        load.pace = is_paced.then_some(pace);
        let host = drive(server, at, &load).await.with_context(|| what.to_owned())?;
        rows.push((OrchestrationRow { what, connections, host, floor_put }, goal));
        progress(&format!("{what}, {connections} connections: done"));
    }
    Ok(rows)
}

impl Options {
    fn load(&self, work: Work, keys: u32, connections: usize) -> Load {
        Load {
            work,
            connections,
            keys,
            value_bytes: 100,
            warm_up: Duration::from_secs(self.warm_up),
            duration: Duration::from_secs(self.seconds),
            seed: self.seed,
            pace: None,
        }
    }
}

async fn floor_put(options: &Options) -> Result<f64> {
    let data = options.place.fresh_folder()?;
    let (mut server, at) = options.place.start(Target::Floor, data.path()).await?;
    let load = options.load(Work::Put, 10_000, options.connections);
    fill(at, &load).await?;
    let measured = drive(&server, at, &load).await?;
    server.kill_9().await?;
    Ok(measured.throughput)
}

/// Sends signals for the measured time and waits until all that were accepted are done. The warm-up
/// is a run of its own.
async fn signals(
    server: &ServerProcess,
    at: SocketAddr,
    load: &Load,
    signals_per_request: u64,
) -> Result<SignalRow> {
    let warm_up = Load { duration: load.warm_up, warm_up: Duration::ZERO, ..load.clone() };
    once(server, at, &warm_up, signals_per_request).await?;
    let load = Load { warm_up: Duration::ZERO, ..load.clone() };
    once(server, at, &load, signals_per_request).await
}

async fn once(
    server: &ServerProcess,
    at: SocketAddr,
    load: &Load,
    signals_per_request: u64,
) -> Result<SignalRow> {
    let before = counted(&mut Connection::open(at).await?, load.keys).await?;
    let written = server.disk_bytes_written()?;
    let began = Instant::now();
    let requests = drive(server, at, load).await?;
    let at_least = before + requests.count() as u64 * signals_per_request;
    // A connection of its own: the host closes one that is idle for as long as the load took.
    let (after, at_rest) = drained(Connection::open(at).await?, load.keys, at_least).await?;
    let (done, took) = (after - before, (at_rest - began).as_secs_f64());
    Ok(SignalRow {
        what: "",
        goal: "",
        per_second: done as f64 / took,
        disk_bytes_per_signal: (server.disk_bytes_written()? - written) as f64 / done as f64,
        requests,
    })
}

/// Waits until what was accepted is done; gives what is counted then, and since when.
///
/// A request that is refused may have sent some of its signals, and the last requests may be answered
/// after the measured time: so this waits until the count stands still.
async fn drained(connection: Connection, counters: u32, at_least: u64) -> Result<(u64, Instant)> {
    let last = Mutex::new((connection, 0, Instant::now()));
    eventually("all signals are done", DRAIN_DEADLINE, || async {
        let mut last = last.lock().await;
        let counted = counted(&mut last.0, counters).await.ok()?;
        if std::mem::replace(&mut last.1, counted) != counted {
            last.2 = Instant::now();
            return None;
        }
        (counted >= at_least).then_some((counted, last.2))
    })
    .await
}
