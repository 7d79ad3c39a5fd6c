//! FXSAVE and FXRSTOR: all of XMM0 to XMM15 and MXCSR come back, the area has the manual's layout, and an
//! area that isn't aligned is #GP(0) (SDM, FXSAVE; FXRSTOR).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

#[repr(C, align(16))]
struct Area([u128; 32]);

/// Where XMM0 lies, in units of 16 bytes.
const XMM: usize = 10;

fn pattern(index: usize) -> u128 {
    0x0123_4567_89ab_cdef_0fed_cba9_8765_4321 * (index as u128 + 1)
}

fn main() {
    let (mut original, mut ours, mut seen) = (Area([0; 32]), Area([0; 32]), Area([u128::MAX; 32]));
    // SAFETY: the areas are aligned and large enough; the registers are put back at the end.
    unsafe {
        asm!("fxsave64 [{}]", in(reg) &raw mut original);
        ours.0[..XMM].copy_from_slice(&original.0[..XMM]);
        for index in 0..16 {
            ours.0[XMM + index] = pattern(index);
        }
        // MXCSR: rounding towards zero.
        ours.0[1] = ours.0[1] & !(0xffff << 64) | 0x7f80 << 64;
        asm!(
            "fxrstor64 [{ours}]",
            "fxsave64 [{seen}]",
            "fxrstor64 [{original}]",
            ours = in(reg) &raw const ours,
            seen = in(reg) &raw mut seen,
            original = in(reg) &raw const original,
        );
    }
    for index in 0..16 {
        check_eq!(seen.0[XMM + index], pattern(index), "XMM{index}");
    }
    check_eq!(seen.0[1] >> 64 & 0xffff_ffff, 0x7f80, "MXCSR");
    check_eq!(seen.0[0] & 0xffff, 0x37f, "FCW after FNINIT");
    check_eq!(seen.0[0] >> 16 & 0xffff, 0, "FSW after FNINIT");
    check_eq!(seen.0[0] >> 32 & 0xff, 0, "FTW after FNINIT, abridged: all empty");

    let misaligned = (&raw mut seen).wrapping_byte_add(8);
    // SAFETY: it faults, which `fault_of` expects; so below.
    let save = fault_of(|| unsafe { asm!("fxsave64 [{}]", in(reg) misaligned) });
    check_eq!(save.fault(), (u64::from(GP), 0), "FXSAVE, not aligned");
    // SAFETY: as above.
    let move_aligned = fault_of(|| unsafe { asm!("movaps [{}], xmm0", in(reg) misaligned) });
    check_eq!(move_aligned.fault(), (u64::from(GP), 0), "MOVAPS, not aligned");
    // SAFETY: as above.
    let operand =
        fault_of(|| unsafe { asm!("addps xmm0, [{}]", in(reg) misaligned, out("xmm0") _) });
    check_eq!(operand.fault(), (u64::from(GP), 0), "an operand in memory, not aligned");
}
