//! What makes SSE unavailable: CR0.TS is #NM, CR0.EM and a clear CR4.OSFXSR are #UD; CLTS clears TS alone
//! (SDM, Control Registers; Conditions for #NM).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::cpu::cr0;
use guest_tests::interrupt::vector::{NM, UD};
use guest_tests::register::cr0::{EM, TS};
use guest_tests::register::cr4::OSFXSR;
use guest_tests::sse::vector_with;

guest_tests::entry!(main);

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
