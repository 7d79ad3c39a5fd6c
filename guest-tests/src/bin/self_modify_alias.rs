//! Code that is changed through another linear address of the same frame: the next run sees it, after a
//! jump as the manual asks (SDM, Self-Modifying Code; Cross-Modifying Code). A remapped page runs the code
//! of its new frame.

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::check_eq;
use guest_tests::paging::{self, Flags, KERNEL, Level, TEST_AREA};

guest_tests::entry!(main);

const ALIAS: u64 = TEST_AREA + 0x12_3000;

fn main() {
    let frame = paging::map_new(TEST_AREA, KERNEL);
    paging::map(ALIAS, frame, Level::Page4K, KERNEL);
    for value in 0..100 {
        write(ALIAS, value);
        check_eq!(call(TEST_AREA), value, "written through the alias");
        write(TEST_AREA, value + 1000);
        check_eq!(call(ALIAS), value + 1000, "run through the alias");
        write(frame, value + 2000);
        check_eq!(call(TEST_AREA), value + 2000, "written through the identity map");
        check_eq!(call(ALIAS), value + 2000, "written through the identity map");
    }

    let other = paging::frame();
    write(other, 1);
    write(frame, 0);
    paging::protect(ALIAS, Flags::PRESENT);
    for turn in 0..100 {
        let (now, expected) = if turn % 2 == 0 { (frame, 0) } else { (other, 1) };
        paging::map(TEST_AREA, now, Level::Page4K, KERNEL);
        check_eq!(call(TEST_AREA), expected, "remapped");
        check_eq!(call(ALIAS), 0, "not remapped");
    }
}

/// MOV EAX, value; RET.
fn write(to: u64, value: u32) {
    // SAFETY: the page is this test's.
    unsafe { ptr::write_volatile(to as *mut u64, 0xc300_0000_00b8 | u64::from(value) << 8) };
}

fn call(at: u64) -> u32 {
    let result: u32;
    // SAFETY: `write` wrote whole functions.
    unsafe { asm!("call {}", in(reg) at, out("eax") result) };
    result
}
