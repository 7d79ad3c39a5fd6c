//! `cargo xtask oracle`: the interpreter against the processor under us.
//!
//! The comparison is a test of `core` (`core/tests/oracle`), which `cargo test` runs briefly; here it
//! runs on a release, as long as is wanted, and its counts are kept for `cargo xtask isa`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;

/// Compares the interpreter with this machine's processor, instruction by instruction
///
/// Generated instructions with random and boundary operands, faulting and page-crossing ones among
/// them, are executed by both; registers, flags, memory and exception must agree. So must they behind whole
/// sequences of instructions, 250 for each of --cases (group `sequences`), made of what compilers write one
/// behind the other and of random instructions: as new and as linked blocks, in short slices, in portable
/// code, and in single steps. A mismatch is printed with the smallest state that shows it, and the fewest
/// instructions. The processor is asked as programs of Linux meet it, or
/// with --kvm as guests of KVM do. Needs x86-64 Linux. Counts go to target/oracle, where
/// `cargo xtask isa` finds them.
#[derive(Args)]
pub struct Oracle {
    /// Only groups whose name contains one of these, such as `arithmetic`, `sse`, `opcode_maps` or `sequences`
    groups: Vec<String>,
    /// Asks the processor through KVM, in user mode
    #[arg(long)]
    kvm: bool,
    /// Cases of each instruction in each mode, and of each opcode
    #[arg(long, default_value_t = 4000)]
    cases: usize,
    /// Tells which of the interpreter's handlers sequences have reached, and how often
    #[arg(long)]
    coverage: bool,
    /// Another seed makes other cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Oracle {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let Self { groups, kvm, cases, coverage, seed } = self;
        let name = if groups.is_empty() { "all".to_owned() } else { groups.join("-") };
        let (way, suffix) = if *kvm { ("--kvm", "-kvm") } else { ("--process", "") };
        let report = reports(workspace)?.join(format!("{}{suffix}.json", name.replace('/', "_")));
        let (cases, seed) = (cases.to_string(), seed.to_string());
        let run = command(workspace);
        let run = run.args(groups).args(coverage.then_some("--coverage"));
        let run = run.args([way, "--cases", &cases, "--seed", &seed, "--report"]);
        Ok(match run.arg(report).run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        })
    }
}

/// The comparison's program, to which arguments can be added.
pub fn command(workspace: &Workspace) -> xshell::Cmd<'_> {
    let shell = &workspace.shell;
    cmd!(shell, "cargo test --quiet --release -p monovisor-core --test oracle --").quiet()
}

/// Where the counts of all runs are.
pub fn reports(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("oracle");
    workspace.shell.create_dir(&folder).context("making the folder for counts")
}
