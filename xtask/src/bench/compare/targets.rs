//! What the comparison is to show of monovisor, and what it shows.

use super::SYSBENCH;
use super::WORKLOADS;
use super::comparison::{Comparison, NATIVE, TCG};
use crate::bench::statistics::geometric_mean;

/// The interpreter, the contender whose speed is wanted.
pub const INTERPRETER: &str = "monovisor interpreter";
const KVM: &str = "monovisor KVM";
const SINGLE: &str = "QEMU TCG, single";
/// The wanted speed over sysbench's five, as a multiple of TCG's.
const MEAN: f64 = 1.5;
/// The wanted share of native speed in user mode on KVM.
const SHARE: f64 = 0.95;
const FLUSH: &str = "fileio.write.random.flush";

/// A ratio that is wanted.
pub struct Target {
    /// Of what to what.
    pub what: String,
    /// The least that is wanted, and what was measured.
    pub wanted: f64,
    pub found: f64,
}

impl Target {
    /// The target in words.
    pub fn show(&self) -> String {
        let Self { what, wanted, found } = self;
        let verdict = if found >= wanted { "met" } else { "missed" };
        format!("{what}: {found:.2}, {wanted} is wanted: {verdict}")
    }
}

/// The targets for which everything has been measured.
pub fn all(comparison: &Comparison) -> Vec<Target> {
    let sysbench = &WORKLOADS[..SYSBENCH];
    let mean = |of: &str, to: &str, works: &[&str]| {
        let ratios = works.iter().map(|work| work_ratio(comparison, work, of, to));
        geometric_mean(ratios.collect::<Option<Vec<f64>>>()?)
    };
    let target =
        |what: String, wanted, found: Option<f64>| Some(Target { what, wanted, found: found? });
    let beside = |qemu: &str| {
        let what = format!("{INTERPRETER} to {qemu}, sysbench's five, geometric mean");
        target(what, MEAN, mean(INTERPRETER, qemu, sysbench))
    };
    let flush = variant_ratio(comparison, FLUSH, INTERPRETER, TCG);
    let in_user_mode = |work: &str| {
        let what = format!("{KVM} to {NATIVE}, `{work}` in user mode");
        target(what, SHARE, work_ratio(comparison, work, KVM, NATIVE))
    };
    [
        beside(TCG),
        beside(SINGLE),
        target(format!("{INTERPRETER} to {TCG}, `{FLUSH}`"), 1.0, flush),
        in_user_mode("cpu"),
        in_user_mode("memory"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The speed of one contender as a multiple of another's in one workload: the geometric mean over its
/// variants.
pub fn work_ratio(comparison: &Comparison, work: &str, of: &str, to: &str) -> Option<f64> {
    let variants = comparison.usual_figures().filter(|one| one.work == work && one.contender == of);
    geometric_mean(variants.filter_map(|one| variant_ratio(comparison, &one.variant, of, to)))
}

fn variant_ratio(comparison: &Comparison, variant: &str, of: &str, to: &str) -> Option<f64> {
    let rate = |name: &str| {
        let mut figures = comparison.usual(variant);
        Some(figures.find(|one| one.contender == name)?.rate.median)
    };
    Some(rate(of)? / rate(to)?)
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::example;
    use super::*;

    #[test]
    fn what_was_measured_is_held_against_what_is_wanted() {
        let targets: Vec<String> = all(&example()).iter().map(Target::show).collect();
        let mean = "monovisor interpreter to QEMU TCG, multi, sysbench's five, geometric mean";
        assert_eq!(targets, [format!("{mean}: 2.00, 1.5 is wanted: met")]);
        let mut slow = example();
        slow.results.iter_mut().filter(|one| one.contender == INTERPRETER).for_each(|one| {
            one.rate.median /= 2.0;
        });
        assert!(all(&slow)[0].show().ends_with("1.00, 1.5 is wanted: missed"));
    }
}
