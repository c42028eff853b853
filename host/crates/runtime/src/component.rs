//! One component, ready to be instantiated; and its instances that wait for the next call. How it is
//! compiled and kept on disk is in `compile.rs`, what it says of itself in `describe.rs`.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everstate_types::{ComponentHash, FunctionKind, FunctionName};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre, Linker};

use crate::bindings::exports::{activity, entity, http, orchestrator};
use crate::describe::{LoadedFunction, describe};
use crate::error::{GuestError, LoadError};
use crate::executor::Host;
use crate::limits::{self, LIGHT_GROWN_BYTES_MAX, Weight};
use crate::state::{GuestState, Role, lock};

/// Bytes that one call of a host function may copy beside a payload or state of the allowed size.
const HOSTCALL_BYTES_BESIDE_PAYLOAD: usize = 1 << 20;

/// A component that was loaded. It is found by name once it is published.
#[derive(Debug)]
pub struct LoadedComponent {
    /// SHA-256 of the file.
    pub hash: ComponentHash,
    /// The file's name, for messages.
    pub file_name: String,
    /// What it describes.
    pub functions: Vec<LoadedFunction>,
    pub(crate) code: Arc<Code>,
}

/// Compiled code with its imports resolved.
pub(crate) struct Code {
    pub(crate) hash: ComponentHash,
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) orchestrator: Option<orchestrator::GuestIndices>,
    entity: Option<entity::GuestIndices>,
    http: Option<http::GuestIndices>,
    activity: Option<activity::GuestIndices>,
    idle_entities: IdleGuests<entity::Guest>,
    idle_https: IdleGuests<http::Guest>,
    idle_activities: IdleGuests<activity::Guest>,
    /// What it describes, once it was asked.
    functions: OnceCell<Vec<LoadedFunction>>,
}

/// Instances that wait for their next call. None are kept for code that is not published.
type IdleGuests<G> = Mutex<Option<Vec<Live<G>>>>;

/// An instance that can be called many times.
pub(crate) struct Live<G> {
    pub(crate) store: Store<GuestState>,
    pub(crate) guest: G,
}

/// Why a component is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody deployed it.
    Deploy,
    /// Somebody wants to know whether it could be deployed.
    Try,
}

/// Loads a component.
pub(crate) async fn load(
    host: &Arc<Host>,
    purpose: Purpose,
    file_name: &str,
    bytes: Vec<u8>,
) -> Result<LoadedComponent, LoadError> {
    let (len, limit) = (bytes.len(), host.config.component_bytes_max);
    if len > limit {
        return Err(LoadError::TooLarge { bytes: len, limit });
    }
    let code = match purpose {
        Purpose::Deploy => host.catalog.deploy(bytes).await?,
        Purpose::Try => host.catalog.candidate(bytes).await?,
    };
    let functions = code.functions(host).await?.to_vec();
    Ok(LoadedComponent { hash: code.hash, file_name: file_name.to_owned(), functions, code })
}

impl Code {
    /// Resolves the imports and finds the exports.
    pub(crate) fn new(
        hash: ComponentHash,
        component: &Component,
        linker: &Linker<GuestState>,
    ) -> Result<Self, LoadError> {
        let pre = linker
            .instantiate_pre(component)
            .map_err(|error| LoadError::Import(one_line(&error)))?;
        Ok(Self {
            hash,
            orchestrator: orchestrator::GuestIndices::new(&pre).ok(),
            entity: entity::GuestIndices::new(&pre).ok(),
            http: http::GuestIndices::new(&pre).ok(),
            activity: activity::GuestIndices::new(&pre).ok(),
            pre,
            idle_entities: Mutex::new(None),
            idle_https: Mutex::new(None),
            idle_activities: Mutex::new(None),
            functions: OnceCell::new(),
        })
    }

