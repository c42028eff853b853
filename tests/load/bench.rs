//! `load bench`: floor and the host in turn, each row on a fresh data folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use everstate_tests::http::Client;
use everstate_tests::process::ServerProcess;
use everstate_tests::wait::eventually;
use hyper::{Method, StatusCode};
use tokio::process::Command;

use crate::drive::{Load, Measured, drive, fill};
use crate::report::{Row, Start, render};

/// How long a server may take to its first answer; compiling a component may be a part of it.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The host's binary.
    #[arg(long)]
    host: PathBuf,
    /// The functions folder with the component of guests/database.
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
            rows.push(Row { method: method.to_string(), connections, floor, host });
        }
        progress(&format!("{connections} connections done"));
    }
    rows.sort_by_key(|row| (row.method == "GET", row.connections));
    let Options { seconds, keys, value_bytes, seed, .. } = options;
    print(&format!(
        "{keys} keys, values of {value_bytes} bytes, {seconds} s a row, seed {seed}\n\n{}",
        render(&rows, &starts)
    ));
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
) -> Result<Vec<(Method, Measured)>> {
    let data = fresh_folder(options)?;
    let (mut server, at) = start(options, target, data.path()).await?;
    let mut load = Load {
        method: Method::PUT,
        connections,
        keys: options.keys,
        value_bytes: options.value_bytes,
        warm_up: Duration::from_secs(options.warm_up),
        duration: Duration::from_secs(options.seconds),
        seed: options.seed,
    };
    fill(at, &load).await?;
    let mut measured = Vec::new();
    for method in [Method::PUT, Method::GET] {
        load.method = method.clone();
        let row = drive(&server, at, &load).await.with_context(|| method.to_string())?;
        measured.push((method, row));
    }
    server.kill_9().await?;
    Ok(measured)
}

/// How long the host takes to its first answer: first with nothing there (the component is
/// compiled), then with the compiled component but no data, then with both.
async fn starts(options: &Options) -> Result<Vec<Start>> {
    let first = fresh_folder(options)?;
    let second = fresh_folder(options)?;
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
    let address = server.address(START_DEADLINE).await?;
    let client = Client { address };
    eventually("the first answer", START_DEADLINE, || async {
        client.get("/Database/0").await.ok().filter(|reply| reply.status == StatusCode::OK)
    })
    .await
    .with_context(|| server.output().all())?;
    Ok((server, address))
}

fn fresh_folder(options: &Options) -> Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let scratch = options.scratch.as_deref().unwrap_or(beside);
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(scratch)
        .with_context(|| format!("cannot make a data folder in {}", scratch.display()))
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a long measurement says that it is alive")]
fn progress(text: &str) {
    eprintln!("{text}");
}
