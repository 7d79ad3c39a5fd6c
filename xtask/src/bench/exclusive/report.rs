//! The figures of both halves as numbers, and as tables.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::target;
use crate::bench::statistics::Spread;

/// Both halves.
#[derive(Serialize)]
pub struct Report {
    pub harness: Harness,
    pub guests: Vec<Guest>,
    pub scaling: Option<Scaling>,
}

/// How much work two do in the time in which one does its own, pair by pair.
#[derive(Serialize)]
pub struct Scaling {
    /// Of a guest's vCPUs.
    pub vcpus: Spread,
    /// Of the host's processors: what vCPUs could reach at best.
    pub native: Spread,
}

/// What the core's harness prints; its own source says what each figure is.
#[derive(Serialize, Deserialize)]
pub struct Harness {
    pub processors: usize,
    pub slice_ns: f64,
    pub look_up_ns: [f64; 2],
    pub idle_check_ns: [f64; 2],
    pub interpreter: Option<Interpreter>,
    /// QEMU's algorithms, then monovisor's.
    pub contenders: Vec<Contender>,
}

/// The gate in the running interpreter.
#[derive(Serialize, Deserialize)]
pub struct Interpreter {
    pub wait_ns: Quantiles,
    /// Millions of instructions a second without a gate, and what of it is left behind one.
    pub mips: f64,
    pub kept: f64,
}

/// One algorithm.
#[derive(Serialize, Deserialize)]
pub struct Contender {
    pub name: String,
    pub fast_path_ns: f64,
    pub contended: Vec<Contended>,
}

/// One algorithm with so many vCPUs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Contended {
    pub threads: usize,
    pub wait_ns: Quantiles,
    pub section_ns: [f64; 2],
    pub beside_all: f64,
    pub sections_per_s: f64,
    pub kept: Option<f64>,
    pub rival_wait_ns: Quantiles,
    pub least_share: f64,
}

/// Parts of a lot of times.
#[derive(Clone, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
}

/// The guest on one machine, in thousands a second.
#[derive(Clone, Serialize)]
pub struct Guest {
    pub machine: String,
    /// Additions to one aligned word by two processors.
    pub aligned: f64,
    /// Misaligned additions within a line, and across two, by one.
    pub within: f64,
    pub across: f64,
    /// What the processor that counts beside them keeps of its speed.
    pub kept: [f64; 2],
}

impl Guest {
    /// From what the guest says.
    pub fn parse(machine: &str, output: &str) -> Result<Self> {
        let line = |name: &str| -> Result<Vec<f64>> {
            let words = output.lines().find_map(|line| line.strip_prefix(name));
            let words = words.with_context(|| format!("the guest says nothing of {name}"))?;
            let numbers: Result<Vec<f64>, _> = words.split_whitespace().map(str::parse).collect();
            Ok(numbers?)
        };
        let number = |name: &str, index: usize| -> Result<f64> {
            line(name)?.get(index).copied().with_context(|| format!("{name} lacks a number"))
        };
        let ms = number("ms", 0)?;
        let undisturbed = number("undisturbed", 0)?;
        Ok(Self {
            machine: machine.to_owned(),
            aligned: (number("aligned", 0)? + number("aligned", 1)?) / ms,
            within: number("within", 0)? / ms,
            across: number("across", 0)? / ms,
            kept: [number("within", 1)? / undisturbed, number("across", 1)? / undisturbed],
        })
    }

    /// The medians of several runs.
    pub fn median(runs: &[Self]) -> Option<Self> {
        let of = |value: &dyn Fn(&Self) -> f64| {
            Spread::of(runs.iter().map(value).collect()).map(|spread| spread.median)
        };
        Some(Self {
            machine: runs.first()?.machine.clone(),
            aligned: of(&|run| run.aligned)?,
            within: of(&|run| run.within)?,
            across: of(&|run| run.across)?,
            kept: [of(&|run| run.kept[0])?, of(&|run| run.kept[1])?],
        })
    }
}

