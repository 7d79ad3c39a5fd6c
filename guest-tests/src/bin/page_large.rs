//! Pages of 2 MiB and 1 GiB: every bit of the offset counts, the fault's address is exact, and pages of
//! different sizes can lead to the same byte (SDM, 4-Level Paging).

#![no_std]
#![no_main]

use core::ptr;
use guest_tests::check_eq;
use guest_tests::cpu::cpuid;
use guest_tests::paging::{self, Flags, KERNEL, Level, TEST_AREA};
use guest_tests::probe::{self, Access::*};

guest_tests::entry!(main);

const LARGE: u64 = 2 << 20;
const HUGE: u64 = 1 << 30;

fn main() {
    let frames = paging::frames(512, LARGE);
    let offset = 0x1a_bcd8;
    // SAFETY: the frames are new, and mapped one to one.
    unsafe { ptr::write((frames + offset) as *mut u64, 0x1234) };

    paging::map(TEST_AREA + LARGE, frames, Level::Page2M, KERNEL);
    check_eq!(read(TEST_AREA + LARGE + offset), 0x1234);
    check_eq!(probe::kernel(Read, TEST_AREA + 2 * LARGE), Some(0), "behind the page");
    check_eq!(probe::kernel(Read, TEST_AREA + LARGE - 1), Some(0), "before the page");
    paging::map(TEST_AREA + LARGE, frames, Level::Page2M, Flags::PRESENT);
    check_eq!(probe::kernel(Write, TEST_AREA + LARGE + 0x1f_ffff), Some(0b00011));

    assert!(cpuid(0x8000_0001, 0).edx & 1 << 26 != 0, "CPUID offers no pages of 1 GiB");
    paging::map(TEST_AREA + HUGE, 0, Level::Page1G, KERNEL);
    check_eq!(read(TEST_AREA + HUGE + frames + offset), 0x1234, "through a page of 1 GiB");
    check_eq!(probe::kernel(Read, TEST_AREA + 2 * HUGE), Some(0), "behind the page of 1 GiB");
}

fn read(linear: u64) -> u64 {
    // SAFETY: the page is mapped.
    unsafe { ptr::read_volatile(linear as *const u64) }
}
