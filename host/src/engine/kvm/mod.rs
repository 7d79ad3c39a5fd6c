//! The engine that runs guests on the host's own processor, through KVM.
//!
//! [`System`] is `/dev/kvm`, [`Machine`] a virtual machine with its RAM, [`KvmVcpu`] a vCPU behind
//! the core's `Engine` trait. Nothing above this folder knows KVM.

mod ioctl;
mod kick;
mod local_apic;
mod machine;
mod registers;
mod state;
mod system;
mod transfer;
mod vcpu;

pub use machine::Machine;
pub use system::{System, Unavailable};
pub use vcpu::KvmVcpu;
