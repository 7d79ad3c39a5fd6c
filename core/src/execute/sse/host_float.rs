//! The host's floating-point environment while handlers run.
//!
//! Arithmetic is the host's own: each instruction is executed by the same instruction of the host,
//! so results, rounding, denormals and sticky flags are right by construction. For that the host's
//! MXCSR holds the guest's while handlers run, with every exception masked: a few nanoseconds when
//! dispatch begins and ends, and nothing per operation. The flags that the host's MXCSR has
//! gathered are added to the guest's when somebody asks ([`Cpu::mxcsr`]) and when dispatch ends.
//!
//! This crate computes with no Rust floats, to which the language promises the default environment;
//! its host traits (`Clock`, `GuestMemory`) are called while the guest's is loaded, and must not
//! compute with floats either. Moves don't look at MXCSR, so the compiler is free to use them.
//!
//! Where an exception is unmasked the operation is computed in integers
//! ([`soft_float`](super::soft_float)) inside [`guarded`], which raises #XM before anything is
//! written. On other hosts than x86-64 every operation is, and nothing is loaded here.

use super::super::{Cpu, Leave};
use crate::state::{Cr4Flags, Exception, Vector};

/// The exception flags.
pub(crate) const FLAGS: u32 = 0x3f;
/// The exception masks.
pub(crate) const MASKS: u32 = FLAGS << MASK_SHIFT;
/// Flags of what is found before a result is computed: invalid operation, denormal operand, divide
/// by zero.
const PRE_COMPUTATION: u32 = 7;
pub(super) const MASK_SHIFT: u32 = 7;
/// Where an operation of several steps keeps the flags of those that are complete, while it computes.
pub(super) const COMPLETED_SHIFT: u32 = 16;
pub(super) const FLUSH_TO_ZERO: u32 = 1 << 15;
/// Bits of MXCSR that are not reserved (MXCSR_MASK in the FXSAVE image).
pub(crate) const WRITABLE: u32 = 0xffff;

/// Loads the host's MXCSR.
#[inline(always)]
fn load(mxcsr: u32) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: no reserved bit is set: the guest's MXCSR is checked where it is written, the host's
    // comes from the host. No Rust float is computed until the host's is back.
    unsafe {
        core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = mxcsr;
}

/// The host's MXCSR; zero where the host has none.
#[inline(always)]
fn store() -> u32 {
    let mut mxcsr = 0_u32;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction writes the four bytes of the local.
    unsafe {
        core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr,
            options(nostack, preserves_flags));
    }
    let _ = &mut mxcsr;
    mxcsr
}

/// The host's own MXCSR, to be put back.
pub(crate) struct HostMxcsr(u32);

/// Loads the guest's MXCSR in place of the host's.
pub(crate) fn enter(cpu: &Cpu) -> HostMxcsr {
    let host = HostMxcsr(store());
    let guest = cpu.state.fpu.mxcsr & WRITABLE | MASKS;
    // Loading it is not cheap, and most often it is the same.
    if guest != host.0 {
        load(guest);
    }
    host
}

/// Collects the guest's flags, and puts the host's MXCSR back.
pub(crate) fn leave(cpu: &mut Cpu, host: HostMxcsr) {
    let mxcsr = store();
    cpu.state.fpu.mxcsr |= mxcsr & FLAGS;
    if mxcsr != host.0 {
        load(host.0);
    }
}

impl Cpu {
    /// The guest's MXCSR with all its flags. Only while it is loaded: between [`enter`] and
    /// [`leave`].
    pub(crate) fn mxcsr(&self) -> u32 {
        self.state.fpu.mxcsr | store() & FLAGS
    }

    /// Replaces the guest's MXCSR. The block must end, since it was translated for the old masks.
    pub(crate) fn set_mxcsr(&mut self, mxcsr: u32) {
        self.state.fpu.mxcsr = mxcsr;
        load(mxcsr & WRITABLE | MASKS);
    }
}

/// Performs an operation while some exception is unmasked.
///
/// # Errors
/// #XM, or #UD if the system does not handle #XM, when the operation raises an unmasked exception
/// (SDM, "SIMD Floating-Point Exception Conditions"). Its flags are then set: if it is one that
/// precedes the computation, only those of its like, in whatever element.
pub(in crate::execute) fn guarded<T>(
    cpu: &mut Cpu,
    operation: impl FnOnce(&mut u32) -> T,
) -> Result<T, Leave> {
    let before = cpu.mxcsr();
    let mut mxcsr = before & !FLAGS;
    let result = operation(&mut mxcsr);
    let raised = mxcsr & FLAGS;
    let unmasked = raised & !(mxcsr >> MASK_SHIFT);
    let reported = if unmasked & PRE_COMPUTATION != 0 { raised & PRE_COMPUTATION } else { raised };
    cpu.set_mxcsr(before | reported | mxcsr >> COMPLETED_SHIFT & FLAGS);
    if unmasked == 0 {
        return Ok(result);
    }
    Err(match cpu.state.control.cr4.contains(Cr4Flags::OSXMMEXCPT_ENABLE) {
        true => Exception::plain(Vector::SimdFloatingPoint).into(),
        false => Exception::UD.into(),
    })
}
