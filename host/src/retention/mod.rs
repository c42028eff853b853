//! Retention: removes orchestrations that ended long enough ago, in the background.
//!
//! Each one is removed by itself, through its lane, as if somebody purged it: so it is durable, and one
//! that was started again meanwhile stays. There is a bound for how many are removed in a second, and
//! while the host has much to do none is. Nothing is remembered over a restart, which only reads once more
//! what has ended. Which ones are old enough is decided in `stream.rs`.

mod config;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use everstate_engine::clock::Clock;
use everstate_engine::{Client, ClientError};
use everstate_types::{FunctionName, InstanceId, Timestamp};
use futures_util::future::join_all;
use tokio::time::sleep;

use self::config::FINISHED;
pub use self::config::{Age, Forever, FunctionRetention, RetentionConfig};
use self::stream::Stream;

/// In so many steps a second they are removed.
const STEPS_PER_SECOND: u32 = 10;

/// How long to wait while the host has much to do.
const PATIENCE: Duration = Duration::from_millis(200);

/// Removes what is old enough, now and from time to time. Returns only if everything is kept for ever,
/// or the host stops.
pub(crate) async fn retain(config: RetentionConfig, client: Client, clock: Arc<dyn Clock>) {
    if config.keeps_all() {
        return;
    }
    let mut retention = Retention { config, client, clock, streams: Vec::new() };
    loop {
        match retention.look().await {
            Ok(0) => {}
            Ok(removed) => {
                tracing::debug!(removed, "orchestrations were removed that ended long ago");
            }
            Err(ClientError::Stopping) => return,
            Err(error) => tracing::warn!("what ended long ago stays for now: {error}"),
        }
        sleep(Duration::from_millis(retention.config.interval_ms.max(1))).await;
    }
}

struct Retention {
    config: RetentionConfig,
    client: Client,
    clock: Arc<dyn Clock>,
    streams: Vec<Stream>,
}

impl Retention {
    /// Removes all that is old enough; says how many.
    async fn look(&mut self) -> Result<u64, ClientError> {
        self.find_streams().await?;
        let mut removed = 0;
        for index in 0..self.streams.len() {
            self.streams[index].look(self.clock.now());
            loop {
                let now = self.clock.now();
                let (due, before) = self.streams[index].take_due(now);
                removed += self.remove(&due, before).await?;
                let Some(query) = self.streams[index].next_query() else { break };
                let page = self.client.query_instances(query).await?.value;
                let now = self.clock.now();
                self.streams[index].take(now, page);
                if self.streams[index].next_query().is_none() {
                    let (due, before) = self.streams[index].take_due(now);
                    removed += self.remove(&due, before).await?;
                }
            }
        }
        Ok(removed)
    }

    /// Has a stream for each orchestrator of which something is stored and not kept for ever.
    async fn find_streams(&mut self) -> Result<(), ClientError> {
        let names = self.client.orchestrators().await?.value;
        self.streams.retain(|stream| {
            names.iter().any(|name| FINISHED.iter().any(|status| stream.is_of(name, *status)))
        });
        for name in names {
            for status in FINISHED {
                let is_known = self.streams.iter().any(|stream| stream.is_of(&name, status));
                if !is_known
                    && let Some(age_ms) = self.config.age_ms(&name, status)
                    && let Ok(name) = FunctionName::new(&name)
                {
                    self.streams.push(Stream::new(name, status, age_ms));
                }
            }
        }
        Ok(())
    }

    /// Removes these, unless they changed after `before`; says how many.
    async fn remove(&self, due: &[InstanceId], before: Timestamp) -> Result<u64, ClientError> {
        let rate = self.config.purges_per_second.max(1);
        let together = (rate / STEPS_PER_SECOND).max(1);
        let pause = Duration::from_secs(1) * together / rate;
        let mut removed = 0;
        for some in due.chunks(usize::try_from(together).unwrap_or(1)) {
            while !self.client.has_room() {
                sleep(PATIENCE).await;
            }
            let purges = some.iter().map(|id| self.client.purge_ended(id, before));
            for done in join_all(purges).await {
                removed += u64::from(done?.value);
            }
            sleep(pause).await;
        }
        Ok(removed)
    }
}
