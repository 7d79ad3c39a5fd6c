//! `cargo xtask test`: everything that is tested, in one command.
//!
//! First cargo's own tests, the integration tests again with the portable dispatcher, and loom's
//! models of what runs between processors; then every guest on both dispatchers, and on QEMU
//! (`guests`), each against what its file declares (`expect`).
//!
//! The processor takes long to compile, so it is compiled no more often than it must: the guests run
//! on the release that `cargo xtask run` builds, and on the very program that the integration tests
//! were built with.

mod bochs;
mod durability;
mod expect;
mod guests;
mod miri;
mod thread_sanitizer;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use xshell::{Cmd, cmd};

use crate::guest;
use crate::machine::{self, Machine, QEMU};
use crate::workspace::{Dispatcher, Workspace};

/// The package that holds loom's models.
const MODELS: &str = "core/tests/loom/Cargo.toml";

/// The guest that shows whether KVM can be used.
const PROBE: &str = "bare_hello";

/// Runs every test: cargo's, and every guest on monovisor and on QEMU
///
/// Unit, integration and documentation tests run first, then the integration tests again with the
/// portable `loop` dispatcher, then loom's models, then each guest of guest-tests/src/bin on both
/// dispatchers, and on KVM and on qemu-system-x86_64 where they are. The last line counts the guests.
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
    /// Runs the guests whose files say so on Bochs, too
    #[arg(long)]
    bochs: bool,
    /// Runs only what Miri can run: guest memory on its portable path, mailboxes and the gate; needs
    /// nightly with Miri
    #[arg(long, conflicts_with_all = ["only_guests", "no_qemu", "bochs", "features", "filter"])]
    miri: bool,
    /// Runs only the guests with several processors, on a monovisor that ThreadSanitizer watches;
    /// needs nightly with its sources
    #[arg(long, conflicts_with_all = ["only_guests", "no_qemu", "bochs", "features", "miri"])]
    thread_sanitizer: bool,
    /// Cargo features of the `monovisor` package to test with
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
}

impl Test {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        // Headers name files from there.
        std::env::set_current_dir(&workspace.root).context("entering the workspace's folder")?;
        if self.miri {
            let passed = miri::run(workspace)?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if self.thread_sanitizer {
            return self.find_races(workspace);
        }
        let mut passed = true;
        if !self.only_guests {
            passed &= self.cargo_tests(workspace);
        }
        let images = workspace.build_guests()?;
        let machines = self.machines(workspace, &images)?;
        let guests = guest::find_all(&workspace.guest_sources())?;
        heading(&format!("{} guests on {} machines", guests.len(), machines.len()));
        passed &= guests::run(&guests, &images, &machines, self.filter.as_deref());
        if self.bochs {
            heading("a second opinion: Bochs");
            passed &= bochs::run(&guests, &images, self.filter.as_deref());
        }
        if !passed {
            eprintln!("xtask: some tests failed: see above");
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs the guests in which threads of ours work together. A race ends them with another exit code.
    fn find_races(&self, workspace: &Workspace) -> Result<ExitCode> {
        let images = workspace.build_guests()?;
        heading("building monovisor with ThreadSanitizer");
        let machine = Machine::Monovisor(thread_sanitizer::build(workspace)?);
        let mut guests = guest::find_all(&workspace.guest_sources())?;
        guests.retain(|guest| guest.checked_header().is_ok_and(|header| header.cpus > 1));
        heading(&format!("{} guests under ThreadSanitizer", guests.len()));
        let machines = [("threads", machine)];
        let passed = guests::run(&guests, &images, &machines, self.filter.as_deref());
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs cargo's tests with both dispatchers; a failure in one does not hide the other's.
    fn cargo_tests(&self, workspace: &Workspace) -> bool {
        let shell = &workspace.shell;
        let filter = &self.filter;
        let features = self.features(&[]);
        heading("unit, integration and documentation tests");
        let all = cmd!(shell, "cargo test --no-fail-fast --features {features} {filter...}");
        let mut passed = all.run().is_ok();
        heading("integration tests with the `loop` dispatcher");
        passed &= self.portable_tests(workspace).args(filter).run().is_ok();
        heading("models of what runs between processors, checked by loom");
        // A folder of its own: there the same sources are compiled for other atomics.
        let target = workspace.target.join("loom");
        passed &= cmd!(shell, "cargo test --manifest-path {MODELS} --target-dir {target}")
            .args(filter)
            .run()
            .is_ok();
        passed
    }

    /// Cargo's command for the integration tests with the `loop` dispatcher, and for the `monovisor`
    /// that they use.
    fn portable_tests<'a>(&self, workspace: &'a Workspace) -> Cmd<'a> {
        let features = self.features(&["loop-dispatch"]);
        cmd!(
            workspace.shell,
            "cargo test -p monovisor-core -p monovisor --no-fail-fast --features {features} --test *"
        )
    }

    fn features(&self, more: &[&str]) -> String {
        let features = self.features.iter().map(String::as_str).chain(more.iter().copied());
        features.map(|feature| format!("monovisor/{feature}")).collect::<Vec<_>>().join(",")
    }

    fn machines(
        &self,
        workspace: &Workspace,
        images: &Path,
    ) -> Result<Vec<(&'static str, Machine)>> {
        heading("building monovisor with both dispatchers");
        // There is nothing left to build if the tests have just run.
        let portable = self.portable_tests(workspace).arg("--no-run").quiet();
        portable.run().context("building monovisor with the `loop` dispatcher")?;
        let portable = workspace.set_aside("debug", "loop-dispatch-tested")?;
        let usual = workspace.build_monovisor(Dispatcher::Tail, &self.features)?;
        let mut machines = vec![
            ("tail", Machine::Monovisor(usual.clone())),
            ("loop", Machine::Monovisor(portable)),
        ];
        match guests::kvm_is_missing(&usual, &images.join(PROBE))? {
            None => machines.push(("kvm", Machine::Kvm(usual))),
            Some(why) => {
                eprintln!("xtask: guests are not run on KVM, where `{PROBE}` fails: {why}")
            }
        }
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
