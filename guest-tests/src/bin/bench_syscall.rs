//! System calls: SYSCALL from user mode into a handler on a stack of its own, and SYSRET back.
//@ stdout: checksum b6d7eabbef2ab8d8
//@ bench: rounds=8000000
//@ bench-target: 3.0

#![no_std]
#![no_main]

use core::arch::naked_asm;
use guest_tests::bench::{Checksum, argument};
use guest_tests::register::msr::{IA32_FMASK, IA32_LSTAR, IA32_STAR};
use guest_tests::register::rflags::{AC, DF, IF, TF};
use guest_tests::segment::{KERNEL_CODE, USER_CODE_32};
use guest_tests::{check_eq, cpu, snippet, user};

guest_tests::entry!(main);

/// Flags that the handler starts without.
const MASK: u64 = TF | IF | DF | AC;

/// The handler's stack.
static mut STACK: [u128; 256] = [0; _];

fn main() {
    let star = u64::from(USER_CODE_32) << 48 | u64::from(KERNEL_CODE) << 32;
    // SAFETY: the selectors are in the order that SYSCALL and SYSRET want, the handler is one.
    unsafe {
        cpu::wrmsr(IA32_STAR, star);
        cpu::wrmsr(IA32_LSTAR, handler as *const () as u64);
        cpu::wrmsr(IA32_FMASK, MASK);
    }
    let rounds = argument("rounds", 10_000);
    // RSI counts down; RBX keeps the sum of what the handler returned.
    let code = snippet!(
        "xor ebx, ebx",
        "2: mov eax, 39",
        "mov rdi, rsi",
        "syscall",
        "add rbx, rax",
        "dec rsi",
        "jnz 2b",
        "int 0x80",
    );
    let end = user::run_code(code, 0, rounds);
    check_eq!(end.vector, 0x80);
    check_eq!(end.rbx, rounds * (rounds + 1) / 2 + 39 * rounds);
    let mut checksum = Checksum::default();
    checksum.add(end.rbx);
    checksum.print();
}

/// Returns the call's number plus its argument, from a stack of the kernel's.
#[unsafe(naked)]
extern "C" fn handler() {
    naked_asm!(
        "mov r8, rsp",
        "lea rsp, [rip + {stack} + 4096]",
        "push rcx",
        "push r11",
        "push r8",
        "call {add}",
        "pop r8",
        "pop r11",
        "pop rcx",
        "mov rsp, r8",
        "sysretq",
        stack = sym STACK,
        add = sym add,
    )
}

#[unsafe(naked)]
extern "C" fn add() {
    naked_asm!("add rax, rdi", "ret")
}
