//! `everstate instances …`: what the commands take, and what they have in common.

mod control;
mod follow;
mod list;
mod purge;
mod show;
mod start;
mod transfer;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::api::{ApiPath, HostArgs, Reply};
use super::output::word;
use super::{errors, values};

#[derive(Debug, Args)]
pub(crate) struct InstancesArgs {
    #[command(subcommand)]
    command: InstancesCommand,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Subcommand)]
enum InstancesCommand {
    /// List orchestrations
    List(list::ListArgs),
    /// Show an orchestration: status, input, output
    Show {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
    },
    /// Show what has happened in an orchestration
    History {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
    },
    /// Start an orchestration
    Start(start::StartArgs),
    /// Raise an event
    Raise(control::RaiseArgs),
    /// Terminate an orchestration, and wait until it has ended
    Terminate(control::TerminateArgs),
    /// Suspend an orchestration
    Suspend(control::ReasonArgs),
    /// Let a suspended orchestration go on
    Resume(control::ReasonArgs),
    /// Let a failed orchestration try again what failed
    Rewind(control::ReasonArgs),
    /// Start an orchestration again with the same input
    Restart(control::RestartArgs),
    /// Remove orchestrations that have ended, with all that is kept of them
    Purge(purge::PurgeArgs),
    /// Follow what happens in an orchestration until it ends
    Watch {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
    },
    /// Wait until an orchestration has ended, and print its output
    Wait(follow::WaitArgs),
    /// Say what an orchestration waits for
    Why {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
    },
    /// Show what functions logged for an orchestration
    Logs {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
        /// How many lines, the newest ones
        #[arg(long, default_value_t = 100)]
        top: usize,
    },
    /// Write an orchestration as JSON lines
    Export {
        /// The instance id
        #[arg(value_parser = values::given)]
        id: String,
        /// The file to write [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take in orchestrations and entities that were exported
    Import {
        /// The file with the JSON lines; - for standard input
        file: PathBuf,
        /// Replace orchestrations that are alive here, which terminates them, and states of entities
        #[arg(long)]
        replace: bool,
    },
}

pub(crate) fn run(args: &InstancesArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    match &args.command {
        InstancesCommand::List(args) => list::run(&api, out, args),
        InstancesCommand::Show { id } => show::status(&api, out, id),
        InstancesCommand::History { id } => show::history(&api, out, id),
        InstancesCommand::Start(args) => start::run(&api, out, args),
        InstancesCommand::Raise(args) => control::raise(&api, out, args),
        InstancesCommand::Terminate(args) => control::terminate(&api, out, args),
        InstancesCommand::Suspend(args) => control::suspend(&api, out, args),
        InstancesCommand::Resume(args) => control::resume(&api, out, args),
        InstancesCommand::Rewind(args) => control::rewind(&api, out, args),
        InstancesCommand::Restart(args) => control::restart(&api, out, args),
        InstancesCommand::Purge(args) => purge::run(&api, out, args),
        InstancesCommand::Watch { id } => follow::watch(&api, out, id),
        InstancesCommand::Wait(args) => follow::wait(&api, out, args),
        InstancesCommand::Why { id } => show::why(&api, out, id),
        InstancesCommand::Logs { id, top } => show::logs(&api, out, id, *top),
        InstancesCommand::Export { id, output } => {
            transfer::export(&api, out, id, output.as_deref())
        }
        InstancesCommand::Import { file, replace } => transfer::import(&api, out, file, *replace),
    }
}

/// The path of an instance, or of something of it.
fn instance(id: &str, rest: &[&str]) -> ApiPath {
    let mut segments = vec!["instances", id];
    segments.extend(rest);
    ApiPath::management(&segments)
}

/// The answer about an instance, unless it says that there is none.
fn existing(reply: Reply, id: &str) -> anyhow::Result<Reply> {
    if errors::is_missing(&reply) { Err(missing(id)) } else { Ok(reply) }
}

fn missing(id: &str) -> anyhow::Error {
    let prefix = id.chars().take(4).collect::<String>();
    anyhow!(
        "there is no orchestration `{id}`: `everstate instances list --prefix {}` shows those whose \
         ids begin so",
        word(prefix)
    )
}
