//! Entry by Multiboot 1: the information structure gives the command line and a memory map that
//! holds the image (Multiboot Specification, Boot information format).
//@ append: one two=2

#![no_std]
#![no_main]

use guest_tests::{MemoryKind, Protocol, boot_info, check_eq};

guest_tests::entry!(main, multiboot);

fn main() {
    let info = boot_info();
    check_eq!(info.protocol, Protocol::Multiboot);
    // The boot loader may put the image's name in front, as QEMU does.
    let words = info.command_line();
    assert!(words == "one two=2" || words.ends_with(" one two=2"), "command line: {words:?}");
    let is_ours = |start, end| start <= 0x10_0000 && end > 0x20_0000;
    let mut ram = info.memory().iter().filter(|range| range.kind == MemoryKind::Ram);
    assert!(ram.any(|range| is_ours(range.start, range.end())), "{:#x?}", info.memory());
}
