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
    // What the boot loader and the start have left in other registers depends on the machine.
    // SAFETY: it ends the guest.
    unsafe {
        asm!(
            "xor ebx, ebx",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor ebp, ebp",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "mov [rcx + 16], rax",
            in("rcx") TEST_AREA,
            in("rax") 0x1122_3344_5566_7788_u64,
            options(noreturn),
        )
    };
}
