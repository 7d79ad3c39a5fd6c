//! `monovisor run`: boots an image, tells how the run ended, and ends with the guest's exit code.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::config::settings::{Invocation, Sources};
use crate::config::{Accel, VmConfig};
use crate::diagnose;
use crate::outcome::Outcome;
use crate::remote::{Look, Remote};
use crate::report::{Summary, json};
use crate::run_loop;
use crate::session::{Session, Signals};
use crate::vm::Vm;

/// Boot an image and end with the guest's exit code
///
/// Exit codes: the guest's own; 124 a limit of time or of instructions, 125 monovisor's own failure, 126
/// an image that can't be used, 127 not found, 134 a guest that died (triple fault, reset, a halt that
/// nothing can end), 128 + n signal n, 2 usage.
///
/// Where --accel leaves the choice to monovisor, one line on standard error says which engine runs.
///
/// SIGQUIT, or Ctrl-A I at a terminal, tells where the guest is while it goes on.
///
/// As a cargo runner: `runner = "monovisor run"`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// Say on standard error what boots on which engine, and how the run ended
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The image: ELF, Multiboot, PVH or a Linux bzImage; anything with --flat
    image: PathBuf,
    /// Words for the guest's command line; behind the first of them, or `--`, they may begin with a hyphen
    #[arg(value_name = "GUEST ARGS", trailing_var_arg = true)]
    guest_arguments: Vec<OsString>,
}

pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let Arguments { sources, verbose, image, guest_arguments } = arguments;
    let config = sources.resolve(Invocation { image, guest_arguments, verbose })?;
    let signals = Signals::hold();
    let mut vm = Vm::new(&config)?;
    announce(&config, &vm);
    let look = {
        let (config, remote, bias) = (config.clone(), vm.remote(), vm.loaded().bias);
        move || show(&config, &remote, bias)
    };
    let session = Session::start(signals, &mut vm, look).map_err(|error| Failure::own(&error))?;
    let outcome = run_loop::run(&mut vm);
    // What is said from here on is for a terminal in its usual mode.
    drop(session);
    let outcome = outcome?;
    tell(&config, &mut vm, &outcome)?;
    vm.leave();
    Ok(outcome.exit_code())
}

/// Which engine runs and why, unless the user has named it; with `-v`, also what it boots.
fn announce(config: &VmConfig, vm: &Vm) {
    let (engine, reason) = (vm.engine_name(), vm.engine_reason());
    if config.verbose > 0 {
        let (protocol, entry) = (vm.loaded().protocol, vm.loaded().entry);
        eprintln!(
            "monovisor: booting by {protocol} at {entry:#x} on the {engine} engine: {reason}"
        );
    } else if config.accel == Accel::Auto {
        eprintln!("monovisor: running on the {engine} engine: {reason}");
    }
}

/// What people and programs get to know of the end.
fn tell(config: &VmConfig, vm: &mut Vm, outcome: &Outcome) -> Result<(), Failure> {
    let summary = Summary {
        outcome,
        image: &config.image,
        engine: vm.engine_name(),
        cpus: vm.cpus(),
        ended_by: vm.ended_by(),
        instructions: vm.instructions(),
        wall_time: told_wall_time(config, vm),
        unclaimed: vm.bus().unclaimed(),
    };
    if config.verbose > 0 && !outcome.has_report() {
        eprintln!("monovisor: {summary}");
    }
    let written = config.json.as_ref().map(|path| json::write(path, &summary));
    if outcome.has_report() {
        explain(config, vm, outcome)?;
    } else if config.verbose == 0 && !outcome.is_orderly() {
        eprintln!("monovisor: {outcome}");
    }
    written.transpose().map(|_| ()).map_err(|error| Failure::own(&error))
}

/// How long the run took; not told of a deterministic one, of which all that is told repeats.
fn told_wall_time(config: &VmConfig, vm: &Vm) -> Option<Duration> {
    (!config.deterministic).then(|| vm.wall_time())
}

/// The report on a guest that goes on: where all its processors were at one instant.
fn show(config: &VmConfig, remote: &Remote, bias: u64) {
    let Some(Look { processors, ram }) = remote.look() else { return };
    let states: Vec<_> = processors.iter().map(|seen| seen.state.clone()).collect();
    let Some(first) = processors.first() else { return };
    let failure = diagnose::Failure {
        outcome: None,
        state: &first.state,
        processor: (states.len() > 1).then_some(0),
        processors: if states.len() > 1 { &states } else { &[] },
        ram: &ram,
        deliveries: &first.deliveries,
        unclaimed: &[],
        image: &config.image,
        bias,
        timeout: config.timeout,
        max_instructions: config.max_instructions,
        instructions: processors.iter().map(|seen| seen.instructions).sum(),
        wall_time: None,
        command: &diagnose::command(),
    };
    eprint!("{}", diagnose::report(&failure, stderr().is_terminal()));
}

/// The report on a guest that has died, or that the engine failed at.
fn explain(config: &VmConfig, vm: &mut Vm, outcome: &Outcome) -> Result<(), Failure> {
    let processor = vm.ended_by().unwrap_or(0);
    let Ok(states) = vm.states() else {
        // An engine that has failed may have lost it.
        eprintln!("monovisor: {outcome}");
        return Ok(());
    };
    let deliveries: Vec<_> =
        vm.fault_log(processor).into_iter().flat_map(|log| log.iter()).copied().collect();
    let failure = diagnose::Failure {
        outcome: Some(outcome),
        state: &states[processor],
        processor: vm.ended_by(),
        processors: if vm.cpus() > 1 { &states } else { &[] },
        ram: vm.ram(),
        deliveries: &deliveries,
        unclaimed: vm.bus().unclaimed(),
        image: &config.image,
        bias: vm.loaded().bias,
        timeout: config.timeout,
        max_instructions: config.max_instructions,
        instructions: vm.instructions(),
        wall_time: told_wall_time(config, vm),
        command: &diagnose::command(),
    };
    eprint!("{}", diagnose::report(&failure, stderr().is_terminal()));
    Ok(())
}
