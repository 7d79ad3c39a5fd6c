//! A processor that dies is named in the report, and the others are told of with it.
//@ cpus: 3
//@ outcome: triple-fault
//@ stderr-contains: vCPU 2: triple fault
//@ stderr-contains: other vCPUs

#![no_std]
#![no_main]

use guest_tests::interrupt::load_idt;
use guest_tests::{exit, smp};

guest_tests::entry!(main);

fn processor(number: usize) {
    if number == 2 {
        load_idt(0);
        // SAFETY: there is no handler, and that is the end of it.
        unsafe { core::arch::asm!("ud2") };
    }
}

fn main() {
    smp::start_all(processor);
    exit::halt();
}
