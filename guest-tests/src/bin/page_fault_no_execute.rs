//! Bit 63 of a paging-structure entry: a fetch faults with I/D and P at whichever level it is set, data
//! accesses do not care (SDM, Page-Fault Exceptions).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::paging::{self, Flags, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};

guest_tests::entry!(main);

fn main() {
    paging::map_new(TEST_AREA, USER);
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(probe::kernel(Fetch, TEST_AREA), None);
    for level in [Level::Page4K, Level::Page2M, Level::Page1G, Level::Pml4] {
        let entry = paging::get(TEST_AREA, level);
        paging::set(TEST_AREA, level, entry | Flags::NO_EXECUTE.bits());
        paging::flush_all();
        check_eq!(probe::kernel(Read, TEST_AREA), None, "read, {level:?}");
        check_eq!(probe::kernel(Write, TEST_AREA), None, "write, {level:?}");
        check_eq!(probe::kernel(Fetch, TEST_AREA), Some(0b10001), "fetch, {level:?}");
        if level != Level::Pml4 {
            // The PML4 entry is also that of the code that user mode runs.
            check_eq!(probe::user(Fetch, TEST_AREA), Some(0b10101), "user's fetch, {level:?}");
        }
        paging::set(TEST_AREA, level, entry);
        paging::flush_all();
    }
}
