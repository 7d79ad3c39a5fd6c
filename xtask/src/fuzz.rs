//! `cargo xtask fuzz`: feeds random input to the processor for a while.
//!
//! The targets are the files of `core/fuzz/fuzz_targets`. Here is how they are built and run; what
//! they feed and check is theirs. libFuzzer itself comes with the crate `libfuzzer-sys`, and what
//! cargo-fuzz would do beyond that are the few compiler flags below, so it is not needed. Coverage
//! is a pass that any compiler has; sanitizers are a nightly compiler's alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;

/// Has the compiler count edges, for libFuzzer to be guided by. Comparisons are not traced: that takes
/// half of the time, and what inputs have to guess are opcodes, which the dictionary has.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1";

/// An input that takes longer hangs. Those that are executed to the end of their budgets take
/// milliseconds, on a loaded machine under a sanitizer some hundred.
const HANG_SECONDS: u32 = 20;

/// Longer inputs hold no more that could matter: registers, then code that is executed at once.
const LONGEST_INPUT_BYTES: u32 = 1024;

/// Fuzzes the processor with libFuzzer
///
/// Needs a C++ compiler, which builds libFuzzer. As it is, the processor is fuzzed as it is
/// released: handlers call each other. With --sanitizer it has debug assertions, a loop that
/// dispatches, and AddressSanitizer, for which a nightly toolchain must be there.
///
/// Inputs that are worth keeping stay in core/fuzz/corpus, failing ones in core/fuzz/artifacts; a
/// failing one is repeated by --input FILE.
#[derive(Args)]
pub struct Fuzz {
    /// Only this target, a file of core/fuzz/fuzz_targets without its `.rs` [default: all]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Watch memory with AddressSanitizer, and check debug assertions
    #[arg(long)]
    sanitizer: bool,
    /// Repeat this input alone
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

impl Fuzz {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let targets = self.choose(workspace)?;
        let programs = self.build(workspace)?;
        let mut failed = Vec::new();
        for target in &targets {
            if !self.fuzz(workspace, &programs.join(target), target)? {
                failed.push(target.as_str());
            }
        }
        if !failed.is_empty() {
            eprintln!("xtask: fuzzing failed in {}", failed.join(", "));
            return Ok(ExitCode::FAILURE);
        }
        if self.input.is_none() {
            eprintln!("xtask: {} s without a failure in {}", self.seconds, targets.join(", "));
        }
        Ok(ExitCode::SUCCESS)
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

    /// Builds all targets and returns the folder that the programs are in.
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        let shell = &workspace.shell;
        let compiler = shell.var("CXX").unwrap_or_else(|_| "c++".to_owned());
        if cmd!(shell, "{compiler} --version").quiet().ignore_stdout().run().is_err() {
            bail!("libFuzzer is C++, and `{compiler}` does not run: install a C++ compiler");
        }
        let host = host(workspace)?;
        // Beside each other, so that neither rebuilds the other's.
        let (folder, profile, flags) = match self.sanitizer {
            true => ("fuzz-sanitizer", "checked", format!("{COVERAGE} -Zsanitizer=address")),
            false => ("fuzz", "release", COVERAGE.to_owned()),
        };
        let target = workspace.target.join(folder);
        let manifest = workspace.root.join("core/fuzz/Cargo.toml");
        // With a target named, build scripts and macros are built without the flags.
        let mut build = cmd!(
            shell,
            "cargo build --manifest-path {manifest} --target {host} --target-dir {target}
                --profile {profile} --bins"
        )
        .env("RUSTFLAGS", flags);
        if self.sanitizer {
            require_nightly(workspace)?;
            build = build.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("RUSTC");
        }
        build.run().context("building the fuzz targets")?;
        Ok(target.join(host).join(profile))
    }

    /// Runs a target; whether it found nothing.
    fn fuzz(&self, workspace: &Workspace, program: &Path, target: &str) -> Result<bool> {
        let shell = &workspace.shell;
        let fuzz = workspace.root.join("core/fuzz");
        let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts"));
        if let Some(input) = &self.input {
            return Ok(cmd!(shell, "{program} {input}").run().is_ok());
        }
        shell.create_dir(&corpus)?;
        shell.create_dir(&artifacts)?;
        let prefix = format!("-artifact_prefix={}/{target}-", artifacts.display());
        let limits = [
            format!("-max_total_time={}", self.seconds),
            format!("-timeout={HANG_SECONDS}"),
            format!("-max_len={LONGEST_INPUT_BYTES}"),
            // Without code behind the registers an input does nothing.
            "-len_control=0".to_owned(),
            format!("-dict={}", fuzz.join("opcodes.dict").display()),
        ];
        let run = cmd!(shell, "{program} {corpus} {prefix} {limits...} -print_final_stats=1");
        Ok(run.run().is_ok())
    }
}

/// The target triple of this machine.
pub fn host(workspace: &Workspace) -> Result<String> {
    let about = cmd!(workspace.shell, "rustc --version --verbose").quiet().read()?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc --version --verbose` names no host")?.to_owned())
}

/// Fails unless there is a nightly compiler.
pub fn require_nightly(workspace: &Workspace) -> Result<()> {
    let nightly = cmd!(workspace.shell, "rustup run nightly rustc --version");
    if nightly.quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!(
            "sanitizers need a nightly compiler: run `rustup toolchain install nightly --profile \
             minimal`, or do without"
        );
    }
    Ok(())
}
