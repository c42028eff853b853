//! Counters that clients call in one hop, without an orchestration: every addition has an answer of
//! its own, and nobody who looks finds less than somebody was told before.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use everstate_tests::http::{Client, Connection, Reply};
use hyper::StatusCode;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::API;
use crate::load::refused;

/// Counters that clients share: so few that somebody looks while somebody else adds.
const COUNTERS: u32 = 2;

/// What is known of some counters.
pub(crate) struct Counters {
    keys: Vec<String>,
    known: Mutex<HashMap<String, Known>>,
}

/// What is known of one counter.
#[derive(Default)]
struct Known {
    /// Additions that were sent, whatever became of them.
    begun: u64,
    /// The answers of additions.
    counts: HashSet<u64>,
    /// The largest count that anybody was told.
    largest: u64,
}

impl Counters {
    /// Counters whose keys begin with this.
    pub(crate) fn new(prefix: &str) -> Self {
        let keys = (0..COUNTERS).map(|number| format!("{prefix}-{number}")).collect();
        Self { keys, known: Mutex::default() }
    }

    /// Adds or looks, in one of the ways there are. False: the connection is broken.
    pub(crate) async fn step(
        &self,
        connection: &mut Connection,
        random: &mut SmallRng,
    ) -> Result<bool> {
        let key = &self.keys[random.random_range(0..self.keys.len())];
        let by_function = random.random_bool(0.5);
        if random.random_bool(0.3) {
            let path = match by_function {
                true => format!("/Counter/{key}/add"),
                false => format!("{API}/entities/counter/{key}/call?op=add"),
            };
            let before = self.begin_addition(key);
            let Ok(reply) = send(connection, "POST", &path, "1").await else { return Ok(false) };
            if let Some(count) = count(&reply)? {
                self.added(key, before, count)?;
            }
        } else {
            let (method, path) = match by_function {
                true => ("GET", format!("/Counter/{key}")),
                false => ("POST", format!("{API}/entities/counter/{key}/call?op=get")),
            };
            let before = self.largest(key);
            let Ok(reply) = send(connection, method, &path, "").await else { return Ok(false) };
            if let Some(count) = count(&reply)? {
                self.was_read(key, before, count)?;
            }
        }
        Ok(true)
    }

    /// Looks at every counter once more: each addition that was answered is in it, and none twice.
    pub(crate) async fn check(&self, client: Client) -> Result<()> {
        for key in &self.keys {
            let reply = client.get(&format!("/Counter/{key}")).await?;
            let count = count(&reply)?.with_context(|| format!("{key} is refused"))?;
            let known = self.known.lock().unwrap();
            let Some(known) = known.get(key) else { continue };
            let answered = known.counts.len() as u64;
            let (begun, largest) = (known.begun, known.largest);
            ensure!(
                (answered.max(largest)..=begun).contains(&count),
                "{key} is {count}: {answered} additions of {begun} were answered, and it was {largest}"
            );
        }
        Ok(())
    }

    /// How many additions were answered.
    pub(crate) fn answered(&self) -> usize {
        self.known.lock().unwrap().values().map(|known| known.counts.len()).sum()
    }

    /// Gives the largest count that was known before.
    fn begin_addition(&self, key: &str) -> u64 {
        let mut known = self.known.lock().unwrap();
        let known = known.entry(key.to_owned()).or_default();
        known.begun += 1;
        known.largest
    }

    fn added(&self, key: &str, before: u64, count: u64) -> Result<()> {
        let mut known = self.known.lock().unwrap();
        let known = known.entry(key.to_owned()).or_default();
        ensure!(known.counts.insert(count), "two additions made {key} {count}");
        let begun = known.begun;
        let fits = before < count && count <= begun;
        ensure!(fits, "an addition made {key} {count}: it was {before}, and {begun} were begun");
        known.largest = known.largest.max(count);
        Ok(())
    }

    fn largest(&self, key: &str) -> u64 {
        self.known.lock().unwrap().entry(key.to_owned()).or_default().largest
    }

    fn was_read(&self, key: &str, before: u64, count: u64) -> Result<()> {
        let mut known = self.known.lock().unwrap();
        let known = known.entry(key.to_owned()).or_default();
        let fits = before <= count && count <= known.begun;
        ensure!(fits, "{key} is {count}: it was {before}, and {} were begun", known.begun);
        known.largest = known.largest.max(count);
        Ok(())
    }
}

async fn send(
    connection: &mut Connection,
    method: &str,
    path: &str,
    body: &'static str,
) -> Result<Reply> {
    connection.send(method, path, &[("content-type", "application/json")], body).await
}

/// The count in an answer; `None`: the host has too much to do, or had no answer in time. The
/// addition may be done all the same.
fn count(reply: &Reply) -> Result<Option<u64>> {
    if reply.status != StatusCode::OK {
        refused(reply)?;
        return Ok(None);
    }
    let count = reply.json()?.as_u64().with_context(|| reply.text())?;
    Ok(Some(count))
}
