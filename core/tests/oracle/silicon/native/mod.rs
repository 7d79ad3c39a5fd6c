//! The processor under us: what its two ways to be asked have in common.

mod child;
mod frame;
mod kvm;
mod process;
mod xsave;

use std::arch::x86_64::__cpuid;
use std::ptr;

use super::{Kind, Silicon};

/// A way to ask it, or why there is none.
pub fn open(kind: Kind) -> Result<Box<dyn Silicon>, String> {
    Ok(match kind {
        Kind::Process => Box::new(process::Process::new()?),
        Kind::Kvm => Box::new(kvm::Guest::new()?),
    })
}

/// Whether it is one of AMD's.
pub fn is_amd() -> bool {
    let leaf = __cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

/// Memory that a fork shares.
fn map_anonymous(size: usize) -> *mut u8 {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: a new mapping wherever there is room.
    let at = unsafe {
        libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    at.cast()
}
