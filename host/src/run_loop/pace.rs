//! How many instructions fit into a length of time: measured, so that a slice ends some
//! microseconds around its deadline on hosts and guests of any speed.

/// The longest slice in instructions.
pub const MAX_SLICE: u64 = 200_000;
/// The longest slice in time: how late a change that nobody kicks for is seen at worst.
const MAX_SLICE_NS: u64 = 200_000;
/// The shortest slice: a look at the clock costs about as much as it executes.
const MIN_SLICE: u64 = 32;
/// Slices that retire less say nothing about speed.
const MIN_MEASURED: u64 = 1000;
/// Speed that is assumed until one is measured, in instructions per nanosecond.
const FIRST_GUESS: f64 = 0.2;
/// How much of a new measurement is believed.
const WEIGHT: f64 = 0.25;

/// The speed of one vCPU.
#[derive(Debug)]
pub struct Pace {
    exact: bool,
    instructions_per_ns: f64,
    /// Time and retired instructions at the last look.
    last: Option<(u64, u64)>,
}

impl Pace {
    /// A pace to be measured; or the exact one of a deterministic clock, one instruction per
    /// nanosecond.
    pub fn new(exact: bool) -> Self {
        Self { exact, instructions_per_ns: FIRST_GUESS, last: None }
    }

    /// It is `now_ns`, and `retired` instructions have been executed.
    pub fn measure(&mut self, now_ns: u64, retired: u64) {
        if self.exact {
            return;
        }
        if let Some((last_ns, last_retired)) = self.last.replace((now_ns, retired)) {
            let (ns, instructions) = (now_ns - last_ns, retired - last_retired);
            if instructions >= MIN_MEASURED && ns > 0 {
                let measured = instructions as f64 / ns as f64;
                self.instructions_per_ns += (measured - self.instructions_per_ns) * WEIGHT;
            }
        }
    }

    /// The guest has slept: the time since the last look was not spent executing.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// How many instructions to execute when something is due in `ns`.
    pub fn budget(&self, ns: u64) -> u64 {
        if self.exact {
            return ns.clamp(1, MAX_SLICE);
        }
        let fitting = ns.min(MAX_SLICE_NS) as f64 * self.instructions_per_ns;
        (fitting as u64).clamp(MIN_SLICE, MAX_SLICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_pace_is_one_instruction_per_nanosecond() {
        let mut pace = Pace::new(true);
        pace.measure(0, 0);
        pace.measure(10, 1_000_000);
        for (ns, budget) in [(0, 1), (1, 1), (1234, 1234), (u64::MAX, MAX_SLICE)] {
            assert_eq!(pace.budget(ns), budget);
        }
    }

    #[test]
    fn a_measured_pace_converges_and_stays_in_bounds() {
        for per_us in [10, 100, 1000, 5000] {
            let mut pace = Pace::new(false);
            for slice in 0..100 {
                pace.measure(slice * 100_000, slice * 100 * per_us);
            }
            let budget = pace.budget(20_000) as f64;
            assert!((budget / (20 * per_us) as f64 - 1.0).abs() < 0.01, "{per_us}: {budget}");
            assert_eq!(pace.budget(0), MIN_SLICE);
            assert!(pace.budget(u64::MAX) <= MAX_SLICE);
        }
    }

    #[test]
    fn sleep_is_not_measured() {
        let mut pace = Pace::new(false);
        pace.measure(0, 0);
        let before = pace.budget(100_000);
        pace.forget();
        pace.measure(u64::MAX, 2_000);
        assert_eq!(pace.budget(100_000), before);
    }
}
