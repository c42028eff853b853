//! `load bench`: floor and the host in turn, each row on a fresh data folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use everstate_tests::http::Client;
use everstate_tests::process::ServerProcess;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use tokio::process::Command;

use crate::drive::{Load, Measured, Work, drive, fill};
use crate::report::{OrchestrationRow, Row, Start, render, render_orchestrations};

/// How long a server may take to its first answer; compiling a component may be a part of it.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The host's binary.
    #[arg(long)]
    host: PathBuf,
    /// The functions folder with the components of guests/database, hello and stopwatch.
    #[arg(long)]
    functions: PathBuf,
    /// Where to make the data folders; they are removed. The disk under it is what is measured.
    /// Default: beside this program.
    #[arg(long)]
    scratch: Option<PathBuf>,
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
    let data = fresh_folder(options.scratch.as_deref())?;
    let (mut server, at) = start(options, Target::Host, data.path()).await?;
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

/// A kind of server.
#[derive(Clone, Copy)]
enum Target {
    Floor,
    Host,
}

/// PUT, then GET, on one server with a fresh data folder in which every key has a value.
async fn measure(
    options: &Options,
    target: Target,
    connections: usize,
) -> Result<Vec<(&'static str, Measured)>> {
    let data = fresh_folder(options.scratch.as_deref())?;
    let (mut server, at) = start(options, target, data.path()).await?;
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
    }
}

/// How long the host takes to its first answer: first with nothing there (the component is
/// compiled), then with the compiled component but no data, then with both.
async fn starts(options: &Options) -> Result<Vec<Start>> {
    let first = fresh_folder(options.scratch.as_deref())?;
    let second = fresh_folder(options.scratch.as_deref())?;
    let mut starts = Vec::new();
    for (what, data) in [
        ("empty data folder, first start here", first.path()),
        ("empty data folder, same component again", second.path()),
        ("data folder of the last row", second.path()),
    ] {
        let began = Instant::now();
        let (mut server, _) = start(options, Target::Host, data).await?;
        starts.push(Start { what, took: began.elapsed() });
        server.terminate()?;
        server.wait_exit(START_DEADLINE).await?;
    }
    Ok(starts)
}

/// Starts a server and waits for its first 200.
async fn start(
    options: &Options,
    target: Target,
    data: &Path,
) -> Result<(ServerProcess, SocketAddr)> {
    let mut command = match target {
        Target::Floor => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("floor");
            command
        }
        Target::Host => {
            let mut command = Command::new(&options.host);
            command.arg("run").arg("--functions").arg(&options.functions);
            command
        }
    };
    command.arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    let mut server = ServerProcess::spawn(command)?;
    let address = wait_for_first_answer(&mut server).await?;
    Ok((server, address))
}

/// Waits for the first 200 of a server.
pub(crate) async fn wait_for_first_answer(server: &mut ServerProcess) -> Result<SocketAddr> {
    let address = server.address(START_DEADLINE).await?;
    let client = Client { address };
    eventually("the first answer", START_DEADLINE, || async {
        client.get("/Database/0").await.ok().filter(|reply| reply.status == StatusCode::OK)
    })
    .await
    .with_context(|| server.output().all())?;
    Ok(address)
}

/// A folder that is removed with the value; without a place given, beside this program.
pub(crate) fn fresh_folder(scratch: Option<&Path>) -> Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let scratch = scratch.unwrap_or(beside);
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(scratch)
        .with_context(|| format!("cannot make a data folder in {}", scratch.display()))
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a long measurement says that it is alive")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
