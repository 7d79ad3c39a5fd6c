//! NMI: it comes whether IF is set or not, on the gate of vector 2, and another one waits for the IRET of
//! the first (SDM, Nonmaskable Interrupt).
//@ stdout: handler 1 begins
//@ stdout: handler 1 ends
//@ stdout: handler 2 begins
//@ stdout: handler 2 ends

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::device::apic;
use guest_tests::interrupt::vector::NMI;
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::{check_eq, println};

guest_tests::entry!(main);

static COUNT: AtomicU32 = AtomicU32::new(0);

fn note(_: &mut Frame) {
    let number = COUNT.fetch_add(1, Relaxed) + 1;
    println!("handler {number} begins");
    if number == 1 {
        send_nmi();
    }
    println!("handler {number} ends");
}

/// To this processor by its ID: the shorthand for oneself is for fixed interrupts only (SDM, Interrupt
/// Command Register).
fn send_nmi() {
    apic::send(apic::NMI);
}

fn main() {
    apic::init();
    set_handler(NMI, note);
    check_eq!(x86_64::instructions::interrupts::are_enabled(), false);
    send_nmi();
    while COUNT.load(Relaxed) < 2 {
        core::hint::spin_loop();
    }
}
