//! Non-canonical addresses in the stack segment, which RSP and RBP imply: #SS(0); with a prefix for
//! another segment, #GP(0) (SDM, Canonical Addressing; Interrupt 12, Stack Fault).
//@ qemu: differs: QEMU 7.2 raises #GP(0); SDM, Interrupt 12: in 64-bit mode an address that is not canonical is #SS(0) if it refers to the stack segment

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{GP, SS};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    for address in [0x0000_8000_0000_0000_u64, 0xffff_7fff_ffff_fff8, 0x1234_5678_0000_0000] {
        // SAFETY: the access faults, which `fault_of` expects, and `catch` puts RBP and RSP back.
        let base = fault_of(|| unsafe {
            asm!("mov rbp, {}", "mov rax, [rbp]", in(reg) address, options(noreturn))
        });
        check_eq!(base.fault(), (u64::from(SS), 0), "a load through RBP");
        // SAFETY: as above.
        let push = fault_of(|| unsafe {
            asm!("mov rsp, {}", "push rax", in(reg) address + 8, options(noreturn))
        });
        check_eq!(push.fault(), (u64::from(SS), 0), "PUSH");
        // SAFETY: as above.
        let override_prefix = fault_of(|| unsafe {
            asm!("mov rbp, {}", "mov rax, fs:[rbp]", in(reg) address, options(noreturn))
        });
        check_eq!(override_prefix.fault(), (u64::from(GP), 0), "FS overrides the stack segment");
    }
}
