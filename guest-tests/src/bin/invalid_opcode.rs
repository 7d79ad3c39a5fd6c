//! #UD: what has no meaning in 64-bit mode, what the manual keeps undefined, and forms that an
//! instruction does not have (SDM, Opcode Map; Interrupt 6). RIP is the first byte, prefixes included.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::UD;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const CODES: &[(&[u8], &str)] = &[
    (&[0x0f, 0x0b], "UD2"),
    (&[0x0f, 0xb9, 0xc0], "UD1"),
    (&[0x06], "PUSH ES"),
    (&[0x0e], "PUSH CS"),
    (&[0x16], "PUSH SS"),
    (&[0x17], "POP SS"),
    (&[0x1e], "PUSH DS"),
    (&[0x1f], "POP DS"),
    (&[0x27], "DAA"),
    (&[0x2f], "DAS"),
    (&[0x37], "AAA"),
    (&[0x3f], "AAS"),
    (&[0x60], "PUSHA"),
    (&[0x61], "POPA"),
    (&[0x82, 0xc0, 0x00], "the alias of ADD"),
    (&[0x9a, 0, 0, 0, 0, 8, 0], "CALL far direct"),
    (&[0xce], "INTO"),
    (&[0xd4, 0x0a], "AAM"),
    (&[0xd6], "SALC"),
    (&[0xea, 0, 0, 0, 0, 8, 0], "JMP far direct"),
    (&[0x8e, 0xc8], "MOV to CS"),
    (&[0x8e, 0xf0], "MOV to the seventh segment"),
    (&[0x0f, 0x20, 0xc8], "MOV from CR1"),
    (&[0x0f, 0x22, 0xe8], "MOV to CR5"),
    (&[0x8d, 0xc0], "LEA of a register"),
    (&[0xff, 0xd8], "CALL far through a register"),
    (&[0xff, 0xe8], "JMP far through a register"),
    (&[0xff, 0xf8], "FF /7"),
    (&[0xfe, 0xd0], "FE /2"),
    (&[0x0f, 0xc7, 0xc8], "CMPXCHG8B of a register"),
    (&[0x0f, 0xba, 0xc0, 0x00], "0F BA /0"),
    (&[0x2e, 0x66, 0x0f, 0x0b], "UD2 behind prefixes"),
];

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    for (code, what) in CODES {
        // SAFETY: the page is this test's, and its code faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe {
            page.copy_from_nonoverlapping(code.as_ptr(), code.len());
            asm!("jmp {}", in(reg) TEST_AREA, options(noreturn))
        });
        check_eq!(fault.vector, u64::from(UD), "{what}");
        check_eq!(fault.rip, TEST_AREA, "{what}");
    }
}
