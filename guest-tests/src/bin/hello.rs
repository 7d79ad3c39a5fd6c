//! The least a guest can do: enter, print a line, end with success.
//@ stdout: Hello from a guest.

#![no_std]
#![no_main]

guest_tests::entry!(main);

fn main() {
    guest_tests::println!("Hello from a guest.");
}
