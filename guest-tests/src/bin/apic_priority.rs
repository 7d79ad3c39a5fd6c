//! Interrupts to itself: TPR holds lower classes back, the highest vector comes first, a handler is
//! interrupted only by a higher class, IRR and ISR show it all (SDM, Interrupt Acceptance for Fixed
//! Interrupts; Task and Processor Priorities).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::apic;
use guest_tests::device::apic::register::{IRR, ISR, PPR, TPR};
use guest_tests::interrupt::{Frame, set_handler};
use x86_64::instructions::{interrupts, nop};

guest_tests::entry!(main);

/// The vectors delivered so far, a byte each, the latest lowest.
static ORDER: AtomicU64 = AtomicU64::new(0);

fn note(frame: &mut Frame) {
    ORDER.store(ORDER.load(Relaxed) << 8 | frame.vector, Relaxed);
    check_eq!(is_set(ISR, frame.vector as u32), true, "ISR of the vector in service");
    check_eq!(apic::read(PPR), frame.vector as u32 & 0xf0, "PPR in the handler");
    apic::end_of_interrupt();
}

/// Sends itself a higher and a lower class before its own end.
fn nested(frame: &mut Frame) {
    ORDER.store(ORDER.load(Relaxed) << 8 | frame.vector, Relaxed);
    send(0x61);
    send(0x45);
    interrupts::enable();
    nop();
    interrupts::disable();
    ORDER.store(ORDER.load(Relaxed) << 8 | 0xee, Relaxed);
    apic::end_of_interrupt();
}

fn main() {
    apic::init();
    for vector in [0x45, 0x61, 0x62, 0x75] {
        set_handler(vector, note);
    }
    set_handler(0x50, nested);

    send(0x45);
    send(0x75);
    send(0x61);
    send(0x62);
    check_eq!([0x45, 0x61, 0x62, 0x75].map(|vector| is_set(IRR, vector)), [true; 4], "IRR");
    check_eq!(delivered(), 0x7562_6145, "the highest first");

    apic::write(TPR, 0x60);
    send(0x45);
    send(0x61);
    send(0x75);
    check_eq!(delivered(), 0x75, "TPR holds its class and lower ones back");
    let cr8: u64;
    // SAFETY: CR8 is TPR's upper half.
    unsafe { core::arch::asm!("mov {0}, cr8", "mov cr8, {1}", out(reg) cr8, in(reg) 5_u64) };
    check_eq!(cr8, 6, "CR8");
    check_eq!(apic::read(TPR), 0x50, "TPR after a write of CR8");
    check_eq!(delivered(), 0x61, "TPR lowered by CR8");
    apic::write(TPR, 0);
    check_eq!(delivered(), 0x45, "TPR zero");

    send(0x50);
    check_eq!(delivered(), 0x5061_ee45, "a handler yields to a higher class only");
}

fn send(vector: u32) {
    apic::send(apic::TO_SELF | vector);
}

/// Lets interrupts in, and returns the vectors that came.
fn delivered() -> u64 {
    ORDER.store(0, Relaxed);
    interrupts::enable();
    nop();
    nop();
    interrupts::disable();
    ORDER.load(Relaxed)
}

fn is_set(register: u32, vector: u32) -> bool {
    apic::read(register + vector / 32 * 16) & 1 << (vector % 32) != 0
}
