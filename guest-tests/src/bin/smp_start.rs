//! Every processor that ACPI lists starts by INIT and start-up IPIs, has its own APIC ID, and counts
//! in memory that all share.
//@ cpus: 4
//@ stdout: 4 processors
//@ stdout: all have started

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::smp::{self, wait_until};
use guest_tests::{check_eq, println};

guest_tests::entry!(main);

static HERE: AtomicU32 = AtomicU32::new(0);

fn processor(number: usize) {
    assert!(smp::ids()[number] == smp::apic_id(), "processor {number} is another one");
    HERE.fetch_add(1, Ordering::AcqRel);
}

fn main() {
    println!("{} processors", smp::count());
    smp::start_all(processor);
    wait_until(|| HERE.load(Ordering::Acquire) as usize == smp::count() - 1);
    check_eq!(smp::number(), 0);
    println!("all have started");
}
