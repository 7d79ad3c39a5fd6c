//! From 64-bit mode to 32-bit code and back, by far returns: operands and the stack are 32 bits wide there,
//! opcodes mean what they meant, and an exception comes to the 64-bit handler (SDM, Compatibility Mode).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::interrupt::vector::UD;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::segment::{KERNEL_CODE, KERNEL_CODE_32};

guest_tests::entry!(main);

static CS: AtomicU64 = AtomicU64::new(0);

fn skip(frame: &mut Frame) {
    CS.store(frame.cs, Relaxed);
    frame.rip += 2;
}

fn main() {
    set_handler(UD, skip);
    let (rax, rcx, rdx): (u64, u64, u64);
    // SAFETY: the stack lies below 4 GiB and is balanced; all registers that change are named. RSI
    // carries the way back, because 32-bit code has no RIP-relative addresses.
    unsafe {
        asm!(
            "sub rsp, 128",
            "lea rsi, [rip + 3f]",
            "push {code32}",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov rax, -1",
            "mov rcx, -1",
            "mov rdx, -1",
            "retfq",
            ".code32",
            // One byte, which 64-bit mode takes for a REX prefix.
            "2: inc eax",
            "mov edx, esp",
            "push 0x12345678",
            "sub edx, esp",
            "pop ecx",
            "ud2",
            "push {code64}",
            "push esi",
            "retf",
            ".code64",
            "3: add rsp, 128",
            code32 = const KERNEL_CODE_32,
            code64 = const KERNEL_CODE,
            out("rax") rax,
            out("rcx") rcx,
            out("rdx") rdx,
            out("rsi") _,
        )
    };
    check_eq!(rax as u32, 0, "INC EAX");
    check_eq!(rcx as u32, 0x1234_5678, "what was pushed");
    check_eq!(rdx as u32, 4, "bytes that PUSH takes");
    check_eq!(CS.load(Relaxed), u64::from(KERNEL_CODE_32), "CS in the handler's frame");
}
