//! The host as a user meets it: a process, a folder of components, HTTP.
//!
//! One file a concern. Every test has a host of its own on folders of its own, so that they can run
//! side by side and end it as they like.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper of a test fails the test that calls it"
)]

mod activities;
mod backup;
mod children;
mod cli;
mod clients;
mod database;
mod deploy;
mod deployments;
mod deployments_alive;
mod determinism;
mod disk;
mod durability;
mod durable_http;
mod entities_basics;
mod entities_examples;
mod entities_failures;
mod entities_large;
mod entities_lifetimes;
mod entities_lock_rules;
mod entities_locks;
mod entities_queries;
mod entities_readers;
mod entities_signals;
mod entities_versions;
mod entity_api;
mod eternal;
mod events;
mod exposure;
mod failures;
mod folder;
mod guest_logs;
mod inspect;
mod keys;
mod lifecycle;
mod log_reader;
mod management;
mod management_instances;
mod management_lifecycle;
mod management_starts;
mod many_clients;
mod metrics;
mod overload;
mod queries;
mod relay;
mod retention;
mod retiring;
mod robustness;
mod rude_clients;
mod shutdown;
mod start;
mod status;
mod steps;
mod strangers_path;
mod tags;
mod timers;
mod traces;
mod transfer;
mod upgrade;
mod versions;
mod ways;

use everstate_tests::host::{HostOptions, HostProcess};

/// A host with these components, not started yet.
fn options(guests: &[&str]) -> HostOptions {
    HostOptions::new(env!("CARGO_BIN_EXE_host-under-test"), guests)
}

/// A running host with the seed.
async fn database() -> anyhow::Result<HostProcess> {
    HostProcess::start(options(&[everstate_tests::guests::DATABASE])).await
}
