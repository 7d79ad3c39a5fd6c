//! The PIC's output at the local APIC's pin LINT0: as a fixed interrupt by edge, by level as long as the line is
//! high, with the remote IRR while one is served, and as an NMI, which ends HLT whatever RFLAGS.IF says (SDM,
//! Local Vector Table).
//@ flags: --deterministic
//@ qemu: differs: QEMU 7.2 takes the vector of the PIC, too, whatever the delivery mode of LINT0

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::apic::{self, register};
use guest_tests::device::{pic, pit};
use guest_tests::interrupt::{Frame, set_handler};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

const VECTOR: u8 = 0x51;
const LEVEL: u32 = 1 << 15;
const REMOTE_IRR: u32 = 1 << 14;

static FIXED: AtomicU32 = AtomicU32::new(0);
static NMIS: AtomicU32 = AtomicU32::new(0);
/// What handlers have found in the pin's entry, one or the other time.
static ENTRY: AtomicU32 = AtomicU32::new(0);

fn fixed(_: &mut Frame) {
    ENTRY.fetch_or(apic::read(register::LVT_LINT0), Relaxed);
    // The third time the line falls.
    if FIXED.fetch_add(1, Relaxed) == 2 {
        pic::mask(0);
    }
    apic::end_of_interrupt();
}

fn nmi(_: &mut Frame) {
    NMIS.fetch_add(1, Relaxed);
}

/// The PIT's one shot, with the PIC open from before it.
fn pulse() {
    pic::init();
    pit::start(pit::ONE_SHOT, 100);
    pic::unmask(0);
    interrupts::enable();
    pit::wait(2000);
    interrupts::disable();
}

fn main() {
    apic::init();
    set_handler(VECTOR, fixed);
    set_handler(2, nmi);

    apic::write(register::LVT_LINT0, VECTOR.into());
    pulse();
    check_eq!(FIXED.load(Relaxed), 1, "interrupts of one edge");
    check_eq!(ENTRY.load(Relaxed), u32::from(VECTOR), "the entry while an edge is served");

    apic::write(register::LVT_LINT0, apic::MASKED | u32::from(VECTOR));
    pulse();
    check_eq!(FIXED.load(Relaxed), 1, "interrupts while the entry is masked");
    pic::mask(0);

    apic::write(register::LVT_LINT0, LEVEL | u32::from(VECTOR));
    FIXED.store(0, Relaxed);
    pulse();
    check_eq!(FIXED.load(Relaxed), 3, "interrupts of a level until it falls");
    let level = LEVEL | u32::from(VECTOR);
    check_eq!(ENTRY.load(Relaxed), level | REMOTE_IRR, "the entry while a level is served");
    check_eq!(apic::read(register::LVT_LINT0), level, "the entry behind that");

    pic::mask(0);
    apic::write(register::LVT_LINT0, apic::NMI);
    pulse();
    check_eq!((NMIS.load(Relaxed), FIXED.load(Relaxed)), (1, 3), "NMIs of one edge");

    pic::init();
    pit::start(pit::ONE_SHOT, 20_000);
    pic::unmask(0);
    // SAFETY: the one shot ends it, and its handler comes back here.
    unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    check_eq!(NMIS.load(Relaxed), 2, "NMIs that end a halt with interrupts off");
}