    /// The interface that runs functions of this kind, if the component does not export it.
    pub(crate) fn missing_export(&self, kind: FunctionKind) -> Option<&'static str> {
        let (is_exported, interface) = match kind {
            FunctionKind::Orchestrator => (self.orchestrator.is_some(), "orchestrator"),
            FunctionKind::Entity => (self.entity.is_some(), "entity"),
            FunctionKind::Activity => (self.activity.is_some(), "activity"),
            FunctionKind::Http => (self.http.is_some(), "http"),
        };
        (!is_exported).then_some(interface)
    }

    /// A fresh instance. Its CPU time begins to count.
    pub(crate) async fn instantiate(
        &self,
        host: &Arc<Host>,
        role: Role,
        cpu_ms_max: u64,
    ) -> Result<(Store<GuestState>, Instance), GuestError> {
        let mut store = Store::new(&host.engine.engine, GuestState::new(Arc::clone(host), role));
        limits::apply(&mut store);
        let bytes_max = host.config.payload_bytes_max.max(host.config.entity_state_bytes_max);
        store.set_hostcall_fuel(bytes_max.saturating_add(HOSTCALL_BYTES_BESIDE_PAYLOAD));
        store.data_mut().limits.begin(cpu_ms_max);
        let mut result = self.pre.instantiate_async(&mut store).await;
        while let Err(error) = &result
            && error.is::<wasmtime::PoolConcurrencyLimitError>()
        {
            // A component with several memories takes the room of several guests.
            let Some(evicted) = lock(&host.suspended).evict() else { break };
            drop(evicted);
            result = self.pre.instantiate_async(&mut store).await;
        }
        match result {
            Ok(instance) => {
                store.data_mut().limits.started();
                Ok((store, instance))
            }
            Err(error) => Err(failed_start(&error, &mut store)),
        }
    }

    /// An instance for an operation of an entity.
    pub(crate) async fn live_entity(
        &self,
        host: &Arc<Host>,
    ) -> Result<Live<entity::Guest>, GuestError> {
        if let Some(live) = take_idle(host, &self.idle_entities) {
            return Ok(live);
        }
        let (mut store, instance) =
            self.ticking_instance(host, Role::Idle, host.config.turn_cpu_ms_max).await?;
        let interface = self.entity.as_ref().expect("checked when it was loaded");
        let guest = interface.load(&mut store, &instance);
        Live::new(store, guest)
    }

    /// An instance for an HTTP request.
    pub(crate) async fn live_http(
        &self,
        host: &Arc<Host>,
    ) -> Result<Live<http::Guest>, GuestError> {
        if let Some(live) = take_idle(host, &self.idle_https) {
            return Ok(live);
        }
        let (mut store, instance) =
            self.ticking_instance(host, Role::Idle, host.config.http_cpu_ms_max).await?;
        let interface = self.http.as_ref().expect("checked when it was loaded");
        let guest = interface.load(&mut store, &instance);
        Live::new(store, guest)
    }

    /// An instance for an activity that the component has.
    pub(crate) async fn live_activity(
        &self,
        host: &Arc<Host>,
    ) -> Result<Live<activity::Guest>, GuestError> {
        if let Some(live) = take_idle(host, &self.idle_activities) {
            return Ok(live);
        }
        let cpu_ms_max = host.config.activity_cpu_ms_max;
        let (mut store, instance) =
            self.ticking_instance(host, Role::IdleActivity, cpu_ms_max).await?;
        let interface = self.activity.as_ref().expect("checked when it was found");
        let guest = interface.load(&mut store, &instance);
        Live::new(store, guest)
    }

    async fn ticking_instance(
        &self,
        host: &Arc<Host>,
        role: Role,
        cpu_ms_max: u64,
    ) -> Result<(Store<GuestState>, Instance), GuestError> {
        host.ticking(self.instantiate(host, role, cpu_ms_max)).await
    }

    /// Keeps an instance for the next operation.
    pub(crate) fn keep_entity(&self, host: &Host, live: Live<entity::Guest>) {
        keep_idle(host, &self.idle_entities, live);
    }

    /// Keeps an instance for the next request.
    pub(crate) fn keep_http(&self, host: &Host, live: Live<http::Guest>) {
        keep_idle(host, &self.idle_https, live);
    }

    /// Keeps an instance for the next activity.
    pub(crate) fn keep_activity(&self, host: &Host, live: Live<activity::Guest>) {
        keep_idle(host, &self.idle_activities, live);
    }

    /// From now on instances are kept for the next call.
    pub(crate) fn keep_idle_guests(&self) {
        lock(&self.idle_entities).get_or_insert_default();
        lock(&self.idle_https).get_or_insert_default();
        lock(&self.idle_activities).get_or_insert_default();
    }

    /// Drops the idle instances, and keeps no more of them.
    pub(crate) fn drop_idle_guests(&self, host: &Host) {
        let entities = lock(&self.idle_entities).take().unwrap_or_default();
        let https = lock(&self.idle_https).take().unwrap_or_default();
        let activities = lock(&self.idle_activities).take().unwrap_or_default();
        host.release_idle_places(entities.len() + https.len() + activities.len());
    }

    /// The name of an activity as the component has it, if it has it. For code that is not published:
    /// what is published is found by name.
    pub(crate) async fn activity(
        &self,
        host: &Arc<Host>,
        name: &FunctionName,
    ) -> Result<Option<FunctionName>, GuestError> {
        if self.activity.is_none() {
            return Ok(None);
        }
        let functions = self.functions(host).await;
        let functions = functions.map_err(|error| GuestError::Host(error.to_string()))?;
        let found = functions.iter().find(|function| {
            function.kind == FunctionKind::Activity
                && function.name.as_str().eq_ignore_ascii_case(name.as_str())
        });
        Ok(found.map(|function| function.name.clone()))
    }

    /// The component's functions. It is asked once.
    async fn functions(&self, host: &Arc<Host>) -> Result<&[LoadedFunction], LoadError> {
        let functions = self.functions.get_or_try_init(|| describe(self, host)).await?;
        Ok(functions)
    }
}

