//! Accessed and dirty flags: a translation sets A in every entry it uses, a write sets D in the last
//! one, a write that faults does not, and software's clearing holds after INVLPG (SDM, Accessed and
//! Dirty Flags).

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::paging::{self, Flags, Level, TEST_AREA, USER};
use guest_tests::probe::{self, Access::*};

guest_tests::entry!(main);

const LEVELS: [Level; 4] = [Level::Page4K, Level::Page2M, Level::Page1G, Level::Pml4];
const A: u64 = Flags::ACCESSED.bits();
const D: u64 = Flags::DIRTY.bits();

fn main() {
    paging::map_new(TEST_AREA, USER);
    // RET, so that the page can be called.
    check_eq!(probe::kernel(Write, TEST_AREA), None);

    clear();
    check_eq!(probe::kernel(Read, TEST_AREA), None);
    check_eq!(LEVELS.map(flags), [A, A, A, A], "after a read");
    clear();
    check_eq!(probe::kernel(Fetch, TEST_AREA), None);
    check_eq!(LEVELS.map(flags), [A, A, A, A], "after a fetch");
    clear();
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(LEVELS.map(flags), [A | D, A, A, A], "after a write");
    clear();
    check_eq!(probe::kernel(Read, TEST_AREA), None);
    check_eq!(probe::kernel(Write, TEST_AREA), None);
    check_eq!(LEVELS.map(flags), [A | D, A, A, A], "after a read and a write");
    clear();
    paging::protect(TEST_AREA, Flags::PRESENT);
    check_eq!(probe::kernel(Write, TEST_AREA), Some(0b00011));
    check_eq!(flags(Level::Page4K) & D, 0, "after a write that faulted");

    paging::map(TEST_AREA, paging::frames(512, 0x20_0000), Level::Page2M, USER);
    check_eq!(probe::kernel(Read, TEST_AREA), None);
    check_eq!(flags(Level::Page2M), A, "2 MiB after a read");
    check_eq!(probe::kernel(Write, TEST_AREA + 0x12_3456), None);
    check_eq!(flags(Level::Page2M), A | D, "2 MiB after a write");
}

fn flags(level: Level) -> u64 {
    paging::get(TEST_AREA, level)
        & if level == Level::Page4K { A | D } else { leaf_or_table(level) }
}

/// D is ignored, and so left alone, in an entry that leads to a table.
fn leaf_or_table(level: Level) -> u64 {
    let is_leaf = paging::get(TEST_AREA, level) & Flags::HUGE_PAGE.bits() != 0;
    if is_leaf { A | D } else { A }
}

fn clear() {
    for level in LEVELS {
        let entry = paging::get(TEST_AREA, level);
        paging::set(TEST_AREA, level, entry & !(A | D));
    }
    paging::flush_all();
}
