//! Latencies in buckets of at most 1.6 % width, so that a run of any length takes the same memory.

/// Buckets for each power of two.
const STEPS_LOG2: u32 = 6;
const STEPS: usize = 1 << STEPS_LOG2;
const BUCKETS: usize = STEPS * (64 - STEPS_LOG2 as usize + 1);

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }

    /// Enters one duration.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.counts[bucket_of(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Adds everything another histogram holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The duration that `share` (0 to 1) of all entries do not exceed, in milliseconds; none while empty.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = (share * self.total as f64).ceil().max(1.0);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 >= rank
        })?;
        Some(middle_of(bucket) / 1e6)
    }

    /// The longest duration entered, in milliseconds; none while empty.
    pub(crate) fn max_ms(&self) -> Option<f64> {
        (self.total > 0).then_some(self.longest as f64 / 1e6)
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let exponent = nanos.max(STEPS as u64).ilog2() - STEPS_LOG2;
    // In 0..64 for the first group, in 64..128 for every other one.
    let step = (nanos >> exponent) as usize;
    exponent as usize * STEPS + step
}

fn middle_of(bucket: usize) -> f64 {
    let (exponent, step) =
        if bucket < STEPS { (0, bucket) } else { (bucket / STEPS - 1, bucket % STEPS + STEPS) };
    let width = (1_u64 << exponent) as f64;
    (step as f64 + 0.5) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_within_two_percent_of_its_bucket() {
        for shift in 0..63 {
            for nanos in [1_u64 << shift, (1 << shift) + 1, (1 << shift) * 3 / 2, (2 << shift) - 1]
            {
                let middle = middle_of(bucket_of(nanos));
                assert!((middle - nanos as f64).abs() <= 0.02 * nanos as f64 + 0.5, "{nanos}");
            }
        }
    }

    #[test]
    fn quantiles_follow_the_ranks() {
        let mut histogram = Histogram::new();
        assert!(histogram.quantile_ms(0.5).is_none());
        (1..=100).for_each(|ms| histogram.record(ms * 1_000_000));

        let (p50, p99) =
            (histogram.quantile_ms(0.5).unwrap(), histogram.quantile_ms(0.99).unwrap());
        assert_eq!(histogram.max_ms(), Some(100.0));
        assert!((p50 - 50.0).abs() < 1.0 && (p99 - 99.0).abs() < 2.0, "{p50} {p99}");
    }
}
