//! An instruction whose last byte lies in a page that isn't there: CR2 is that page, RIP the
//! instruction's first byte, and the instruction runs when the page is (SDM, Page-Fault Exceptions).

#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr;
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::{check_eq, fault_of, snippet};

guest_tests::entry!(main);

fn main() {
    let first = paging::map_new(TEST_AREA, KERNEL);
    let code = snippet!("mov eax, 0x12345678", "ret");
    for in_first in 1..=4 {
        let start = TEST_AREA + PAGE - in_first;
        let (head, tail) = code.split_at(in_first as usize);
        // SAFETY: the frame is this test's.
        unsafe { copy(head, first + PAGE - in_first) };
        // SAFETY: the call faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe { asm!("call {}", in(reg) start) });
        check_eq!(fault.fault(), (u64::from(PF), 0b10000), "{in_first} bytes in the first page");
        check_eq!(fault.cr2, TEST_AREA + PAGE);
        check_eq!(fault.rip, start);

        let second = paging::map_new(TEST_AREA + PAGE, KERNEL);
        let result: u32;
        // SAFETY: the code is whole now, and returns.
        unsafe {
            copy(tail, second);
            asm!("call {}", in(reg) start, out("eax") result);
        }
        check_eq!(result, 0x1234_5678);
        paging::unmap(TEST_AREA + PAGE, paging::Level::Page4K);
    }
}

/// # Safety
/// The bytes at `to` can be overwritten.
unsafe fn copy(code: &[u8], to: u64) {
    // SAFETY: upheld by the caller.
    unsafe { ptr::copy_nonoverlapping(code.as_ptr(), to as *mut u8, code.len()) };
}
