//! [`Histogram`]: counts observations in buckets, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Bounds of the buckets of times, in seconds: from a memory access to a long request.
const SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 5.0, 30.0,
];

/// Bounds of the buckets of sizes and counts: powers of four.
const SIZES: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// A distribution. Cheap to clone; clones count into the same buckets.
#[derive(Clone, Debug)]
pub struct Histogram {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bounds: &'static [f64],
    /// One for each bound, and one for what is beyond.
    counts: Vec<AtomicU64>,
    /// In units of `scale`.
    sum: AtomicU64,
    scale: f64,
}

impl Histogram {
    /// A distribution of times.
    #[must_use]
    pub fn of_seconds() -> Self {
        Self::new(&SECONDS, 1e-9)
    }

    /// A distribution of sizes or counts.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self::new(&SIZES, 1.0)
    }

    fn new(bounds: &'static [f64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { shared: Arc::new(Shared { bounds, counts, sum: AtomicU64::new(0), scale }) }
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
        let Shared { bounds, counts, sum, scale } = &*self.shared;
        #[expect(clippy::cast_precision_loss, reason = "a bucket is wider than the error")]
        let scaled = value as f64 * scale;
        let bucket = bounds.partition_point(|bound| *bound < scaled);
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Shared { bounds, counts, sum, scale } = &*self.shared;
        let bounds = bounds.iter().copied().chain([f64::MAX]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let total = buckets.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a sum need not be exact to the last bit")]
        let sum = sum.load(Ordering::Relaxed) as f64 * scale;
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
            "h_bucket{le=\"30.0\"} 2",
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
