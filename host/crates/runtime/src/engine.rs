//! The `wasmtime::Engine`: which features guests have, the pool that their instances come from, and
//! the clock that interrupts them.
//!
//! The measured configuration of docs/decisions: no component-model async, a pooling allocator that
//! keeps the first pages of each memory resident, Cranelift with canonical NaNs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel,
    PoolingAllocationConfig, Strategy,
};

use crate::config::RuntimeConfig;

/// How often guests are interrupted to let others run, in milliseconds.
pub(crate) const EPOCH_TICK_MS: u64 = 2;

/// Ticks without a running guest after which the ticker stops.
const IDLE_TICKS_MAX: u32 = 50;

/// Bytes of each linear memory that stay resident between two uses; beyond them pages go back to
/// the system. Covers what a small guest touches.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Most elements of a guest's table of functions.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Core instances, memories and tables of one component: its own module, the WASI adapter and the
/// glue between them, and what interpreters of other languages add.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
const MEMORIES_PER_COMPONENT: u32 = 2;
const TABLES_PER_COMPONENT: u32 = 8;

/// Stack of a guest, and the fiber's stack around it, which host functions use too.
const WASM_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 1 << 20;

/// The limit of the kernel on mappings of a process where it cannot be read.
const MAP_COUNT_MAX_DEFAULT: usize = 65_530;

/// Mappings that one pooled guest may need: memory image, heap, guards, stack.
const MAPPINGS_PER_GUEST: usize = 8;

/// The compiler and executor of all guests.
pub(crate) struct GuestEngine {
    /// What wasmtime compiles and runs with.
    pub(crate) engine: Engine,
    /// Interrupts what runs too long.
    pub(crate) ticker: Ticker,
    /// Suspended orchestrators that fit into the pool beside what may run.
    pub(crate) suspended_guests_max: usize,
}

impl GuestEngine {
    /// Makes the engine and starts its ticker.
    pub(crate) fn new(config: &RuntimeConfig) -> wasmtime::Result<Self> {
        let running = config.turns_concurrent_max
            + config.http_concurrent_max
            + config.activities_concurrent_max;
        let wanted = running + config.idle_guests_max + config.suspended_guests_max;
        let room = map_count_max() / MAPPINGS_PER_GUEST;
        let slots = wanted.min(room.max(running + config.idle_guests_max));
        let suspended_guests_max = slots - running - config.idle_guests_max;
        if suspended_guests_max < config.suspended_guests_max {
            tracing::warn!(
                suspended_guests_max,
                "vm.max_map_count allows fewer suspended guests than configured"
            );
        }
        let engine = Engine::new(&wasmtime_config(config, slots))?;
        let ticker = Ticker::start(&engine)?;
        Ok(Self { engine, ticker, suspended_guests_max })
    }
}

fn wasmtime_config(config: &RuntimeConfig, slots: usize) -> Config {
    // One more than needed at rest: a component is described while all others run.
    let slots = u32::try_from(slots + 8).unwrap_or(u32::MAX / CORE_INSTANCES_PER_COMPONENT);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(slots)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_memory_size(config.memory_bytes_max)
        .total_tables(slots.saturating_mul(4))
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS_MAX)
        .table_keep_resident(TABLE_ELEMENTS_MAX * size_of::<usize>())
        .total_stacks(slots)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(slots)
        .pagemap_scan(Enabled::Auto);
    let mut wasmtime = Config::new();
    wasmtime
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime
}

fn map_count_max() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(MAP_COUNT_MAX_DEFAULT)
}

/// The thread that advances the engine's epoch while guests run, and sleeps while none does.
///
/// Guests are instrumented to look at the epoch, so that an endless loop gives way at the next tick.
#[derive(Debug)]
pub(crate) struct Ticker {
    state: Arc<TickerState>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct TickerState {
    /// A guest was polled since the last tick.
    polled: AtomicBool,
    /// The thread sleeps until it is woken.
    parked: AtomicBool,
    /// The thread has to end.
    stopped: AtomicBool,
}

impl Ticker {
    fn start(engine: &Engine) -> wasmtime::Result<Self> {
        let state = Arc::new(TickerState::default());
        let of_thread = Arc::clone(&state);
        let engine = engine.weak();
        let handle = thread::Builder::new()
            .name("guest-ticker".to_owned())
            .spawn(move || of_thread.run(&engine))?;
        Ok(Self { state, thread: handle.thread().clone() })
    }

    /// Says that a guest is about to run. Called for each poll.
    pub(crate) fn mark(&self) {
        // A flag that is set already will be seen by the thread before it parks.
        if !self.state.polled.load(Ordering::SeqCst) {
            self.state.polled.store(true, Ordering::SeqCst);
            if self.state.parked.swap(false, Ordering::SeqCst) {
                self.thread.unpark();
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.state.parked.store(false, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl TickerState {
    fn run(&self, engine: &EngineWeak) {
        let mut idle_ticks = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            idle_ticks = if self.polled.swap(false, Ordering::SeqCst) { 0 } else { idle_ticks + 1 };
            if idle_ticks >= IDLE_TICKS_MAX {
                self.park_until_marked();
                idle_ticks = 0;
            }
            thread::park_timeout(Duration::from_millis(EPOCH_TICK_MS));
        }
    }

    /// A guest that is marked after `parked` is set wakes the thread; one before it is seen here.
    fn park_until_marked(&self) {
        self.parked.store(true, Ordering::SeqCst);
        if self.polled.load(Ordering::SeqCst) || self.stopped.load(Ordering::SeqCst) {
            self.parked.store(false, Ordering::SeqCst);
        }
        while self.parked.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
