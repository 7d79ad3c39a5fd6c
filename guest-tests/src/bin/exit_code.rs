//! The debug-exit port gives any odd exit status: the value, shifted, and one.
//@ exit: 85

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::exit::debug_exit(0x2a)
}
