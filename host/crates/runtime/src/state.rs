//! [`GuestState`]: the `T` of every `wasmtime::Store`. What the guest of the store is doing right
//! now, its limits, and the WASI that it sees.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everstate_engine::guest::GuestLogLine;
use everstate_engine::storage::CommitSeq;
use everstate_types::{FunctionName, InstanceId, TraceContext};
use tokio::task::yield_now;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::client::ClientRun;
use crate::determinism::{Seed, activity_wasi, deterministic_wasi, ordinary_wasi};
use crate::entity::EntityRun;
use crate::error::Refusal;
use crate::executor::Host;
use crate::limits::Limits;
use crate::orchestration::Script;
use crate::outgoing::OutgoingHttp;
use crate::output::{GuestOutput, Source};

/// Most WASI resources (streams, pollables) of one guest. The default of wasmtime is a million.
const RESOURCES_MAX: usize = 1_000;

/// All that the host knows of one guest.
pub(crate) struct GuestState {
    /// What it is doing.
    pub(crate) role: Role,
    /// What it may use.
    pub(crate) limits: Limits,
    /// What the host functions need.
    pub(crate) host: Arc<Host>,
    /// Made when the guest first asks for it: most calls never do.
    wasi: Option<Box<WasiCtx>>,
    /// As `wasi`.
    http: Option<Box<OutgoingHttp>>,
    table: ResourceTable,
    output: Option<GuestOutput>,
}

/// What a guest is doing. It decides which host functions work.
pub(crate) enum Role {
    /// It describes its functions.
    Describe,
    /// It waits for the next operation or request, or is being made for one.
    Idle,
    /// As `Idle`; activities alone use the instance, so it may see what they see.
    IdleActivity,
    /// It runs an orchestrator.
    Orchestrator(Arc<Mutex<Script>>),
    /// It does an operation of an entity.
    Entity(EntityRun),
    /// It answers an HTTP request.
    Http(ClientRun),
    /// It runs an activity.
    Activity(ClientRun),
}

impl GuestState {
    pub(crate) fn new(host: Arc<Host>, role: Role) -> Self {
        let limits = Limits::new(host.config.memory_bytes_max, Arc::clone(&host.shared_memory));
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self { role, limits, host, wasi: None, http: None, table, output: None }
    }

    /// The script of the orchestration, or the trap for everybody else.
    pub(crate) fn script(&mut self) -> wasmtime::Result<MutexGuard<'_, Script>> {
        match &self.role {
            Role::Orchestrator(script) => Ok(lock(script)),
            _ => Err(misplaced("orchestration", "an orchestrator")),
        }
    }

    /// The operation under way, or the trap for everybody else.
    pub(crate) fn entity(&mut self) -> wasmtime::Result<&mut EntityRun> {
        match &mut self.role {
            Role::Entity(run) => Ok(run),
            _ => Err(misplaced("entity-context", "an entity's operation")),
        }
    }

    /// To be called before an answer of so many bytes is made: if that is much, what follows happens
    /// where others need not wait for the thread.
    pub(crate) async fn prepare_for(&mut self, bytes: usize) {
        let weight = self.limits.weight();
        if !weight.is_heavy() && weight.add(bytes) {
            yield_now().await;
        }
    }

    /// Whether everything that the guest sees has to be the same on every run.
    pub(crate) fn is_deterministic(&self) -> bool {
        matches!(self.role, Role::Orchestrator(_) | Role::Describe)
    }

    /// Writes a line of the guest to the log, and an orchestrator's to its history too. What is
    /// replayed was written before.
    pub(crate) fn log(&self, level: tracing::Level, line: &str) {
        let of_run = |trace: &Option<Box<TraceContext>>| trace.as_ref().map(|trace| trace.trace_id);
        let (function, instance_id, trace_id) = match &self.role {
            Role::Orchestrator(script) => {
                let mut script = lock(script);
                if script.is_replaying() {
                    return;
                }
                script.keep_log_line(level_name(level), line);
                let item = &script.item;
                (Some(item.name.clone()), Some(item.instance_id.clone()), item.trace_id)
            }
            Role::Entity(run) => {
                let instance_id = run.entity.instance_id();
                (Some(run.function.clone()), Some(instance_id), of_run(&run.trace))
            }
            Role::Http(run) | Role::Activity(run) => {
                (Some(run.function.clone()), run.instance_id.clone(), of_run(&run.trace))
            }
            Role::Describe | Role::Idle | Role::IdleActivity => Default::default(),
        };
        let function = function.as_ref().map_or("", FunctionName::as_str);
        log_line(level, function, instance_id.as_ref(), trace_id, line);
        if let (Some(log), Some(instance_id)) = (self.host.log.get(), &instance_id) {
            let (level, message) = (level_name(level), line);
            log.keep(GuestLogLine { instance_id, function, level, message });
        }
    }

    /// Sends what the guest has written to its standard streams to the log.
    pub(crate) fn flush_output(&mut self) {
        if let Some(output) = &self.output {
            output.flush(|source, line| {
                let level = match source {
                    Source::Out => tracing::Level::INFO,
                    Source::Err => tracing::Level::WARN,
                };
                self.log(level, line);
            });
        }
    }

    /// What the guest wrote last to its standard error.
    pub(crate) fn last_words(&self) -> String {
        self.output.as_ref().map(GuestOutput::last_words).unwrap_or_default()
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            let output = self.output.insert(GuestOutput::default());
            let wasi = match &self.role {
                Role::Orchestrator(script) => {
                    let item = &lock(script).item;
                    deterministic_wasi(&Seed::of(&item.instance_id, item.execution_id), output)
                }
                Role::Describe => deterministic_wasi(&Seed::default(), output),
                Role::Idle | Role::Entity(_) | Role::Http(_) => ordinary_wasi(output),
                Role::IdleActivity | Role::Activity(_) => {
                    activity_wasi(output, self.host.environment.variables())
                }
            };
            self.wasi = Some(Box::new(wasi));
        }
        let ctx = self.wasi.as_deref_mut().expect("made above");
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (seq, trace) = match &self.role {
            Role::Activity(run) => (run.seq(), run.trace.clone()),
            _ => (CommitSeq::default(), None),
        };
        let http = self.http.get_or_insert_with(|| Box::new(OutgoingHttp::new(&self.host)));
        http.view(&mut self.table, seq, trace)
    }
}

/// Locks what one guest and its executor share. They never hold it at the same time for long.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn misplaced(interface: &str, place: &str) -> wasmtime::Error {
    Refusal(format!("`{interface}` can be used inside {place} only")).into()
}

/// A level as it stands in histories.
fn level_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warning",
        tracing::Level::INFO => "information",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

/// A log line of a guest, with what is known of it.
fn log_line(
    level: tracing::Level,
    function: &str,
    instance: Option<&InstanceId>,
    trace_id: Option<u128>,
    line: &str,
) {
    let instance = instance.map(tracing::field::display);
    let trace_id = trace_id.map(|id| tracing::field::display(format!("{id:032x}")));
    // The level has to be known to `tracing` when it is compiled.
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                target: "guest", tracing::Level::$level, function, instance, trace_id, "{line}"
            )
        };
    }
    match level {
        tracing::Level::ERROR => event!(ERROR),
        tracing::Level::WARN => event!(WARN),
        tracing::Level::INFO => event!(INFO),
        tracing::Level::DEBUG => event!(DEBUG),
        tracing::Level::TRACE => event!(TRACE),
    }
}
