//! [`Timestamp`]: a point in time as the contract has it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. As JSON it is that number.
///
/// ```
/// use std::time::Duration;
/// use everstate_sdk::Timestamp;
///
/// let start = Timestamp::from_unix_ms(1_000);
/// assert_eq!(start + Duration::from_secs(2), Timestamp::from_unix_ms(3_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now, as the host's clock has it: for entities, activities and HTTP functions. An orchestrator
    /// asks [`OrchestrationContext::current_time`](crate::OrchestrationContext::current_time).
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a guest has the clock that its sandbox gives it"
    )]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, span_ms_floor))
    }

    /// From milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span_ms(span)))
    }
}

/// The time from the earlier to the later; zero if they stand the other way round.
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(timestamp.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A span in milliseconds, rounded up: a timer must not fire early.
pub(crate) fn span_ms(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A span in whole milliseconds: a point in time is not in the future.
fn span_ms_floor(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A span as .NET writes it: `hh:mm:ss`, with days before it and a fraction of seven digits behind
/// it only if there are any.
pub(crate) fn clock_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let mut text = if days > 0 { format!("{days}.") } else { String::new() };
    text += &format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    let fraction = span.subsec_nanos() / 100;
    if fraction > 0 {
        text += &format!(".{fraction:07}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_of_part_of_a_millisecond_is_rounded_up() {
        assert_eq!(span_ms(Duration::from_micros(1)), 1);
        assert_eq!(span_ms(Duration::from_millis(5)), 5);
        assert_eq!(span_ms(Duration::ZERO), 0);
    }

    #[test]
    fn timestamps_saturate_instead_of_wrapping() {
        assert_eq!(Timestamp(1) + Duration::MAX, Timestamp(u64::MAX));
        assert_eq!(Timestamp(1) - Timestamp(2), Duration::ZERO);
    }

    #[test]
    fn span_is_written_as_the_original_writes_it() {
        for (ms, text) in [
            (0, "00:00:00"),
            (90_000, "00:01:30"),
            (86_399_000, "23:59:59"),
            (90_061_000, "1.01:01:01"),
            (1_500, "00:00:01.5000000"),
        ] {
            assert_eq!(clock_text(Duration::from_millis(ms)), text);
        }
    }
}
