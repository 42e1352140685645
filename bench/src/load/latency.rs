//! Latencies of a run: a histogram whose buckets are less than 1 % wide.
//!
//! Pure: values in, percentiles out.

use std::time::Duration;

/// Buckets in each power of two.
const PER_OCTAVE: u64 = 128;
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();
/// The largest latency that is told from larger ones, 2^40 ns (18 minutes), needs so many buckets.
const BUCKETS: usize = (40 - OCTAVE_BITS as usize + 1) * PER_OCTAVE as usize;

pub(super) struct Latencies {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max_ns: 0 }
    }

    pub(super) fn add(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn len(&self) -> u64 {
        self.total
    }

    /// The latency, in microseconds, that this share of all (0 to 1) does not exceed; 0 if there are none.
    pub(super) fn percentile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_ns(bucket).min(self.max_ns) as f64 / 1_000.0;
            }
        }
        0.0
    }

    pub(super) fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1_000.0
    }
}

/// One bucket for each value below two octaves' worth, then `PER_OCTAVE` for each power of two.
fn bucket(ns: u64) -> usize {
    let octave = (u64::BITS - ns.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    (u64::from(octave) * PER_OCTAVE + (ns >> octave)) as usize
}

/// The largest value of a bucket.
fn upper_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket / PER_OCTAVE).saturating_sub(1);
    ((bucket - octave * PER_OCTAVE + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_above_it() {
        for ns in (0..4_096).chain((12..39).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1])) {
            let bucket = bucket(ns);
            assert!(bucket < BUCKETS, "{ns}");
            assert!(upper_ns(bucket) >= ns, "{ns} in {bucket}");
            assert!(bucket == 0 || upper_ns(bucket - 1) < ns, "{ns} in {bucket}");
            assert!((upper_ns(bucket) - ns) as f64 <= ns as f64 / PER_OCTAVE as f64, "{ns}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut latencies = Latencies::new();
        for us in (1..=1_000).rev() {
            latencies.add(Duration::from_micros(us));
        }
        for (share, us) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            let got = latencies.percentile_us(share);
            assert!((us..us * 1.01).contains(&got), "{share}: {got}");
        }
        assert_eq!((latencies.len(), latencies.max_us()), (1_000, 1_000.0));
        assert_eq!(Latencies::new().percentile_us(0.5), 0.0);
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let mut latencies = Latencies::new();
        latencies.add(Duration::from_secs(100_000));
        assert!(latencies.percentile_us(0.5) > 1e9);
        assert_eq!(latencies.max_us(), 1e11);
    }
}
