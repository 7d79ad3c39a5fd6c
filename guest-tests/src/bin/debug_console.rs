//! The debug console at port 0xe9 takes bytes and reads as 0xe9; its output is not the guest's standard
//! output (Bochs' port 0xe9 hack).
//@ stdout: on the serial port
//@ qemu: skip: QEMU has the port only with -debugcon

#![no_std]
#![no_main]

use guest_tests::device::port;
use guest_tests::{check_eq, println};

guest_tests::entry!(main);

fn main() {
    check_eq!(port::read::<u8>(0xe9), 0xe9);
    b"on the debug console\n".iter().for_each(|&byte| port::write(0xe9, byte));
    println!("on the serial port");
}
