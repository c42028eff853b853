//! The command line: which commands there are, and what they take. What they do is in a file for each
//! group; `run` goes straight to the host.

mod api;
mod backup;
mod build;
mod check;
mod component;
mod deploy;
mod doctor;
mod ending;
mod entities;
mod errors;
mod files;
mod functions;
mod instances;
mod keys;
mod locks;
mod names;
mod new;
mod output;
mod pages;
mod reference;
mod restore;
mod sdk;
mod times;
mod values;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{HostConfig, Overrides};
use crate::{host, telemetry};

pub(crate) use ending::main;
pub(crate) use errors::one_line;

/// A host for durable functions written as WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "everstate", bin_name = "everstate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the functions of a folder and serve their HTTP triggers
    Run(RunArgs),
    /// Make a project
    New(new::NewArgs),
    /// Compile a project to a component
    Build(build::BuildArgs),
    /// Give a project the SDK of this version
    Sdk(sdk::SdkArgs),
    /// Bring a component into a running host, take it back, see what was deployed
    Deploy(deploy::DeployArgs),
    /// Say which live orchestrations would not go on with new code; changes nothing
    Check(check::CheckArgs),
    /// List the functions that a host serves, and the files that are broken
    Functions(functions::FunctionsArgs),
    /// See, start and steer orchestrations
    Instances(instances::InstancesArgs),
    /// See, call and signal entities
    Entities(entities::EntitiesArgs),
    /// List the locks that orchestrations hold
    Locks(locks::LocksArgs),
    /// See, make and remove the keys that open a host
    Keys(keys::KeysArgs),
    /// Copy the data of a running host to a folder
    Backup(backup::BackupArgs),
    /// Bring a backup back, into a new data folder
    Restore(restore::RestoreArgs),
    /// Say what is wrong with a set-up, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Print what a shell needs to complete commands
    Completions(reference::CompletionsArgs),
    /// Print the manual page
    Man(reference::ManArgs),
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

impl Command {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => run_host(args),
            Self::New(args) => new::run(&args),
            Self::Build(args) => build::run(&args),
            Self::Sdk(args) => sdk::run(&args),
            Self::Deploy(args) => deploy::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Functions(args) => functions::run(&args),
            Self::Instances(args) => instances::run(&args),
            Self::Entities(args) => entities::run(&args),
            Self::Locks(args) => locks::run(&args),
            Self::Keys(args) => keys::run(&args),
            Self::Backup(args) => backup::run(&args),
            Self::Restore(args) => restore::run(&args),
            Self::Doctor(args) => doctor::run(&args),
            Self::Completions(args) => reference::completions(&args, Cli::command()),
            Self::Man(args) => reference::man(&args, Cli::command()),
        }
    }
}

fn run_host(args: RunArgs) -> anyhow::Result<()> {
    let overrides = Overrides { functions: args.functions, data: args.data, listen: args.listen };
    let config = HostConfig::load(args.config, std::env::vars_os(), overrides)?;
    telemetry::start(&config.log, config.log_format)?;
    let result = host::run(config);
    telemetry::finish();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_documented() {
        let text = include_str!("../../../docs/cli.md");
        for command in leaves(&Cli::command(), "everstate") {
            assert!(text.contains(&format!("`{command}")), "docs/cli.md does not have `{command}`");
        }
    }

    /// The commands that do something, by their whole names.
    fn leaves(command: &clap::Command, name: &str) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![name.to_owned()];
        }
        let inner = command.get_subcommands();
        inner.flat_map(|inner| leaves(inner, &format!("{name} {}", inner.get_name()))).collect()
    }
}
