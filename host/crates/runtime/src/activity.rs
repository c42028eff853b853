//! Activities: input in, result or failure out. How many run at a time is decided here; that they
//! run at least once, and that one result counts, is the engine's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use everstate_engine::guest::{ABANDONED, ActivityWorkItem};
use everstate_types::{Failure, FunctionKind, FunctionName, Payload, RequestId};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bindings::exports::activity::{ActivityCall, Guest};
use crate::client::ClientRun;
use crate::component::{Code, Live, within};
use crate::config::RuntimeConfig;
use crate::convert::failure;
use crate::error::{GuestError, LoadError};
use crate::executor::Host;
use crate::metrics::{Ends, RuntimeMetrics};
use crate::outgoing::durable;
use crate::state::{Role, lock};

/// Runs an activity as soon as the limits let it.
pub(crate) async fn run(host: Arc<Host>, item: ActivityWorkItem) -> Result<Payload, Failure> {
    let _permits = host.activities.acquire(&item.name).await;
    if item.is_abandoned.load(Ordering::Acquire) {
        return Err(Failure::new(ABANDONED, "nobody waits for the result any more"));
    }
    // Also told when the attempt is dropped on its way.
    let _running = host.activities.note_running(item.idempotency_key, &host.metrics);
    let (result, ends) = attempt(&host, &item).await;
    ends.count(result.is_err());
    result
}

/// What came of an attempt, and the counters that it belongs to.
async fn attempt(host: &Arc<Host>, item: &ActivityWorkItem) -> (Result<Payload, Failure>, Ends) {
    if item.name.is_http_activity() {
        let ends = host.metrics.attempts_of(Some(&item.name));
        return (durable::run(host, item).await, ends);
    }
    match find(host, item).await {
        Ok(Found { name, code, ends }) => {
            let result = invoke(host, &code, item, name).await;
            (result.unwrap_or_else(|error| Err(told(host, item, error))), ends)
        }
        Err(error) => (Err(told(host, item, error)), host.metrics.attempts_of(None)),
    }
}

/// Tells observers how an attempt ended otherwise than by the guest's own word; gives its failure.
fn told(host: &Host, item: &ActivityWorkItem, error: GuestError) -> Failure {
    let (function, instance) = (&item.name, &item.instance_id);
    tracing::warn!(%function, %instance, "{error}");
    host.metrics.failed(&error);
    let is_missing = matches!(error, GuestError::FunctionNotFound(..));
    let failure = error.into_failure();
    if is_missing { failure.non_retriable() } else { failure }
}

/// An activity that was found.
struct Found {
    /// As its author wrote it.
    name: FunctionName,
    code: Arc<Code>,
    /// Counts its attempts.
    ends: Ends,
}

