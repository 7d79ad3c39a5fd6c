//! #DF(0) when delivering a contributory exception or a page fault raises another (SDM, Interrupt 8).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{DE, DF, GP, PF};
use guest_tests::interrupt::{Gate, gate, set_gate};
use guest_tests::paging::TEST_AREA;
use guest_tests::segment::{TASK, tss};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    for vector in [DE, PF, GP] {
        set_gate(vector, Gate { present: false, ..gate(vector) });
    }
    // SAFETY: each of these faults, which `fault_of` expects; so below.
    let divide = fault_of(|| unsafe { asm!("div {0:e}", in(reg) 0, out("eax") _, out("edx") _) });
    check_eq!(divide.fault(), (DF.into(), 0), "#NP on the way to #DE");
    // SAFETY: as above.
    let page = fault_of(|| unsafe { asm!("mov al, [{}]", in(reg) TEST_AREA, out("al") _) });
    check_eq!(page.fault(), (DF.into(), 0), "#NP on the way to #PF");
    // SAFETY: as above.
    let protection = fault_of(|| unsafe { asm!("ltr {:x}", in(reg) TASK) });
    check_eq!(protection.fault(), (DF.into(), 0), "#NP on the way to #GP");

    // A stack that isn't mapped: #PF on the way to #PF.
    set_gate(PF, Gate { ist: 7, ..Gate::to_stub(PF) });
    // SAFETY: only the gate of #PF uses entry 7.
    unsafe { (*tss()).ist[6] = TEST_AREA + 0x1000 };
    // SAFETY: as above.
    let stack = fault_of(|| unsafe { asm!("mov al, [{}]", in(reg) TEST_AREA, out("al") _) });
    check_eq!(stack.fault(), (DF.into(), 0), "#PF on the way to #PF");
    check_eq!(stack.cr2, TEST_AREA + 0x1000 - 8, "CR2 is the second fault's");
}
