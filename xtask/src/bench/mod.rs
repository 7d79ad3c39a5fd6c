//! `cargo xtask bench`: how fast guests run here and on QEMU, measured in one go.
//!
//! Machines drift, so only ratios of runs that stand beside each other are worth anything: every
//! figure comes from pairs that alternate (`measure`). `report` holds the results, `tables`
//! and `chart` show them. `host`, `statistics` and `svg` are what all benchmarks share.

mod chart;
mod compare;
mod exclusive;
mod host;
mod measure;
mod report;
mod start;
mod statistics;
mod svg;
mod tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::guest::{self, Guest};
use crate::machine::{self, Machine, QEMU};
use crate::workspace::{Dispatcher, Workspace};

use measure::{Contender, Meter};
use report::{Contenders, GuestResult, Report};

/// The least speed that any guest may have, and the wanted geometric mean, as multiples of QEMU's.
const LEAST_RATIO: f64 = 0.25;
const MEAN_TARGET: f64 = 1.2;

/// The least share of the tail-calling dispatcher's speed that the `loop` dispatcher should have.
const LEAST_LOOP_SHARE: f64 = 1.0 / 3.0;

/// The guest whose whole run is mostly start-up.
const HELLO: &str = "hello";

/// Measures guests on monovisor beside QEMU, in alternating pairs
///
/// Every time is the wall time of a whole process, start-up included: the benchmark guests run for
/// a second or more, so that it is small. A ratio is the median of the pairs' ratios, above one
/// where monovisor is the faster. Start-up has its own table, from the hello guest.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    special: Option<Special>,
    /// Measures only guests whose name contains this
    filter: Option<String>,
    /// Pairs of runs for each guest
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Rounds of the start-up measurement; 0 leaves it out
    #[arg(long, default_value_t = 25)]
    startup_runs: u32,
    /// Measures the `loop` dispatcher beside the tail-calling one, instead of QEMU
    #[arg(long)]
    dispatchers: bool,
    /// Prints Markdown tables instead of plain ones
    #[arg(long)]
    markdown: bool,
    /// Where the results go [default: target/bench/bench.json]; the chart goes beside them
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Benchmarks that are more than guests beside QEMU.
#[derive(Subcommand)]
enum Special {
    Compare(Box<compare::Compare>),
    Exclusive(exclusive::Exclusive),
    Start(start::Start),
}

impl Bench {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        match &self.special {
            Some(Special::Compare(compare)) => return compare.execute(workspace),
            Some(Special::Exclusive(exclusive)) => return exclusive.execute(workspace),
            Some(Special::Start(start)) => return start.execute(workspace),
            None => {}
        }
        let guests = guest::find_all(&workspace.guest_sources())?;
        let chosen = self.choose(&guests)?;
        let contenders = self.contenders(workspace)?;
        let images = workspace.build_guests()?;
        let folder = workspace.target.join("bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;

        let startup_runs = if self.dispatchers { 0 } else { self.startup_runs };
        let rounds = chosen.len() as u64 * u64::from(self.runs) + u64::from(startup_runs);
        let meter = Meter::new(rounds, &folder);
        let mut results = Vec::new();
        for guest in &chosen {
            let image = images.join(&guest.name);
            results.push(self.measure_guest(&meter, guest, &image, &contenders)?);
        }
        let hello = guests.iter().find(|guest| guest.name == HELLO);
        let startup = match hello.filter(|_| startup_runs > 0) {
            Some(hello) => {
                let (image, header) = (images.join(HELLO), hello.checked_header()?);
                meter.startup(&image, header, &contenders[0].machine, startup_runs)
            }
            None => Ok(Vec::new()),
        };
        meter.finish();
        // What was measured before is worth keeping.
        let startup_failed = startup.is_err();
        let startup = startup.unwrap_or_else(|error| {
            eprintln!("xtask: start-up was not measured: {error:#}");
            Vec::new()
        });

        let described = Contenders::describe(workspace, &contenders)?;
        let mean_target = (!self.dispatchers && self.filter.is_none()).then_some(MEAN_TARGET);
        let report = Report::new(described, self.runs, results, mean_target, startup);
        print!("{}", if self.markdown { report.markdown() } else { report.plain() });
        if let (true, Some(mean)) = (self.dispatchers, report.geometric_mean) {
            let share = 1.0 / mean;
            println!(
                "\nThe `loop` dispatcher has {share:.2} of the tail-calling one's speed; at least \
                 {LEAST_LOOP_SHARE:.2} is wanted."
            );
        }
        self.write(&report, &folder)?;
        let failed = startup_failed || report.failed();
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// monovisor, and what it is measured against.
    fn contenders(&self, workspace: &Workspace) -> Result<[Contender; 2]> {
        let monovisor = |dispatcher| -> Result<Machine> {
            Ok(Machine::Monovisor(workspace.build_monovisor(dispatcher, &[])?))
        };
        let (name, machine) = match self.dispatchers {
            true => ("monovisor, loop", monovisor(Dispatcher::Loop)?),
            false => ("QEMU TCG", Machine::Qemu),
        };
        let other = Contender { machine, name: name.to_owned() };
        let ours =
            Contender { machine: monovisor(Dispatcher::Tail)?, name: "monovisor".to_owned() };
        Ok([ours, other])
    }

    fn choose<'a>(&self, guests: &'a [Guest]) -> Result<Vec<&'a Guest>> {
        if !self.dispatchers && machine::version(QEMU).is_none() {
            bail!(
                "{QEMU} is not installed, and is what is measured against (Debian: apt-get install qemu-system-x86)"
            );
        }
        let filter = self.filter.as_deref().unwrap_or_default();
        let chosen: Vec<&Guest> =
            guests.iter().filter(|guest| guest.is_bench() && guest.name.contains(filter)).collect();
        if chosen.is_empty() && self.filter.is_some() {
            let all: Vec<&str> = guests
                .iter()
                .filter(|guest| guest.is_bench())
                .map(|guest| guest.name.as_str())
                .collect();
            bail!("no benchmark's name contains `{filter}`; there are: {}", all.join(", "));
        }
        // Before anything is measured: a slip found after minutes would cost them.
        for guest in &chosen {
            guest.checked_header()?;
        }
        Ok(chosen)
    }

    /// Measures one guest; a contender that fails it is a result too, not the end of the benchmark.
    fn measure_guest(
        &self,
        meter: &Meter,
        guest: &Guest,
        image: &Path,
        contenders: &[Contender; 2],
    ) -> Result<GuestResult> {
        let header = guest.checked_header()?;
        // The targets are multiples of QEMU's speed, and mean nothing between dispatchers.
        let target = (!self.dispatchers).then(|| header.bench_target.unwrap_or(LEAST_RATIO));
        let measured = meter.pairs(&guest.name, image, header, contenders, self.runs);
        Ok(GuestResult::new(&guest.name, target, measured))
    }

    fn write(&self, report: &Report, folder: &Path) -> Result<()> {
        let json = self.json.clone().unwrap_or_else(|| folder.join("bench.json"));
        let svg = json.with_extension("svg");
        std::fs::write(&json, serde_json::to_string_pretty(report)?)
            .with_context(|| format!("writing {}", json.display()))?;
        std::fs::write(&svg, chart::draw(report))
            .with_context(|| format!("writing {}", svg.display()))?;
        eprintln!("\nxtask: wrote {} and {}", json.display(), svg.display());
        Ok(())
    }
}
