//! An instruction that lies in two pages, changed in either of them; and the second page remapped under
//! it (SDM, Self-Modifying Code; INVLPG).
//@ bochs: differs: Bochs 2.7 executes what was in the second page before INVLPG; SDM, Serializing Instructions: INVLPG is one, so what was fetched before it is gone

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::check_eq;
use guest_tests::paging::{self, KERNEL, Level, PAGE, TEST_AREA};

guest_tests::entry!(main);

fn main() {
    let first = paging::map_new(TEST_AREA, KERNEL);
    let seconds = [paging::frame(), paging::frame()];
    // MOV EAX, imm32 with two bytes of the immediate in each page; then RET.
    let start = PAGE - 3;
    put(first + start, &[0xb8, 0, 0]);
    for second in seconds {
        put(second, &[0, 0, 0xc3]);
    }
    paging::map(TEST_AREA + PAGE, seconds[0], Level::Page4K, KERNEL);
    for value in 0..100_u32 {
        let [a, b, c, d] = (value * 0x0101_0101).to_le_bytes();
        put(first + start + 1, &[a, b]);
        put(seconds[0], &[c, d]);
        check_eq!(call(TEST_AREA + start), value * 0x0101_0101);
        put(seconds[0], &[0x55]);
        check_eq!(
            call(TEST_AREA + start),
            (value * 0x0101_0101) & 0xff00_ffff | 0x55_0000,
            "second page"
        );
        put(first + start + 1, &[0x66]);
        check_eq!(call(TEST_AREA + start) & 0xff_00ff, 0x55_0066, "first page");
    }
    put(seconds[1], &[0x77, 0x88]);
    paging::map(TEST_AREA + PAGE, seconds[1], Level::Page4K, KERNEL);
    check_eq!(call(TEST_AREA + start) >> 16, 0x8877, "second page remapped");
}

fn put(to: u64, bytes: &[u8]) {
    for (index, &byte) in bytes.iter().enumerate() {
        // SAFETY: the frames are this test's.
        unsafe { ptr::write_volatile((to as *mut u8).add(index), byte) };
    }
}

fn call(at: u64) -> u32 {
    let result: u32;
    // SAFETY: the two pages hold MOV EAX and RET.
    unsafe { asm!("call {}", in(reg) at, out("eax") result) };
    result
}
