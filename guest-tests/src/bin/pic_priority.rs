//! The 8259A: its registers, a masked request waits in IRR, a request in service shows in ISR and holds its
//! equals and lowers back until EOI, and the mask reads back (8259A).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::pic::{self, MASTER, READ_IRR, READ_ISR, SLAVE};
use guest_tests::device::{apic, halt_until, pit, port};
use guest_tests::interrupt::{Frame, set_handler};
use x86_64::instructions::{interrupts, nop};

guest_tests::entry!(main);

static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    TICKS.fetch_add(1, Relaxed);
    check_eq!(pic::read(MASTER, READ_ISR), 1, "ISR in the handler");
    // No EOI: nothing more may come, whatever the PIT does.
}

fn main() {
    apic::init_virtual_wire();
    pic::init();
    check_eq!((port::read::<u8>(MASTER + 1), port::read::<u8>(SLAVE + 1)), (0xff, 0xff), "masks");
    port::write::<u8>(MASTER + 1, 0xa5);
    check_eq!(port::read::<u8>(MASTER + 1), 0xa5, "the mask that was written");
    port::write::<u8>(MASTER + 1, 0xff);
    check_eq!(pic::read(MASTER, READ_ISR), 0, "ISR of nothing");

    set_handler(pic::vector(0), tick);
    pit::start(pit::RATE, 1193);
    pit::wait(4000);
    check_eq!(pic::read(MASTER, READ_IRR) & 1, 1, "IRR of a masked request");
    check_eq!(TICKS.load(Relaxed), 0, "a masked request");

    pic::unmask(0);
    halt_until(|| TICKS.load(Relaxed) == 1);
    pit::wait(6000);
    interrupts::enable();
    nop();
    interrupts::disable();
    check_eq!(TICKS.load(Relaxed), 1, "requests before EOI");
    check_eq!(pic::read(MASTER, READ_ISR), 1, "ISR before EOI");
    check_eq!(pic::read(MASTER, READ_IRR) & 1, 1, "IRR before EOI");
    pic::end_of_interrupt(0);
    check_eq!(pic::read(MASTER, READ_ISR), 0, "ISR after EOI");
    halt_until(|| TICKS.load(Relaxed) == 2);
}
