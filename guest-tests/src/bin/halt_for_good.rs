//! A guest that halts with interrupts off sleeps for good: monovisor sees that nothing can wake it, and
//! says so at once instead of waiting for a time limit (SDM, HLT).
//@ exit: 134
//@ stdout: asleep
//@ stderr-contains: nothing can wake it
//@ qemu: skip: it sleeps until it is killed

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::println!("asleep");
    guest_tests::exit::halt()
}
