//! What one guest may use: linear memory, tables, and CPU time counted in ticks of the epoch.

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::engine::{EPOCH_TICK_MS, TABLE_ELEMENTS_MAX};
use crate::state::GuestState;

/// The meters of one guest.
#[derive(Debug)]
pub(crate) struct Limits {
    memory_bytes_max: usize,
    /// Linear memory of all its core instances.
    memory_bytes: usize,
    /// What `memory_bytes` was when the guest was made.
    memory_bytes_at_start: usize,
    /// A growth of memory was refused since `begin`.
    memory_refused: bool,
    ticks_max: u64,
    /// Ticks that were seen while the guest ran, since `begin`.
    ticks: u64,
}

/// Raised inside a guest that used up its CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function used more than {limit_ms} ms of CPU time")]
pub(crate) struct CpuTimeExceeded {
    /// The limit in milliseconds.
    pub(crate) limit_ms: u64,
}

impl Limits {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes_max,
            memory_bytes: 0,
            memory_bytes_at_start: 0,
            memory_refused: false,
            ticks_max: 1,
            ticks: 0,
        }
    }

    /// Starts to count for a turn, an operation or a request.
    pub(crate) fn begin(&mut self, cpu_ms_max: u64) {
        self.ticks_max = cpu_ms_max.div_ceil(EPOCH_TICK_MS).max(1);
        self.ticks = 0;
        self.memory_refused = false;
    }

    /// Says that the guest is complete; what it allocates from now on is its growth.
    pub(crate) fn started(&mut self) {
        self.memory_bytes_at_start = self.memory_bytes;
    }

    /// What the guest has allocated since it was made, in bytes.
    pub(crate) fn memory_grown_bytes(&self) -> usize {
        self.memory_bytes.saturating_sub(self.memory_bytes_at_start)
    }

    /// The memory limit in bytes, if it was hit since `begin`.
    pub(crate) fn memory_refused(&self) -> Option<usize> {
        self.memory_refused.then_some(self.memory_bytes_max)
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
            self.memory_refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
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
    use wasmtime::{ResourceLimiter, UpdateDeadline};

    use super::{CpuTimeExceeded, Limits};

    #[test]
    fn memory_above_the_limit_is_refused_and_remembered_until_the_next_begin() {
        let mut limits = Limits::new(100);
        limits.begin(1_000);
        assert!(limits.memory_growing(0, 60, None).expect("no error"));
        limits.started();
        assert!(!limits.memory_growing(0, 41, None).expect("no error"));
        assert_eq!(limits.memory_refused(), Some(100));
        assert!(limits.memory_growing(60, 100, None).expect("no error"));
        assert_eq!(limits.memory_grown_bytes(), 40);
        limits.begin(1_000);
        assert_eq!(limits.memory_refused(), None);
    }

    #[test]
    fn cpu_time_is_over_after_its_ticks_and_starts_anew_with_begin() {
        let mut limits = Limits::new(0);
        limits.begin(4);
        assert!(matches!(limits.tick(), Ok(UpdateDeadline::Continue(1))));
        assert!(matches!(limits.tick(), Ok(UpdateDeadline::Yield(1))));
        assert_eq!(limits.tick().err(), Some(CpuTimeExceeded { limit_ms: 4 }));
        limits.begin(4);
        assert!(limits.tick().is_ok());
    }
}
