//! The comparison as Markdown: who took part, rates with their ranges, and what each figure is.

use std::fmt::Write;

use super::baseline::Change;
use super::comparison::{Comparison, Figure, NATIVE, TCG, vcpus};
use super::targets::{self, Target, work_ratio};
use super::{SCALED, SYSBENCH, WORKLOADS};
use crate::bench::statistics::geometric_mean;

/// How figures come about; the page says it, too.
pub const METHOD: &str = "Each figure is the median over all runs of events a second, with the least \
and the greatest. A run is a whole process that does one workload; the workload counts its events and \
takes their times by its own clock, so that start-up is not in them. Runs of all contenders alternate, \
and each round begins with another one. The workloads are compiled from the same source everywhere, \
and what they compute must be the same everywhere, or it is listed as a fault. `cpu` and `memory` \
run in user mode in guests, as they do natively; all else runs in the guest's kernel. `threads`, `mutex` \
and `interrupt` have two processors, what has one thread has one; for each processor `threads` has eight \
threads and `mutex` one; `fileio` runs on QEMU's `microvm`, \
its only machine with virtio over MMIO, everything else on its `pc`; disks are in the host's page cache \
on all (QEMU's by `io_uring`, its fastest way), and a flush is `fdatasync`.";

/// What the first table has.
pub const RATIOS: &str = "Rates as multiples of those of QEMU TCG, multi: for each workload the geometric \
mean over its variants, and that over all five.";

/// The whole report.
pub fn show(comparison: &Comparison, changes: Option<&[Change]>) -> String {
    let mut text = String::from("# Comparison\n\n");
    let host = &comparison.host;
    let _ = writeln!(text, "{}; {}.\n", host.processor, host.kernel);
    if let Some(kvm) = &host.kvm {
        let _ = writeln!(text, "**{kvm}**\n");
    }
    let _ = writeln!(text, "| contender | version |\n|---|---|");
    for one in &comparison.contenders {
        let name = comparison.marked(&one.name);
        let remark = one.remark.as_ref().map_or(String::new(), |remark| format!(" ({remark})"));
        let _ = writeln!(text, "| {name} | {}{remark} |", one.version);
    }
    text.push('\n');
    comparison.absent.iter().for_each(|one| {
        let _ = writeln!(text, "- {one}");
    });
    let _ = writeln!(text, "\n{METHOD}\n");
    let _ = writeln!(text, "## Sysbench's five\n\n{RATIOS}\n");
    ratios(&mut text, comparison);
    let targets: Vec<String> = targets::all(comparison).iter().map(Target::show).collect();
    list(&mut text, "Targets", &targets);
    rates(&mut text, comparison);
    scaling(&mut text, comparison);
    list(&mut text, "Faults", &comparison.faults);
    list(&mut text, "Not measured", &comparison.missing);
    if let Some(changes) = changes {
        let lines: Vec<String> = changes.iter().map(change).collect();
        list(&mut text, "Changes since the baseline", &lines);
    }
    text
}

/// Who, where, how fast beside QEMU, and what was wanted.
pub fn summary(comparison: &Comparison) -> String {
    let mut versions: Vec<&str> = Vec::new();
    for one in &comparison.contenders {
        if !versions.contains(&one.version.as_str()) {
            versions.push(&one.version);
        }
    }
    let host = &comparison.host;
    let mut text = format!("{}; {}; {}.\n\n", host.processor, host.kernel, versions.join("; "));
    if let Some(kvm) = &host.kvm {
        let _ = writeln!(text, "{kvm}\n");
    }
    for one in &comparison.contenders {
        if let Some(remark) = &one.remark {
            let _ = writeln!(text, "{}: {remark}\n", one.name);
        }
    }
    comparison.absent.iter().for_each(|one| {
        let _ = writeln!(text, "{one}.\n");
    });
    let _ = writeln!(text, "{RATIOS}\n");
    ratios(&mut text, comparison);
    for target in targets::all(comparison) {
        let _ = writeln!(text, "- {}", target.show());
    }
    text
}

/// A change in words.
pub fn change(change: &Change) -> String {
    let percent = (change.ratio - 1.0) * 100.0;
    let noise = match change.exceeds_noise {
        Some(true) => "exceeds the noise",
        Some(false) => "within the noise",
        None => "of too few runs to know the noise",
    };
    format!("{}: {percent:+.1} %, {noise}", change.what)
}

