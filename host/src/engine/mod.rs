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

/// An engine, and the name that reports call it by.
pub struct Chosen {
    /// The name.
    pub name: &'static str,
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
            Ok(Chosen { name: "interpreter", engine: Box::new(vcpu) })
        }
    }
}
