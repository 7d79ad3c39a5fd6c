//! The processor under us: what its two ways to be asked have in common.

mod child;
mod frame;
mod kvm;
mod process;
mod xsave;

use std::arch::x86_64::__cpuid;
use std::ptr;

use super::{Kind, Silicon};
use crate::case::{Case, FETCH, Outcome, PAGE_FAULT, Raised};

/// RF, which a fault's image of the flags has.
const RESUME_FLAG: u64 = 1 << 16;
/// The exception of INT3, whose RIP is behind it.
const BREAKPOINT: u32 = 3;

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

/// A fault of the next instruction's fetch, or a breakpoint where a branch has led, say that the
/// instruction itself is complete.
fn settle(case: &Case, outcome: &mut Outcome) {
    let (start, end) = (case.start(), case.start() + u64::from(case.length));
    let Outcome { raised, state, .. } = outcome;
    // Not the INT3 that is the instruction.
    let landed = raised.vector == BREAKPOINT && state.rip != end;
    let fetch = raised.vector == PAGE_FAULT && raised.error_code & FETCH != 0;
    if landed {
        state.rip -= 1;
    }
    if landed || fetch && state.rip != start {
        *raised = Raised::NOTHING;
        state.rflags &= !RESUME_FLAG;
    }
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
