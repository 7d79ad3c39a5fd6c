//! The power-off port of Bochs and old QEMUs ends the run with exit status 0.
//@ exit: 0
//@ qemu: skip: QEMU 7.2 has no device at 0xb004

#![no_std]
#![no_main]

use guest_tests::device::port;
use guest_tests::exit;

guest_tests::entry!(main);

fn main() {
    port::write::<u16>(0xb004, 0x2000);
    exit::halt()
}
