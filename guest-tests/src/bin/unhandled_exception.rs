//! An exception that nothing handles: the runtime prints its frame, and ends the guest with exit status 35.
//@ exit: 35
//@ stdout-contains: unhandled exception: #PF (vector 14), error code 0x2, address 0x8000000010
//@ stdout-contains: rax 1122334455667788

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::paging::TEST_AREA;

guest_tests::entry!(main);

fn main() {
    // What is left in RBX is where the boot loader put something.
    // SAFETY: it ends the guest.
    unsafe {
        asm!(
            "xor ebx, ebx",
            "mov [{} + 16], rax",
            in(reg) TEST_AREA,
            in("rax") 0x1122_3344_5566_7788_u64,
            options(noreturn),
        )
    };
}
