//! [`Runtime`]: the engine's `GuestExecutor` and `HttpFunctions`, and what all guests share.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use everstate_engine::Client;
use everstate_engine::guest::{
    ActivityWorkItem, Awaited, EntityOptions, EntityOutcome, EntityWorkItem, FoundFunction,
    GuestExecutor, GuestFuture, GuestLog, HttpAnswer, HttpFunctionError, HttpFunctions,
    HttpRequest, OrchestrationOutcome, OrchestrationWorkItem, StatusResponses,
};
use everstate_types::{ComponentHash, Failure, FunctionKind, InstanceId, Payload, RequestId};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{block_in_place, spawn_blocking};

use crate::activity::ActivityLimits;
use crate::catalog::{Catalog, Conflict, HttpFunction};
use crate::component::{LoadedComponent, Purpose, load};
use crate::config::RuntimeConfig;
use crate::engine::GuestEngine;
use crate::environment::ActivityEnvironment;
use crate::error::LoadError;
use crate::limits::{SharedMemory, Weight};
use crate::metrics::RuntimeMetrics;
use crate::outgoing::Outgoing;
use crate::state::lock;
use crate::suspended::SuspendedGuests;
use crate::{activity, entity, http, orchestration};

/// Histories that are replayed at the same time only to look at: whether code follows them, or what it waits
/// for. Live work is more urgent.
const CHECKS_CONCURRENT_MAX: usize = 1;

/// Runs guests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    owner: Arc<Owner>,
}

/// Ends what would keep itself alive when the last [`Runtime`] is dropped: kept guests hold the
/// host, and the host holds them.
#[derive(Debug)]
struct Owner {
    host: Arc<Host>,
}

/// What all guests share.
pub(crate) struct Host {
    pub(crate) config: RuntimeConfig,
    pub(crate) engine: GuestEngine,
    pub(crate) catalog: Catalog,
    pub(crate) suspended: Mutex<SuspendedGuests>,
    /// What large guests share.
    pub(crate) shared_memory: Arc<SharedMemory>,
    /// Instances that wait for their next call, over all components.
    pub(crate) idle_guests: AtomicUsize,
    /// Orchestrators and entities that may run.
    pub(crate) turns: Semaphore,
    /// Histories that may be replayed only to look at.
    pub(crate) checks: Semaphore,
    /// HTTP functions that may run.
    pub(crate) requests: Semaphore,
    /// Activities that may run.
    pub(crate) activities: ActivityLimits,
    /// What activities see.
    pub(crate) environment: ActivityEnvironment,
    /// HTTP requests that leave the host.
    pub(crate) outgoing: Outgoing,
    pub(crate) responses: Arc<dyn StatusResponses>,
    pub(crate) metrics: Arc<RuntimeMetrics>,
    /// Where lines go that guests log for their instances, if somebody keeps them.
    pub(crate) log: OnceLock<Arc<dyn GuestLog>>,
    client: RwLock<Option<Client>>,
}

impl Runtime {
    /// Prepares the runtime. Components and compiled code are kept in folders of `data_dir`.
    ///
    /// # Errors
    /// If the folders cannot be made, the configuration lets nothing run or names what is not there,
    /// or the machine has no room for the configured guests.
    pub fn new(
        config: RuntimeConfig,
        data_dir: &Path,
        responses: Arc<dyn StatusResponses>,
    ) -> Result<Self, LoadError> {
        if config.turns_concurrent_max == 0 || config.http_concurrent_max == 0 {
            let problem = "turns_concurrent_max and http_concurrent_max must be at least 1";
            return Err(LoadError::Host(problem.to_owned()));
        }
        let unusable = |error: wasmtime::Error| LoadError::Host(format!("{error:#}"));
        let engine = GuestEngine::new(&config).map_err(unusable)?;
        let metrics = Arc::<RuntimeMetrics>::default();
        let catalog = Catalog::new(&engine.engine, data_dir, Arc::clone(&metrics))?;
        let suspended =
            SuspendedGuests::new(engine.suspended_guests_max, config.suspended_bytes_max);
        let shared_memory = Arc::new(SharedMemory::new(config.shared_memory_bytes_max));
        let host = Host {
            shared_memory,
            turns: Semaphore::new(config.turns_concurrent_max),
            checks: Semaphore::new(CHECKS_CONCURRENT_MAX),
            requests: Semaphore::new(config.http_concurrent_max),
            activities: ActivityLimits::new(&config)?,
            environment: ActivityEnvironment::read(&config.activities)?,
            outgoing: Outgoing::new(&config.outgoing_http)?,
            config,
            engine,
            catalog,
            suspended: Mutex::new(suspended),
            idle_guests: AtomicUsize::new(0),
            responses,
            metrics,
            log: OnceLock::new(),
            client: RwLock::new(None),
        };
        Ok(Self { owner: Arc::new(Owner { host: Arc::new(host) }) })
    }

