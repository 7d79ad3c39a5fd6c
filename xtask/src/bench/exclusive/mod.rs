//! `cargo xtask bench exclusive`: what it costs to act while no other vCPU executes.
//!
//! Two halves. The core's own harness (`core/benches/exclusive`) runs monovisor's gate and QEMU's two
//! algorithms on the same work; a guest adds under LOCK on monovisor and on the real QEMU. `report`
//! holds the results and shows them, `chart` draws them.

mod chart;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::cmd;

use self::report::{Guest, Report};
use crate::guest;
use crate::machine::{self, Machine, QEMU};
use crate::workspace::{Dispatcher, Workspace};

/// The guest that adds.
const GUEST: &str = "smp_locked_add";

const GUEST_LIMIT: Duration = Duration::from_secs(60);

/// Measures exclusive sections: monovisor's gate beside QEMU's algorithms, and locked additions of a
/// guest beside QEMU
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
        let guests = if self.guest_runs > 0 { self.guests(workspace)? } else { Vec::new() };
        let report = Report { harness, guests };
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

    /// The guest's figures on both machines, in alternating runs.
    fn guests(&self, workspace: &Workspace) -> Result<Vec<Guest>> {
        let program = workspace.build_monovisor(Dispatcher::Tail, &[])?;
        let image = workspace.build_guests()?.join(GUEST);
        let guests = guest::find_all(&workspace.guest_sources())?;
        let guest = guests.iter().find(|guest| guest.name == GUEST).context("the guest is gone")?;
        let header = guest.checked_header()?;
        let append = format!("ms={}", self.guest_ms);
        let mut machines = vec![("monovisor", Machine::Monovisor(program))];
        match machine::version(QEMU) {
            Some(version) => machines.push((version.leak(), Machine::Qemu)),
            None => eprintln!("xtask: {QEMU} is not installed, so nothing is beside monovisor"),
        }
        let mut runs = vec![Vec::new(); machines.len()];
        for _ in 0..self.guest_runs {
            for ((name, machine), runs) in machines.iter().zip(&mut runs) {
                let command = machine.invocation(&image, header, Some(&append), None);
                let run = command.run(GUEST_LIMIT)?;
                ensure!(run.status == Some(guest::header::PASSED), "{GUEST} failed on {name}");
                runs.push(Guest::parse(name, &run.stdout)?);
            }
        }
        Ok(runs.into_iter().filter_map(|runs| Guest::median(&runs)).collect())
    }
}
