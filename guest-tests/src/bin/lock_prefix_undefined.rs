//! LOCK is #UD unless the instruction is on the manual's list and its destination is in memory; RIP is the prefix (SDM,
//! LOCK).
//@ qemu: differs: QEMU 7.2 ignores the prefix of TEST and others; SDM, LOCK: "An undefined opcode exception will also be generated if the LOCK prefix is used with any instruction not in the above list"

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::UD;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

/// ModRM 0x0f is `[rdi], ecx`, 0xc8 is `eax, ecx`.
const CODES: &[(&[u8], &str)] = &[
    (&[0xf0, 0x87, 0xc8], "XCHG of registers"),
    (&[0xf0, 0x01, 0xc8], "ADD to a register"),
    (&[0xf0, 0x03, 0x0f], "ADD from memory"),
    (&[0xf0, 0xff, 0xc0], "INC of a register"),
    (&[0xf0, 0x39, 0x0f], "CMP"),
    (&[0xf0, 0x83, 0x3f, 0x01], "CMP with an immediate"),
    (&[0xf0, 0x85, 0x0f], "TEST"),
    (&[0xf0, 0x89, 0x0f], "MOV"),
    (&[0xf0, 0x8d, 0x0f], "LEA"),
    (&[0xf0, 0x0f, 0xa3, 0x0f], "BT"),
    (&[0xf0, 0x0f, 0xba, 0x27, 0x01], "BT with an immediate"),
    (&[0xf0, 0xd3, 0x27], "SHL"),
    (&[0xf0, 0xf7, 0x27], "MUL"),
    (&[0xf0, 0xff, 0x37], "PUSH"),
    (&[0xf0, 0x90], "NOP"),
    (&[0xf0, 0xa4], "MOVS"),
];

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    let mut memory = [1_u64; 4];
    for (code, what) in CODES {
        // SAFETY: the page is this test's; its code touches `memory` and the named registers.
        let fault = fault_of(|| unsafe {
            page.copy_from_nonoverlapping(code.as_ptr(), code.len());
            // What ignores the prefix runs into UD2, with another RIP.
            page.add(code.len()).cast::<u16>().write_unaligned(0x0b0f);
            asm!("jmp {}", in(reg) TEST_AREA, in("rdi") memory.as_mut_ptr(), options(noreturn))
        });
        check_eq!(fault.vector, u64::from(UD), "LOCK {what}");
        check_eq!(fault.rip, TEST_AREA, "LOCK {what}");
    }
}
