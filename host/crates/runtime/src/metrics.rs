//! [`RuntimeMetrics`]: what is counted and measured of guests. The names and what they mean are in
//! docs/metrics.md.

use everstate_engine::metrics::{FunctionLabel, Histogram, OfEnd, OfKind};
use everstate_types::{FunctionKind, FunctionName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::error::GuestError;

/// What is counted and measured of guests.
#[derive(Debug)]
pub struct RuntimeMetrics {
    operations: Family<OfEnd, Counter>,
    attempts: Family<OfEnd, Counter>,
    failures: Family<OfKind, Counter>,
    pub(crate) replays: Counter,
    pub(crate) activities_running: Gauge,
    pub(crate) component_load: Histogram,
    pub(crate) components: Gauge,
    pub(crate) suspended_guests: Gauge,
    pub(crate) suspended_bytes: Gauge,
    pub(crate) idle_guests: Gauge,
}

impl Default for RuntimeMetrics {
    fn default() -> Self {
        let failures = Family::<OfKind, Counter>::default();
        // There from the start: that none has happened is worth being seen.
        for kind in ["trap", "cpuTime", "wallTime", "memory", "payload", "other"] {
            drop(failures.get_or_create_owned(&OfKind { kind }));
        }
        Self {
            failures,
            operations: Family::default(),
            attempts: Family::default(),
            replays: Counter::default(),
            activities_running: Gauge::default(),
            component_load: Histogram::of_seconds(),
            components: Gauge::default(),
            suspended_guests: Gauge::default(),
            suspended_bytes: Gauge::default(),
            idle_guests: Gauge::default(),
        }
    }
}

/// Something of one function that ends well or fails.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    completed: Counter,
    failed: Counter,
}

impl Ends {
    pub(crate) fn count(&self, is_failed: bool) {
        if is_failed {
            self.failed.inc()
        } else {
            self.completed.inc()
        };
    }
}

impl RuntimeMetrics {
    /// Makes all of it known to a registry, which gives each name its prefix.
    pub fn register(&self, to: &mut Registry) {
        let help = "Operations of entities that ended, by status";
        to.register("entity_operations", help, self.operations.clone());
        let help = "Attempts at activities that ended, by status";
        to.register("activity_attempts", help, self.attempts.clone());
        let help = "Runs of guests that ended by a trap or a limit, by what ended them";
        to.register("guest_failures", help, self.failures.clone());
        let help = "Orchestrators that were run again from their history";
        to.register("replays", help, self.replays.clone());
        let help = "Activities under way, without those that wait for their turn";
        to.register("activities_running", help, self.activities_running.clone());
        let help = "Time of compiling a component, or of reading its compiled code";
        to.register("component_load_duration_seconds", help, self.component_load.clone());
        to.register("components", "Components in memory", self.components.clone());
        let help = "Orchestrators that wait and are kept in memory";
        to.register("suspended_guests", help, self.suspended_guests.clone());
        let help = "Bytes of orchestrators that wait and are kept in memory, about";
        to.register("suspended_guests_bytes", help, self.suspended_bytes.clone());
        let help = "Instances of components that wait for their next call";
        to.register("idle_guests", help, self.idle_guests.clone());
    }

    /// The counters of a function that is published, if its runs are counted here.
    pub(crate) fn ends_of(&self, kind: FunctionKind, name: &FunctionName) -> Option<Ends> {
        match kind {
            FunctionKind::Entity => Some(ends(&self.operations, Some(name))),
            FunctionKind::Activity => Some(self.attempts_of(Some(name))),
            FunctionKind::Orchestrator | FunctionKind::Http => None,
        }
    }

    /// The counters of an activity; `None`: of all that are not known.
    pub(crate) fn attempts_of(&self, name: Option<&FunctionName>) -> Ends {
        ends(&self.attempts, name)
    }

    /// A run ended otherwise than by the guest's own word. If there was no guest to be run, that is nothing
    /// that a guest did.
    pub(crate) fn failed(&self, error: &GuestError) {
        let kind = match error {
            GuestError::Trapped { .. } => "trap",
            GuestError::CpuTime(_) => "cpuTime",
            GuestError::WallTime(_) => "wallTime",
            GuestError::Memory(_) | GuestError::SharedMemory(_) => "memory",
            GuestError::PayloadTooLarge { .. } => "payload",
            GuestError::ResponseStatus(_) | GuestError::Host(_) => "other",
            GuestError::FunctionNotFound(..) | GuestError::ComponentMissing(_) => return,
        };
        self.failures.get_or_create(&OfKind { kind }).inc();
    }
}

fn ends(family: &Family<OfEnd, Counter>, name: Option<&FunctionName>) -> Ends {
    let of_end = |status| {
        let function = FunctionLabel(name.cloned());
        family.get_or_create_owned(&OfEnd { function, status })
    };
    Ends { completed: of_end("completed"), failed: of_end("failed") }
}

#[cfg(test)]
mod tests {
    use everstate_engine::metrics::OfKind;

    use super::RuntimeMetrics;
    use crate::error::GuestError;

    #[test]
    fn function_that_does_not_exist_is_no_failure_of_a_guest() {
        let metrics = RuntimeMetrics::default();
        metrics.failed(&GuestError::FunctionNotFound("Nobody".to_owned(), "an activity"));
        metrics.failed(&GuestError::ResponseStatus(99));
        let counted = metrics.failures.get_or_create(&OfKind { kind: "other" }).get();
        assert_eq!(counted, 1);
    }
}
