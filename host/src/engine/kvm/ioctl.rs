//! Calls to KVM that `kvm-ioctls` has no function for, and how all their errors are told.

use std::io;
use std::os::fd::AsRawFd;

use kvm_bindings::kvm_interrupt;
use kvm_ioctls::VcpuFd;
use monovisor_core::EngineError;

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)`.
const KVM_INTERRUPT: libc::Ioctl = 0x4004_ae86_u32 as libc::Ioctl;

/// An engine's error out of KVM's.
pub(super) fn failed(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> EngineError {
    move |error| EngineError { operation, errno: error.errno() }
}

/// Has a maskable interrupt delivered before the next instruction.
pub(super) fn interrupt(fd: &VcpuFd, vector: u8) -> Result<(), EngineError> {
    let interrupt = kvm_interrupt { irq: vector.into() };
    // SAFETY: a vCPU's descriptor and the structure that this request reads.
    match unsafe { libc::ioctl(fd.as_raw_fd(), KVM_INTERRUPT, &raw const interrupt) } {
        0 => Ok(()),
        _ => {
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(EngineError { operation: "KVM_INTERRUPT", errno })
        }
    }
}