fn take_idle<G>(host: &Host, idle: &IdleGuests<G>) -> Option<Live<G>> {
    let live = lock(idle).as_mut()?.pop()?;
    host.release_idle_places(1);
    Some(live)
}

/// Puts an instance aside for the next call, if it may be used again and there is room.
fn keep_idle<G>(host: &Host, idle: &IdleGuests<G>, live: Live<G>) {
    let grown = live.store.data().limits.memory_grown_bytes();
    if host.config.strict_isolation || grown > LIGHT_GROWN_BYTES_MAX {
        return;
    }
    if let Some(guests) = &mut *lock(idle)
        && host.take_idle_place()
    {
        guests.push(live);
    }
}

impl<G> Live<G> {
    fn new(mut store: Store<GuestState>, guest: wasmtime::Result<G>) -> Result<Self, GuestError> {
        match guest {
            Ok(guest) => Ok(Self { store, guest }),
            Err(error) => Err(failed_start(&error, &mut store)),
        }
    }

    /// Begins a call, which is given so many bytes at a time at most.
    pub(crate) fn begin(&mut self, role: Role, cpu_ms_max: u64, given_bytes: usize) -> Weight {
        let state = self.store.data_mut();
        state.role = role;
        state.limits.begin(cpu_ms_max);
        let weight = state.limits.weight().clone();
        weight.add(given_bytes);
        self.store.set_epoch_deadline(1);
        weight
    }

    /// Ends a call; gives what it left behind and what it gave. An instance whose call failed in
    /// any other way than by the guest's own word is not to be used again.
    pub(crate) fn end<T>(&mut self, called: Result<T, CallError>) -> (Role, Result<T, GuestError>) {
        let state = self.store.data_mut();
        let result = called.map_err(|error| match error {
            CallError::Raised(error) => GuestError::of_call(&error, state),
            CallError::WallTime(ms) => GuestError::WallTime(ms),
        });
        state.flush_output();
        (std::mem::replace(&mut state.role, Role::Idle), result)
    }
}

/// Why there is no instance that could be called. What it wrote goes to the log.
fn failed_start(error: &wasmtime::Error, store: &mut Store<GuestState>) -> GuestError {
    let failed = GuestError::of_call(error, store.data_mut());
    store.data_mut().flush_output();
    failed
}

/// Why a call gave nothing.
pub(crate) enum CallError {
    /// A trap, or an error of the host inside it.
    Raised(wasmtime::Error),
    /// It took longer than so many milliseconds.
    WallTime(u64),
}

/// Runs a call of a guest for at most so many milliseconds of elapsed time.
pub(crate) async fn within<T>(
    host: &Host,
    wall_ms_max: u64,
    weight: &Weight,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, CallError> {
    let call = host.ticking_apart(call, weight);
    match timeout(Duration::from_millis(wall_ms_max), call).await {
        Ok(result) => result.map_err(CallError::Raised),
        Err(_) => Err(CallError::WallTime(wall_ms_max)),
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// An error with its causes on one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
