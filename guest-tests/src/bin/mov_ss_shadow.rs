//! MOV SS holds back a single-step trap until the next instruction has run (SDM, MOV; Masking
//! Exceptions and Interrupts When Switching Stacks).
//@ qemu: differs: QEMU 7.2 traps right after MOV SS; SDM, MOV: loading SS "suppresses or inhibits some debug exceptions and inhibits interrupts on the following instruction boundary"
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::interrupt::vector::DB;
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

static FIRST: AtomicU64 = AtomicU64::new(0);

/// Notes the first trap's RAX, and lets the code run on without TF.
fn note(frame: &mut Frame) {
    FIRST.store(frame.rax, Relaxed);
    frame.rflags &= !(1 << 8);
}

macro_rules! first_trap {
    ($($line:literal),+) => {{
        // SAFETY: SS gets the value it has; the handler keeps all registers.
        unsafe {
            asm!(
                "mov ecx, ss",
                "xor eax, eax",
                "pushfq",
                "or word ptr [rsp], 0x100",
                "popfq",
                $($line,)+
                "inc eax",
                "inc eax",
                out("rax") _,
                out("rcx") _,
            )
        };
        FIRST.load(Relaxed)
    }};
}

fn main() {
    set_handler(DB, note);
    check_eq!(first_trap!("inc eax", "nop"), 1, "an ordinary instruction");
    check_eq!(first_trap!("mov ss, ecx"), 1, "MOV SS");
}
