//! The program's command line: which subcommands there are, and how it fails. Each subcommand has a
//! file of its own.
//!
//! Invariant: standard output belongs to the guest; what the program says itself is on standard
//! error and begins with its name.

pub mod cpu;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod diff;
pub mod inspect;
pub mod run;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use clap::{Parser, Subcommand};

use crate::boot::BootError;
use crate::config::settings::ConfigError;
use crate::outcome;
use crate::vm::VmError;

/// Exit code of a command line that is wrong; clap's own for those it finds.
const USAGE: u8 = 2;

/// Boots, tests and measures small x86-64 guests on any machine.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Only the arguments of the subcommand that runs are made.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Boot an image and end with the guest's exit code
    Run(Box<run::Arguments>),
    /// Say how an image would be booted: its protocol, its entry point and the processor's mode there
    Inspect(Box<inspect::Arguments>),
    /// Print the processor as a guest sees it: what CPUID returns, and which features that means
    Cpu(cpu::Arguments),
    /// Run an image on the interpreter and on KVM in lockstep, and stop where they first differ
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    Diff(Box<diff::Arguments>),
}

impl Cli {
    /// Does what the command line asks and returns the exit code.
    ///
    /// # Errors
    /// What kept it from being done.
    pub fn execute(self) -> Result<u8, Failure> {
        match self.command {
            Command::Run(arguments) => run::execute(*arguments),
            Command::Inspect(arguments) => inspect::execute(*arguments),
            Command::Cpu(arguments) => cpu::execute(arguments),
            #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
            Command::Diff(arguments) => diff::execute(*arguments),
        }
    }
}

/// A sentence and an exit code.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    exit_code: u8,
}

impl Failure {
    /// A failure of our own, as `error` and its sources tell it.
    fn own(error: &dyn Error) -> Self {
        Self { sentence: with_sources(error), exit_code: outcome::FAILURE }
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { sentence: error.to_string(), exit_code: USAGE }
    }
}

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        Self { exit_code: error.exit_code(), sentence: error.to_string() }
    }
}

impl From<VmError> for Failure {
    fn from(error: VmError) -> Self {
        Self { exit_code: error.exit_code(), sentence: error.to_string() }
    }
}

/// Writes what a subcommand was asked to tell to standard output. Its exit code.
fn print(text: &str) -> Result<u8, Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::own(&error)),
        _ => Ok(0),
    }
}

fn with_sources(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        source = error.source();
    }
    sentence
}
