//! `load fairness`: what clients of many counters feel of others that signal one counter as hard as
//! they can.
//!
//! The clients of many counters call them at a fixed pace, so that they ask for the same in every row. Once
//! the signalling clients do as many as they are given, spread over all counters and then at one: the
//! difference is what the one costs, and not what the work costs. In the end they flood it: more comes
//! than it does, and the host has to refuse.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use everstate_tests::http::Connection;
use everstate_tests::process::ServerProcess;
use everstate_tests::wait::eventually;

use crate::asked::{API, BURST_TO_ONE, CALL, COUNTERS, SIGNAL, prepare};
use crate::bench::print;
use crate::drive::{Load, Measured, Work, drive};
use crate::report::millis;
use crate::server::{Place, Target};

/// Connections that signal.
const SIGNALLERS: u32 = 64;

/// Connections of the others, and what each of them asks a second.
const OTHERS: u32 = 16;
const OTHERS_PER_SECOND: u32 = 50;

/// Operations that may wait at one entity: the default, which is said here to be shown.
const INBOX_COUNT_MAX: &str = "10000";

/// How long what waits may take to be done, once nothing more is sent.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);

/// How often the length of the hot counter's inbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Seconds measured per row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Signals a second, of all clients together, where they are paced.
    #[arg(long, default_value_t = 5_000)]
    signals: u32,
    /// Of the keys.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Measures and prints.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let data = options.place.fresh_folder()?;
    let settings = [("EVERSTATE_ENGINE__ENTITY_INBOX_COUNT_MAX", INBOX_COUNT_MAX)];
    let (mut server, at) = options.place.start_with(Target::Host, data.path(), &settings).await?;
    prepare(at).await?;
    let others = options.load(CALL, COUNTERS, OTHERS, Some(OTHERS * OTHERS_PER_SECOND));
    let idle = drive(&server, at, &others).await.context("others alone")?;
    print(&format!(
        "{OTHERS} connections call 10,000 counters, {} calls a second; {SIGNALLERS} connections signal, \
         {} signals a second where they are paced; {INBOX_COUNT_MAX} operations may wait at a counter\n\n\
         | signals | requests/s | refused (429) | waited at most | others' p50 ms | p99 ms | p99 x idle |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        OTHERS * OTHERS_PER_SECOND,
        options.signals,
    ));
    print(&format!(
        "| none | | | | {:.3} | {:.3} | 1.0 |",
        millis(idle.quantile(0.5)),
        millis(idle.quantile(0.99))
    ));
    let paced = Some(options.signals);
    for (what, work, counters, per_second) in [
        ("10,000 counters, paced", SIGNAL, COUNTERS, paced),
        ("one counter, paced", SIGNAL, 1, paced),
        ("10,000 counters, at the limit", SIGNAL, COUNTERS, None),
        ("one counter, at the limit", SIGNAL, 1, None),
        ("one counter, 100 a request: a flood", BURST_TO_ONE, 1, None),
    ] {
        let signals = options.load(work, counters, SIGNALLERS, per_second);
        let measured = together(&server, at, &others, &signals).await;
        let (others, signals, waited) = measured.with_context(|| what.to_owned())?;
        print(&format!(
            "| {what} | {:.0} | {} | {waited} | {:.3} | {:.3} | {:.1} |",
            signals.throughput,
            signals.refused,
            millis(others.quantile(0.5)),
            millis(others.quantile(0.99)),
            millis(others.quantile(0.99)) / millis(idle.quantile(0.99)),
        ));
    }
    server.kill_9().await
}

impl Options {
    /// `per_second`: of all connections together.
    fn load(&self, work: Work, keys: u32, connections: u32, per_second: Option<u32>) -> Load {
        Load {
            work,
            connections: connections as usize,
            keys,
            value_bytes: 100,
            warm_up: Duration::from_secs(self.warm_up),
            duration: Duration::from_secs(self.seconds),
            seed: self.seed,
            pace: per_second.map(|per_second| Duration::from_secs(1) * connections / per_second),
        }
    }
}

/// Puts both loads on the host. Gives what the others felt, what the signalling clients did, and how many
/// operations waited at the hot counter at most.
async fn together(
    server: &ServerProcess,
    at: SocketAddr,
    others: &Load,
    signals: &Load,
) -> Result<(Measured, Measured, u64)> {
    let mut connection = Connection::open(at).await?;
    let most = AtomicU64::new(0);
    let looking = async {
        loop {
            let waiting = waiting(&mut connection).await?;
            most.fetch_max(waiting, Ordering::Relaxed);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let both = async { tokio::try_join!(drive(server, at, others), drive(server, at, signals)) };
    let (others, signals) = tokio::select! {
        both = both => both?,
        error = looking => return error,
    };
    eventually("nothing waits any more", DRAIN_DEADLINE, || async {
        let mut connection = Connection::open(at).await.ok()?;
        (waiting(&mut connection).await.ok()? == 0).then_some(())
    })
    .await?;
    Ok((others, signals, most.into_inner()))
}

/// How many operations wait at the hot counter.
async fn waiting(connection: &mut Connection) -> Result<u64> {
    let path = format!("{API}/entities/counter/0?details");
    let reply = connection.send("GET", &path, &[], "").await?;
    reply.json()?["waitingOperations"].as_u64().with_context(|| reply.text())
}
