//! An interrupt that is pending when IF becomes set comes one instruction after STI, and at once after
//! POPF; STI right before CLI lets nothing in (SDM, STI; Masking Maskable Hardware Interrupts).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::apic;
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

const VECTOR: u8 = 0x40;
const NOBODY: u64 = u64::MAX;
/// RAX of the interrupted code: how many increments it had run.
static SEEN: AtomicU64 = AtomicU64::new(NOBODY);

fn note(frame: &mut Frame) {
    SEEN.store(frame.rax, Relaxed);
    apic::end_of_interrupt();
}

macro_rules! seen_by {
    ($($line:literal),+) => {{
        SEEN.store(NOBODY, Relaxed);
        apic::send(apic::TO_SELF | u32::from(VECTOR));
        // SAFETY: the handler keeps all registers, and IF is clear again at the end.
        unsafe { asm!("xor eax, eax", $($line,)+ "cli", out("rax") _, out("rcx") _) };
        SEEN.load(Relaxed)
    }};
}

fn main() {
    apic::init();
    set_handler(VECTOR, note);
    check_eq!(seen_by!("inc eax", "inc eax"), NOBODY, "IF clear");
    check_eq!(seen_by!("sti", "inc eax", "inc eax"), 1, "STI");
    // The interrupt that CLI held back is still pending, and merges with the next.
    check_eq!(seen_by!("sti"), NOBODY, "STI, CLI");
    check_eq!(seen_by!("sti", "nop", "inc eax"), 0, "STI, NOP");
    check_eq!(seen_by!("pushfq", "or word ptr [rsp], 0x200", "popfq", "inc eax"), 0, "POPF");
    check_eq!(seen_by!("sti", "sti", "inc eax", "inc eax"), 0, "STI while STI's shadow lasts");
}
