//! The interpreter and KVM against each other: the same guests, the same state, and guests that move
//! from one to the other while they run. Where there is no KVM, its half is skipped and says so.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod diff;
mod events;
mod exclusive;
mod guest;
mod hostile;
mod local_apic;
mod memory;
mod migrate;
mod processors;
mod state;
mod wanderer;

use monovisor::engine::kvm::System;

/// Whether `/dev/kvm` can be used; if not, says why on standard error.
fn has_kvm() -> bool {
    match System::open() {
        Ok(_) => true,
        Err(why) => {
            eprintln!("skipped on KVM: {why}");
            false
        }
    }
}