/// A rate with as many digits as it deserves.
pub fn rate(rate: f64) -> String {
    match rate {
        1e6.. => format!("{:.2} M", rate / 1e6),
        1e3.. => format!("{:.2} k", rate / 1e3),
        _ => format!("{rate:.2}"),
    }
}

/// Every contender's speed in each of sysbench's five, as multiples of TCG's.
pub fn ratio_rows(comparison: &Comparison) -> Vec<(String, Vec<Option<f64>>)> {
    let row = |name: &str| {
        let ratios =
            WORKLOADS[..SYSBENCH].iter().map(|work| work_ratio(comparison, work, name, TCG));
        let mut ratios: Vec<Option<f64>> = ratios.collect();
        ratios.push(ratios.iter().copied().collect::<Option<Vec<f64>>>().and_then(geometric_mean));
        (comparison.marked(name), ratios)
    };
    comparison.contenders.iter().map(|one| row(&one.name)).collect()
}

/// A ratio, or that there is none.
pub fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn ratios(text: &mut String, comparison: &Comparison) {
    let heads = WORKLOADS[..SYSBENCH].join(" | ");
    let _ =
        writeln!(text, "| contender | {heads} | all five |\n|---|{}", "--:|".repeat(SYSBENCH + 1));
    for (name, ratios) in ratio_rows(comparison) {
        let cells: Vec<String> = ratios.into_iter().map(ratio).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text.push('\n');
}

fn rates(text: &mut String, comparison: &Comparison) {
    let _ = writeln!(text, "## Events a second\n");
    for variant in comparison.variants() {
        let figures: Vec<&Figure> = comparison.usual(variant).collect();
        let native = figures.iter().find(|one| one.contender == NATIVE).map(|one| one.rate.median);
        let _ = writeln!(
            text,
            "### {variant}\n\n| contender | rate | least..greatest | of native | p50 | p95 | p99 | max |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|"
        );
        for one in figures {
            let part = native
                .map_or("–".to_owned(), |native| format!("{:.3}", one.rate.median / native));
            let [p50, p95, p99, max] =
                [one.p50_ns, one.p95_ns, one.p99_ns, one.max_ns].map(duration);
            let _ = writeln!(
                text,
                "| {} | {} | {}..{} | {part} | {p50} | {p95} | {p99} | {max} |",
                comparison.marked(&one.contender),
                rate(one.rate.median),
                rate(one.rate.min),
                rate(one.rate.max),
            );
        }
        text.push('\n');
    }
}

fn scaling(text: &mut String, comparison: &Comparison) {
    for work in SCALED {
        let scale = comparison.scale(work);
        if scale.len() < 2 {
            continue;
        }
        let heads: Vec<String> = scale.iter().map(|&cpus| vcpus(cpus)).collect();
        let _ = writeln!(text, "## Scaling of {work}\n\n| contender | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(scale.len()));
        for one in &comparison.contenders {
            let cell = |&cpus: &u32| {
                let figure = comparison.of(work, cpus).find(|figure| figure.contender == one.name);
                figure.map(|figure| rate(figure.rate.median))
            };
            let cells: Vec<Option<String>> = scale.iter().map(cell).collect();
            if cells.iter().any(Option::is_some) {
                let cells = cells.into_iter().map(|cell| cell.unwrap_or("–".to_owned()));
                let cells: Vec<String> = cells.collect();
                let _ =
                    writeln!(text, "| {} | {} |", comparison.marked(&one.name), cells.join(" | "));
            }
        }
        text.push('\n');
    }
}

/// A time with its unit.
pub fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "## {title}\n");
        lines.iter().for_each(|line| {
            let _ = writeln!(text, "- {line}");
        });
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::example;
    use super::*;

    #[test]
    fn it_says_who_what_and_how() {
        let text = show(&example(), None);
        for part in [
            "Its KVM is slow.",
            "### cpu",
            "| native | 400.00 | ",
            "| monovisor interpreter | 2.00 | 2.00 | 2.00 | 2.00 | 2.00 | 2.00 |",
            "1.5 is wanted: met",
            "exit, 1 vCPU, on native",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn numbers_have_their_units() {
        assert_eq!([rate(1.5), rate(2500.0), rate(3e6)], ["1.50", "2.50 k", "3.00 M"]);
        assert_eq!(
            [duration(5), duration(1500), duration(2_000_000)],
            ["5 ns", "1.5 µs", "2.0 ms"]
        );
    }
}
