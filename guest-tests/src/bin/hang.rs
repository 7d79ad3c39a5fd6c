//! A guest that never ends: the time limit does.
//@ outcome: timeout
//@ exit: 124
//@ flags: --timeout 500ms
//@ stdout: for ever

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::println!("for ever");
    loop {
        core::hint::spin_loop();
    }
}
