//! What is wanted of the gate, as ratios of figures of one run, and whether it is so.

use super::report::{Contended, Contender, Report};

/// One wanted figure.
pub struct Target {
    /// What it is a figure of.
    pub what: String,
    pub figure: f64,
    pub wanted: f64,
    /// Whether it is to be at most as wanted, or at least.
    at_most: bool,
    pub unit: &'static str,
}

impl Target {
    /// Whether it is as wanted.
    pub fn is_met(&self) -> bool {
        if self.at_most { self.figure <= self.wanted } else { self.figure >= self.wanted }
    }

    /// A line for a terminal.
    pub fn show(&self) -> String {
        let Self { what, figure, wanted, at_most, unit } = self;
        let bound = if *at_most { "at most" } else { "at least" };
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        format!("{what:58} {figure:8.2} {unit:2} {bound:8} {wanted:5.2} {unit:2} {verdict}")
    }
}

fn at_most(what: impl Into<String>, figure: f64, wanted: f64, unit: &'static str) -> Target {
    Target { what: what.into(), figure, wanted, at_most: true, unit }
}

fn at_least(what: impl Into<String>, figure: f64, wanted: f64, unit: &'static str) -> Target {
    Target { what: what.into(), figure, wanted, at_most: false, unit }
}

/// All for which there are figures.
pub fn all(report: &Report) -> Vec<Target> {
    let harness = &report.harness;
    let Some((gate, others)) = harness.contenders.split_last() else { return Vec::new() };
    let mut targets = vec![at_most("enter and leave", gate.fast_path_ns, 5.0, "ns")];
    // Two vCPUs, so that each has a processor.
    let pair = |contender: &'_ Contender| -> Option<Contended> {
        contender.contended.iter().find(|contended| contended.threads == 2).cloned()
    };
    if let Some(ours) = pair(gate) {
        for other in others {
            let Some(theirs) = pair(other) else { continue };
            let name = &other.name;
            let (median, high) =
                (theirs.wait_ns.p50 / ours.wait_ns.p50, theirs.wait_ns.p99 / ours.wait_ns.p99);
            targets.push(at_least(format!("request, median: {name}'s / ours"), median, 3.0, "x"));
            targets.push(at_least(format!("request, p99: {name}'s / ours"), high, 3.0, "x"));
        }
        targets.extend(ours.kept.map(|kept| {
            at_least("kept by a computing vCPU, in the harness", kept * 100.0, 80.0, "%")
        }));
    }
    if let Some(interpreter) = &harness.interpreter {
        let median_us = interpreter.wait_ns.p50 / 1000.0;
        targets.push(at_most("request in the running interpreter, median", median_us, 1.0, "us"));
        let lost = 100.0 - interpreter.kept * 100.0;
        targets.push(at_most("polling's share of its speed", lost, 2.0, "%"));
    }
    if let [ours, qemu] = &report.guests[..] {
        let [_, kept] = ours.kept;
        targets.extend([
            at_least("LOCK ADD within a line: ours / QEMU's", ours.within / qemu.within, 50.0, "x"),
            at_least("LOCK ADD across lines: ours / QEMU's", ours.across / qemu.across, 1.0, "x"),
            at_least("kept beside LOCK ADD across lines", kept * 100.0, 80.0, "%"),
        ]);
    }
    targets.extend(report.scaling.as_ref().map(|scaling| {
        at_least("two vCPUs' work in the time of one's", scaling.vcpus.median, 1.9, "x")
    }));
    targets
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn figures_are_compared_with_what_is_wanted() {
        let report = Report { harness: sample(), guests: Vec::new(), scaling: None };
        let targets = all(&report);
        let shown: Vec<_> = targets.iter().map(Target::show).collect();
        // The sample's gate is ten times as quick, and keeps half.
        assert_eq!(targets.iter().filter(|target| !target.is_met()).count(), 1, "{shown:#?}");
        assert!(shown.iter().any(|line| line.contains("kept") && line.ends_with("MISSED")));
        assert!(shown.iter().any(|line| line.contains("median") && line.contains("10.00 x")));
    }
}
