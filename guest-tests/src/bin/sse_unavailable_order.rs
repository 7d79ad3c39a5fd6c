//! Of two things that make SSE unavailable, #UD goes before #NM (SDM, Action Taken for Combinations of
//! OSFXSR, EM and TS).
//@ qemu: differs: QEMU 7.2 looks at CR0.TS first; SDM, Action Taken for Combinations of OSFXSR, OSXMMEXCPT, SSE, EM, MP, and TS: with EM set or OSFXSR clear it is #UD whatever TS is

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cr0, cr4, set_cr0, set_cr4};
use guest_tests::interrupt::vector::UD;
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

const EM: u64 = 1 << 2;
const TS: u64 = 1 << 3;
const OSFXSR: u64 = 1 << 9;

/// The vector of an SSE instruction while CR0 and CR4 are as given. In between, nothing but assembly.
fn vector_with(cr0_bits: u64, cr4_without: u64) -> Option<u64> {
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

fn main() {
    check_eq!(vector_with(TS | EM, 0), Some(u64::from(UD)), "CR0.TS and CR0.EM");
    check_eq!(vector_with(TS, OSFXSR), Some(u64::from(UD)), "CR0.TS and no CR4.OSFXSR");
}
