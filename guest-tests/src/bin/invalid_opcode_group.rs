//! C6 is MOV with /0 and XABORT with /7; every other form is #UD (SDM, Opcode Map).
//@ qemu: differs: QEMU 7.2 runs all as MOV; SDM, Opcode Extensions: Group 11 of C6 has no /1

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::UD;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    // SAFETY: it faults, which `fault_of` expects.
    let group = fault_of(|| unsafe { asm!(".byte 0xc6, 0xc8, 0", out("al") _) });
    check_eq!(group.vector, u64::from(UD), "C6 /1");
}
