//! `cargo xtask`: builds, runs, tests and measures monovisor.
//!
//! Here is the command line only; each subcommand is a file of its own. xtask starts monovisor and
//! QEMU as programs and depends on no other package of the workspace, so what it says about them is
//! what a user would see.
#![deny(unsafe_code)]
// A person at a terminal, or CI, reads what xtask says; no guest output passes through it.
#![allow(clippy::print_stdout)]

mod bench;
mod bochs;
mod ci;
mod fuzz;
mod guest;
mod isa;
mod machine;
mod oracle;
mod process;
mod run;
mod test;
mod testfloat;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, runs, tests and measures monovisor
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Test(test::Test),
    Bench(bench::Bench),
    Ci(ci::Ci),
    Tidy(tidy::Tidy),
    Fuzz(fuzz::Fuzz),
    Oracle(oracle::Oracle),
    Isa(isa::Isa),
    #[command(name = "testfloat")]
    TestFloat(testfloat::TestFloat),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Run(run) => run.execute(&workspace),
        Command::Test(test) => test.execute(&workspace),
        Command::Bench(bench) => bench.execute(&workspace),
        Command::Ci(ci) => ci.execute(&workspace),
        Command::Tidy(tidy) => tidy.execute(&workspace),
        Command::Fuzz(fuzz) => fuzz.execute(&workspace),
        Command::Oracle(oracle) => oracle.execute(&workspace),
        Command::Isa(isa) => isa.execute(&workspace),
        Command::TestFloat(vectors) => vectors.execute(&workspace),
    }
}
