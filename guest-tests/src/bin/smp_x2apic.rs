//! In x2APIC mode interprocessor interrupts have 32 bits of destination: physical IDs, clusters of 16
//! whose logical IDs follow from the physical ones, broadcast, and shorthands.
//@ cpus: 18
//@ qemu: skip: QEMU 7.2's TCG has no x2APIC, and CPUID says so

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::Frame;
use guest_tests::check_eq;
use guest_tests::cpu::{rdmsr, wrmsr};
use guest_tests::device::apic::{self, APIC_BASE, X2APIC_ENABLE, register};
use guest_tests::device::halt_until;
use guest_tests::interrupt::set_handler;
use guest_tests::smp::{self, wait_until};

guest_tests::entry!(main);

const COUNT: usize = 18;
const VECTOR: u8 = 0x61;

static RECEIVED: [AtomicU32; COUNT] = [const { AtomicU32::new(0) }; COUNT];
static READY: AtomicU32 = AtomicU32::new(0);
static FINISHED: AtomicU32 = AtomicU32::new(0);

fn note(_: &mut Frame) {
    RECEIVED[smp::number()].fetch_add(1, Ordering::AcqRel);
    apic::write_x2(register::EOI, 0);
}

fn enter_x2apic() {
    // SAFETY: nobody else uses this processor's APIC.
    unsafe { wrmsr(APIC_BASE, rdmsr(APIC_BASE) | X2APIC_ENABLE) };
    apic::write_x2(register::SPURIOUS, 0x1ff);
}

fn processor(number: usize) {
    enter_x2apic();
    check_eq!(apic::read_x2(register::ID), number as u64);
    check_eq!(apic::read_x2(register::LDR), (number as u64 >> 4) << 16 | 1 << (number & 15));
    READY.fetch_add(1, Ordering::AcqRel);
    halt_until(|| FINISHED.load(Ordering::Acquire) != 0);
}

/// Sends, and waits until those for whom `receives` is true have received one, and nobody else.
fn send(command: u64, receives: impl Fn(usize) -> bool) {
    apic::write_x2(register::ICR_LOW, command | u64::from(VECTOR));
    for (number, received) in RECEIVED.iter().enumerate().filter(|(number, _)| receives(*number)) {
        wait_until(|| received.load(Ordering::Acquire) > 0);
        check_eq!(received.swap(0, Ordering::AcqRel), 1, "{command:#x} at processor {number}");
    }
    (0..20_000).for_each(|_| core::hint::spin_loop());
    for (number, received) in RECEIVED.iter().enumerate() {
        check_eq!(received.load(Ordering::Acquire), 0, "{command:#x} at processor {number}");
    }
}

fn main() {
    check_eq!(smp::count(), COUNT);
    set_handler(VECTOR, note);
    smp::start_all(processor);
    wait_until(|| READY.load(Ordering::Acquire) as usize == COUNT - 1);
    enter_x2apic();
    x86_64::instructions::interrupts::enable();
    let logical = u64::from(apic::LOGICAL);
    send(17 << 32, |number| number == 17);
    send(0xffff_ffff << 32, |_| true);
    send(0x0001_0002 << 32 | logical, |number| number == 17);
    send(0x0000_8006 << 32 | logical, |number| [1, 2, 15].contains(&number));
    send(0x0002_ffff << 32 | logical, |_| false);
    send(0xffff_ffff << 32 | logical, |_| true);
    send(apic::TO_OTHERS.into(), |number| number != 0);
    send(apic::TO_ALL.into(), |_| true);
    FINISHED.store(1, Ordering::Release);
    apic::write_x2(register::ICR_LOW, u64::from(apic::TO_OTHERS) | u64::from(VECTOR));
}
