//! An instruction may have 15 bytes; with one more it is #GP(0), whatever it would have done (SDM,
//! Interrupt 13).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{catch, check_eq};

guest_tests::entry!(main);

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL);
    check_eq!(run(page, 13, &[0x89, 0xc0]), None, "15 bytes");
    check_eq!(run(page, 14, &[0x89, 0xc0]), Some((GP.into(), 0)), "16 bytes");
    check_eq!(run(page, 14, &[0x90]), None, "a NOP of 15 bytes");
    check_eq!(run(page, 15, &[0x90]), Some((GP.into(), 0)), "a NOP of 16 bytes");
    check_eq!(run(page, 30, &[0x90]), Some((GP.into(), 0)), "nothing but prefixes");
}

/// Runs `opcode` behind `prefixes` operand-size prefixes.
fn run(page: u64, prefixes: usize, opcode: &[u8]) -> Option<(u64, u64)> {
    let code = page as *mut u8;
    // SAFETY: the page is this test's, and its code changes nothing but EAX.
    let fault = catch(|| unsafe {
        code.write_bytes(0x66, prefixes);
        let behind = code.add(prefixes);
        behind.copy_from_nonoverlapping(opcode.as_ptr(), opcode.len());
        behind.add(opcode.len()).write(0xc3);
        asm!("call {}", in(reg) TEST_AREA, out("eax") _)
    });
    fault.map(|frame| {
        check_eq!(frame.rip, TEST_AREA, "RIP");
        frame.fault()
    })
}
