//! Accesses that cross into a page that isn't there: CR2 is the first byte of the second page, nothing
//! is written, and registers are as before (SDM, Page-Fault Exceptions; faults are restartable).

#![no_std]
#![no_main]

use core::arch::asm;
use core::{ptr, slice};
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::{Frame, check_eq, fault_of};

guest_tests::entry!(main);

const SECOND: u64 = TEST_AREA + PAGE;

fn main() {
    paging::map_new(TEST_AREA, KERNEL);
    // SAFETY: the page was mapped just now.
    unsafe { ptr::write_bytes(TEST_AREA as *mut u8, 0xaa, PAGE as usize) };
    // SAFETY: each of the accesses faults, which `fault_of` expects; so below.
    let store = fault_of(|| unsafe {
        asm!("mov [{}], {}", in(reg) SECOND - 3, in(reg) 0x1122_3344_5566_7788_u64)
    });
    check(&store, 0b10, "MOV to memory");
    // SAFETY: as above.
    let load = fault_of(|| unsafe { asm!("mov rax, [rcx]", in("rcx") SECOND - 1, in("rax") 7) });
    check(&load, 0b00, "MOV from memory");
    check_eq!(load.rax, 7, "RAX after a load that faulted");
    // SAFETY: as above.
    let add = fault_of(|| unsafe { asm!("add [{}], {:e}", in(reg) SECOND - 2, in(reg) 5) });
    // The manual leaves open whether the load or the store of the same bytes faults; so for XCHG.
    check(&add, add.error_code & 0b10, "ADD to memory");
    // SAFETY: as above.
    let exchange =
        fault_of(|| unsafe { asm!("xchg [rcx], rax", in("rcx") SECOND - 4, in("rax") 9) });
    check(&exchange, exchange.error_code & 0b10, "XCHG");
    check_eq!(exchange.rax, 9, "RAX after an XCHG that faulted");
    // SAFETY: as above; the stack pointer is put back by `catch`.
    let push = fault_of(|| unsafe {
        asm!("mov rsp, {}", "push -1", in(reg) SECOND + 4, options(noreturn))
    });
    check(&push, 0b10, "PUSH");
    check_eq!(push.rsp, SECOND + 4, "RSP after a PUSH that faulted");
}

fn check(frame: &Frame, error_code: u64, what: &str) {
    check_eq!(frame.fault(), (u64::from(PF), error_code), "{what}");
    check_eq!(frame.cr2, SECOND, "CR2 of {what}");
    // SAFETY: the page is mapped.
    let page = unsafe { slice::from_raw_parts(TEST_AREA as *const u8, PAGE as usize) };
    assert!(page.iter().all(|&byte| byte == 0xaa), "{what} wrote before it faulted");
}
