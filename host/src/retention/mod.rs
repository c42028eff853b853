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
pub(crate) use self::config::lower_names;
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
    /// Removes all that is old enough; says how many. The streams take turns, so that much of one function
    /// is not in the way of others.
    async fn look(&mut self) -> Result<u64, ClientError> {
        self.find_streams().await?;
        let now = self.clock.now();
        self.streams.iter_mut().for_each(|stream| stream.look(now));
        let mut removed = 0;
        loop {
            let mut is_over = true;
            for index in 0..self.streams.len() {
                removed += self.take_turn(index).await?;
                is_over &= self.streams[index].is_over();
            }
            if is_over {
                return Ok(removed);
            }
        }
    }

    /// Reads a page of a stream and removes what may be removed in a second, at most.
    async fn take_turn(&mut self, index: usize) -> Result<u64, ClientError> {
        if !self.streams[index].has_due()
            && let Some(query) = self.streams[index].next_query()
        {
            let page = self.client.query_instances(query).await?.value;
            self.streams[index].take(self.clock.now(), page);
        }
        let per_second = usize::try_from(self.config.purges_per_second).unwrap_or(usize::MAX);
        let (due, before) = self.streams[index].take_due(self.clock.now(), per_second.max(1));
        let (removed, left, result) = self.remove(due, before).await;
        self.streams[index].put_back(left);
        result.map(|()| removed)
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

    /// Removes these, unless they changed after `before`; says how many, which were not come to, and
    /// why.
    async fn remove(
        &self,
        mut due: Vec<InstanceId>,
        before: Timestamp,
    ) -> (u64, Vec<InstanceId>, Result<(), ClientError>) {
        let rate = self.config.purges_per_second.max(1);
        let together = (rate / STEPS_PER_SECOND).max(1);
        let pause = Duration::from_secs(1) * together / rate;
        let mut removed = 0;
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(usize::try_from(together).unwrap_or(1)));
            while !self.client.has_room() {
                sleep(PATIENCE).await;
            }
            let purges = due.iter().map(|id| self.client.purge_ended(id, before));
            let (mut left, mut result) = (Vec::new(), Ok(()));
            for (done, id) in join_all(purges).await.into_iter().zip(&due) {
                match done {
                    Ok(done) => removed += u64::from(done.value),
                    Err(error) => {
                        left.push(id.clone());
                        result = Err(error);
                    }
                }
            }
            if result.is_err() {
                left.extend(rest);
                return (removed, left, result);
            }
            due = rest;
            sleep(pause).await;
        }
        (removed, due, Ok(()))
    }
}
