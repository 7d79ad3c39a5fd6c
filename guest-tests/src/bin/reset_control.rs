//! The reset control register ends the run, with a report, when bit 2 rises.
//@ exit: 134
//@ stdout: before the reset
//@ stderr-contains: reset
//@ qemu: differs: with -no-reboot it ends with status 0

#![no_std]
#![no_main]

use guest_tests::device::port;
use guest_tests::{exit, println};

guest_tests::entry!(main);

fn main() {
    println!("before the reset");
    port::write::<u8>(0xcf9, 0x02);
    port::write::<u8>(0xcf9, 0x06);
    exit::halt()
}
