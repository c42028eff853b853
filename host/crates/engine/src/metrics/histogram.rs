//! [`Histogram`]: counts observations in buckets, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Bounds of the buckets of times, in nanoseconds: from a memory access to the longest
/// request that the host allows by default.
const TIMES: [u64; 20] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    120_000_000_000,
    300_000_000_000,
];

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

/// Bounds of the buckets of sizes and counts: powers of four.
const SIZES: [u64; 14] = [
    1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
    67_108_864,
];

/// A distribution. Cheap to clone; clones count into the same buckets.
#[derive(Clone, Debug)]
pub struct Histogram {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bounds: &'static [u64],
    /// What the bounds and the sum are divided by to be shown.
    unit: f64,
    /// One for each bound, and one for what is beyond.
    counts: Box<[AtomicU64]>,
    sum: Apart,
}

/// In a cache line of its own: every observation writes it, and reads what stands before it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart(AtomicU64);

impl Histogram {
    /// A distribution of times.
    #[must_use]
    pub fn of_seconds() -> Self {
        Self::new(&TIMES, NANOS)
    }

    /// A distribution of sizes or counts.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self::new(&SIZES, 1.0)
    }

    fn new(bounds: &'static [u64], unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { shared: Arc::new(Shared { bounds, unit, counts, sum: Apart::default() }) }
    }

    /// Counts a time.
    pub fn observe(&self, time: Duration) {
        self.count(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a size.
    pub fn observe_size(&self, size: u64) {
        self.count(size);
    }

    fn count(&self, value: u64) {
        let Shared { bounds, unit: _, counts, sum } = &*self.shared;
        let bucket = bounds.partition_point(|bound| *bound < value);
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.0.fetch_add(value, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Shared { bounds, unit, counts, sum } = &*self.shared;
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is shown need not be exact to the last bit"
        )]
        let shown = |value: u64| value as f64 / unit;
        let bounds = bounds.iter().copied().map(shown).chain([f64::MAX]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let total = buckets.iter().map(|(_, count)| count).sum();
        let sum = shown(sum.0.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::Histogram;

    fn rendered(histogram: Histogram) -> String {
        let mut registry = Registry::default();
        registry.register("h", "Help", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes all");
        text
    }

    #[test]
    fn times_are_counted_in_cumulative_buckets_with_their_sum() {
        let histogram = Histogram::of_seconds();
        for millis in [1, 2, 100_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let text = rendered(histogram);
        for line in [
            "h_sum 100.003",
            "h_count 3",
            "h_bucket{le=\"0.0005\"} 0",
            "h_bucket{le=\"0.001\"} 1",
            "h_bucket{le=\"0.0025\"} 2",
            "h_bucket{le=\"60.0\"} 2",
            "h_bucket{le=\"120.0\"} 3",
            "h_bucket{le=\"300.0\"} 3",
            "h_bucket{le=\"+Inf\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn size_on_a_bound_is_within_it() {
        let histogram = Histogram::of_sizes();
        histogram.observe_size(4);
        let text = rendered(histogram);
        assert!(text.contains("h_bucket{le=\"1.0\"} 0\nh_bucket{le=\"4.0\"} 1\n"), "{text}");
    }
}
