//! SYSRET to a non-canonical RCX is #GP(0) in supervisor mode, with the user's RSP already in place (SDM,
//! SYSRET).
//@ qemu: differs: QEMU 7.2 goes to user mode and faults there; SDM, SYSRET: #GP(0) for an RCX that is not canonical comes before CPL is 3

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::cpu::wrmsr;
use guest_tests::interrupt::vector::GP;
use guest_tests::register::msr::IA32_STAR;
use guest_tests::segment::{KERNEL_CODE, USER_CODE_32};
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

fn main() {
    // SAFETY: the register concerns only SYSCALL and SYSRET.
    unsafe { wrmsr(IA32_STAR, u64::from(USER_CODE_32) << 48 | u64::from(KERNEL_CODE) << 32) };
    // SAFETY: it faults, which `fault_of` expects.
    let fault = fault_of(|| unsafe {
        asm!(
            "mov rsp, 0x12340",
            "sysretq",
            in("rcx") 0x0000_8000_0000_0000_u64,
            in("r11") 2_u64,
            options(noreturn),
        )
    });
    check_eq!(fault.fault(), (u64::from(GP), 0));
    check_eq!(fault.cs, u64::from(KERNEL_CODE), "CS");
    check_eq!(fault.rsp, 0x12340, "RSP");
    // SAFETY: the frame points to code.
    check_eq!(unsafe { *(fault.rip as *const [u8; 3]) }, [0x48, 0x0f, 0x07], "the code at RIP");
}
