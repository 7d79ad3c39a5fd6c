//! Bit 63 of a paging-structure entry while IA32_EFER.NXE is clear: a reserved bit, so every access faults
//! with P and RSVD, and no error code has I/D (SDM, Page-Fault Exceptions).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::cpu::{rdmsr, wrmsr};
use guest_tests::paging::{self, Flags, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};
use guest_tests::register::efer::NXE;
use guest_tests::register::msr::IA32_EFER;

guest_tests::entry!(main);

fn main() {
    paging::map_new(TEST_AREA, USER);
    let entry = paging::get(TEST_AREA, Level::Page4K);
    // SAFETY: no page of the runtime uses the bit.
    unsafe { wrmsr(IA32_EFER, rdmsr(IA32_EFER) & !NXE) };
    check_eq!(probe::kernel(Fetch, 0x1234_5678_9000), Some(0b00000), "a fetch without NXE");

    paging::set(TEST_AREA, Level::Page4K, entry | Flags::NO_EXECUTE.bits());
    paging::flush_all();
    check_eq!(probe::kernel(Read, TEST_AREA), Some(0b01001));
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b01011));
    check_eq!(probe::kernel(Fetch, TEST_AREA), Some(0b01001));
    check_eq!(probe::user(Read, TEST_AREA), Some(0b01101));
}
