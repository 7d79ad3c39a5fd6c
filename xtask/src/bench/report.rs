//! The results as numbers, and as tables.
//!
//! Ratios are speeds: the other's time divided by monovisor's, above one where monovisor is faster.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;
use xshell::cmd;

use super::measure::Contender;
use crate::machine::{self, Machine, QEMU};
use crate::workspace::Workspace;

/// Median, least and greatest of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the values are below it.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Self { median, min, max })
    }

    /// `median [min..max]`, multiplied by `scale`.
    fn show(&self, scale: f64, decimals: usize) -> String {
        let Self { median, min, max } = self;
        format!(
            "{:.decimals$} [{:.decimals$}..{:.decimals$}]",
            median * scale,
            min * scale,
            max * scale
        )
    }
}

/// The times of one guest on both contenders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Seconds on monovisor.
    pub ours: Spread,
    /// Seconds on the other.
    pub theirs: Spread,
    /// The other's time over monovisor's, pair by pair.
    pub ratio: Spread,
    /// Guest instructions retired in one run.
    pub instructions: Option<u64>,
    /// Millions of guest instructions a second on monovisor.
    pub mips: Option<f64>,
}

impl Measured {
    /// From the seconds of each pair.
    pub fn new(ours: Vec<f64>, theirs: Vec<f64>, instructions: Option<u64>) -> Option<Self> {
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect();
        let ours = Spread::of(ours)?;
        Some(Self {
            theirs: Spread::of(theirs)?,
            ratio: Spread::of(ratios)?,
            instructions,
            mips: instructions.map(|count| count as f64 / ours.median / 1e6),
            ours,
        })
    }
}

/// One guest's row.
#[derive(Debug, Serialize)]
pub struct GuestResult {
    /// The guest's name.
    pub name: String,
    /// The wanted ratio.
    pub target: Option<f64>,
    /// The times, unless a run failed.
    pub measured: Option<Measured>,
    /// Why there are no times.
    pub failure: Option<String>,
}

impl GuestResult {
    /// From a measurement that may have failed.
    pub fn new(name: &str, target: Option<f64>, measured: Result<Measured>) -> Self {
        let failure = measured.as_ref().err().map(|error| format!("{error:#}"));
        Self { name: name.to_owned(), target, measured: measured.ok(), failure }
    }
}

/// Start-up to exit of the hello guest on one machine.
#[derive(Debug, Serialize)]
pub struct Startup {
    /// The machine.
    pub name: String,
    /// The command that was timed.
    pub command: String,
    /// Of the whole process.
    pub seconds: Spread,
    /// The largest resident set; never below xtask's own.
    pub resident_bytes: Spread,
}

/// Who was measured, and where.
#[derive(Debug, Serialize)]
pub struct Contenders {
    /// The columns' names.
    pub names: [String; 2],
    /// The programs' versions.
    pub versions: [String; 2],
    /// The host's processor, as it names itself.
    pub processor: String,
    /// The host's kernel.
    pub kernel: String,
}

impl Contenders {
    /// Asks the programs and the host who they are.
    pub fn describe(workspace: &Workspace, contenders: &[Contender; 2]) -> Result<Self> {
        let shell = &workspace.shell;
        let commit = cmd!(shell, "git rev-parse --short HEAD").quiet().ignore_stderr().read();
        let commit = commit.map_or(String::new(), |commit| format!(" at {commit}"));
        let version = |contender: &Contender| match &contender.machine {
            Machine::Monovisor(program) => machine::version(&program.to_string_lossy())
                .map(|version| version + &commit)
                .with_context(|| format!("`{} --version` failed", program.display())),
            Machine::Qemu | Machine::QemuMicrovm => {
                machine::version(QEMU).with_context(|| format!("`{QEMU} --version` failed"))
            }
        };
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            names: contenders.each_ref().map(|contender| contender.name.clone()),
            versions: [version(&contenders[0])?, version(&contenders[1])?],
            processor: model.map_or("an unnamed processor", |(_, name)| name).to_owned(),
            kernel: cmd!(shell, "uname -sr").quiet().read()?,
        })
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Who and where.
    pub contenders: Contenders,
    /// Pairs for each guest.
    pub pairs: u32,
    /// A row for each guest.
    pub guests: Vec<GuestResult>,
    /// Of the guests' median ratios.
    pub geometric_mean: Option<f64>,
    /// A row for each machine.
    pub startup: Vec<Startup>,
}

