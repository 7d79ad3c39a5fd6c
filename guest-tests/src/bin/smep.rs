//! CR4.SMEP: supervisor mode can't fetch from a page that user mode can use; it can still read and
//! write it, and user mode can do all (SDM, Determination of Access Rights).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::cpu::{cpuid, cr4, set_cr4};
use guest_tests::paging::{self, KERNEL, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};
use guest_tests::register::cr4::SMEP;

guest_tests::entry!(main);

fn main() {
    assert!(cpuid(7, 0).ebx & 1 << 7 != 0, "CPUID offers no SMEP");
    paging::map_new(TEST_AREA, USER);
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(probe::kernel(Fetch, TEST_AREA), None, "without SMEP");
    // SAFETY: the guest's own code lies in supervisor pages.
    unsafe { set_cr4(cr4() | SMEP) };
    check_eq!(probe::kernel(Fetch, TEST_AREA), Some(0b10001));
    check_eq!(probe::kernel(Read, TEST_AREA), None);
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(probe::user(Fetch, TEST_AREA), None);
    paging::protect(TEST_AREA, KERNEL);
    check_eq!(probe::kernel(Fetch, TEST_AREA), None, "of a supervisor's page");
}
