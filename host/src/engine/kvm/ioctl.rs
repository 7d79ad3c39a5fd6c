//! Calls to KVM that `kvm-ioctls` has no function for, and how all their errors are told.

use std::io;
use std::os::fd::AsRawFd;

use kvm_bindings::{kvm_interrupt, kvm_sregs2};
use kvm_ioctls::VcpuFd;
use monovisor_core::EngineError;

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)`.
const KVM_INTERRUPT: libc::Ioctl = 0x4004_ae86_u32 as libc::Ioctl;

/// `_IOR(KVMIO, 0xcc, struct kvm_sregs2)` and `_IOW(KVMIO, 0xcd, struct kvm_sregs2)`.
const KVM_GET_SREGS2: libc::Ioctl = 0x8140_aecc_u32 as libc::Ioctl;
const KVM_SET_SREGS2: libc::Ioctl = 0x4140_aecd_u32 as libc::Ioctl;

/// An engine's error out of KVM's.
pub(super) fn failed(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> EngineError {
    move |error| EngineError { operation, errno: error.errno() }
}

/// Has a maskable interrupt delivered before the next instruction.
pub(super) fn interrupt(fd: &VcpuFd, vector: u8) -> Result<(), EngineError> {
    let interrupt = kvm_interrupt { irq: vector.into() };
    // SAFETY: a vCPU's descriptor and the structure that this request reads.
    done(
        unsafe { libc::ioctl(fd.as_raw_fd(), KVM_INTERRUPT, &raw const interrupt) },
        "KVM_INTERRUPT",
    )
}

/// Segments, tables and control registers, with the PDPTE registers.
pub(super) fn sregs2(fd: &VcpuFd) -> Result<kvm_sregs2, EngineError> {
    let mut sregs = kvm_sregs2::default();
    // SAFETY: a vCPU's descriptor and the structure that this request fills.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), KVM_GET_SREGS2, &raw mut sregs) };
    done(result, "KVM_GET_SREGS2").map(|()| sregs)
}

/// Sets what [`sregs2`] gets.
pub(super) fn set_sregs2(fd: &VcpuFd, sregs: &kvm_sregs2) -> Result<(), EngineError> {
    // SAFETY: a vCPU's descriptor and the structure that this request reads.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), KVM_SET_SREGS2, &raw const *sregs) };
    done(result, "KVM_SET_SREGS2")
}

fn done(result: libc::c_int, operation: &'static str) -> Result<(), EngineError> {
    match result {
        0 => Ok(()),
        _ => {
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(EngineError { operation, errno })
        }
    }
}
