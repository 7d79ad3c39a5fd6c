//! INIT has the bootstrap processor begin where firmware is. There is none, so that resets the machine (SDM,
//! MP Initialization Protocol).
//@ cpus: 2
//@ exit: 134
//@ stderr-contains: reset the machine through INIT
//@ qemu: differs: its firmware resets it; with -no-reboot it ends with status 0

#![no_std]
#![no_main]

use guest_tests::device::apic;
use guest_tests::smp;

guest_tests::entry!(main);

fn processor(_: usize) {
    apic::send_to(smp::ids()[0], apic::INIT | apic::ASSERT);
}

fn main() {
    smp::start_all(processor);
    smp::wait_until(|| false);
}
