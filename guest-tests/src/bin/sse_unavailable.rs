//! What makes SSE unavailable: CR0.TS is #NM, CR0.EM and a clear CR4.OSFXSR are #UD; CLTS clears TS alone
//! (SDM, Control Registers; Conditions for #NM).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::{cr0, cr4, set_cr0, set_cr4};
use guest_tests::interrupt::vector::{NM, UD};
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
    check_eq!(vector_with(0, 0), None);
    check_eq!(vector_with(TS, 0), Some(u64::from(NM)), "CR0.TS");
    check_eq!(vector_with(EM, 0), Some(u64::from(UD)), "CR0.EM");
    check_eq!(vector_with(0, OSFXSR), Some(u64::from(UD)), "no CR4.OSFXSR");

    let before = cr0();
    let (set, cleared): (u64, u64);
    // SAFETY: TS is clear again before any Rust runs.
    unsafe {
        asm!(
            "mov cr0, {with_ts}",
            "mov {set}, cr0",
            "clts",
            "mov {cleared}, cr0",
            with_ts = in(reg) before | TS,
            set = out(reg) set,
            cleared = out(reg) cleared,
        )
    };
    check_eq!((set, cleared), (before | TS, before), "CLTS");
}
