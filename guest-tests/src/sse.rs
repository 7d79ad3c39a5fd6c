//! What several tests of SSE need: an operation on scalars by its bits, NaNs, and what the system withholds.

use crate::cpu::{cr0, cr4, set_cr0, set_cr4};
use crate::interrupt::catch;
use core::arch::asm;

/// A quiet NaN of double precision.
pub const QNAN: u64 = 0x7ff8_0000_0000_1234;
/// A signalling one.
pub const SNAN: u64 = 0x7ff0_0000_0000_5678;
/// [`SNAN`], quieted.
pub const QUIETED: u64 = SNAN | 1 << 51;

#[macro_export]
#[doc(hidden)]
macro_rules! __scalar {
    ($code:literal, $a:expr, $b:expr) => {{
        let (a, b): (u64, u64) = ($a, $b);
        let result: u64;
        // SAFETY: only the named registers change.
        unsafe {
            ::core::arch::asm!(
                "movq xmm0, {a}",
                "movq xmm1, {b}",
                ::core::concat!($code, " xmm0, xmm1"),
                "movq {r}, xmm0",
                a = in(reg) a,
                b = in(reg) b,
                r = out(reg) result,
                out("xmm0") _,
                out("xmm1") _,
            )
        };
        result
    }};
}
/// The low quadword that an instruction of two XMM registers leaves in the first: mnemonic, first, second.
#[doc(inline)]
pub use crate::__scalar as scalar;

/// The vector of an SSE instruction while CR0 and CR4 are as given. In between, nothing but assembly.
pub fn vector_with(cr0_bits: u64, cr4_without: u64) -> Option<u64> {
    let (old_0, old_4) = (cr0(), cr4());
    // SAFETY: both registers are put back, here or below.
    let fault = catch(|| unsafe {
        asm!(
            "mov cr4, {new_4}",
            "mov cr0, {new_0}",
            "addps xmm0, xmm0",
            "mov cr0, {old_0}",
            "mov cr4, {old_4}",
            new_0 = in(reg) old_0 | cr0_bits,
            new_4 = in(reg) old_4 & !cr4_without,
            old_0 = in(reg) old_0,
            old_4 = in(reg) old_4,
            out("xmm0") _,
        )
    });
    // SAFETY: as they were.
    unsafe {
        set_cr4(old_4);
        set_cr0(old_0);
    }
    fault.map(|frame| frame.vector)
}
