//! A benign exception whose delivery faults is only that fault; its error code names the gate and says
//! whether INT n or the processor asked for it (SDM, Interrupt 8; Error Code).
//@ qemu: differs: QEMU 7.2 has the vector times 16 in the error code; SDM, INT n, and Error Code: the index of a gate in the IDT is its vector, in 64-bit mode too

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{BP, NP, UD};
use guest_tests::interrupt::{Gate, gate, set_gate};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    for vector in [BP, UD] {
        set_gate(vector, Gate { present: false, ..gate(vector) });
    }
    // SAFETY: each of these faults, which `fault_of` expects; so below.
    let breakpoint = fault_of(|| unsafe { asm!("int3") });
    check_eq!(breakpoint.fault(), (NP.into(), u64::from(BP) * 8 + 2), "#BP is benign");
    // SAFETY: as above.
    let undefined = fault_of(|| unsafe { asm!("ud2") });
    // Bit 0, EXT: an event of the program's own, but not INT n, was being delivered.
    check_eq!(undefined.fault(), (NP.into(), u64::from(UD) * 8 + 3), "#UD is benign");
}
