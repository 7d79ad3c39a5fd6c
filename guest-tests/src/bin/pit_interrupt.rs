//! The PIT's channel 0 in its periodic modes raises IRQ 0 through the PIC again and again, each at the
//! remapped vector; one shot raises it once (8254, modes 0, 2 and 3; 8259A).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::check_eq;
use guest_tests::device::{apic, halt_until, pic, pit};
use guest_tests::interrupt::{Frame, set_handler};

guest_tests::entry!(main);

static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    TICKS.fetch_add(1, Relaxed);
    pic::end_of_interrupt(0);
}

fn main() {
    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(0), tick);
    for mode in [pit::RATE, pit::SQUARE] {
        pit::start(mode, 1193);
        pic::unmask(0);
        let before = TICKS.load(Relaxed);
        halt_until(|| TICKS.load(Relaxed) >= before + 5);
        pic::mask(0);
    }
    // A new mode ends what was pending; the mask keeps it away meanwhile.
    pic::init();
    pit::start(pit::ONE_SHOT, 1193);
    TICKS.store(0, Relaxed);
    pic::unmask(0);
    halt_until(|| TICKS.load(Relaxed) >= 1);
    // Long enough for several more.
    pit::wait(10_000);
    x86_64::instructions::interrupts::enable();
    x86_64::instructions::nop();
    x86_64::instructions::interrupts::disable();
    check_eq!(TICKS.load(Relaxed), 1, "ticks of one shot");
}