impl Report {
    /// The tables for a terminal.
    pub fn show(&self) -> String {
        let Harness { processors, slice_ns, look_up_ns, idle_check_ns, interpreter, contenders } =
            &self.harness;
        let mut text = format!(
            "Slices of {slice_ns:.0} ns between polls on {processors} processors; a look-up takes \
             {:.0} ns, a translation {:.0} ns.\nLook whether work waits: {:.1} ns under a lock, \
             {:.1} ns at one word.\n\n",
            look_up_ns[0], look_up_ns[1], idle_check_ns[0], idle_check_ns[1]
        );
        for Contender { name, fast_path_ns, .. } in contenders {
            let _ = writeln!(text, "{name:12} enter and leave {fast_path_ns:5.2} ns");
        }
        let head = [
            "",
            "vCPUs",
            "wait p50",
            "p99",
            "worst",
            "beside all",
            "warm",
            "cold",
            "sections/s",
            "kept",
            "rivals p50",
            "p99",
            "worst",
            "least",
        ];
        let _ = writeln!(text, "\nTimes in microseconds.");
        row(&mut text, &head.map(str::to_owned));
        for contender in contenders {
            for contended in &contender.contended {
                row(&mut text, &contended.cells(&contender.name));
            }
        }
        if let Some(Interpreter { wait_ns: Quantiles { p50, p99, worst }, mips, kept }) =
            interpreter
        {
            let _ = writeln!(
                text,
                "\nIn the interpreter: request to exclusive {:.2} us, p99 {:.2}, worst {:.2}; \
                 {mips:.0} million instructions a second without a gate, {:.2} % of it behind one.",
                p50 / 1000.0,
                p99 / 1000.0,
                worst / 1000.0,
                kept * 100.0
            );
        }
        if !self.guests.is_empty() {
            let _ = writeln!(text, "\nA guest's locked additions, thousands a second.");
            let head = ["", "aligned", "within", "kept", "across", "kept"];
            row(&mut text, &head.map(str::to_owned));
        }
        for Guest { machine, aligned, within, across, kept } in &self.guests {
            let name: String = machine.chars().take(12).collect();
            let cells = [*aligned, *within, *across].map(|value| format!("{value:.0}"));
            let kept = kept.map(|kept| format!("{:.1} %", kept * 100.0));
            let [aligned, within, across] = cells;
            let [beside_within, beside_across] = kept;
            row(&mut text, &[name, aligned, within, beside_within, across, beside_across]);
        }
        if let Some(Scaling { vcpus, native }) = &self.scaling {
            let [vcpus, native] = [vcpus, native].map(|pairs| pairs.show(1.0, 2));
            let _ = writeln!(
                text,
                "\nTwo vCPUs do the work of {vcpus} of one, two of the host's processors of {native}."
            );
        }
        let _ = writeln!(text);
        for target in target::all(self) {
            let _ = writeln!(text, "{}", target.show());
        }
        text
    }
}

impl Contended {
    fn cells(&self, name: &str) -> Vec<String> {
        let us = |ns: f64| format!("{:.2}", ns / 1000.0);
        let Quantiles { p50, p99, worst } = &self.wait_ns;
        let kept = self.kept.map_or(String::new(), |kept| format!("{:.1} %", kept * 100.0));
        vec![
            name.to_owned(),
            self.threads.to_string(),
            us(*p50),
            us(*p99),
            us(*worst),
            format!("{:.0} %", self.beside_all * 100.0),
            us(self.section_ns[0]),
            us(self.section_ns[1]),
            format!("{:.0}", self.sections_per_s),
            kept,
            us(self.rival_wait_ns.p50),
            us(self.rival_wait_ns.p99),
            us(self.rival_wait_ns.worst),
            format!("{:.0} %", self.least_share * 100.0),
        ]
    }
}

fn row(text: &mut String, cells: &[String]) {
    for (column, cell) in cells.iter().enumerate() {
        let _ = match column {
            0 => write!(text, "{cell:12}"),
            _ => write!(text, " {cell:>10}"),
        };
    }
    text.push('\n');
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Two algorithms, the second ten times as quick.
    pub fn sample() -> Harness {
        let contender = |name: &str, scale: f64| {
            let times = || Quantiles { p50: 100.0 * scale, p99: 900.0 * scale, worst: 2e4 * scale };
            let contended = [1, 2].map(|threads| Contended {
                threads,
                wait_ns: times(),
                section_ns: [20.0, 30.0],
                beside_all: 1.0,
                sections_per_s: 1e5,
                kept: (threads > 1).then_some(0.5),
                rival_wait_ns: times(),
                least_share: 1.0,
            });
            Contender { name: name.to_owned(), fast_path_ns: 4.0, contended: contended.into() }
        };
        Harness {
            processors: 2,
            slice_ns: 300.0,
            look_up_ns: [40.0, 2000.0],
            idle_check_ns: [10.0, 0.5],
            interpreter: None,
            contenders: vec![contender("QEMU 5.0", 10.0), contender("gate", 1.0)],
        }
    }

    #[test]
    fn a_guest_is_read_and_shown() {
        let output = "ms 10\nundisturbed 1000\naligned 500 700\nwithin 300 900\nacross 20 850\n";
        let guest = Guest::parse("monovisor", output).expect("all lines");
        assert_eq!((guest.aligned, guest.within, guest.across), (120.0, 30.0, 2.0));
        assert_eq!(guest.kept, [0.9, 0.85]);
        assert!(Guest::parse("monovisor", "ms 10\n").is_err());
        let spread = |pairs: &[f64]| Spread::of(pairs.to_vec());
        let pairs = spread(&[1.8, 1.9, 1.95]).zip(spread(&[1.9, 1.98, 2.0]));
        let scaling = pairs.map(|(vcpus, native)| Scaling { vcpus, native });
        let text = Report { harness: sample(), guests: vec![guest], scaling }.show();
        assert!(text.contains("1.90 [1.80..1.95]"), "{text}");
        assert!(text.contains("85.0 %") && text.contains("50.0 %"), "{text}");
    }
}
