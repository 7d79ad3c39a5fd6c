//! RFLAGS.TF: #DB after every instruction, a trap with DR6.BS, and off while the handler runs. The POPF
//! that sets it doesn't trap itself; a REP string traps after each iteration (SDM, Single-Step Exception
//! Condition).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::cpu::rflags;
use guest_tests::interrupt::vector::DB;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::register::rflags::TF;

guest_tests::entry!(main);

const BS: u64 = 1 << 14;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static RIPS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

fn note(frame: &mut Frame) {
    let dr6: u64;
    // SAFETY: the debug registers are this test's.
    unsafe { asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) dr6, in(reg) 0_u64) };
    check_eq!(dr6 & 0xf00f, BS, "DR6");
    check_eq!(rflags() & TF, 0, "TF of the handler");
    let index = COUNT.fetch_add(1, Relaxed);
    RIPS[index].store(frame.rip, Relaxed);
}

fn main() {
    set_handler(DB, note);
    let start: u64;
    let copied = [0_u8; 3];
    // SAFETY: the handler keeps all registers; the red zone is skipped; RSI and RDI are a buffer's.
    unsafe {
        asm!(
            "lea {start}, [rip + 2f]",
            "pushfq",
            "or dword ptr [rsp], {tf}",
            "popfq",
            "2: nop",
            "mov eax, 3",
            "add eax, 4",
            "rep movsb",
            "pushfq",
            "and dword ptr [rsp], ~{tf}",
            "popfq",
            "nop",
            start = out(reg) start,
            tf = const TF,
            in("rcx") 3,
            inout("rsi") copied.as_ptr() => _,
            inout("rdi") copied.as_ptr() => _,
            out("rax") _,
        )
    };
    // NOP 1, MOV 5, ADD 3, REP MOVSB 2, PUSHF 1, AND 7, POPF 1 bytes.
    let offsets = [1, 6, 9, 9, 9, 11, 12, 19, 20];
    check_eq!(COUNT.load(Relaxed), offsets.len(), "traps");
    for (index, offset) in offsets.into_iter().enumerate() {
        check_eq!(RIPS[index].load(Relaxed), start + offset, "trap {index}");
    }
}
