//! The host is killed at random moments under load, again and again, on the same data: under random
//! load, and as a bank.
//!
//! `CRASH_CYCLES` says how often in each of the two (`make crash`), `CRASH_SEED` repeats the choices
//! of a run: keys, values, kinds of requests, moments of death. What the machine makes of them is
//! different each time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test that calls it, and says what it did"
)]

mod bank;
mod books;
mod counters;
mod disk;
mod load;
mod oracle;
mod signals;

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::load::Load;
use crate::oracle::LastValues;

/// Where the management API is.
const API: &str = "/runtime/webhooks/durabletask";

/// How often the host is killed where nothing else is said.
const CYCLES: u64 = 15;

/// After how many cycles everything is checked and new keys are taken: histories that grow without
/// end would take the checker longer and longer.
const CYCLES_PER_CHECK: u64 = 5;

/// Longest time under load before the end, in milliseconds.
const LOAD_MS_MAX: u64 = 500;

/// Longest time that a start is given where the host is killed while it starts, in milliseconds.
const START_MS_MAX: u64 = 150;

/// So short that some requests are answered with 202, whose promise is checked after the crash.
const CONFIG: &str = "[runtime]\nwait_limit_ms = 25\n";

#[tokio::test]
async fn kill_9_under_load_loses_nothing_and_does_nothing_twice() -> Result<()> {
    let (seed, cycles) = campaign(CYCLES)?;
    run(seed, cycles).await.with_context(|| format!("seed {seed}"))
}

/// The seed and the number of cycles of a run.
fn campaign(cycles: u64) -> Result<(u64, u64)> {
    let cycles = number("CRASH_CYCLES")?.unwrap_or(cycles);
    let seed = number("CRASH_SEED")?.unwrap_or_else(rand::random);
    println!("CRASH_SEED={seed} CRASH_CYCLES={cycles}");
    Ok((seed, cycles))
}

async fn run(seed: u64, cycles: u64) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(seed);
    let binary = env!("CARGO_BIN_EXE_host-under-test");
    let guests = [guests::DATABASE, guests::LEDGER, guests::COUNTER, guests::LIFECYCLE];
    let options = HostOptions::new(binary, &guests).config(CONFIG);
    let mut host = HostProcess::start(options).await?;
    let mut last_values = LastValues::default();
    let mut answered = 0;
    let mut cycle = 0;
    while cycle < cycles {
        let load = Load::new(format!("after-{cycle}"));
        load.signals.begin(host.client()).await?;
        for _ in 0..CYCLES_PER_CHECK.min(cycles - cycle) {
            cycle += 1;
            let clients = load.start(host.client(), &mut random);
            tokio::time::sleep(Duration::from_millis(random.random_range(1..LOAD_MS_MAX))).await;
            host.process().kill_9().await?;
            clients.join_all().await.into_iter().collect::<Result<()>>()?;
            start_again(&mut host, &mut random).await.with_context(|| format!("cycle {cycle}"))?;
        }
        oracle::check(&load, host.client(), &mut last_values)
            .await
            .with_context(|| format!("after cycle {cycle}\n{}", host.output().all()))?;
        answered += load.answered();
        println!("{cycle} of {cycles} crashes, {answered} requests checked");
    }
    last_values.check(host.client()).await?;
    disk::nothing_is_left(&mut host).await.map(drop)
}

/// Starts the host again, which may be killed again while it starts.
async fn start_again(host: &mut HostProcess, random: &mut SmallRng) -> Result<()> {
    while random.random_bool(0.2) {
        host.respawn().await?;
        let moment = random.random_range(0..START_MS_MAX);
        tokio::time::sleep(Duration::from_millis(moment)).await;
    }
    host.restart().await
}

fn number(name: &str) -> Result<Option<u64>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text.parse().with_context(|| format!("{name}={text}"))?)),
        Err(_) => Ok(None),
    }
}
