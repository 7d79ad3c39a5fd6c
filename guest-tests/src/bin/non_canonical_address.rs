//! Non-canonical addresses: #GP(0) before any paging, also for the part of an access that crosses the
//! limit (SDM, Canonical Addressing).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::paging::{self, KERNEL, PAGE};
use guest_tests::{catch, check_eq, fault_of};

guest_tests::entry!(main);

const BAD: u64 = 0x0000_8000_0000_0000;
const LAST: u64 = BAD - 1;

fn main() {
    for address in [BAD, 0xffff_7fff_ffff_fff8, 0x1234_5678_0000_0000] {
        // SAFETY: each of the accesses faults, which `fault_of` expects; so below.
        let data = fault_of(|| unsafe { asm!("mov rax, [{}]", in(reg) address, out("rax") _) });
        check_eq!(data.fault(), (u64::from(GP), 0), "a load from {address:#x}");
    }
    paging::map_new(LAST & !(PAGE - 1), KERNEL);
    // SAFETY: as above.
    let crossing = fault_of(|| unsafe { asm!("mov rax, [{}]", in(reg) LAST, out("rax") _) });
    check_eq!(crossing.fault(), (u64::from(GP), 0), "a load across the limit");
    // SAFETY: as above.
    let inside = catch(|| unsafe { asm!("mov al, [{}]", in(reg) LAST, out("al") _) });
    check_eq!(inside.map(|frame| frame.vector), None, "the last canonical byte");
}
