//! `cargo xtask bench start`: cold start to exit under KVM, beside the least that a program can do with
//! KVM, and beside QEMU's quickest machine.
//!
//! The guest is assembly alone, so that it runs on a KVM that has to emulate kernel mode, too. (uhyve,
//! which would be the nearest peer, boots images of Hermit's alone, which no package registry has. They are
//! in kernel mode throughout, and use SSE there.)

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use xshell::cmd;

use super::statistics::Spread;
use crate::guest::header::{Header, PASSED};
use crate::machine::Machine;
use crate::process::Invocation;
use crate::workspace::{Dispatcher, Workspace};

/// The guest.
const GUEST: &str = "bare_hello";

/// A run that takes longer has hung.
const HARD_LIMIT: Duration = Duration::from_secs(10);

/// The most that monovisor's start under KVM may take, as a multiple of the minimal program's.
const TARGET: f64 = 1.5;

/// Measures the cold start under KVM beside a minimal C program that runs one HLT
///
/// Whole processes, start to exit, in turns. A ratio is of medians.
#[derive(Args)]
pub struct Start {
    /// Rounds
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// A program, the status that it ends with, and how long it took.
struct Contender {
    name: &'static str,
    invocation: Invocation,
    status: i32,
    seconds: Vec<f64>,
}

/// A row of the results.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    command: String,
    seconds: Spread,
    /// Its median over the minimal program's.
    ratio: f64,
}

impl Start {
    /// Runs the subcommand.
    pub fn execute(&self, workspace: &Workspace) -> Result<ExitCode> {
        let folder = workspace.target.join("bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let minimal = compile(workspace, &folder)?;
        let monovisor = workspace.build_monovisor(Dispatcher::Tail, &[])?;
        let image = workspace.build_guests()?.join(GUEST);
        let mut running = Vec::new();
        for contender in contenders(&minimal, &monovisor, &image) {
            match contender.run() {
                Ok(_) => running.push(contender),
                Err(why) => eprintln!("xtask: not measured: {}: {why:#}", contender.name),
            }
        }
        for _ in 0..self.runs {
            for contender in &mut running {
                let seconds = contender.run()?;
                contender.seconds.push(seconds);
            }
        }
        let rows = rows(running)?;
        for row in &rows {
            println!("{:28} {:>22} ms  {:6.2}", row.name, row.seconds.show(1e3, 2), row.ratio);
        }
        let path = folder.join("start.json");
        std::fs::write(&path, serde_json::to_string_pretty(&rows)?)
            .with_context(|| format!("writing {}", path.display()))?;
        let met = rows.get(1).is_some_and(|row| row.ratio <= TARGET);
        println!(
            "at most {TARGET} × the minimal program is wanted: {}",
            if met { "met" } else { "missed" }
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Contender {
    /// One run. Its seconds.
    fn run(&self) -> Result<f64> {
        let finished = self.invocation.run_expecting(self.status, HARD_LIMIT)?;
        Ok(finished.wall.as_secs_f64())
    }
}

/// Compiles the minimal program.
fn compile(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let source = workspace.root.join("xtask/src/bench/start/minimal.c");
    let program = folder.join("minimal");
    cmd!(workspace.shell, "cc -O2 -o {program} {source}").quiet().run().context(
        "compiling the minimal program, for which a C compiler and Linux's headers are needed",
    )?;
    Ok(program)
}

fn contenders(minimal: &Path, monovisor: &Path, image: &Path) -> Vec<Contender> {
    let header = Header::default();
    let on = |machine: Machine| machine.invocation(image, &header, None, None);
    let mut qemu = on(Machine::QemuMicrovm);
    let tcg = qemu.clone();
    qemu.words.iter_mut().filter(|word| *word == "tcg").for_each(|word| *word = "kvm".to_owned());
    let contender =
        |name, invocation, status| Contender { name, invocation, status, seconds: Vec::new() };
    vec![
        contender("a minimal C program", Invocation::new(minimal.to_string_lossy()), 0),
        contender("monovisor, KVM", on(Machine::Kvm(monovisor.to_owned())), PASSED),
        contender("monovisor, interpreter", on(Machine::Monovisor(monovisor.to_owned())), PASSED),
        contender("QEMU microvm, qboot, KVM", qemu, PASSED),
        contender("QEMU microvm, qboot, TCG", tcg, PASSED),
        contender("an empty process", Invocation::new("true"), 0),
    ]
}

fn rows(contenders: Vec<Contender>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for Contender { name, invocation, seconds, .. } in contenders {
        let seconds = Spread::of(seconds).context("no rounds")?;
        let minimal = rows.first().map_or(seconds.median, |row| row.seconds.median);
        let ratio = seconds.median / minimal;
        rows.push(Row { name, command: invocation.to_string(), seconds, ratio });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first() {
        let contender = |name, seconds| Contender {
            name,
            invocation: Invocation::new("true"),
            status: 0,
            seconds,
        };
        let contenders = vec![contender("a", vec![2.0, 1.0, 3.0]), contender("b", vec![3.0])];
        let ratios: Vec<f64> =
            rows(contenders).expect("rows").iter().map(|row| row.ratio).collect();
        assert_eq!(ratios, [1.0, 1.5]);
    }

    #[test]
    fn a_contender_that_ends_otherwise_is_an_error() {
        let invocation = Invocation::new("false");
        let contender = Contender { name: "false", invocation, status: 0, seconds: Vec::new() };
        let error = contender.run().expect_err("a failure").to_string();
        assert!(error.contains("`false` ended with status 1, not 0, saying: nothing"), "{error}");
    }
}
