//! What executes a guest, chosen by `--accel`: the core's interpreter. Nothing above this folder
//! knows which engine runs.

use std::sync::Arc;

use monovisor_core::{Engine, Vcpu};

use crate::clock::VmClock;
use crate::config::Accel;
use crate::memory::GuestRam;
use crate::vm::VmError;

/// The APIC ID of the bootstrap processor.
const BOOTSTRAP: u32 = 0;

/// An engine, the name that reports call it by, and why it is this one.
pub struct Chosen {
    /// The name.
    pub name: &'static str,
    /// The reason, as words that follow a colon.
    pub reason: &'static str,
    /// The engine.
    pub engine: Box<dyn Engine>,
}

/// The engine of a machine's bootstrap processor.
///
/// # Errors
/// If `accel` names an accelerator that is not there.
pub fn create(accel: Accel, ram: &Arc<GuestRam>, clock: &VmClock) -> Result<Chosen, VmError> {
    match accel {
        Accel::Kvm => Err(VmError::Accelerator(
            "this monovisor is built without KVM; leave out --accel, or say --accel interp",
        )),
        Accel::Auto | Accel::Interp => {
            let ram = Arc::clone(ram);
            let vcpu = Vcpu::new(ram, Arc::new(clock.clone()), BOOTSTRAP);
            let reason = match accel {
                Accel::Auto => "this monovisor is built without KVM",
                _ => "as --accel asks",
            };
            Ok(Chosen { name: "interpreter", reason, engine: Box::new(vcpu) })
        }
    }
}
