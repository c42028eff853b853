//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{HostConfig, Overrides};
use crate::{host, telemetry};

/// A host for durable functions written as WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "everstate", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the functions of a folder and serve their HTTP triggers.
    Run(RunArgs),
}

/// Each of these can also stand in the configuration file and in the environment (`EVERSTATE_DATA`, …).
#[derive(Debug, Args)]
struct RunArgs {
    /// The folder with the components [default: ./functions]
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// The folder with the data; made if it is missing [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 picks one [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The configuration file [default: ./everstate.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Does what the arguments of the process say.
pub(crate) fn run() -> anyhow::Result<()> {
    let Command::Run(args) = Cli::parse().command;
    let overrides = Overrides { functions: args.functions, data: args.data, listen: args.listen };
    let config = HostConfig::load(args.config, std::env::vars_os(), overrides)?;
    telemetry::start(&config.log)?;
    host::run(config)
}
