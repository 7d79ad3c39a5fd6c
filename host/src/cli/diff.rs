//! `monovisor diff`: the interpreter and KVM in lockstep, until they differ.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::Failure;
use crate::config::settings::{Invocation, Sources};
use crate::diff::report::report;
use crate::engine::lockstep::{Lockstep, Tally};
use crate::engine::{self, Chosen};
use crate::outcome;
use crate::report::human::count;
use crate::run_loop;
use crate::vm::{Vm, VmError};

/// Exit code if the engines differ.
const DIFFER: u8 = 1;

/// Run an image on the interpreter and on KVM in lockstep, and stop where they first differ
///
/// After every instruction registers, flags and device accesses are compared, now and then all of
/// memory. Time is deterministic. Exit codes: 0 if the engines agree to the end, 1 if they differ,
/// 125 if KVM can't be used.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// The image
    image: PathBuf,
    /// Words for the guest's command line
    #[arg(value_name = "GUEST ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    guest_arguments: Vec<OsString>,
}

pub(super) fn execute(arguments: Arguments) -> Result<u8, Failure> {
    let Arguments { sources, image, guest_arguments } = arguments;
    let mut config = sources.resolve(Invocation { image, guest_arguments, verbose: 0 })?;
    // Both engines must see the same time, one processor, and no memory that a device writes.
    (config.deterministic, config.cpus) = (true, 1);
    config.disks.clear();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counted = Arc::clone(&tally);
    let model = engine::offered(config.cpu);
    let make = move |place: &_| match Lockstep::new(place, model, Arc::clone(&counted)) {
        Ok(engine) => Ok(Chosen {
            name: "lockstep",
            reason: "interpreter and KVM are compared".to_owned(),
            engine: Box::new(engine),
        }),
        Err(why) => Err(VmError::Accelerator(format!("KVM cannot be used: {why}"))),
    };
    let mut vm = Vm::with_engine(&config, Box::new(make))?;
    let outcome = run_loop::run(&mut vm)?;
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
    eprintln!("monovisor: {told}; {outcome}");
    Ok(if outcome.exit_code() == outcome::FAILURE { outcome::FAILURE } else { 0 })
}
