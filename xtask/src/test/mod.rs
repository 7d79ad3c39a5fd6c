//! `cargo xtask test`: everything that is tested, in one command.
//!
//! First cargo's own tests, with the default dispatcher and then the portable one; then every guest
//! on both, and on QEMU (`guests`), each against what its file declares (`expect`).

mod expect;
mod guests;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::guest;
use crate::machine::{self, Machine, QEMU};
use crate::workspace::{Dispatcher, Workspace};

/// Runs every test: cargo's, and every guest on monovisor and on QEMU
///
/// Unit, integration and documentation tests run first, then the processor's tests again with the
/// portable `loop` dispatcher, then each guest of guest-tests/src/bin on both dispatchers and on
/// qemu-system-x86_64 where that is installed. The last line counts the guests.
#[derive(Args)]
pub struct Test {
    /// Runs only tests whose name contains this
    filter: Option<String>,
    /// Leaves out cargo's tests and runs only the guests
    #[arg(long)]
    only_guests: bool,
    /// Does not run the guests on QEMU
    #[arg(long)]
    no_qemu: bool,
    /// Cargo features of the `monovisor` package to test with
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
}

impl Test {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let mut passed = true;
        if !self.only_guests {
            passed &= self.cargo_tests(workspace);
        }
        let machines = self.machines(workspace)?;
        let images = workspace.build_guests()?;
        let guests = guest::find_all(&workspace.guest_sources())?;
        heading(&format!("{} guests on {} machines", guests.len(), machines.len()));
        passed &= guests::run(&guests, &images, &machines, self.filter.as_deref());
        if !passed {
            eprintln!("xtask: some tests failed: see above");
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs cargo's tests with both dispatchers; a failure in one does not hide the other's.
    fn cargo_tests(&self, workspace: &Workspace) -> bool {
        let shell = &workspace.shell;
        let filter = &self.filter;
        let features: Vec<String> =
            self.features.iter().map(|feature| format!("monovisor/{feature}")).collect();
        let features = features.join(",");
        heading("unit, integration and documentation tests");
        let all = cmd!(shell, "cargo test --no-fail-fast --features {features} {filter...}");
        let mut passed = all.run().is_ok();
        heading("the processor's tests with the `loop` dispatcher");
        let portable = cmd!(
            shell,
            "cargo test -p monovisor-core --tests --no-fail-fast --features loop-dispatch {filter...}"
        );
        passed &= portable.run().is_ok();
        passed
    }

    fn machines(&self, workspace: &Workspace) -> Result<Vec<(&'static str, Machine)>> {
        heading("building monovisor with both dispatchers, and the guests");
        let portable = workspace.build_monovisor(Dispatcher::Loop, &self.features)?;
        let usual = workspace.build_monovisor(Dispatcher::Tail, &self.features)?;
        let mut machines =
            vec![("tail", Machine::Monovisor(usual)), ("loop", Machine::Monovisor(portable))];
        match machine::version(QEMU) {
            _ if self.no_qemu => eprintln!("xtask: --no-qemu: guests are not compared with QEMU"),
            Some(version) => {
                eprintln!("xtask: comparing with {version}");
                machines.push(("qemu", Machine::Qemu));
            }
            None => eprintln!(
                "xtask: {QEMU} is not installed: guests are not compared with it \
                 (Debian: apt-get install qemu-system-x86)"
            ),
        }
        Ok(machines)
    }
}

fn heading(what: &str) {
    eprintln!("\n── {what}");
}
