//! RFLAGS.TF with a pending interrupt: behind the instruction that both follow, the trap comes first
//! (SDM, Priority Among Concurrent Events), and the interrupt before the next instruction, which is
//! neither lost nor executed twice. The interrupt's handler is not trapped.
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use guest_tests::cpu::rflags;
use guest_tests::device::apic;
use guest_tests::interrupt::vector::DB;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::register::rflags::TF;
use guest_tests::{check_eq, device};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

const VECTOR: u8 = 0x50;
/// A self IPI, as a word for the interrupt command register.
const SELF: u32 = apic::TO_SELF | VECTOR as u32;
const COMMAND: u64 = 0xfee0_0300;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// What came, and where: RIP, and bit 63 for the interrupt.
static SEEN: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
const INTERRUPT: u64 = 1 << 63;

fn note(what: u64) {
    check_eq!(rflags() & TF, 0, "TF of the handler");
    SEEN[COUNT.fetch_add(1, Relaxed)].store(what, Relaxed);
}

fn trapped(frame: &mut Frame) {
    note(frame.rip);
}

fn interrupted(frame: &mut Frame) {
    check_eq!(frame.rflags & TF, TF, "TF of what was interrupted");
    note(frame.rip | INTERRUPT);
    apic::end_of_interrupt();
}

fn main() {
    device::apic::init();
    set_handler(DB, trapped);
    set_handler(VECTOR, interrupted);
    interrupts::enable();
    let start: u64;
    let executed: u64;
    // SAFETY: the handlers keep all registers; the red zone is skipped; the store is to the APIC.
    unsafe {
        asm!(
            "lea {start}, [rip + 2f]",
            "xor {executed:e}, {executed:e}",
            "pushfq",
            "or dword ptr [rsp], {tf}",
            "popfq",
            "2: mov dword ptr [rdi], eax",
            "inc {executed:e}",
            "3: nop",
            "pushfq",
            "and dword ptr [rsp], ~{tf}",
            "popfq",
            "nop",
            start = out(reg) start,
            executed = out(reg) executed,
            tf = const TF,
            in("rdi") COMMAND,
            in("eax") SELF,
        )
    };
    interrupts::disable();
    check_eq!(executed, 1, "how often the next instruction was executed");
    let seen = |index: usize| SEEN[index].load(Relaxed);
    // MOV is 2 bytes long. INC has a prefix or not.
    check_eq!(seen(0), start + 2, "the trap behind the store");
    check_eq!(seen(1), (start + 2) | INTERRUPT, "the interrupt, before the next instruction");
    let behind = seen(2) - start;
    check_eq!(behind == 4 || behind == 5, true, "the trap behind INC, at {behind}");
    check_eq!(seen(3), seen(2) + 1, "the trap behind NOP");
    // PUSHF, AND, POPF.
    check_eq!(COUNT.load(Relaxed), 7, "traps and interrupts");
}
