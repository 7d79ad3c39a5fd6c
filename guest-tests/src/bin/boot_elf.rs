//! Entry of an image that has no boot protocol's header: an ELF64 file is entered at its entry point
//! in 64-bit mode, with the first memory mapped one to one.
//@ stdout: entered in 64-bit mode
//@ qemu: skip: QEMU's -kernel wants a boot protocol's header

#![no_std]
#![no_main]

use guest_tests::{Protocol, boot_info, check_eq, println};

guest_tests::entry!(main, elf);

fn main() {
    check_eq!(boot_info().protocol, Protocol::Elf);
    println!("entered in 64-bit mode");
}
