//! LOCK may stand before each instruction of the manual's list, if its destination is in memory (SDM,
//! LOCK).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

/// ModRM 0x0f is `[rdi], ecx`.
const CODES: &[(&[u8], &str)] = &[
    (&[0xf0, 0x01, 0x0f], "ADD"),
    (&[0xf0, 0x11, 0x0f], "ADC"),
    (&[0xf0, 0x21, 0x0f], "AND"),
    (&[0xf0, 0x09, 0x0f], "OR"),
    (&[0xf0, 0x19, 0x0f], "SBB"),
    (&[0xf0, 0x29, 0x0f], "SUB"),
    (&[0xf0, 0x31, 0x0f], "XOR"),
    (&[0xf0, 0x83, 0x07, 0x01], "ADD with an immediate"),
    (&[0xf0, 0xff, 0x07], "INC"),
    (&[0xf0, 0xff, 0x0f], "DEC"),
    (&[0xf0, 0xf7, 0x17], "NOT"),
    (&[0xf0, 0xf7, 0x1f], "NEG"),
    (&[0xf0, 0x87, 0x0f], "XCHG"),
    (&[0xf0, 0x0f, 0xb1, 0x0f], "CMPXCHG"),
    (&[0xf0, 0x0f, 0xc1, 0x0f], "XADD"),
    (&[0xf0, 0x0f, 0xc7, 0x0f], "CMPXCHG8B"),
    (&[0xf0, 0x0f, 0xba, 0x2f, 0x01], "BTS with an immediate"),
    (&[0xf0, 0x0f, 0xab, 0x0f], "BTS"),
    (&[0xf0, 0x0f, 0xb3, 0x0f], "BTR"),
    (&[0xf0, 0x0f, 0xbb, 0x0f], "BTC"),
];

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    let mut memory = [1_u64; 4];
    for (code, what) in CODES {
        // SAFETY: the page is this test's; its code touches `memory` and the named registers.
        let fault = catch(|| unsafe {
            page.copy_from_nonoverlapping(code.as_ptr(), code.len());
            page.add(code.len()).write(0xc3);
            asm!(
                "push rbx",
                "call {}",
                "pop rbx",
                in(reg) TEST_AREA,
                in("rdi") memory.as_mut_ptr(),
                inout("ecx") 1 => _,
                out("eax") _,
                out("edx") _,
            )
        });
        check_eq!(fault.map(|frame| frame.vector), None, "LOCK {what}");
    }
}
