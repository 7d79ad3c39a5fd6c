//! What executes a guest, chosen by `--accel`: the core's interpreter or KVM. Nothing above this
//! folder knows which engine runs.

pub mod kvm;

use std::sync::Arc;

use monovisor_core::{Engine, Vcpu};

use crate::clock::VmClock;
use crate::config::{Accel, VmConfig};
use crate::memory::GuestRam;
use crate::vm::VmError;
use kvm::{KvmVcpu, Machine, System, Unavailable};

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
pub fn create(
    config: &VmConfig,
    ram: &Arc<GuestRam>,
    clock: &VmClock,
) -> Result<Chosen, VmError> {
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
        (Accel::Kvm, None) => match kvm(ram, clock) {
            Ok(engine) => Ok(on_kvm(engine, "as --accel asks")),
            Err(why) => Err(VmError::Accelerator(format!(
                "KVM cannot be used: {why}; leave out --accel, or say --accel interp"
            ))),
        },
        (Accel::Auto, None) => Ok(match kvm(ram, clock) {
            Ok(engine) => on_kvm(engine, "/dev/kvm works"),
            Err(why) => interpreter(ram, clock, why.to_string()),
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

fn kvm(ram: &Arc<GuestRam>, clock: &VmClock) -> Result<KvmVcpu, Unavailable> {
    let system = System::open()?;
    let model = system.model();
    let machine = Machine::new(system, Arc::clone(ram))?;
    KvmVcpu::new(&machine, model, clock, BOOTSTRAP)
}

fn on_kvm(engine: KvmVcpu, reason: &str) -> Chosen {
    Chosen { name: "kvm", reason: reason.to_owned(), engine: Box::new(engine) }
}
