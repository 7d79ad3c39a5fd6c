//! `cargo xtask bench exclusive`: what it costs to act while no other vCPU executes.
//!
//! Two halves. The core's own harness (`core/benches/exclusive`) runs monovisor's gate and QEMU's two
//! algorithms on the same work; a guest adds under LOCK on monovisor and on the real QEMU, and another one
//! tells what a second vCPU is worth, beside what a second processor of the host is (`native`). `report`
//! holds the results and shows them, `target` compares them with what is wanted, `chart` draws them.

mod chart;
mod native;
mod report;
mod target;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use self::report::{Guest, Report, Scaling};
use crate::bench::statistics::Spread;
use crate::guest;
use crate::guest::header::{Header, PASSED};
use crate::machine::{self, Machine, QEMU};
use crate::workspace::{Dispatcher, Workspace};

/// The guest that adds.
const GUEST: &str = "smp_locked_add";

/// The guest whose vCPUs do the same work, each for itself.
const SCALING: &str = "bench_smp_scaling";

const GUEST_LIMIT: Duration = Duration::from_secs(60);

/// Measures exclusive sections: monovisor's gate beside QEMU's algorithms, locked additions of a guest
/// beside QEMU, and what a second vCPU is worth
///
/// Results go to target/bench/exclusive.json, the chart beside them.
#[derive(Args)]
pub struct Exclusive {
    /// Runs of the guest on each machine, in turns; 0 leaves that half out
    #[arg(long, default_value_t = 5)]
    guest_runs: u32,
    /// Milliseconds of each of the guest's scenarios
    #[arg(long, default_value_t = 300)]
    guest_ms: u32,
}

impl Exclusive {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let shell = &workspace.shell;
        let json = cmd!(shell, "cargo bench -p monovisor-core --bench exclusive").read()?;
        let harness = serde_json::from_str(&json).context("reading the harness's figures")?;
        let (guests, scaling) = match self.guest_runs {
            0 => (Vec::new(), None),
            _ => self.guests(workspace)?,
        };
        let report = Report { harness, guests, scaling };
        print!("{}", report.show());

        let folder = workspace.target.join("bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let (json, svg) = (folder.join("exclusive.json"), folder.join("exclusive.svg"));
        std::fs::write(&json, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("writing {}", json.display()))?;
        std::fs::write(&svg, chart::draw(&report.harness))
            .with_context(|| format!("writing {}", svg.display()))?;
        eprintln!("\nxtask: wrote {} and {}", json.display(), svg.display());
        Ok(ExitCode::SUCCESS)
    }

    /// The guests' figures: on both machines, and of one vCPU beside two.
    fn guests(&self, workspace: &Workspace) -> Result<(Vec<Guest>, Option<Scaling>)> {
        let monovisor = Machine::Monovisor(workspace.build_monovisor(Dispatcher::Tail, &[])?);
        let images = workspace.build_guests()?;
        let guests = guest::find_all(&workspace.guest_sources())?;
        let header = |name: &str| {
            let guest = guests.iter().find(|guest| guest.name == name);
            guest.with_context(|| format!("the guest {name} is gone"))?.checked_header()
        };
        let scaling = self.scaling(&monovisor, &images.join(SCALING), header(SCALING)?)?;
        Ok((self.locked(monovisor, &images.join(GUEST), header(GUEST)?)?, scaling))
    }

    /// How much work two vCPUs do in the time in which one does its own; and beside each pair of runs,
    /// what the host's processors make of the same question at that moment.
    fn scaling(
        &self,
        monovisor: &Machine,
        image: &Path,
        header: &Header,
    ) -> Result<Option<Scaling>> {
        let seconds = |cpus: u32| -> Result<f64> {
            let header = Header { cpus, ..header.clone() };
            let command = monovisor.invocation(image, &header, header.bench.as_deref(), None);
            Ok(command.run_expecting(PASSED, GUEST_LIMIT)?.wall.as_secs_f64())
        };
        let (mut vcpus, mut native) = (Vec::new(), Vec::new());
        for _ in 0..self.guest_runs {
            vcpus.push(2.0 * seconds(1)? / seconds(2)?);
            native.push(2.0 * native::seconds(1) / native::seconds(2));
        }
        let scaling = |(vcpus, native)| Scaling { vcpus, native };
        Ok(Spread::of(vcpus).zip(Spread::of(native)).map(scaling))
    }

    /// The figures of locked additions on both machines, in alternating runs.
    fn locked(&self, monovisor: Machine, image: &Path, header: &Header) -> Result<Vec<Guest>> {
        let append = format!("ms={}", self.guest_ms);
        let mut machines = vec![("monovisor", monovisor)];
        match machine::version(QEMU) {
            Some(version) => machines.push((version.leak(), Machine::Qemu)),
            None => eprintln!("xtask: {QEMU} is not installed, so nothing is beside monovisor"),
        }
        let mut runs = vec![Vec::new(); machines.len()];
        for _ in 0..self.guest_runs {
            for ((name, machine), runs) in machines.iter().zip(&mut runs) {
                let command = machine.invocation(image, header, Some(&append), None);
                let run = command.run_expecting(PASSED, GUEST_LIMIT)?;
                runs.push(Guest::parse(name, &run.stdout)?);
            }
        }
        Ok(runs.into_iter().filter_map(|runs| Guest::median(&runs)).collect())
    }
}
