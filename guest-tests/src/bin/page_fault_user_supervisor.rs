//! User mode and a supervisor's page: every access faults with U/S in the error code, whichever level
//! of the paging structures withholds the page (SDM, Determination of Access Rights).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::paging::{self, Flags, KERNEL, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};

guest_tests::entry!(main);

fn main() {
    check_eq!(probe::user(Read, TEST_AREA), Some(0b00100), "not present");
    check_eq!(probe::user(Write, TEST_AREA), Some(0b00110), "not present");
    check_eq!(probe::user(Fetch, TEST_AREA), Some(0b10100), "not present");

    paging::map_new(TEST_AREA, KERNEL);
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(probe::user(Read, TEST_AREA), Some(0b00101));
    check_eq!(probe::user(Write, TEST_AREA), Some(0b00111));
    check_eq!(probe::user(Fetch, TEST_AREA), Some(0b10101));

    paging::protect(TEST_AREA, USER);
    for access in [Read, Write, Fetch] {
        check_eq!(probe::user(access, TEST_AREA), None, "{access:?}");
    }
    for level in [Level::Page2M, Level::Page1G] {
        let entry = paging::get(TEST_AREA, level);
        paging::set(TEST_AREA, level, entry & !Flags::USER_ACCESSIBLE.bits());
        paging::flush_all();
        check_eq!(probe::kernel(Read, TEST_AREA), None, "{level:?}");
        check_eq!(probe::user(Read, TEST_AREA), Some(0b00101), "{level:?}");
        paging::set(TEST_AREA, level, entry & !Flags::WRITABLE.bits());
        paging::flush_all();
        check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011), "{level:?}");
        check_eq!(probe::user(Write, TEST_AREA), Some(0b00111), "{level:?}");
        paging::set(TEST_AREA, level, entry);
        paging::flush_all();
    }
}