    /// Where the lines go that guests log for their instances. Counts once.
    pub fn keep_logs_in(&self, log: Arc<dyn GuestLog>) {
        self.host().log.get_or_init(|| log);
    }

    /// What is counted and measured of guests, with how things stand now.
    pub fn read_metrics(&self) -> &RuntimeMetrics {
        let host = self.host();
        let as_gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (guests, bytes) = lock(&host.suspended).held();
        host.metrics.suspended_guests.set(as_gauge(guests));
        host.metrics.suspended_bytes.set(as_gauge(bytes));
        host.metrics.idle_guests.set(as_gauge(host.idle_guests.load(Ordering::Relaxed)));
        host.metrics.components.set(as_gauge(host.catalog.count()));
        &host.metrics
    }

    /// Lets go of the engine and of all kept guests. For the end of an orderly stop, when nothing
    /// runs any more: engine and runtime hold each other, and without this neither is ever freed.
    pub fn close(&self) {
        self.host().close();
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.owner.host
    }

    /// Loads a component: checks and compiles it (or takes the compiled code of an earlier
    /// load), keeps its bytes for orchestrations that will be pinned to it, and asks what functions
    /// it has. Nothing finds them before [`Runtime::publish`].
    ///
    /// # Errors
    /// [`LoadError`], in one line.
    pub async fn load(
        &self,
        file_name: &str,
        bytes: Vec<u8>,
    ) -> Result<Arc<LoadedComponent>, LoadError> {
        load(self.host(), Purpose::Deploy, file_name, bytes).await.map(Arc::new)
    }

    /// Makes these components the newest: names are looked up in them, and in no others. Of two
    /// that have a function of the same kind and name, the one given first keeps it; the
    /// other's is refused and returned.
    pub fn publish(&self, components: &[Arc<LoadedComponent>]) -> Vec<Conflict> {
        self.publish_beside(components, &[])
    }

    /// The same beside components that are retiring, of which the first ones are the newest: what runs
    /// already finds functions of theirs that none of `components` has.
    pub fn publish_beside(
        &self,
        components: &[Arc<LoadedComponent>],
        retiring: &[Arc<LoadedComponent>],
    ) -> Vec<Conflict> {
        self.host().catalog.publish(self.host(), components, retiring)
    }

    /// Removes from the data folder the components, with their compiled code, that nothing needs: not
    /// published, not in `pinned`, and neither of them for ten minutes. Says how many.
    ///
    /// # Errors
    /// If the folder cannot be read or changed.
    pub async fn remove_unneeded_components(
        &self,
        pinned: HashSet<ComponentHash>,
    ) -> std::io::Result<usize> {
        let host = Arc::clone(self.host());
        let removed = spawn_blocking(move || host.catalog.remove_unneeded(&pinned)).await;
        removed.map_err(std::io::Error::other)?
    }

    /// The HTTP functions of what was published.
    #[must_use]
    pub fn http_functions(&self) -> Vec<HttpFunction> {
        self.host().catalog.http_functions()
    }
}

impl GuestExecutor for Runtime {
    fn connect(&self, client: Client) {
        self.host().set_client(Some(client));
    }

    fn has_component(&self, component: ComponentHash) -> bool {
        self.host().catalog.has(component)
    }

    fn find(&self, kind: FunctionKind, name: &str) -> Option<FoundFunction> {
        self.host().catalog.find(kind, name).map(|function| function.found())
    }

    fn find_for_work(&self, kind: FunctionKind, name: &str) -> Option<FoundFunction> {
        self.host().catalog.find_for_work(kind, name).map(|function| function.found())
    }

