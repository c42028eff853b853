//! `load`: how fast the host is, measured beside the least that a durable server must do.
//!
//! - `load floor` is that least: one RocksDB put with a group-committed fsync per PUT, one get per GET.
//! - `load bench` starts floor and the host in turn, drives both in the same way, and prints a table.
//! - `load entities` does the same with what entities are asked for, on the host.
//! - `load fairness` has one entity signalled without mercy and prints what others feel of it.
//! - `load scale` starts the host on much data and prints what that costs.
//!
//! It is no stress test: an answer that is not the expected one is an error of the measurement and ends
//! it. Only a 429 where signals are measured is counted.

mod asked;
mod bench;
mod committer;
mod drive;
mod entities;
mod fairness;
mod floor;
mod large;
mod report;
mod scale;
mod server;
mod stored;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures Everstate.
#[derive(Debug, Parser)]
#[command(name = "load")]
enum Command {
    /// Serves PUT and GET of /Database/{key} from RocksDB, with an fsync before each answer to a PUT.
    Floor {
        /// Where to listen; port 0 picks one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
        /// The folder for the data.
        #[arg(long)]
        data: PathBuf,
    },
    /// Measures floor and a host, one after the other, and prints a table in Markdown.
    Bench(bench::Options),
    /// Measures signals, calls, reads and critical sections on a host, beside floor's PUT, and prints tables.
    Entities(entities::Options),
    /// Measures what callers of 10,000 counters feel of 64 clients that signal one, and prints a table.
    Fairness(fairness::Options),
    /// Starts the host on a million idle entities and timers, keeps 10,000 orchestrations waiting, kills it
    /// and starts it again, has large states written, and prints time and memory.
    Scale(scale::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Floor { listen, data } => floor::serve(listen, &data).await,
        Command::Bench(options) => bench::run(&options).await,
        Command::Entities(options) => entities::run(&options).await,
        Command::Fairness(options) => fairness::run(&options).await,
        Command::Scale(options) => scale::run(&options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command line tool says why it failed")]
            {
                eprintln!("load: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
