//! What one guest may use: linear memory, tables, and CPU time counted in ticks of the epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::engine::{EPOCH_TICK_MS, TABLE_ELEMENTS_MAX};
use crate::state::GuestState;

/// What a guest may have allocated since it was made, in bytes, to be used again and to count as
/// light: one that grew larger is cheaper to make anew than to keep, and may be about to move much.
pub(crate) const LIGHT_GROWN_BYTES_MAX: usize = 4 << 20;

/// From how many bytes on a guest that is given them, or gives them, is heavy.
const HEAVY_BYTES_MIN: usize = 1 << 20;

/// Linear memory that a guest may have without regard to others, in bytes. What is beyond comes out of
/// what all guests share: that a guest may be large must not mean that all may be so at a time.
const OWN_BYTES_MAX: usize = 64 << 20;

/// The meters of one guest.
#[derive(Debug)]
pub(crate) struct Limits {
    memory_bytes_max: usize,
    shared: Arc<SharedMemory>,
    /// What the guest has of the shared memory.
    shared_bytes: usize,
    /// Linear memory of all its core instances.
    memory_bytes: usize,
    /// What `memory_bytes` was when the guest was made.
    memory_bytes_at_start: usize,
    /// A growth of memory was refused since `begin`, because of this limit.
    memory_refused: Option<MemoryLimit>,
    ticks_max: u64,
    /// Ticks that were seen while the guest ran, since `begin`.
    ticks: u64,
    weight: Weight,
}

/// Which limit refused a growth of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryLimit {
    /// That of the guest, in bytes.
    OfGuest(usize),
    /// That of all guests together, in bytes.
    Shared(usize),
}

/// Linear memory of all guests together, beyond what each may have by itself.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl SharedMemory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }

    /// Takes so many bytes, if there are as many.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|taken| *taken <= self.bytes_max)
        });
        taken.is_ok()
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.shared.bytes.fetch_sub(self.shared_bytes, Ordering::Relaxed);
    }
}

/// Whether a guest moves so much data that it keeps a thread from others for long: the host copies
/// what goes in and out without a pause. Shared with whoever polls the guest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weight(Arc<AtomicBool>);

impl Weight {
    /// Notes that so many bytes are about to go in or out. Whether that is much.
    pub(crate) fn add(&self, bytes: usize) -> bool {
        let is_heavy = bytes >= HEAVY_BYTES_MIN;
        if is_heavy {
            self.0.store(true, Ordering::Relaxed);
        }
        is_heavy
    }

