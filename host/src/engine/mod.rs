//! What executes a guest, chosen by `--accel`: the core's interpreter or KVM. Nothing above this
//! folder knows which engine runs.

mod bus_lock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod kvm;

use std::sync::Arc;

use monovisor_core::{Engine, Vcpu};

use crate::clock::VmClock;
use crate::config::{Accel, VmConfig};
use crate::memory::GuestRam;
use crate::vm::VmError;

/// A processor's place in a machine.
pub struct Place {
    /// The machine's RAM.
    pub ram: Arc<GuestRam>,
    /// The processor's time.
    pub clock: VmClock,
    /// The APIC ID; 0 is the bootstrap processor's.
    pub id: u32,
}

/// An engine, the name that reports call it by, and why it is this one.
pub struct Chosen {
    /// The name.
    pub name: &'static str,
    /// The reason, as words that follow a colon.
    pub reason: String,
    /// The engine.
    pub engine: Box<dyn Engine>,
}

/// The engine of one of a machine's processors.
///
/// # Errors
/// If the configuration names an accelerator that is not there, or can't do what else it asks.
pub fn create(config: &VmConfig, place: &Place) -> Result<Chosen, VmError> {
    match (config.accel, beyond_kvm(config)) {
        (Accel::Interp, _) => Ok(interpreter(place, "as --accel asks".to_owned())),
        (Accel::Kvm, Some((flag, why))) => Err(VmError::Accelerator(format!(
            "{flag} {why}; leave out one of {flag} and --accel kvm"
        ))),
        (Accel::Auto, Some((flag, why))) => Ok(interpreter(place, format!("{flag} {why}"))),
        (Accel::Kvm, None) => match kvm_engine(place, false) {
            Ok(engine) => Ok(Chosen { name: "kvm", reason: "as --accel asks".to_owned(), engine }),
            Err(why) => Err(VmError::Accelerator(format!(
                "KVM cannot be used: {why}; leave out --accel, or say --accel interp"
            ))),
        },
        (Accel::Auto, None) => Ok(match kvm_engine(place, true) {
            Ok(engine) => {
                Chosen { name: "kvm", reason: "it passes its self-check".to_owned(), engine }
            }
            Err(why) => interpreter(place, why),
        }),
    }
}

/// The flag that only the interpreter can follow, and why.
fn beyond_kvm(config: &VmConfig) -> Option<(&'static str, &'static str)> {
    const COUNTS: &str = "needs an engine that counts instructions, and KVM does not";
    match config {
        VmConfig { deterministic: true, .. } => Some(("--deterministic", COUNTS)),
        VmConfig { max_instructions: Some(_), .. } => Some(("--max-instructions", COUNTS)),
        VmConfig { cpus: 2.., .. } => {
            Some(("--cpus", "with several processors needs the interpreter"))
        }
        _ => None,
    }
}

fn interpreter(place: &Place, reason: String) -> Chosen {
    let mut vcpu = Vcpu::new(place.ram.clone(), Arc::new(place.clock.clone()), place.id);
    if let Some(code) = place.ram.shared_code() {
        vcpu.join(code);
        vcpu.allow_bus_lock(bus_lock::is_free());
    }
    Chosen { name: "interpreter", reason, engine: Box::new(vcpu) }
}

/// KVM, after a self-check if it is to be `checked`, or why it can't be used.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn kvm_engine(place: &Place, checked: bool) -> Result<Box<dyn Engine>, String> {
    let trust = if checked { kvm::Trust::Checked } else { kvm::Trust::AsIs };
    match kvm::create(&place.ram, &place.clock, place.id, trust) {
        Ok(vcpu) => Ok(Box::new(vcpu)),
        Err(why) => Err(why.to_string()),
    }
}

/// Why there is no KVM.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn kvm_engine(_: &Place, _checked: bool) -> Result<Box<dyn Engine>, String> {
    Err("it runs x86-64 guests on x86-64 Linux alone".to_owned())
}
