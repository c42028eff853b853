//! `load bench`: floor and the host in turn, each row on a fresh data folder.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use everstate_tests::http::Client;

use crate::drive::{Load, Measured, Work, drive, fill};
use crate::report::{OrchestrationRow, Row, Start, render, render_orchestrations};
use crate::server::{Place, START_DEADLINE, Target};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// How many connections, one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    connections: Vec<usize>,
    /// Seconds measured per row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// How many different keys.
    #[arg(long, default_value_t = 10_000)]
    keys: u32,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Of the keys and values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Measures and prints.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let starts = starts(options).await?;
    let mut rows = Vec::new();
    for &connections in &options.connections {
        let floor = measure(options, Target::Floor, connections).await.context("floor")?;
        let host = measure(options, Target::Host, connections).await.context("everstate")?;
        for ((method, floor), (_, host)) in floor.into_iter().zip(host) {
            rows.push(Row { method, connections, floor, host });
        }
        progress(&format!("{connections} connections done"));
    }
    rows.sort_by_key(|row| (row.method == "GET", row.connections));
    let Options { seconds, keys, value_bytes, seed, .. } = options;
    print(&format!(
        "{keys} keys, values of {value_bytes} bytes, {seconds} s a row, seed {seed}\n\n{}",
        render(&rows, &starts)
    ));
    orchestrations(options, &rows).await?;
    Ok(())
}

/// What orchestrations are made of, each on connections that have a row of floor.
async fn orchestrations(options: &Options, floor: &[Row]) -> Result<()> {
    let data = options.place.fresh_folder()?;
    let (mut server, at) = options.place.start(Target::Host, data.path()).await?;
    let mut rows = Vec::new();
    for (what, path, body, connections) in [
        ("five activities in sequence (Hello5)", "/Hello/Hello5", "null", 1),
        ("five activities in sequence (Hello5)", "/Hello/Hello5", "null", 64),
        ("ten activities in sequence", "/Hello/Chain", "10", 64),
        ("fan-out over 1,000 activities", "/Hello/SumOfSquares", "1000", 1),
        ("start, raise an event, end", "/Stopwatch/Pong", "null", 1),
        ("start, raise an event, end", "/Stopwatch/Pong", "null", 64),
    ] {
        let load = load_of(options, Work::Post { path, body }, connections);
        let host = drive(&server, at, &load).await.with_context(|| what.to_owned())?;
        let put = floor.iter().find(|row| (row.method, row.connections) == ("PUT", connections));
        let floor_put = put.map_or(f64::NAN, |row| row.floor.throughput);
        rows.push(OrchestrationRow { what, connections, host, floor_put });
        progress(&format!("{what}, {connections} connections, done"));
    }
    let plan = r#"{"timers":1000,"spread_ms":2000}"#;
    let reply = Client { address: at }.post("/Stopwatch/Lateness", plan).await?;
    let mut lateness_ms: Vec<u64> =
        serde_json::from_slice(&reply.body).with_context(|| reply.text())?;
    lateness_ms.sort_unstable();
    server.kill_9().await?;
    print(&render_orchestrations(&rows, &lateness_ms));
    Ok(())
}

/// PUT, then GET, on one server with a fresh data folder in which every key has a value.
async fn measure(
    options: &Options,
    target: Target,
    connections: usize,
) -> Result<Vec<(&'static str, Measured)>> {
    let data = options.place.fresh_folder()?;
    let (mut server, at) = options.place.start(target, data.path()).await?;
    fill(at, &load_of(options, Work::Put, connections)).await?;
    let mut measured = Vec::new();
    for (method, work) in [("PUT", Work::Put), ("GET", Work::Get)] {
        let load = load_of(options, work, connections);
        let row = drive(&server, at, &load).await.with_context(|| method.to_owned())?;
        measured.push((method, row));
    }
    server.kill_9().await?;
    Ok(measured)
}

fn load_of(options: &Options, work: Work, connections: usize) -> Load {
    Load {
        work,
        connections,
        keys: options.keys,
        value_bytes: options.value_bytes,
        warm_up: Duration::from_secs(options.warm_up),
        duration: Duration::from_secs(options.seconds),
        seed: options.seed,
        pace: None,
    }
}

/// How long the host takes to its first answer: first with nothing there (the component is
/// compiled), then with the compiled component but no data, then with both.
async fn starts(options: &Options) -> Result<Vec<Start>> {
    let first = options.place.fresh_folder()?;
    let second = options.place.fresh_folder()?;
    let mut starts = Vec::new();
    for (what, data) in [
        ("empty data folder, first start here", first.path()),
        ("empty data folder, same component again", second.path()),
        ("data folder of the last row", second.path()),
    ] {
        let began = Instant::now();
        let (mut server, _) = options.place.start(Target::Host, data).await?;
        starts.push(Start { what, took: began.elapsed() });
        server.terminate()?;
        server.wait_exit(START_DEADLINE).await?;
    }
    Ok(starts)
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a long measurement says that it is alive")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