/// The newest function of that name, else the one of the orchestration's own code.
async fn find(host: &Arc<Host>, item: &ActivityWorkItem) -> Result<Found, GuestError> {
    let attempts_of = |name| host.metrics.attempts_of(Some(name));
    if let Some(function) = host.catalog.find_for_work(FunctionKind::Activity, item.name.as_str()) {
        let (name, code) = (function.name.clone(), Arc::clone(&function.code));
        let ends = function.ends.clone().unwrap_or_else(|| attempts_of(&name));
        return Ok(Found { name, code, ends });
    }
    if let Some(hash) = item.component {
        match host.catalog.code(hash).await {
            Ok(code) => {
                if let Some(name) = code.activity(host, &item.name).await? {
                    let ends = attempts_of(&name);
                    return Ok(Found { name, code, ends });
                }
            }
            Err(GuestError::ComponentMissing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(GuestError::FunctionNotFound(item.name.to_string(), "an activity"))
}

async fn invoke(
    host: &Arc<Host>,
    code: &Code,
    item: &ActivityWorkItem,
    name: FunctionName,
) -> Result<Result<Payload, Failure>, GuestError> {
    let call = ActivityCall {
        name: name.to_string(),
        input: item.input.as_str().to_owned(),
        instance_id: item.instance_id.to_string(),
        idempotency_key: item.idempotency_key.hyphenated().to_string(),
        attempt: item.attempt,
        tags: item.tags.clone(),
    };
    let mut live = code.live_activity(host).await?;
    let run = ClientRun::of_activity(name, item);
    let cpu_ms_max = host.config.activity_cpu_ms_max;
    let weight = live.begin(Role::Activity(run), cpu_ms_max, call.input.len());
    let Live { store, guest } = &mut live;
    let called = Guest::call_invoke(guest, &mut *store, &call);
    let called = within(host, host.config.activity_wall_ms_max, &weight, called).await;
    let (_, result) = live.end(called);
    let result = result?;
    code.keep_activity(host, live);
    match result {
        Ok(output) => {
            let (bytes, limit) = (output.len(), host.config.payload_bytes_max);
            if bytes > limit {
                return Err(GuestError::PayloadTooLarge { what: "the result", bytes, limit });
            }
            Ok(Ok(Payload::from(output)))
        }
        Err(reported) => Ok(Err(failure(reported))),
    }
}

/// How many activities may run at the same time: of each function, and of all together.
#[derive(Debug)]
pub(crate) struct ActivityLimits {
    /// By the function's name in lower case.
    of_function: HashMap<String, Semaphore>,
    of_host: Semaphore,
    /// The idempotency keys of those that run, and how many run with each: an attempt that nobody waits for
    /// any more may still run beside its successor.
    running: Mutex<HashMap<RequestId, usize>>,
}

/// Notes that an activity runs, for as long as it is there.
struct Running<'a> {
    limits: &'a ActivityLimits,
    idempotency_key: RequestId,
    metrics: &'a RuntimeMetrics,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.activities_running.dec();
        if let Entry::Occupied(mut count) = lock(&self.limits.running).entry(self.idempotency_key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl ActivityLimits {
    /// # Errors
    /// If a limit lets nothing run, or a function has two.
    pub(crate) fn new(config: &RuntimeConfig) -> Result<Self, LoadError> {
        let bad = |problem: String| Err(LoadError::Host(problem));
        if config.activities_concurrent_max == 0 {
            return bad("activities_concurrent_max must be at least 1".to_owned());
        }
        let mut of_function = HashMap::new();
        for (name, &limit) in &config.activity_limits {
            if limit == 0 {
                return bad(format!("activity_limits: that of `{name}` must be at least 1"));
            }
            let semaphore = Semaphore::new(limit.min(Semaphore::MAX_PERMITS));
            if of_function.insert(name.to_ascii_lowercase(), semaphore).is_some() {
                return bad(format!("activity_limits: `{name}` stands twice"));
            }
        }
        let of_host = config.activities_concurrent_max.min(Semaphore::MAX_PERMITS);
        Ok(Self { of_function, of_host: Semaphore::new(of_host), running: Mutex::default() })
    }

    /// Whether the activity with this idempotency key runs.
    pub(crate) fn is_running(&self, idempotency_key: RequestId) -> bool {
        lock(&self.running).contains_key(&idempotency_key)
    }

    /// Notes that an activity runs, until what this gives is dropped.
    fn note_running<'a>(
        &'a self,
        idempotency_key: RequestId,
        metrics: &'a RuntimeMetrics,
    ) -> Running<'a> {
        metrics.activities_running.inc();
        *lock(&self.running).entry(idempotency_key).or_default() += 1;
        Running { limits: self, idempotency_key, metrics }
    }

    /// Waits until an activity of this function may run. First for its function: who waits for
    /// others of its own kind must not hold a place that others could use.
    async fn acquire(
        &self,
        name: &FunctionName,
    ) -> (Option<SemaphorePermit<'_>>, SemaphorePermit<'_>) {
        let open = "the semaphores are never closed";
        let of_function = match self.of_function.get(&name.as_str().to_ascii_lowercase()) {
            Some(semaphore) => Some(semaphore.acquire().await.expect(open)),
            None => None,
        };
        (of_function, self.of_host.acquire().await.expect(open))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use everstate_types::RequestId;

    use super::ActivityLimits;
    use crate::config::RuntimeConfig;
    use crate::metrics::RuntimeMetrics;

    #[test]
    fn activity_runs_until_the_last_of_its_attempts_has_ended() {
        let limits = ActivityLimits::new(&RuntimeConfig::default()).expect("the defaults are good");
        let (metrics, key) = (RuntimeMetrics::default(), RequestId::from_u128(7));
        let given_up = limits.note_running(key, &metrics);
        let successor = limits.note_running(key, &metrics);
        drop(given_up);
        assert!(limits.is_running(key));
        drop(successor);
        assert!(!limits.is_running(key));
        assert_eq!(metrics.activities_running.get(), 0);
    }

    #[test]
    fn limit_that_lets_nothing_run_or_stands_twice_is_refused() {
        for (limits, all) in [(&[("a", 0)][..], 1), (&[("a", 1), ("A", 2)][..], 1), (&[][..], 0)] {
            let limits: BTreeMap<_, _> = limits.iter().map(|&(n, l)| (n.to_owned(), l)).collect();
            let config = RuntimeConfig {
                activities_concurrent_max: all,
                activity_limits: limits,
                ..RuntimeConfig::default()
            };
            assert!(ActivityLimits::new(&config).is_err(), "{config:?}");
        }
    }
}
