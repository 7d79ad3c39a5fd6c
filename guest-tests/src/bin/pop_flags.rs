//! POPF at privilege level 0 leaves the virtual interrupt flags as they are, which IRETQ sets
//! (SDM, POPF, "Effect of POPF/POPFD on the EFLAGS Register").
//@ qemu: differs: IRETQ of QEMU 7.2 leaves VIF and VIP alone; SDM, IRET: at privilege level 0 they are loaded
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{CF, STATUS, VIF, VIP};

guest_tests::entry!(main);

fn main() {
    // The last leaves none of them set.
    for flags in [VIF, VIP, VIF | VIP, 0] {
        let (returned, narrow, wide): (u64, u64, u64);
        // SAFETY: the stack is balanced; the flags that change are those that no code here depends on.
        unsafe {
            asm!(
                "mov rax, rsp",
                "mov ecx, ss",
                "push rcx",
                "push rax",
                "push {flags}",
                "mov ecx, cs",
                "push rcx",
                "lea rcx, [rip + 2f]",
                "push rcx",
                "iretq",
                "2: pushfq",
                "pop {returned}",
                "push 3",
                "popfw",
                "pushfq",
                "pop {narrow}",
                "add rsp, 6",
                "push 3",
                "popfq",
                "pushfq",
                "pop {wide}",
                "push 2",
                "popfq",
                flags = in(reg) flags | 2,
                returned = out(reg) returned,
                narrow = out(reg) narrow,
                wide = out(reg) wide,
                out("rax") _,
                out("rcx") _,
            )
        };
        check_eq!(returned, flags | 2, "behind IRETQ");
        check_eq!(narrow & !STATUS | narrow & CF, flags | 3, "behind POPF");
        check_eq!(wide, flags | 3, "behind POPFQ");
    }
}
