//! [`Clock`]: the only way for the engine to learn what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use everstate_types::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, UTC, as exactly as it is known.
    fn now_exactly(&self) -> ExactTime;

    /// The same in milliseconds.
    fn now(&self) -> Timestamp {
        self.now_exactly().timestamp()
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z. Observers alone are told them: what is stored and what guests
/// see has milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExactTime(u64);

impl ExactTime {
    /// From nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The millisecond that it is in.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(self.0 / NANOS_IN_A_MILLI)
    }
}

/// The beginning of the millisecond.
impl From<Timestamp> for ExactTime {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_millis().saturating_mul(NANOS_IN_A_MILLI))
    }
}

const NANOS_IN_A_MILLI: u64 = 1_000_000;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    fn now_exactly(&self) -> ExactTime {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        ExactTime(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
