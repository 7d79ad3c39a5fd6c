//! The results as numbers; `tables` and `chart` show them.
//!
//! Ratios are speeds: the other's time divided by monovisor's, above one where monovisor is faster.

use anyhow::{Context, Result};
use serde::Serialize;
use xshell::cmd;

use super::host::Host;
use super::measure::Contender;
use super::statistics::{Spread, geometric_mean};
use crate::machine;
use crate::workspace::Workspace;

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
        let version = |Contender { machine, .. }: &Contender| {
            let program = machine.program();
            let version = machine::version(&program)
                .with_context(|| format!("`{program} --version` failed"))?;
            anyhow::Ok(if machine.is_monovisor() { version + &commit } else { version })
        };
        let Host { processor, kernel } = Host::ask(workspace)?;
        Ok(Self {
            names: contenders.each_ref().map(|contender| contender.name.clone()),
            versions: [version(&contenders[0])?, version(&contenders[1])?],
            processor,
            kernel,
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
    /// What it should be, if there is a wish.
    pub mean_target: Option<f64>,
    /// A row for each machine.
    pub startup: Vec<Startup>,
}

impl Report {
    /// Puts the results together.
    pub fn new(
        contenders: Contenders,
        pairs: u32,
        guests: Vec<GuestResult>,
        mean_target: Option<f64>,
        startup: Vec<Startup>,
    ) -> Self {
        let ratios = guests.iter().filter_map(|guest| Some(guest.measured.as_ref()?.ratio.median));
        let geometric_mean = geometric_mean(ratios);
        Self { contenders, pairs, guests, geometric_mean, mean_target, startup }
    }

    /// What falls short of its target, in words; `None` where there are no targets.
    pub fn shortfalls(&self) -> Option<Vec<String>> {
        let mean_target = self.mean_target?;
        let measured = self.guests.iter().filter_map(|guest| {
            Some((guest.name.as_str(), guest.measured.as_ref()?.ratio.median, guest.target?))
        });
        let mean = self.geometric_mean.map(|mean| ("geometric mean", mean, mean_target));
        let short = measured.chain(mean).filter(|(_, ratio, wanted)| ratio < wanted);
        Some(short.map(|(name, ratio, wanted)| format!("{name} {ratio:.2} of {wanted}")).collect())
    }

    /// Whether a guest could not be measured.
    pub fn failed(&self) -> bool {
        self.guests.iter().any(|guest| guest.failure.is_some())
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
        Report::new(contenders, 3, guests, Some(1.2), startup)
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
    fn what_falls_short_is_named() {
        let mut report = sample();
        report.guests[0].target = Some(5.0);
        let short = ["bench_fast 4.00 of 5", "geometric mean 1.00 of 1.2"].map(str::to_owned);
        assert_eq!(report.shortfalls(), Some(short.to_vec()));
        report.mean_target = Some(0.9);
        report.guests[0].target = None;
        assert_eq!(report.shortfalls(), Some(Vec::new()));
        report.mean_target = None;
        assert_eq!(report.shortfalls(), None);
    }
}
