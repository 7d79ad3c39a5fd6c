//! The program `monovisor`.

use std::process::ExitCode;

use clap::Parser;
use monovisor::cli::Cli;

fn main() -> ExitCode {
    let exit_code = Cli::parse().execute().unwrap_or_else(|failure| {
        eprintln!("monovisor: {failure}");
        failure.exit_code()
    });
    ExitCode::from(exit_code)
}
