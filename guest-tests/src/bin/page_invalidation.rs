//! What makes a changed translation visible: INVLPG for one page, global or not; a load of CR3 for all
//! that aren't global; a change of CR4.PGE for all. A page that becomes present needs nothing (SDM,
//! Invalidation of TLBs and Paging-Structure Caches).

#![no_std]
#![no_main]

use core::ptr;
use guest_tests::check_eq;
use guest_tests::cpu::{cr4, set_cr4};
use guest_tests::paging::{self, Flags, KERNEL, Level, TEST_AREA};
use guest_tests::register::cr4::PGE;

guest_tests::entry!(main);

fn main() {
    // SAFETY: global pages concern nobody else.
    unsafe { set_cr4(cr4() | PGE) };
    let frames = [paging::frame(), paging::frame()];
    for (value, frame) in frames.into_iter().enumerate() {
        // SAFETY: the frame is new, and mapped one to one.
        unsafe { ptr::write(frame as *mut u64, value as u64) };
    }
    let global = KERNEL | Flags::GLOBAL;
    let entry = |frame: u64, flags: Flags| frame | flags.bits();

    // The page becomes present without any invalidation.
    paging::set_without_flush(TEST_AREA, Level::Page4K, 0);
    for (flags, invalidate, what) in [
        (KERNEL, invlpg as fn(), "INVLPG"),
        (global, invlpg, "INVLPG of a global page"),
        (KERNEL, paging::flush_all, "MOV CR3"),
        (global, toggle_pge, "CR4.PGE"),
        (KERNEL, toggle_pge, "CR4.PGE, page not global"),
    ] {
        paging::set_without_flush(TEST_AREA, Level::Page4K, entry(frames[0], flags));
        check_eq!(read(), 0, "present without invalidation, before {what}");
        paging::set_without_flush(TEST_AREA, Level::Page4K, entry(frames[1], flags));
        invalidate();
        check_eq!(read(), 1, "after {what}");
        paging::unmap(TEST_AREA, Level::Page4K);
    }
}

fn read() -> u64 {
    // SAFETY: the page is mapped.
    unsafe { ptr::read_volatile(TEST_AREA as *const u64) }
}

fn invlpg() {
    paging::flush(TEST_AREA);
}

fn toggle_pge() {
    // SAFETY: as above.
    unsafe {
        set_cr4(cr4() & !PGE);
        set_cr4(cr4() | PGE);
    }
}
