//! `cargo xtask ci`: all that must hold before a change lands, step by step, with a summary.
//!
//! A failing step does not hide the next.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::workspace::Workspace;

/// Runs what CI runs: tests, formatting, clippy, documentation, house rules
///
/// Missing parts of the toolchain (rustfmt, clippy) are installed through rustup.
#[derive(Args)]
pub struct Ci {
    /// Leaves out the tests, which take the longest
    #[arg(long)]
    no_test: bool,
}

/// Packages outside the workspace.
const MODELS: &str = "core/tests/loom/Cargo.toml";
const FUZZ: &str = "core/fuzz/Cargo.toml";

/// Clippy's arguments for a package outside the workspace, built in the workspace's own folder.
const fn beside<'a>(manifest: &'a str, target: &'a str, kind: &'a str) -> [&'a str; 9] {
    ["clippy", "--manifest-path", manifest, "--target-dir", target, kind, "--", "-D", "warnings"]
}

const DENY_DOC_WARNINGS: &str = "build.rustdocflags=['-Dwarnings']";

/// A step: its name, and the arguments for cargo.
///
/// Guests are checked by themselves: together with the host's packages, cargo would give them the
/// host's features of shared dependencies, and with them `std`.
const STEPS: &[(&str, &[&str])] = &[
    ("test", &["xtask", "test"]),
    ("formatting", &["fmt", "--all", "--check"]),
    ("formatting, models", &["fmt", "--manifest-path", MODELS, "--check"]),
    ("formatting, fuzz targets", &["fmt", "--manifest-path", FUZZ, "--check"]),
    ("clippy", &["clippy", "--all-targets", "--", "-D", "warnings"]),
    (
        "clippy, loop dispatch",
        &[
            "clippy",
            "-p",
            "monovisor-core",
            "--all-targets",
            "--features",
            "loop-dispatch",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("clippy, guests", &["clippy", "-p", "guest-tests", "--", "-D", "warnings"]),
    ("clippy, models", &beside(MODELS, "target/loom", "--all-targets")),
    ("clippy, fuzz targets", &beside(FUZZ, "target/fuzz", "--bins")),
    ("documentation", &["--config", DENY_DOC_WARNINGS, "doc", "--no-deps"]),
    (
        "documentation, guests",
        &["--config", DENY_DOC_WARNINGS, "doc", "--no-deps", "-p", "guest-tests"],
    ),
    ("house rules", &["xtask", "tidy"]),
];

impl Ci {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let shell = &workspace.shell;
        for component in ["rustfmt", "clippy"] {
            let tool = if component == "clippy" { "clippy-driver" } else { component };
            if cmd!(shell, "{tool} --version")
                .quiet()
                .ignore_stdout()
                .ignore_stderr()
                .run()
                .is_err()
            {
                cmd!(shell, "rustup component add {component}").run()?;
            }
        }
        let mut summary: Vec<(&str, bool, Duration)> = Vec::new();
        for &(name, arguments) in STEPS.iter().skip(usize::from(self.no_test)) {
            eprintln!("\n━━ {name}");
            let started = Instant::now();
            let step = cmd!(shell, "cargo {arguments...}");
            summary.push((name, step.run().is_ok(), started.elapsed()));
        }
        eprintln!("\n━━ summary");
        for (name, passed, took) in &summary {
            let result = if *passed { "ok" } else { "FAILED" };
            eprintln!("{name:24} {result:6} {:7.1} s", took.as_secs_f64());
        }
        let passed = summary.iter().all(|(_, passed, _)| *passed);
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