impl Report {
    /// Puts the results together.
    pub fn new(
        contenders: Contenders,
        pairs: u32,
        guests: Vec<GuestResult>,
        startup: Vec<Startup>,
    ) -> Self {
        let ratios: Vec<f64> =
            guests.iter().filter_map(|guest| Some(guest.measured.as_ref()?.ratio.median)).collect();
        let geometric_mean = (!ratios.is_empty()).then(|| {
            (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
        });
        Self { contenders, pairs, guests, geometric_mean, startup }
    }

    /// Whether a guest could not be measured.
    pub fn failed(&self) -> bool {
        self.guests.iter().any(|guest| guest.failure.is_some())
    }

    /// The tables as Markdown, ready for the README.
    pub fn markdown(&self) -> String {
        self.tables(|rows| {
            let mut text = String::new();
            for (index, row) in rows.iter().enumerate() {
                let _ = writeln!(text, "| {} |", row.join(" | "));
                if index == 0 {
                    let _ = writeln!(text, "|---|{}", "--:|".repeat(row.len() - 1));
                }
            }
            text
        })
    }

    /// The tables for a terminal.
    pub fn plain(&self) -> String {
        self.tables(|rows| {
            let width = |column: usize| {
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
            };
            let mut text = String::new();
            for row in rows {
                for (column, cell) in row.iter().enumerate() {
                    let width = width(column).unwrap_or_default();
                    let _ = match column {
                        0 => write!(text, "{cell:width$}"),
                        _ => write!(text, "  {cell:>width$}"),
                    };
                }
                text.push('\n');
            }
            text
        })
    }

    fn tables(&self, table: impl Fn(&[Vec<String>]) -> String) -> String {
        let Contenders { names, versions, processor, kernel } = &self.contenders;
        let mut text = format!("{} beside {}; {processor}; {kernel}\n", versions[0], versions[1]);
        if !self.guests.is_empty() {
            let _ = write!(
                text,
                "Whole-process wall time in seconds, {} alternating pairs: median [min..max].\n\n{}",
                self.pairs,
                table(&self.guest_rows(names))
            );
        }
        for failure in self.guests.iter().filter_map(|guest| guest.failure.as_ref()) {
            let _ = writeln!(text, "\nfailed: {failure}");
        }
        if !self.startup.is_empty() {
            let _ = write!(
                text,
                "\nStart to exit of a hello guest, whole process: median [min..max].\n\n{}",
                table(&self.startup_rows())
            );
        }
        text
    }

    fn guest_rows(&self, names: &[String; 2]) -> Vec<Vec<String>> {
        let head = ["guest", &names[0], &names[1], "ratio", "target", "MIPS"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for guest in &self.guests {
            let target = guest.target.map_or(String::new(), |target| format!("{target:.2}"));
            rows.push(match &guest.measured {
                Some(measured) => vec![
                    guest.name.clone(),
                    measured.ours.show(1.0, 3),
                    measured.theirs.show(1.0, 3),
                    measured.ratio.show(1.0, 2),
                    target,
                    measured.mips.map_or(String::new(), |mips| format!("{mips:.0}")),
                ],
                None => vec![
                    guest.name.clone(),
                    "failed".to_owned(),
                    String::new(),
                    String::new(),
                    target,
                    String::new(),
                ],
            });
        }
        if let Some(mean) = self.geometric_mean {
            let mean = ["geometric mean", "", "", &format!("{mean:.2}"), "", ""];
            rows.push(mean.map(str::to_owned).to_vec());
        }
        rows
    }

    fn startup_rows(&self) -> Vec<Vec<String>> {
        let mut rows =
            vec![["machine", "milliseconds", "resident MiB"].map(str::to_owned).to_vec()];
        rows.extend(self.startup.iter().map(|machine| {
            vec![
                machine.name.clone(),
                machine.seconds.show(1e3, 1),
                machine.resident_bytes.show(1.0 / f64::from(1 << 20), 1),
            ]
        }));
        rows
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A report with two measured guests and one that failed.
    pub fn sample() -> Report {
        let contenders = Contenders {
            names: ["monovisor", "QEMU TCG"].map(str::to_owned),
            versions: ["monovisor 0", "QEMU 7"].map(str::to_owned),
            processor: "a <processor>".to_owned(),
            kernel: "Linux 6".to_owned(),
        };
        let fast = Measured::new(vec![1.0, 1.0, 2.0], vec![2.0, 4.0, 8.0], Some(3_000_000));
        let slow = Measured::new(vec![4.0], vec![1.0], None);
        let guests = vec![
            GuestResult::new("bench_fast", Some(3.0), fast.context("")),
            GuestResult::new("bench_slow", None, slow.context("")),
            GuestResult::new("bench_broken", None, Err(anyhow::anyhow!("it broke"))),
        ];
        let startup = vec![Startup {
            name: "monovisor".to_owned(),
            command: "monovisor run hello".to_owned(),
            seconds: Spread { median: 0.003, min: 0.002, max: 0.004 },
            resident_bytes: Spread { median: 4194304.0, min: 4194304.0, max: 4194304.0 },
        }];
        Report::new(contenders, 3, guests, startup)
    }

    #[test]
    fn a_spread_is_sorted_first() {
        assert_eq!(
            Spread::of(vec![3.0, 1.0, 2.0]),
            Some(Spread { median: 2.0, min: 1.0, max: 3.0 })
        );
        assert_eq!(Spread::of(vec![1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let report = sample();
        let fast = report.guests[0].measured.as_ref().expect("measured");
        assert_eq!(fast.ratio, Spread { median: 4.0, min: 2.0, max: 4.0 });
        assert_eq!(fast.mips, Some(3.0));
        // The mean of 4 and 1/4.
        assert!((report.geometric_mean.expect("a mean") - 1.0).abs() < 1e-9);
        assert!(report.failed());
    }

    #[test]
    fn both_kinds_of_table_say_all() {
        let report = sample();
        let markdown = report.markdown();
        assert!(markdown.contains(
            "| bench_fast | 1.000 [1.000..2.000] | 4.000 [2.000..8.000] | 4.00 [2.00..4.00] | 3.00 | 3 |"
        ), "{markdown}");
        for text in [markdown, report.plain()] {
            for part in
                ["geometric mean", "it broke", "3.0 [2.0..4.0]", "4.0 [4.0..4.0]", "Linux 6"]
            {
                assert!(text.contains(part), "{part} is missing in\n{text}");
            }
        }
    }
}
