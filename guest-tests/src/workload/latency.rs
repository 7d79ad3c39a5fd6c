//! How long events took: counts in buckets whose width is a sixteenth of their value, so that a
//! percentile is right within some 6 %, whatever the times are, and recording one costs little.

/// Buckets for each power of two.
const STEPS: usize = 16;
const BITS: u32 = STEPS.ilog2();
const BUCKETS: usize = (64 - BITS as usize + 1) * STEPS;

/// The distribution of some times.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: [u32; BUCKETS],
    total: u64,
    max_ns: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, max_ns: 0 }
    }
}

impl Latency {
    /// Takes one more time in.
    pub fn record(&mut self, ns: u64) {
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(1);
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Takes in what another has recorded.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The time that so many percent of all times do not exceed; 0 if there is none.
    pub fn percentile_ns(&self, percent: u64) -> u64 {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && seen > 0 {
                return upper_ns(index).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// The longest time.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }
}

fn bucket(ns: u64) -> usize {
    let exponent = ns.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    // From the second power of two on, the leading bit is always set.
    let step = (ns >> exponent) as usize;
    exponent as usize * STEPS + step
}

/// The longest time that a bucket takes.
fn upper_ns(bucket: usize) -> u64 {
    let exponent = (bucket / STEPS).saturating_sub(1);
    let step = (bucket - exponent * STEPS) as u64;
    ((step + 1) << exponent).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for ns in (0..100_000).chain([1 << 40, u64::MAX - 1, u64::MAX]) {
            let index = bucket(ns);
            assert!(index == last || index == last + 1 || ns > 100_000, "{ns}");
            assert!(upper_ns(index) >= ns && index < BUCKETS, "{ns}");
            last = index;
        }
    }

    #[test]
    fn percentiles_are_right_within_a_sixteenth() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ns| latency.record(ns * 10));
        for (percent, exact) in [(50, 5000), (95, 9500), (99, 9900)] {
            let found = latency.percentile_ns(percent);
            assert!((exact..exact + exact / 16 + 1).contains(&found), "{percent}: {found}");
        }
        assert_eq!(latency.max_ns(), 10_000);
        assert_eq!(Latency::default().percentile_ns(99), 0);
    }

    #[test]
    fn merging_is_as_if_one_had_recorded_all() {
        let (mut one, mut other) = (Latency::default(), Latency::default());
        one.record(10);
        other.record(1000);
        one.merge(&other);
        assert_eq!((one.percentile_ns(50), one.max_ns()), (10, 1000));
    }
}
