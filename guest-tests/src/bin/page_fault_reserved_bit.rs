//! Reserved bits in paging-structure entries: #PF with P and RSVD in the error code (SDM, Reserved
//! Bits in Paging-Structure Entries; the limit of addresses is CPUID's MAXPHYADDR).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::cpu::cpuid;
use guest_tests::paging::{self, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};

guest_tests::entry!(main);

const PAGE_SIZE: u64 = 1 << 7;

fn main() {
    paging::map_new(TEST_AREA, USER);
    let address_bits = cpuid(0x8000_0008, 0).eax & 0xff;
    if address_bits < 52 {
        for level in [Level::Page4K, Level::Page2M, Level::Page1G, Level::Pml4] {
            with_bits(level, 1 << 51, "bit 51");
            with_bits(level, 1 << address_bits, "the bit after the last of an address");
        }
    }
    with_bits(Level::Pml4, PAGE_SIZE, "page size");
    with_bits(Level::Page2M, PAGE_SIZE | 1 << 13, "an address below the page's size");
    with_bits(Level::Page1G, PAGE_SIZE | 1 << 29, "an address below the page's size");

    let entry = paging::get(TEST_AREA, Level::Page2M);
    paging::set(TEST_AREA, Level::Page2M, entry | PAGE_SIZE | 1 << 20);
    check_eq!(probe::user(Write, TEST_AREA), Some(0b01111), "user's write");
    // What isn't present has no reserved bits.
    paging::set(TEST_AREA, Level::Page2M, (entry | PAGE_SIZE | 1 << 20) & !1);
    check_eq!(probe::kernel(Read, TEST_AREA), Some(0b00000), "not present");
}

fn with_bits(level: Level, bits: u64, what: &str) {
    let entry = paging::get(TEST_AREA, level);
    paging::set(TEST_AREA, level, entry | bits);
    paging::flush_all();
    check_eq!(probe::kernel(Read, TEST_AREA), Some(0b01001), "{what}, {level:?}");
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b01011), "{what}, {level:?}");
    paging::set(TEST_AREA, level, entry);
    paging::flush_all();
    check_eq!(probe::kernel(Read, TEST_AREA), None, "without {what}, {level:?}");
}