    fn run_orchestration(&self, item: OrchestrationWorkItem) -> GuestFuture<OrchestrationOutcome> {
        Box::pin(orchestration::run(Arc::clone(self.host()), item))
    }

    fn run_entity(&self, item: EntityWorkItem) -> GuestFuture<EntityOutcome> {
        Box::pin(entity::run(Arc::clone(self.host()), item))
    }

    fn entity_options(&self, name: &str) -> Option<Arc<EntityOptions>> {
        let function = self.host().catalog.find_for_work(FunctionKind::Entity, name)?;
        Some(Arc::clone(&function.entity))
    }

    fn run_activity(&self, item: ActivityWorkItem) -> GuestFuture<Result<Payload, Failure>> {
        Box::pin(activity::run(Arc::clone(self.host()), item))
    }

    fn awaited(&self, item: OrchestrationWorkItem) -> GuestFuture<Option<Vec<Awaited>>> {
        Box::pin(orchestration::awaited(Arc::clone(self.host()), item))
    }

    fn is_activity_running(&self, idempotency_key: RequestId) -> bool {
        self.host().activities.is_running(idempotency_key)
    }

    fn forget(&self, instance_id: &InstanceId) {
        // Dropped after the lock is released: that unwinds a guest's stack.
        let forgotten = lock(&self.host().suspended).remove(instance_id);
        drop(forgotten);
    }
}

impl HttpFunctions for Runtime {
    fn handle(
        &self,
        function: FoundFunction,
        request: HttpRequest,
    ) -> GuestFuture<Result<HttpAnswer, HttpFunctionError>> {
        Box::pin(http::handle(Arc::clone(self.host()), function, request))
    }
}

impl Host {
    /// The engine's client, once it is there.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_client(&self, client: Option<Client>) {
        let mut place = self.client.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, client);
        drop(place);
        drop(before);
    }

    fn close(&self) {
        self.set_client(None);
        self.catalog.clear(self);
        loop {
            let evicted = lock(&self.suspended).evict();
            if evicted.is_none() {
                break;
            }
        }
    }

    /// Takes a place among the idle guests, if one is free.
    pub(crate) fn take_idle_place(&self) -> bool {
        let places = self.config.idle_guests_max;
        self.idle_guests
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |idle| {
                (idle < places).then_some(idle + 1)
            })
            .is_ok()
    }

    /// Gives places among the idle guests back.
    pub(crate) fn release_idle_places(&self, count: usize) {
        self.idle_guests.fetch_sub(count, Ordering::Relaxed);
    }

    /// Runs guest code with the ticker on.
    pub(crate) async fn ticking<F: Future>(&self, guest: F) -> F::Output {
        let mut guest = pin!(guest);
        poll_fn(|context| {
            self.engine.ticker.mark();
            guest.as_mut().poll(context)
        })
        .await
    }

    /// The same; while the guest is heavy, where others need not wait for the thread.
    pub(crate) async fn ticking_apart<F: Future>(&self, guest: F, weight: &Weight) -> F::Output {
        let mut guest = pin!(guest);
        poll_fn(|context| {
            self.engine.ticker.mark();
            if weight.is_heavy() && may_block() {
                block_in_place(|| guest.as_mut().poll(context))
            } else {
                guest.as_mut().poll(context)
            }
        })
        .await
    }
}

/// Whether there are other threads that take over what else this thread has to do.
fn may_block() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.host.close();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::task::Poll;
    use std::time::Duration;

    use crate::determinism::tests::guest;
    use crate::limits::Weight;
    use crate::state::Role;

    /// The guest blocks its only thread until another task has run: nobody else could let it go on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn heavy_guest_does_not_keep_others_from_their_thread() {
        let host = Arc::clone(&guest(Role::Idle).host);
        let (sender, receiver) = channel();
        let heavy = tokio::spawn(async move {
            let weight = Weight::default();
            assert!(weight.add(usize::MAX));
            tokio::spawn(async move { sender.send(()) });
            let guest =
                poll_fn(move |_| Poll::Ready(receiver.recv_timeout(Duration::from_secs(30))));
            host.ticking_apart(guest, &weight).await
        });
        assert_eq!(heavy.await.expect("no panic"), Ok(()));
    }
}
