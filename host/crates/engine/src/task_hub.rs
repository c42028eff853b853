//! [`TaskHub`]: all lanes of a node, the way to the disk behind them, and recovery.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use everstate_types::{InstanceId, Message, MessageId, MessageKey};
use tokio::runtime::Handle;

use crate::client::Client;
use crate::clock::Clock;
use crate::commit::{CommitQueue, CommitWriter, FatalHandler};
use crate::config::EngineConfig;
use crate::guest::GuestExecutor;
use crate::lane::{Lane, resolve_component};
use crate::metrics::EngineMetrics;
use crate::partition::{Input, PartitionLimits};
use crate::storage::{Storage, StorageError};
use crate::timers::{Timers, deliver_due};
use crate::trace::{NoSpans, SpanSink};

/// The engine of one node.
#[derive(Debug)]
pub struct TaskHub {
    node: Arc<Node>,
}

/// Who is told what happens. They decide nothing.
#[derive(Clone, Debug)]
pub struct Observers {
    /// Counts and measures.
    pub metrics: Arc<EngineMetrics>,
    /// Takes spans.
    pub spans: Arc<dyn SpanSink>,
}

impl Default for Observers {
    fn default() -> Self {
        Self { metrics: Arc::default(), spans: Arc::new(NoSpans) }
    }
}

/// What lanes and clients share.
pub(crate) struct Node {
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) commits: CommitWriter,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) executor: Arc<dyn GuestExecutor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) metrics: Arc<EngineMetrics>,
    /// Whether spans of work go anywhere: if not, none is made.
    pub(crate) wants_spans: bool,
    runtime: Handle,
    fatal: Arc<dyn Fn(&StorageError) + Send + Sync>,
    is_stopping: AtomicBool,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl TaskHub {
    /// Reads what has to go on from the storage, and lets it go on. Blocks while it reads; guests run
    /// on the current tokio runtime.
    ///
    /// # Errors
    /// If the storage cannot be read or a thread cannot be started.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        config: &EngineConfig,
        storage: Arc<dyn Storage>,
        executor: Arc<dyn GuestExecutor>,
        clock: Arc<dyn Clock>,
        observers: &Observers,
        fatal: FatalHandler,
    ) -> Result<Self, StorageError> {
        let recovered = storage.recover()?;
        let ids = recovered.messages.iter().map(|(id, _)| *id);
        let delayed = recovered.delayed.iter().map(|(key, _)| *key);
        let queue = CommitQueue::new(recovered.next_message_id, ids, delayed);
        let delayed_count = recovered.delayed.len();
        let fatal: Arc<dyn Fn(&StorageError) + Send + Sync> = Arc::from(fatal);
        let on_fatal = Arc::clone(&fatal);
        let commits = CommitWriter::start(
            queue,
            Arc::clone(&storage),
            config,
            observers,
            Box::new(move |error| on_fatal(error)),
        )
        .map_err(|error| StorageError(error.into()))?;
        let count = lane_count(config);
        let limits = PartitionLimits {
            entity_inbox_count_max: config.entity_inbox_count_max,
            entity_batch_count_max: config.entity_batch_count_max,
            entity_inbox_bytes_max: config.entity_inbox_bytes_max,
            idempotency_window_ms: config.idempotency_window_ms,
            loaded_instances_max: config.loaded_instances_max.div_ceil(count),
            loaded_bytes_max: config.loaded_bytes_max.div_ceil(count),
        };
        let lane = || Arc::new(Lane::new(limits, config.lane_queue_count_max));
        let node = Arc::new(Node {
            lanes: (0..count).map(|_| lane()).collect(),
            commits,
            storage,
            executor,
            clock,
            timers: Arc::new(Timers::new(recovered.delayed)),
            metrics: Arc::clone(&observers.metrics),
            wants_spans: observers.spans.wants_spans(),
            runtime: Handle::current(),
            fatal,
            is_stopping: AtomicBool::new(false),
        });
        node.executor.connect(Client::new(Arc::clone(&node)));
        if !recovered.messages.is_empty() || delayed_count > 0 {
            tracing::info!(
                messages = recovered.messages.len(),
                delayed = delayed_count,
                "going on where the last run ended"
            );
        }
        node.deliver_recovered(recovered.messages);
        let timers = Arc::clone(&node.timers);
        drop(node.runtime.spawn(deliver_due(Arc::downgrade(&node), timers)));
        Ok(Self { node })
    }

    /// A client of this engine.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.node))
    }

    /// Sets the metrics that tell how things stand now, for a scrape.
    pub fn read_gauges(&self) {
        let Node { metrics, lanes, commits, timers, .. } = &*self.node;
        let as_gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let queues: Vec<usize> = lanes.iter().map(|lane| lane.queue_len()).collect();
        metrics.lane_queue_inputs.set(as_gauge(queues.iter().sum()));
        metrics.lane_queue_inputs_max.set(as_gauge(queues.into_iter().max().unwrap_or_default()));
        let loaded = lanes.iter().map(|lane| lane.loaded_count()).sum();
        metrics.loaded_instances.set(as_gauge(loaded));
        metrics.commit_queue_bytes.set(as_gauge(commits.queued_bytes()));
        metrics.timers_waiting.set(as_gauge(timers.len()));
        metrics.read_inbox_peak();
    }

    /// Accepts no new work from now on. What is under way goes on.
    pub fn refuse_new_work(&self) {
        self.node.is_stopping.store(true, Ordering::Relaxed);
        self.node.timers.wake();
    }

    /// Makes durable what has happened and stops writing. What has not ended goes on after the next
    /// start. Blocks.
    pub fn stop(&self) {
        self.refuse_new_work();
        self.node.commits.stop();
    }
}

impl Node {
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The lane that owns an instance: the ring of hashes is cut into equal ranges.
    pub(crate) fn lane_of(&self, id: &InstanceId) -> &Arc<Lane> {
        let scaled = u128::from(id.hash64()) * self.lanes.len() as u128;
        let index = usize::try_from(scaled >> 64).expect("less than the number of lanes");
        &self.lanes[index]
    }

    pub(crate) fn deliver(self: &Arc<Self>, key: MessageKey, message: Message) {
        if let Some(lane) = self.enqueue(key, message) {
            lane.drive(self);
        }
    }

    /// Delivers what the last run has sent. All of it waits before any of it is worked on: what comes of
    /// one message would overtake others, of the same sender to the same target.
    fn deliver_recovered(self: &Arc<Self>, messages: Vec<(MessageId, Message)>) {
        let enqueued = messages
            .into_iter()
            .filter_map(|(id, message)| self.enqueue(MessageKey::Sent(id), message));
        let to_drive: Vec<_> = enqueued.collect();
        for lane in to_drive {
            lane.drive(self);
        }
    }

    /// Puts a message into the queue of its lane. Gives the lane if the caller has to drive it.
    pub(crate) fn enqueue(&self, key: MessageKey, mut message: Message) -> Option<Arc<Lane>> {
        resolve_component(&*self.executor, &mut message);
        let lane = self.lane_of(&message.target);
        lane.enqueue(Input::Message(key, message)).then(|| Arc::clone(lane))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn fatal(&self, error: &StorageError) {
        (self.fatal)(error);
    }
}

fn lane_count(config: &EngineConfig) -> usize {
    match config.lanes {
        0 => std::thread::available_parallelism().map_or(4, |count| (2 * count.get()).max(4)),
        count => count,
    }
}

#[cfg(test)]
mod tests;
