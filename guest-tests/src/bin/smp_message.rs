//! A write to the addresses of message-signalled interrupts interrupts the processor that the address
//! names, physically or logically, and an NMI comes that way, too (SDM, Message Signalled Interrupts).
//@ cpus: 3

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::Frame;
use guest_tests::device::apic::{self, register};
use guest_tests::interrupt::{set_handler, vector};
use guest_tests::smp::received::{check, finish, note, receive, wait_for_receivers};
use guest_tests::smp::{self, wait_until};

guest_tests::entry!(main);

const VECTOR: u8 = 0x61;
const ADOPT: u8 = 0x62;
const NMI: u32 = 4 << 8;
const LOGICAL: u64 = 1 << 2;

static ADOPTED: AtomicU32 = AtomicU32::new(0);

fn adopt(_: &mut Frame) {
    apic::write(register::LDR, 1 << (24 + smp::number()));
    apic::end_of_interrupt();
    ADOPTED.fetch_add(1, Ordering::AcqRel);
}

/// Sends a message as a device would; not to ID 0, whose address is that of the processor's own
/// registers.
fn signal(destination: u64, flags: u64, data: u32) {
    let address = 0xfee0_0000 | destination << 12 | flags;
    // SAFETY: there is no memory at the address.
    unsafe { (address as *mut u32).write_volatile(data) };
}

fn main() {
    set_handler(VECTOR, note);
    set_handler(ADOPT, adopt);
    set_handler(vector::NMI, note);
    smp::start_all(receive);
    wait_for_receivers();
    apic::send(apic::TO_OTHERS | u32::from(ADOPT));
    wait_until(|| ADOPTED.load(Ordering::Acquire) == 2);
    for (destination, flags, data, expected) in [
        (1, 0, VECTOR.into(), [0, 1, 0]),
        (2, 0, VECTOR.into(), [0, 0, 1]),
        (2, 0, NMI, [0, 0, 1]),
        (0b110, LOGICAL, VECTOR.into(), [0, 1, 1]),
        (0b100, LOGICAL, VECTOR.into(), [0, 0, 1]),
    ] {
        signal(destination, flags, data);
        check(&expected, "a message");
    }
    finish();
    apic::send(apic::TO_OTHERS | u32::from(VECTOR));
}
