//! [`EngineMetrics`]: what is counted and measured of the engine.
//!
//! Counters and distributions are atomics that are touched where things happen; what is a state (the
//! length of a queue) is read when somebody asks, by [`TaskHub::read_gauges`](crate::TaskHub::read_gauges).
//! The names and what they mean are in docs/metrics.md.

mod histogram;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use everstate_types::{FunctionName, RuntimeStatus};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use self::histogram::Histogram;

/// A function as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfFunction {
    /// The function, or [`OTHER`].
    pub function: FunctionLabel,
}

/// A function and how something of it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfEnd {
    /// The function, or [`OTHER`].
    pub function: FunctionLabel,
    /// How.
    pub status: &'static str,
}

/// A kind, a reason, or another word out of a fixed few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfKind {
    /// The word.
    pub kind: &'static str,
}

/// The name of a function that is known, or nothing for all others: a guest that asks for names which
/// do not exist must not make new labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionLabel(pub Option<FunctionName>);

/// The label of functions that are not known.
pub const OTHER: &str = "(other)";

impl EncodeLabelValue for FunctionLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_ref().map_or(OTHER, FunctionName::as_str).encode(encoder)
    }
}

/// What is counted and measured of the engine.
#[derive(Debug)]
pub struct EngineMetrics {
    starts: Family<OfFunction, Counter>,
    completions: Family<OfEnd, Counter>,
    work_items: Family<OfKind, Histogram>,
    pub(crate) orchestration_turn: Histogram,
    pub(crate) entity_batch: Histogram,
    pub(crate) activity_attempt: Histogram,
    pub(crate) commit_write: Histogram,
    pub(crate) commit_turns: Histogram,
    pub(crate) commit_bytes: Histogram,
    pub(crate) fsync: Histogram,
    pub(crate) gate_wait: Histogram,
    pub(crate) commit_queue_bytes: Gauge,
    pub(crate) lane_queue_inputs: Gauge,
    pub(crate) lane_queue_inputs_max: Gauge,
    pub(crate) loaded_instances: Gauge,
    pub(crate) timers_waiting: Gauge,
    entity_inbox_operations_max: Gauge,
    /// The longest inbox since the gauges were read.
    inbox_peak: AtomicUsize,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        let work_items = Family::new_with_constructor(Histogram::of_seconds as fn() -> Histogram);
        let of_kind = |kind| work_items.get_or_create_owned(&OfKind { kind });
        Self {
            starts: Family::default(),
            completions: Family::default(),
            orchestration_turn: of_kind("orchestration"),
            entity_batch: of_kind("entity"),
            activity_attempt: of_kind("activity"),
            work_items,
            commit_write: Histogram::of_seconds(),
            commit_turns: Histogram::of_sizes(),
            commit_bytes: Histogram::of_sizes(),
            fsync: Histogram::of_seconds(),
            gate_wait: Histogram::of_seconds(),
            commit_queue_bytes: Gauge::default(),
            lane_queue_inputs: Gauge::default(),
            lane_queue_inputs_max: Gauge::default(),
            loaded_instances: Gauge::default(),
            timers_waiting: Gauge::default(),
            entity_inbox_operations_max: Gauge::default(),
            inbox_peak: AtomicUsize::new(0),
        }
    }
}

impl EngineMetrics {
    /// Makes all of it known to a registry, which gives each name its prefix.
    pub fn register(&self, to: &mut Registry) {
        to.register("orchestration_starts", "Orchestrations started", self.starts.clone());
        let help = "Executions of orchestrations that ended, by status";
        to.register("orchestration_completions", help, self.completions.clone());
        let help = "Time that guests ran, by kind of work item";
        to.register("work_item_duration_seconds", help, self.work_items.clone());
        let help = "Time of handing a batch to the storage";
        to.register("commit_write_duration_seconds", help, self.commit_write.clone());
        to.register("commit_turns", "Turns in a batch", self.commit_turns.clone());
        to.register("commit_bytes", "Bytes in a batch, about", self.commit_bytes.clone());
        to.register("fsync_duration_seconds", "Time of a sync of the log", self.fsync.clone());
        let help = "Time that answers waited until what they depend on was durable";
        to.register("gate_wait_seconds", help, self.gate_wait.clone());
        let help = "Bytes of changes that wait for the disk, about";
        to.register("commit_queue_bytes", help, self.commit_queue_bytes.clone());
        let help = "Inputs that wait in the queues of all lanes";
        to.register("lane_queue_inputs", help, self.lane_queue_inputs.clone());
        let help = "Inputs that wait in the longest queue of a lane";
        to.register("lane_queue_inputs_max", help, self.lane_queue_inputs_max.clone());
        let help = "Instances in memory";
        to.register("loaded_instances", help, self.loaded_instances.clone());
        let help = "Timers and other messages that are not due yet";
        to.register("timers_waiting", help, self.timers_waiting.clone());
        let help = "Longest inbox of an entity since the last scrape";
        to.register("entity_inbox_operations_max", help, self.entity_inbox_operations_max.clone());
    }

    /// An inbox of an entity has been as long as this.
    pub(crate) fn saw_inbox(&self, operations: usize) {
        if operations > self.inbox_peak.load(Ordering::Relaxed) {
            self.inbox_peak.fetch_max(operations, Ordering::Relaxed);
        }
    }

    /// Begins anew to look for the longest inbox.
    pub(crate) fn read_inbox_peak(&self) {
        let peak = self.inbox_peak.swap(0, Ordering::Relaxed);
        self.entity_inbox_operations_max.set(i64::try_from(peak).unwrap_or(i64::MAX));
    }
}

/// The counters of one orchestrator.
#[derive(Clone, Debug)]
struct Counters {
    starts: Counter,
    /// Completed, failed, terminated, continued as new.
    ends: [Counter; 4],
}

/// The counters of orchestrators that a lane has met, so that it asks nobody for them twice.
#[derive(Debug, Default)]
pub(crate) struct KnownCounters {
    known: HashMap<FunctionName, Counters>,
}

/// Names that a lane remembers. Far more than there are functions; then it forgets all of them.
const KNOWN_MAX: usize = 4_096;

impl KnownCounters {
    /// Counts a start.
    pub(crate) fn started(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        is_function: impl FnOnce() -> bool,
    ) {
        self.of(metrics, name, is_function).starts.inc();
    }

    /// Counts an end; `None`: with a next generation.
    pub(crate) fn ended(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        status: Option<RuntimeStatus>,
        is_function: impl FnOnce() -> bool,
    ) {
        let index = match status {
            Some(RuntimeStatus::Completed) => 0,
            Some(RuntimeStatus::Terminated) => 2,
            Some(_) => 1,
            None => 3,
        };
        self.of(metrics, name, is_function).ends[index].inc();
    }

    fn of(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        is_function: impl FnOnce() -> bool,
    ) -> &Counters {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        if !self.known.contains_key(name) {
            let function = FunctionLabel(is_function().then(|| name.clone()));
            let of_end = |status| {
                let function = function.clone();
                metrics.completions.get_or_create_owned(&OfEnd { function, status })
            };
            let ends = ["completed", "failed", "terminated", "continuedAsNew"].map(of_end);
            let starts = metrics.starts.get_or_create_owned(&OfFunction { function });
            self.known.insert(name.clone(), Counters { starts, ends });
        }
        &self.known[name]
    }
}
