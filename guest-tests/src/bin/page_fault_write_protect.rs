//! Writes to a read-only page: CR0.WP decides in supervisor mode, and has no say in user mode (SDM,
//! Determination of Access Rights).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::cpu::{cr0, set_cr0};
use guest_tests::paging::{self, Flags, TEST_AREA};
use guest_tests::probe::{self, Access::*};
use guest_tests::register::cr0::WP;

guest_tests::entry!(main);

fn main() {
    paging::map_new(TEST_AREA, Flags::PRESENT | Flags::USER_ACCESSIBLE);
    check_eq!(probe::kernel(Read, TEST_AREA), None);
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011));
    check_eq!(probe::user(Write, TEST_AREA), Some(0b00111));

    // SAFETY: the guest's own pages are writable.
    unsafe { set_cr0(cr0() & !WP) };
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(probe::user(Write, TEST_AREA), Some(0b00111));

    // SAFETY: as it was.
    unsafe { set_cr0(cr0() | WP) };
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011), "after WP is set again");
}
