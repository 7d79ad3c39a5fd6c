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