    pub(crate) fn is_heavy(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Raised inside a guest that used up its CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function used more than {limit_ms} ms of CPU time")]
pub(crate) struct CpuTimeExceeded {
    /// The limit in milliseconds.
    pub(crate) limit_ms: u64,
}

impl Limits {
    pub(crate) fn new(memory_bytes_max: usize, shared: Arc<SharedMemory>) -> Self {
        Self {
            memory_bytes_max,
            shared,
            shared_bytes: 0,
            memory_bytes: 0,
            memory_bytes_at_start: 0,
            memory_refused: None,
            ticks_max: 1,
            ticks: 0,
            weight: Weight::default(),
        }
    }

    /// Starts to count for a turn, an operation or a request.
    pub(crate) fn begin(&mut self, cpu_ms_max: u64) {
        self.ticks_max = cpu_ms_max.div_ceil(EPOCH_TICK_MS).max(1);
        self.ticks = 0;
        self.memory_refused = None;
        self.weight.0.store(false, Ordering::Relaxed);
    }

    /// Whether what runs moves much data.
    pub(crate) fn weight(&self) -> &Weight {
        &self.weight
    }

    /// Says that the guest is complete; what it allocates from now on is its growth.
    pub(crate) fn started(&mut self) {
        self.memory_bytes_at_start = self.memory_bytes;
    }

    /// What the guest has allocated since it was made, in bytes.
    pub(crate) fn memory_grown_bytes(&self) -> usize {
        self.memory_bytes.saturating_sub(self.memory_bytes_at_start)
    }

    /// The limit of memory that was hit since `begin`.
    pub(crate) fn memory_refused(&self) -> Option<MemoryLimit> {
        self.memory_refused
    }

    /// Counts a tick: what happens to a guest that runs while the epoch advances.
    fn tick(&mut self) -> Result<UpdateDeadline, CpuTimeExceeded> {
        self.ticks += 1;
        if self.ticks > self.ticks_max {
            return Err(CpuTimeExceeded { limit_ms: self.ticks_max * EPOCH_TICK_MS });
        }
        // The first tick may have passed while the guest was not running at all.
        Ok(if self.ticks == 1 { UpdateDeadline::Continue(1) } else { UpdateDeadline::Yield(1) })
    }
}

/// Makes the limits in its state hold for a store.
pub(crate) fn apply(store: &mut Store<GuestState>) {
    store.limiter(|state| &mut state.limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| Ok(context.data_mut().limits.tick()?));
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.memory_refused = Some(MemoryLimit::OfGuest(self.memory_bytes_max));
            return Ok(false);
        }
        let beyond = total.saturating_sub(self.memory_bytes.max(OWN_BYTES_MAX));
        if beyond > 0 && !self.shared.take(beyond) {
            self.memory_refused = Some(MemoryLimit::Shared(self.shared.bytes_max));
            return Ok(false);
        }
        self.shared_bytes += beyond;
        self.memory_bytes = total;
        if self.memory_grown_bytes() > LIGHT_GROWN_BYTES_MAX {
            self.weight.0.store(true, Ordering::Relaxed);
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasmtime::{ResourceLimiter, UpdateDeadline};

    use super::{
        CpuTimeExceeded, HEAVY_BYTES_MIN, LIGHT_GROWN_BYTES_MAX, Limits, MemoryLimit,
        OWN_BYTES_MAX, SharedMemory,
    };

    /// The limits of a guest that is alone.
    fn limits(memory_bytes_max: usize) -> Limits {
        Limits::new(memory_bytes_max, Arc::new(SharedMemory::new(usize::MAX)))
    }

    #[test]
    fn guests_share_what_each_has_beyond_its_own_and_give_it_back() {
        let shared = Arc::new(SharedMemory::new(100));
        let guest = || Limits::new(usize::MAX, Arc::clone(&shared));
        let (mut first, mut second) = (guest(), guest());
        assert!(first.memory_growing(0, OWN_BYTES_MAX, None).expect("no error"));
        assert!(first.memory_growing(OWN_BYTES_MAX, OWN_BYTES_MAX + 60, None).expect("no error"));
        assert!(second.memory_growing(0, OWN_BYTES_MAX + 40, None).expect("no error"));
        assert!(!second.memory_growing(0, 1, None).expect("no error"));
        assert_eq!(second.memory_refused(), Some(MemoryLimit::Shared(100)));
        drop(first);
        assert!(second.memory_growing(0, 60, None).expect("no error"));
        assert!(!second.memory_growing(0, 1, None).expect("no error"));
    }

    #[test]
    fn memory_above_the_limit_is_refused_and_remembered_until_the_next_begin() {
        let mut limits = limits(100);
        limits.begin(1_000);
        assert!(limits.memory_growing(0, 60, None).expect("no error"));
        limits.started();
        assert!(!limits.memory_growing(0, 41, None).expect("no error"));
        assert_eq!(limits.memory_refused(), Some(MemoryLimit::OfGuest(100)));
        assert!(limits.memory_growing(60, 100, None).expect("no error"));
        assert_eq!(limits.memory_grown_bytes(), 40);
        limits.begin(1_000);
        assert_eq!(limits.memory_refused(), None);
    }

    #[test]
    fn cpu_time_is_over_after_its_ticks_and_starts_anew_with_begin() {
        let mut limits = limits(0);
        limits.begin(4);
        assert!(matches!(limits.tick(), Ok(UpdateDeadline::Continue(1))));
        assert!(matches!(limits.tick(), Ok(UpdateDeadline::Yield(1))));
        assert_eq!(limits.tick().err(), Some(CpuTimeExceeded { limit_ms: 4 }));
        limits.begin(4);
        assert!(limits.tick().is_ok());
    }

    #[test]
    fn guest_that_grows_much_or_is_given_much_is_heavy_until_the_next_begin() {
        let mut limits = limits(usize::MAX);
        assert!(limits.memory_growing(0, 64 << 20, None).expect("no error"));
        limits.started();
        limits.begin(1_000);
        let weight = limits.weight().clone();
        assert!(!weight.add(HEAVY_BYTES_MIN - 1) && !weight.is_heavy());
        assert!(weight.add(HEAVY_BYTES_MIN) && weight.is_heavy());
        limits.begin(1_000);
        assert!(limits.memory_growing(0, LIGHT_GROWN_BYTES_MAX, None).expect("no error"));
        assert!(!weight.is_heavy());
        assert!(limits.memory_growing(0, 1, None).expect("no error"));
        assert!(weight.is_heavy());
    }
}
