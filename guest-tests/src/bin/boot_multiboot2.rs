//! Entry by Multiboot 2: the tags give the command line and a memory map that holds the image
//! (Multiboot 2 Specification, Boot information).
//@ append: one two=2
//@ qemu: skip: QEMU's -kernel has no Multiboot 2

#![no_std]
#![no_main]

use guest_tests::{MemoryKind, Protocol, boot_info, check_eq};

guest_tests::entry!(main, multiboot2);

fn main() {
    let info = boot_info();
    check_eq!(info.protocol, Protocol::Multiboot2);
    let words = info.command_line();
    assert!(words == "one two=2" || words.ends_with(" one two=2"), "command line: {words:?}");
    let is_ours = |start, end| start <= 0x10_0000 && end > 0x20_0000;
    let mut ram = info.memory().iter().filter(|range| range.kind == MemoryKind::Ram);
    assert!(ram.any(|range| is_ours(range.start, range.end())), "{:#x?}", info.memory());
}
