//! A module beside the guest: Multiboot gives its place and its size, and its
//! bytes are the file's (Multiboot Specification, Boot information format).
//@ flags: --module guest-tests/guest.ld

#![no_std]
#![no_main]

use core::str;
use guest_tests::{boot_info, check_eq};

guest_tests::entry!(main, multiboot);

fn main() {
    let [module] = boot_info().modules() else {
        panic!("modules: {:#x?}", boot_info().modules());
    };
    let text = str::from_utf8(module.bytes()).unwrap_or("not UTF-8");
    assert!(text.starts_with("/* Where a guest lies in memory."), "the module begins: {text:.80}");
    assert!(text.ends_with("}\n"), "the module does not end as the file does");
    check_eq!(text.len() as u64, module.size);
}
