//! `load`: how fast the host is, measured beside the least that a durable server must do.
//!
//! - `load floor` is that least: one RocksDB put with a group-committed fsync per PUT, one get per GET.
//! - `load bench` starts floor and the host in turn, drives both in the same way, and prints a table.
//! - `load scale` starts the host on much data and prints what that costs.
//!
//! It is no stress test: an answer that is not 200 is an error of the measurement and ends it.

mod bench;
mod committer;
mod drive;
mod floor;
mod report;
mod scale;

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
    /// Starts the host on a million idle entities and timers, keeps 10,000 orchestrations waiting, kills it
    /// and starts it again, and prints time and memory.
    Scale(scale::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Floor { listen, data } => floor::serve(listen, &data).await,
        Command::Bench(options) => bench::run(&options).await,
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
