//! A code segment with both L and D set is no code segment: IRETQ and a far RET to it are #GP with its
//! selector (SDM, IRET; RET).
//@ qemu: differs: QEMU 7.2 takes the segment; SDM, IRET: #GP(selector) for a code segment with both D and L set

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::GP;
use guest_tests::segment::{FIRST_FREE, KERNEL_CODE, KERNEL_DATA, set_descriptor};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    set_descriptor(FIRST_FREE, 0x00ef_9b00_0000_ffff);
    // SAFETY: both returns fault, which `fault_of` expects; so below.
    let iret = fault_of(|| unsafe {
        asm!(
            "push {ss}",
            "push rsp",
            "push 2",
            "push {cs}",
            "push {rip}",
            "iretq",
            ss = const KERNEL_DATA,
            cs = const FIRST_FREE,
            rip = const 0x1000,
            options(noreturn),
        )
    });
    check_eq!(iret.fault(), (u64::from(GP), u64::from(FIRST_FREE)), "IRETQ");
    check_eq!(iret.cs, u64::from(KERNEL_CODE));
    // SAFETY: as above.
    let far_return = fault_of(|| unsafe {
        asm!("push {}", "push 0x1000", "retfq", const FIRST_FREE, options(noreturn))
    });
    check_eq!(far_return.fault(), (u64::from(GP), u64::from(FIRST_FREE)), "RET far");
    check_eq!(far_return.cs, u64::from(KERNEL_CODE));
}
