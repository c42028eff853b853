//! [`Clock`]: the only way for the engine to learn what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use everstate_types::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
