//! `cargo xtask testfloat`: IEEE vectors, from TestFloat's generator, through the interpreter.
//!
//! TestFloat and SoftFloat are in QEMU's source package in Debian, and in no crate; so the generator is
//! built from there, or named on the command line. What executes vectors is a test of `core`
//! (`core/tests/ieee`), which `cargo test` runs on a sample.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;

/// Executes the vectors of Berkeley TestFloat's generator, SSE to FMA and x87
///
/// Each function of TestFloat's that an instruction computes, in every rounding mode and precision:
/// results and exception flags must be the same. The generator is built below target/testfloat from
/// Debian's source package of QEMU, for which apt needs `deb-src` entries, and make and a C compiler must
/// be there.
#[derive(Args)]
pub struct TestFloat {
    /// The program `testfloat_gen`, instead of one built here
    #[arg(long)]
    generator: Option<PathBuf>,
    /// The most vectors of a function in one mode
    #[arg(long, default_value_t = 50_000)]
    most: usize,
    /// Writes the sample that `cargo test` executes
    #[arg(long)]
    sample: bool,
}

impl TestFloat {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let generator = match &self.generator {
            Some(path) => path.canonicalize().with_context(|| format!("{}", path.display()))?,
            None => build(workspace)?,
        };
        let shell = &workspace.shell;
        let mut test = cmd!(shell, "cargo test --quiet --release -p monovisor-core --test ieee")
            .args(["--", "--nocapture"])
            .env("TESTFLOAT_GENERATOR", generator)
            .env("TESTFLOAT_MOST", self.most.to_string())
            .quiet();
        if self.sample {
            test = test.env("TESTFLOAT_SAMPLE", workspace.root.join("core/tests/ieee/sample.txt"));
        }
        Ok(if test.run().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Builds the generator, unless it is there, and returns its path.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    /// Rounding and NaNs as x86 processors have them.
    const KIND: &str = "SPECIALIZE_TYPE=8086-SSE";
    const MACHINE: &str = "build/Linux-x86_64-GCC";
    let shell = &workspace.shell;
    let folder = workspace.target.join("testfloat");
    let generator = folder.join("berkeley-testfloat-3").join(MACHINE).join("testfloat_gen");
    if generator.exists() {
        return Ok(generator);
    }
    shell.create_dir(&folder)?;
    let _back = shell.push_dir(&folder);
    cmd!(shell, "apt-get source --download-only qemu")
        .run()
        .context("getting Debian's source package of QEMU; apt needs `deb-src` entries for it")?;
    let archive = archive(shell.read_dir(&folder)?)?;
    // Of each path, what is behind `qemu-VERSION/tests/fp`.
    cmd!(shell, "tar --extract --strip-components 3 --wildcards --file {archive}")
        .arg("*/tests/fp/berkeley-*")
        .run()?;
    for (package, target) in
        [("berkeley-softfloat-3", "softfloat.a"), ("berkeley-testfloat-3", "testfloat_gen")]
    {
        let source = folder.join(package).join(MACHINE);
        cmd!(shell, "make --silent --directory {source} {KIND} {target}")
            .run()
            .with_context(|| format!("building {package}"))?;
    }
    Ok(generator)
}

/// The package's original source.
fn archive(files: Vec<PathBuf>) -> Result<PathBuf> {
    let is_original = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(".orig.tar"))
    };
    files.into_iter().find(is_original).context("QEMU's source package has no original source")
}
