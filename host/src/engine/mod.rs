//! What executes a guest, chosen by `--accel`: the core's interpreter or KVM. Nothing above this
//! folder knows which engine runs.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod kvm;

use std::sync::Arc;

use monovisor_core::{Engine, Vcpu};

use crate::clock::VmClock;
use crate::config::{Accel, VmConfig};
use crate::memory::GuestRam;
use crate::vm::VmError;

/// The APIC ID of the bootstrap processor.
const BOOTSTRAP: u32 = 0;

/// An engine, the name that reports call it by, and why it is this one.
pub struct Chosen {
    /// The name.
    pub name: &'static str,
    /// The reason, as words that follow a colon.
    pub reason: String,
    /// The engine.
    pub engine: Box<dyn Engine>,
}

/// The engine of a machine's bootstrap processor.
///
/// # Errors
/// If the configuration names an accelerator that is not there, or can't do what else it asks.
pub fn create(config: &VmConfig, ram: &Arc<GuestRam>, clock: &VmClock) -> Result<Chosen, VmError> {
    let counting = counts(config);
    match (config.accel, counting) {
        (Accel::Interp, _) => Ok(interpreter(ram, clock, "as --accel asks".to_owned())),
        (Accel::Kvm, Some(flag)) => Err(VmError::Accelerator(format!(
            "{flag} needs an engine that counts instructions, and KVM does not; leave out one of \
             {flag} and --accel kvm"
        ))),
        (Accel::Auto, Some(flag)) => {
            let reason = format!("{flag} needs an engine that counts instructions");
            Ok(interpreter(ram, clock, reason))
        }
        (Accel::Kvm, None) => match kvm_engine(ram, clock, false) {
            Ok(engine) => Ok(Chosen { name: "kvm", reason: "as --accel asks".to_owned(), engine }),
            Err(why) => Err(VmError::Accelerator(format!(
                "KVM cannot be used: {why}; leave out --accel, or say --accel interp"
            ))),
        },
        (Accel::Auto, None) => Ok(match kvm_engine(ram, clock, true) {
            Ok(engine) => {
                Chosen { name: "kvm", reason: "it passes its self-check".to_owned(), engine }
            }
            Err(why) => interpreter(ram, clock, why),
        }),
    }
}

/// The flag that only an engine which counts instructions can follow.
fn counts(config: &VmConfig) -> Option<&'static str> {
    match config {
        VmConfig { deterministic: true, .. } => Some("--deterministic"),
        VmConfig { max_instructions: Some(_), .. } => Some("--max-instructions"),
        _ => None,
    }
}

fn interpreter(ram: &Arc<GuestRam>, clock: &VmClock, reason: String) -> Chosen {
    let vcpu = Vcpu::new(Arc::clone(ram) as _, Arc::new(clock.clone()), BOOTSTRAP);
    Chosen { name: "interpreter", reason, engine: Box::new(vcpu) }
}

/// KVM, after a self-check if it is to be `checked`, or why it can't be used.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn kvm_engine(
    ram: &Arc<GuestRam>,
    clock: &VmClock,
    checked: bool,
) -> Result<Box<dyn Engine>, String> {
    let trust = if checked { kvm::Trust::Checked } else { kvm::Trust::AsIs };
    match kvm::create(ram, clock, BOOTSTRAP, trust) {
        Ok(vcpu) => Ok(Box::new(vcpu)),
        Err(why) => Err(why.to_string()),
    }
}

/// Why there is no KVM.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn kvm_engine(_: &Arc<GuestRam>, _: &VmClock, _checked: bool) -> Result<Box<dyn Engine>, String> {
    Err("it runs x86-64 guests on x86-64 Linux alone".to_owned())
}
