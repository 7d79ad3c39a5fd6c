//! A guest that sleeps for good, interrupts off: the time limit ends it.
//@ outcome: timeout
//@ exit: 124
//@ flags: --timeout 500ms
//@ stdout: asleep

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::println!("asleep");
    guest_tests::exit::halt()
}
