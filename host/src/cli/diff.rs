//! `monovisor diff`: the interpreter and KVM in lockstep, until they differ.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::{Failure, USAGE};
use crate::config::settings::{Invocation, Sources};
use crate::config::{Accel, VmConfig};
use crate::diff::report::report;
use crate::engine::lockstep::{Lockstep, Tally};
use crate::engine::{self, Chosen};
use crate::outcome::{self, Outcome};
use crate::report::human::count;
use crate::run_loop;
use crate::vm::{Vm, VmError};

/// Exit code if the engines differ.
const DIFFER: u8 = 1;

/// Whether a configuration asks for something.
type IsSet = fn(&VmConfig) -> bool;

/// What can be configured and has no meaning here: whether it is, its flag, and why it has none.
const REFUSED: &[(IsSet, &str, &str)] = &[
    (|config| config.accel != Accel::Auto, "--accel", "runs both engines"),
    (|config| config.cpus != 1, "--cpus", "compares one processor"),
    (|config| !config.disks.is_empty(), "--disk", "compares memory that only the processor writes"),
    (|config| config.json.is_some(), "--json", "tells what it finds as text"),
];

/// Run an image on the interpreter and on KVM in lockstep, and stop where they first differ
///
/// After every instruction registers, flags and device accesses are compared, now and then and at the
/// end all of memory. Time is deterministic.
///
/// Exit codes: 0 if the engines agree until the guest ends, however it does; 1 if they differ; 124 if
/// they agree until a limit; 125 if nothing could be compared or monovisor itself failed, 126 an image
/// that can't be used, 127 not found, 2 usage.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// The image
    image: PathBuf,
    /// Words for the guest's command line; behind the first of them, or `--`, they may begin with a hyphen
    #[arg(value_name = "GUEST ARGS", trailing_var_arg = true)]
    guest_arguments: Vec<OsString>,
}

pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let Arguments { sources, image, guest_arguments } = arguments;
    let mut config = sources.resolve(Invocation { image, guest_arguments, verbose: 0 })?;
    if let Some((_, flag, why)) = REFUSED.iter().find(|(is_set, ..)| is_set(&config)) {
        let sentence = format!("diff {why}, so {flag} has no meaning for it; leave it out");
        return Err(Failure { sentence, exit_code: USAGE });
    }
    // Both engines must see the same time.
    config.deterministic = true;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counted = Arc::clone(&tally);
    let model = engine::offered(config.cpu);
    let make = move |socket: &_| match Lockstep::new(socket, model, Arc::clone(&counted)) {
        Ok(engine) => Ok(Chosen {
            name: "lockstep",
            reason: "interpreter and KVM are compared".to_owned(),
            engine: Box::new(engine),
        }),
        Err(why) => Err(VmError::Accelerator(format!("KVM cannot be used: {why}"))),
    };
    let mut vm = Vm::with_engine(&config, Box::new(make))?;
    let outcome = run_loop::run(&mut vm)?;
    // The engine compares a last time as it goes.
    drop(vm);
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    let told = format!(
        "{} instructions alike, {} events delivered by the interpreter alone, {} instructions \
         that KVM cannot step",
        count(tally.compared),
        count(tally.events),
        count(tally.not_stepped)
    );
    if let Some(finding) = &tally.finding {
        eprint!("{}", report(finding));
        eprintln!("  before: {told}");
        return Ok(DIFFER);
    }
    if tally.compared == 0 {
        eprintln!("monovisor: nothing was compared: {told}; {outcome}");
        return Ok(outcome::FAILURE);
    }
    eprintln!("monovisor: {told}; {outcome}");
    Ok(exit_code(&outcome))
}

/// The exit code where the engines agree: how the guest ends is its own business, that it was not
/// allowed to is told.
fn exit_code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::TimeLimit
        | Outcome::InstructionLimit
        | Outcome::Interrupted { .. }
        | Outcome::OutputClosed
        | Outcome::EngineFailure(_) => outcome.exit_code(),
        _ => 0,
    }
}
