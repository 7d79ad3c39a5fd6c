//! A read, a write and a fetch of a page that isn't present: #PF with P = 0 in its error code, CR2
//! holds the exact address, and the frame points to the instruction (SDM, Page-Fault Exceptions).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::TEST_AREA;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const ADDRESS: u64 = TEST_AREA + 0x123;

fn main() {
    // SAFETY: each of the three faults, which `fault_of` expects.
    let read = fault_of(|| unsafe { asm!("mov {0}, [{0}]", inout(reg) ADDRESS => _) });
    check_eq!(read.fault(), (PF.into(), 0b00000));
    check_eq!(read.cr2, ADDRESS);
    // SAFETY: as above.
    let write = fault_of(|| unsafe { asm!("mov byte ptr [{0}], 1", in(reg) ADDRESS) });
    check_eq!(write.fault(), (PF.into(), 0b00010));
    check_eq!(write.cr2, ADDRESS);
    // SAFETY: as above.
    let fetch = fault_of(|| unsafe { asm!("call {0}", in(reg) ADDRESS) });
    check_eq!(fetch.fault(), (PF.into(), 0b10000));
    check_eq!(fetch.cr2, ADDRESS);
    check_eq!(fetch.rip, ADDRESS);
}
