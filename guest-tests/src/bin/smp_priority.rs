//! The task priority of one processor holds back what others send it, by class; what is in service
//! does, too; and the highest vector is taken first when they are let through (SDM, Task and
//! Processor Priorities).
//@ cpus: 2
//@ stdout: order: 72 71 63

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use guest_tests::device::apic::{self, register, send_to};
use guest_tests::interrupt::set_handler;
use guest_tests::smp::{self, wait_until};
use guest_tests::{Frame, check_eq, print, println};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

/// What the other processor does next, one step at a time.
static STEP: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);
static ORDER: [AtomicU32; 8] = [const { AtomicU32::new(0) }; 8];
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static LOWER: AtomicBool = AtomicBool::new(false);

fn note(frame: &mut Frame) {
    ORDER[TAKEN.fetch_add(1, Ordering::AcqRel)].store(frame.vector as u32, Ordering::Release);
    // The lower class must wait until the service of the higher one has ended.
    if frame.vector == 0x72 && LOWER.load(Ordering::Acquire) {
        interrupts::enable();
        (0..100).for_each(|_| core::hint::spin_loop());
        interrupts::disable();
        check_eq!(TAKEN.load(Ordering::Acquire), 1, "nothing nests in its own or a higher class");
    }
    apic::end_of_interrupt();
}

fn other(_: usize) {
    let next = |step| {
        DONE.store(step, Ordering::Release);
        wait_until(|| STEP.load(Ordering::Acquire) > step);
    };
    apic::write(register::TPR, 0x70);
    interrupts::enable();
    next(1);
    check_eq!(TAKEN.load(Ordering::Acquire), 0, "held back by class 7");
    check_eq!(apic::read(register::PPR), 0x70);
    LOWER.store(true, Ordering::Release);
    interrupts::disable();
    apic::write(register::TPR, 0x50);
    interrupts::enable();
    wait_until(|| TAKEN.load(Ordering::Acquire) == 3);
    interrupts::disable();
    DONE.store(2, Ordering::Release);
}

fn main() {
    for vector in [0x63, 0x71, 0x72] {
        set_handler(vector, note);
    }
    smp::start_all(other);
    wait_until(|| DONE.load(Ordering::Acquire) == 1);
    let id = smp::ids()[1];
    for vector in [0x63, 0x71, 0x72] {
        send_to(id, vector);
    }
    // So that all have arrived, whoever carries them.
    (0..100_000).for_each(|_| core::hint::spin_loop());
    STEP.store(2, Ordering::Release);
    wait_until(|| DONE.load(Ordering::Acquire) == 2);
    print!("order:");
    for taken in &ORDER[..3] {
        print!(" {:x}", taken.load(Ordering::Acquire));
    }
    println!();
}
