//! An SSE store that crosses into a page that isn't there writes nothing into the page before (SDM,
//! Exception Classifications: a fault lets the program be restarted as before the instruction).
//@ qemu: differs: QEMU 7.2 stores 16 bytes in two halves, the first before the second faults; SDM, Exception Classifications: a fault leaves the machine as it was before the instruction

#![no_std]
#![no_main]

use core::arch::asm;
use core::{ptr, slice};
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const SECOND: u64 = TEST_AREA + PAGE;

fn main() {
    paging::map_new(TEST_AREA, KERNEL);
    // SAFETY: the page was mapped just now.
    unsafe { ptr::write_bytes(TEST_AREA as *mut u8, 0xaa, PAGE as usize) };
    for in_first in [1, 7, 8, 9, 15] {
        let start = SECOND - in_first;
        // SAFETY: the store faults, which `fault_of` expects.
        let fault = fault_of(|| unsafe { asm!("movups [{}], xmm0", in(reg) start) });
        check_eq!(fault.fault(), (u64::from(PF), 0b10));
        check_eq!(fault.cr2, SECOND);
        // SAFETY: the page is mapped.
        let page = unsafe { slice::from_raw_parts(TEST_AREA as *const u8, PAGE as usize) };
        assert!(page.iter().all(|&byte| byte == 0xaa), "{in_first} bytes were written");
    }
}
