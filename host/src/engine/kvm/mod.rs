//! The engine that runs guests on the host's own processor, through KVM.
//!
//! [`System`] is `/dev/kvm`, [`Machine`] a virtual machine with its RAM, [`KvmVcpu`] a vCPU behind
//! the core's `Engine` trait. Nothing above this folder knows KVM.

mod check;
mod flag;
mod ioctl;
mod kick;
mod local_apic;
mod machine;
mod registers;
mod state;
mod system;
mod transfer;
mod vcpu;

use std::sync::{Arc, atomic};

use monovisor_core::cpuid::Model;

pub use machine::Machine;
pub use system::{System, Unavailable};
pub use vcpu::KvmVcpu;

use super::Socket;

/// How sure one wants to be of KVM before the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The user has asked for KVM, and takes it as it is.
    AsIs,
    /// KVM is to be as good as the interpreter, or not to be used.
    Checked,
}

/// A new machine of KVM's, and its processor at `socket`, which tells what this KVM has of `model`.
///
/// # Errors
/// Why KVM can't be used.
pub fn create(
    socket: &Socket,
    model: Model,
    trust: Trust,
) -> Result<(Arc<Machine>, KvmVcpu), Unavailable> {
    let system = System::open()?;
    if trust == Trust::Checked {
        check::hardware()?;
    }
    let machine = Machine::new(system, model, socket.ram.clone())?;
    let mut vcpu = KvmVcpu::new(&machine, &socket.clock, socket.id)?;
    if trust == Trust::Checked {
        check::run(&mut vcpu, &socket.ram)?;
    }
    Ok((machine, vcpu))
}
