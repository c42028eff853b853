//! [`EngineMetrics`]: what is counted and measured of the engine.
//!
//! Counters and distributions are atomics that are touched where things happen; what is a state (the
//! length of a queue) is read when somebody asks, by [`TaskHub::read_gauges`](crate::TaskHub::read_gauges).
//! The names and what they mean are in docs/metrics.md.

mod histogram;

use std::sync::atomic::{AtomicUsize, Ordering};

use everstate_types::{FunctionName, RuntimeStatus};
use foldhash::HashMap;
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

impl Counters {
    fn of(metrics: &EngineMetrics, function: Option<FunctionName>) -> Self {
        let function = FunctionLabel(function);
        let of_end = |status| {
            let function = function.clone();
            metrics.completions.get_or_create_owned(&OfEnd { function, status })
        };
        let ends = ["completed", "failed", "terminated", "continuedAsNew"].map(of_end);
        Self { starts: metrics.starts.get_or_create_owned(&OfFunction { function }), ends }
    }
}

/// The counters of orchestrators that a lane has met, so that it asks nobody for them twice.
#[derive(Debug, Default)]
pub(crate) struct KnownCounters {
    /// By the name that an orchestration has: that of its function, but for the letter case perhaps.
    known: HashMap<FunctionName, Counters>,
    /// Those of all names that no function has. Which names these are is not kept: one may come.
    other: Option<Counters>,
}

/// Names that a lane remembers. Far more than there are functions; then it forgets all of them.
const KNOWN_MAX: usize = 4_096;

impl KnownCounters {
    /// Counts a start. `published` gives the name of the function as its author wrote it.
    pub(crate) fn started(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        published: impl FnOnce(&FunctionName) -> Option<FunctionName>,
    ) {
        self.count(metrics, name, published, |counters| counters.starts.inc());
    }

    /// Counts an end; `None`: with a next generation.
    pub(crate) fn ended(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        status: Option<RuntimeStatus>,
        published: impl FnOnce(&FunctionName) -> Option<FunctionName>,
    ) {
        let index = match status {
            Some(RuntimeStatus::Completed) => 0,
            Some(RuntimeStatus::Terminated) => 2,
            Some(_) => 1,
            None => 3,
        };
        self.count(metrics, name, published, |counters| counters.ends[index].inc());
    }

    fn count(
        &mut self,
        metrics: &EngineMetrics,
        name: &FunctionName,
        published: impl FnOnce(&FunctionName) -> Option<FunctionName>,
        count: impl FnOnce(&Counters) -> u64,
    ) {
        if let Some(counters) = self.known.get(name) {
            count(counters);
            return;
        }
        let Some(function) = published(name) else {
            count(self.other.get_or_insert_with(|| Counters::of(metrics, None)));
            return;
        };
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let counters = Counters::of(metrics, Some(function));
        count(&counters);
        self.known.insert(name.clone(), counters);
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::{FunctionName, RuntimeStatus};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::{EngineMetrics, KnownCounters};

    fn rendered(metrics: &EngineMetrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes all");
        text
    }

    fn name(name: &str) -> FunctionName {
        FunctionName::new(name).expect("a valid name")
    }

    #[test]
    fn function_has_one_series_however_it_is_written() {
        let (metrics, mut counters) = (EngineMetrics::default(), KnownCounters::default());
        for written in ["Greeter", "GREETER", "greeter", "GREETER"] {
            counters.started(&metrics, &name(written), |_| Some(name("Greeter")));
        }
        let status = Some(RuntimeStatus::Completed);
        counters.ended(&metrics, &name("gReeter"), status, |_| Some(name("Greeter")));
        let text = rendered(&metrics);
        let starts: Vec<_> =
            text.lines().filter(|l| l.starts_with("orchestration_starts")).collect();
        assert_eq!(starts, ["orchestration_starts_total{function=\"Greeter\"} 4"]);
        let ended = "orchestration_completions_total{function=\"Greeter\",status=\"completed\"} 1";
        assert!(text.lines().any(|line| line == ended), "{text}");
    }

    #[test]
    fn name_that_was_unknown_is_counted_as_its_function_once_there_is_one() {
        let (metrics, mut counters) = (EngineMetrics::default(), KnownCounters::default());
        counters.started(&metrics, &name("Later"), |_| None);
        counters.started(&metrics, &name("Later"), |name| Some(name.clone()));
        let text = rendered(&metrics);
        for line in [
            "orchestration_starts_total{function=\"(other)\"} 1",
            "orchestration_starts_total{function=\"Later\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
    }
}
