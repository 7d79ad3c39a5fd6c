//! A device's line leads to the processor that its redirection entry names: edge-triggered from the
//! timer, to one and to all, and level-triggered from the serial port, which is
//! sent again after its end for as long as the line is asserted.
//@ cpus: 3

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::device::{apic, io_apic, pic, pit, port};
use guest_tests::interrupt::set_handler;
use guest_tests::smp::received::{check, finish, note, receive, wait_for_receivers};
use guest_tests::smp::{self, wait_until};
use guest_tests::{Frame, check_eq};

guest_tests::entry!(main);

const TIMER: u8 = 0x51;
const SERIAL: u8 = 0x52;
const WAKE: u8 = 0x53;
const TIMER_PIN: u32 = 2;
const SERIAL_PIN: u32 = 4;
const INTERRUPT_ENABLE: u16 = 0x3f9;
const MODEM_CONTROL: u16 = 0x3fc;
/// The transmitter is empty.
const TRANSMITTED: u8 = 1 << 1;
/// OUT2 lets the port's interrupts out.
const OUT2: u8 = 1 << 3;

static LEVELS: AtomicU32 = AtomicU32::new(0);
static WHERE: AtomicU32 = AtomicU32::new(u32::MAX);

/// The destination field of a redirection entry.
fn to(id: u32) -> u64 {
    u64::from(id) << 56
}

/// Leaves the line asserted twice, and releases it the third time.
fn level(_: &mut Frame) {
    WHERE.store(smp::number() as u32, Ordering::Release);
    if LEVELS.fetch_add(1, Ordering::AcqRel) == 2 {
        port::write(INTERRUPT_ENABLE, 0_u8);
    }
    apic::end_of_interrupt();
}

fn main() {
    set_handler(TIMER, note);
    set_handler(WAKE, note);
    set_handler(SERIAL, level);
    smp::start_all(receive);
    wait_for_receivers();
    pic::init();

    for (number, expected) in [(1, [0, 1, 0]), (2, [0, 0, 1])] {
        io_apic::redirect(TIMER_PIN, u64::from(TIMER) | to(smp::ids()[number]));
        pit::start(pit::ONE_SHOT, 100);
        check(&expected, "the timer's edge");
    }
    io_apic::redirect(TIMER_PIN, u64::from(TIMER) | to(0xff));
    pit::start(pit::ONE_SHOT, 100);
    check(&[0, 1, 1], "a broadcast; the bootstrap processor's interrupts are off");
    io_apic::redirect(TIMER_PIN, io_apic::MASKED);

    io_apic::redirect(SERIAL_PIN, io_apic::LEVEL | u64::from(SERIAL) | to(smp::ids()[2]));
    port::write(MODEM_CONTROL, OUT2);
    port::write(INTERRUPT_ENABLE, TRANSMITTED);
    wait_until(|| LEVELS.load(Ordering::Acquire) >= 3);
    (0..20_000).for_each(|_| core::hint::spin_loop());
    check_eq!(LEVELS.load(Ordering::Acquire), 3, "once, and once again after each of two ends");
    check_eq!(WHERE.load(Ordering::Acquire), 2, "the processor");
    io_apic::redirect(SERIAL_PIN, io_apic::MASKED);
    finish();
    apic::send(apic::TO_OTHERS | u32::from(WAKE));
}
