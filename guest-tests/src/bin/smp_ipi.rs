//! Interprocessor interrupts reach those they name and nobody else: by physical ID, by logical ID in
//! the flat and in the cluster model, by broadcast and by each shorthand; so do NMIs; of several that
//! a lowest-priority interrupt names, one receives it (SDM, Issuing Interprocessor Interrupts).
//@ cpus: 4
//@ stdout: physical
//@ stdout: flat
//@ stdout: cluster
//@ stdout: NMI
//@ stdout: lowest priority

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::device::apic::{self, register, send, send_to};
use guest_tests::interrupt::{set_handler, vector};
use guest_tests::smp::received::{check, finish, note, receive, take_any, wait_for_receivers};
use guest_tests::smp::{self, wait_until};
use guest_tests::{Frame, check_eq, println};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

const VECTOR: u32 = 0x61;
/// Makes each processor take the logical ID of the model at hand.
const ADOPT: u8 = 0x62;
const BROADCAST: u32 = 0xff;
const FLAT: u32 = 0xffff_ffff;
const CLUSTER: u32 = 0x0fff_ffff;

static MODEL: AtomicU32 = AtomicU32::new(FLAT);
static ADOPTED: AtomicU32 = AtomicU32::new(0);

/// One bit each in the flat model; in the cluster model two processors to a cluster.
fn logical_id(number: usize) -> u32 {
    match MODEL.load(Ordering::Acquire) {
        FLAT => 1 << number,
        _ => (number as u32 / 2) << 4 | 1 << (number % 2),
    }
}

fn adopt(_: &mut Frame) {
    apic::write(register::DFR, MODEL.load(Ordering::Acquire));
    apic::write(register::LDR, logical_id(smp::number()) << 24);
    apic::end_of_interrupt();
    ADOPTED.fetch_add(1, Ordering::AcqRel);
}

fn adopt_everywhere(model: u32) {
    MODEL.store(model, Ordering::Release);
    ADOPTED.store(0, Ordering::Release);
    send(apic::TO_ALL | u32::from(ADOPT));
    wait_until(|| ADOPTED.load(Ordering::Acquire) == 4);
}

fn main() {
    set_handler(VECTOR as u8, note);
    set_handler(ADOPT, adopt);
    set_handler(vector::NMI, note);
    smp::start_all(receive);
    wait_for_receivers();
    check_eq!(smp::count(), 4);
    interrupts::enable();

    println!("physical");
    for (id, expected) in [(2, [0, 0, 1, 0]), (0, [1, 0, 0, 0]), (BROADCAST, [1, 1, 1, 1])] {
        send_to(id, VECTOR);
        check(&expected, "a physical destination");
    }
    send_to(7, VECTOR);
    check(&[0; 4], "an ID that nobody has");
    send(apic::TO_SELF | VECTOR);
    check(&[1, 0, 0, 0], "self");
    send(apic::TO_ALL | VECTOR);
    check(&[1, 1, 1, 1], "all");
    send(apic::TO_OTHERS | VECTOR);
    check(&[0, 1, 1, 1], "all but self");

    println!("flat");
    adopt_everywhere(FLAT);
    for (destination, expected) in [
        (0b0100, [0, 0, 1, 0]),
        (0b1010, [0, 1, 0, 1]),
        (0b0001, [1, 0, 0, 0]),
        (0b1_0000, [0, 0, 0, 0]),
        (BROADCAST, [1, 1, 1, 1]),
    ] {
        send_to(destination, apic::LOGICAL | VECTOR);
        check(&expected, "a logical destination of the flat model");
    }

    println!("cluster");
    adopt_everywhere(CLUSTER);
    for (destination, expected) in
        [(0x02, [0, 1, 0, 0]), (0x13, [0, 0, 1, 1]), (0x11, [0, 0, 1, 0]), (0x21, [0, 0, 0, 0])]
    {
        send_to(destination, apic::LOGICAL | VECTOR);
        check(&expected, "a logical destination of the cluster model");
    }

    println!("NMI");
    send(apic::TO_OTHERS | apic::NMI);
    check(&[0, 1, 1, 1], "NMI to all but self");
    send_to(3, apic::NMI);
    check(&[0, 0, 0, 1], "NMI to one");

    println!("lowest priority");
    adopt_everywhere(FLAT);
    for destination in [0b1110, 0b1111, 0b1000] {
        send_to(destination, apic::LOGICAL | apic::LOWEST_PRIORITY | VECTOR);
        check_eq!(take_any(), 1, "receivers among {destination:#06b}");
    }
    finish();
    send(apic::TO_OTHERS | VECTOR);
}
