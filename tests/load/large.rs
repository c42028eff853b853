//! What others feel when large states are written: one client has entities make themselves states of 64
//! MiB, one after the other, while others PUT at a fixed pace.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use everstate_tests::http::Connection;
use hyper::StatusCode;

use crate::asked::PUT;
use crate::bench::print;
use crate::drive::{Load, Measured, drive};
use crate::report::millis;
use crate::server::{Place, Target};

/// MiB of a state: the most that is promised.
const STATE_MIB: usize = 64;

/// Entities that get such a state, in turn: so each is replaced many times.
const ENTITIES: usize = 4;

/// Connections of the others, and what each of them asks a second.
const OTHERS: u32 = 16;
const OTHERS_PER_SECOND: u32 = 100;

/// Seconds of each measurement, and before it.
const SECONDS: u64 = 10;
const WARM_UP_SECONDS: u64 = 2;

/// What such a state needs. The defaults allow less.
const SETTINGS: [(&str, &str); 3] = [
    ("EVERSTATE_RUNTIME__ENTITY_STATE_BYTES_MAX", "67108864"),
    ("EVERSTATE_RUNTIME__PAYLOAD_BYTES_MAX", "67108864"),
    ("EVERSTATE_RUNTIME__MEMORY_BYTES_MAX", "536870912"),
];

/// Measures and prints.
pub(crate) async fn run(place: &Place) -> Result<()> {
    let data = place.fresh_folder()?;
    let (mut server, at) = place.start_with(Target::Host, data.path(), &SETTINGS).await?;
    let others = Load {
        work: PUT,
        connections: OTHERS as usize,
        keys: 10_000,
        value_bytes: 100,
        warm_up: Duration::from_secs(WARM_UP_SECONDS),
        duration: Duration::from_secs(SECONDS),
        seed: 1,
        pace: Some(Duration::from_secs(1) / OTHERS_PER_SECOND),
    };
    let idle = drive(&server, at, &others).await.context("others alone")?;
    print(&format!("\n{OTHERS} connections, {} PUTs a second:", OTHERS * OTHERS_PER_SECOND));
    print(&format!("alone: {}", quantiles(&idle)));
    let mut writes = Vec::new();
    let busy = tokio::select! {
        busy = drive(&server, at, &others) => busy?,
        ended = write_states(at, &mut writes) => {
            return ended.map(|never| match never {}).context("large states");
        }
    };
    let (count, resident) = (writes.len(), server.resident_bytes()? >> 20);
    ensure!(count > 0, "no state of {STATE_MIB} MiB was written in time");
    let mean = millis(writes.iter().sum::<Duration>()) / count as f64;
    print(&format!(
        "beside states of {STATE_MIB} MiB, {count} written one after the other in {mean:.0} ms each: {}, \
         RSS {resident} MiB",
        quantiles(&busy)
    ));
    server.kill_9().await
}

/// Goes on until it is dropped; notes how long each state took.
async fn write_states(at: SocketAddr, took: &mut Vec<Duration>) -> Result<Infallible> {
    let mut connection = Connection::open(at).await?;
    loop {
        let entity = took.len() % ENTITIES;
        let path = format!("/Stopwatch/Fill/{entity}?mib={STATE_MIB}");
        let began = Instant::now();
        let reply = connection.send("POST", &path, &[], "").await?;
        ensure!(reply.status == StatusCode::OK, "{path}: {} {}", reply.status, reply.text());
        took.push(began.elapsed());
    }
}

fn quantiles(measured: &Measured) -> String {
    let late = |share: f64| millis(measured.quantile(share));
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", late(0.5), late(0.99), late(0.999))
}
