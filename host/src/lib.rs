//! Everstate: one process that loads components from a folder, gives their functions durable state
//! and durable calls, and serves their HTTP triggers.
//!
//! This crate is the process: arguments, configuration, the functions folder, start and stop. It has
//! no logic of its own and is the only one that sees the storage, the runtime and the HTTP surface at
//! once; see ARCHITECTURE.md for the way of a request through them.

#![forbid(unsafe_code)]

mod backup;
mod cli;
mod config;
mod data_folder;
mod deployments;
mod functions;
mod host;
mod integrity;
mod line_queue;
mod listing;
mod observe;
mod restore;
mod retention;
mod shutdown;
mod telemetry;
mod web_client;

use std::process::ExitCode;

pub use config::HostConfig;
pub use deployments::DeploymentsConfig;
pub use integrity::verify;
pub use observe::TelemetryConfig;
pub use restore::{Progress, Restored, restore};
pub use retention::{Age, Forever, FunctionRetention, RetentionConfig};
pub use telemetry::LogFormat;

/// Runs the program with the arguments and the environment of the process.
///
/// 0 after an orderly stop, or when a command has done what it was to do; 1 with one line on standard
/// error where it could not; 2 for arguments that do not fit.
#[must_use]
pub fn main() -> ExitCode {
    cli::main()
}
