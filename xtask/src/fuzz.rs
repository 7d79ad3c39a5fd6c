//! `cargo xtask fuzz`: feeds random input to the processor for a while.
//!
//! The targets are the files of `core/fuzz/fuzz_targets`; that crate stands outside the workspace,
//! because it is built by cargo-fuzz with a nightly compiler and its sanitizers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;

/// Fuzzes the processor with cargo-fuzz
///
/// Installs cargo-fuzz into the target folder and a nightly toolchain through rustup where they are
/// missing. Inputs that are worth keeping stay in core/fuzz/corpus, failing ones in
/// core/fuzz/artifacts; the report of a failure names the command that repeats it.
#[derive(Args)]
pub struct Fuzz {
    /// Only this target, a file of core/fuzz/fuzz_targets without its `.rs` [default: all]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

impl Fuzz {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let targets = self.choose(workspace)?;
        let cargo_fuzz = install(workspace)?;
        let shell = &workspace.shell;
        let core = workspace.root.join("core");
        let limit = format!("-max_total_time={}", self.seconds);
        let mut failed = Vec::new();
        for target in &targets {
            let _in_core = shell.push_dir(&core);
            let run = cmd!(shell, "{cargo_fuzz} fuzz run {target} -- {limit} -print_final_stats=1");
            if run.env("RUSTUP_TOOLCHAIN", "nightly").run().is_err() {
                failed.push(target.as_str());
            }
        }
        if failed.is_empty() {
            eprintln!("xtask: {} s without a failure in {}", self.seconds, targets.join(", "));
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("xtask: fuzzing failed in {}", failed.join(", "));
        Ok(ExitCode::FAILURE)
    }

    fn choose(&self, workspace: &Workspace) -> Result<Vec<String>> {
        let folder = workspace.root.join("core/fuzz/fuzz_targets");
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("looking for targets in {}", folder.display()))?;
        let mut targets = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                targets.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        targets.sort();
        match &self.target {
            None if targets.is_empty() => bail!("there is no target in {}", folder.display()),
            None => Ok(targets),
            Some(target) if targets.contains(target) => Ok(vec![target.clone()]),
            Some(target) => bail!("there is no target `{target}`, but: {}", targets.join(", ")),
        }
    }
}

/// Makes sure of cargo-fuzz and a nightly toolchain, and returns the program.
fn install(workspace: &Workspace) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let nightly = cmd!(shell, "rustup run nightly rustc --version");
    if nightly.quiet().ignore_stdout().ignore_stderr().run().is_err() {
        cmd!(shell, "rustup toolchain install nightly --profile minimal")
            .run()
            .context("fuzzing needs a nightly toolchain, for its sanitizers")?;
    }
    let tools = workspace.target.join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !program.exists() {
        cmd!(shell, "cargo install cargo-fuzz --locked --root {tools}")
            .run()
            .context("installing cargo-fuzz")?;
    }
    Ok(program)
}
