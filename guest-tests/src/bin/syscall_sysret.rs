//! SYSCALL from user mode and SYSRET back: RCX holds RIP, R11 RFLAGS, IA32_FMASK clears flags, the selectors
//! come from IA32_STAR, RSP stays, and SYSRET restores all (SDM, SYSCALL; SYSRET).

#![no_std]
#![no_main]

use core::arch::naked_asm;
use guest_tests::cpu::{rdmsr, wrmsr};
use guest_tests::interrupt::vector::UD;
use guest_tests::register::efer::SCE;
use guest_tests::register::msr::{IA32_EFER, IA32_FMASK, IA32_LSTAR, IA32_STAR};
use guest_tests::register::rflags::{CF, DF, IF, IOPL};
use guest_tests::segment::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_CODE_32, USER_DATA};
use guest_tests::user::{self, CODE, Context, STACK_TOP};
use guest_tests::{check_eq, device, snippet};

guest_tests::entry!(main);

static mut SEEN: [u64; 6] = [0; 6];

/// Notes what SYSCALL left, and returns.
#[unsafe(naked)]
extern "C" fn entry() {
    naked_asm!(
        "mov [rip + {seen}], rcx",
        "mov [rip + {seen} + 8], r11",
        "mov [rip + {seen} + 16], rsp",
        "mov eax, cs",
        "mov [rip + {seen} + 24], rax",
        "mov eax, ss",
        "mov [rip + {seen} + 32], rax",
        "lea rsp, [rip + {stack} + 1024]",
        "pushfq",
        "pop qword ptr [rip + {seen} + 40]",
        "mov rsp, [rip + {seen} + 16]",
        "sysretq",
        seen = sym SEEN,
        stack = sym STACK,
    )
}

static mut STACK: [u64; 128] = [0; 128];

fn main() {
    // With IF set, a timer that firmware has left running would end user mode.
    device::pic::init();
    // SAFETY: the registers concern only SYSCALL and SYSRET, which the runtime does not use.
    unsafe {
        wrmsr(IA32_STAR, u64::from(USER_CODE_32) << 48 | u64::from(KERNEL_CODE) << 32);
        wrmsr(IA32_LSTAR, entry as *const () as u64);
        wrmsr(IA32_FMASK, IF | DF);
    }
    user::map(snippet!("stc", "std", "syscall", "int 0x80"));
    let rflags = 2 | IF | IOPL;
    let left = user::run(Context { rflags, ..Context::default() });
    // SAFETY: nobody writes it now.
    let seen = unsafe { SEEN };
    check_eq!(seen[0], CODE + 4, "RCX");
    check_eq!(seen[1] & (CF | DF | IF | IOPL), CF | DF | IF | IOPL, "R11");
    check_eq!(seen[2], STACK_TOP, "RSP");
    check_eq!(seen[3], u64::from(KERNEL_CODE), "CS");
    check_eq!(seen[4], u64::from(KERNEL_DATA), "SS");
    check_eq!(seen[5] & (DF | IF | IOPL), IOPL, "RFLAGS after IA32_FMASK");

    check_eq!(left.vector, 0x80);
    check_eq!(left.rip, CODE + 6);
    check_eq!(left.rsp, STACK_TOP);
    check_eq!((left.cs, left.ss), (USER_CODE.into(), USER_DATA.into()), "selectors after SYSRET");
    check_eq!(left.rflags & (CF | DF | IF | IOPL), CF | DF | IF | IOPL, "flags after SYSRET");

    // SAFETY: SYSCALL is not used by the runtime.
    unsafe { wrmsr(IA32_EFER, rdmsr(IA32_EFER) & !SCE) };
    let without = user::run_code(snippet!("syscall"), 0, 0);
    check_eq!((without.vector, without.rip), (UD.into(), CODE), "SYSCALL without EFER.SCE");
    let back = user::run_code(snippet!("sysretq"), 0, 0);
    check_eq!(back.vector, u64::from(UD), "SYSRET without EFER.SCE, before the privilege check");
}
