//! A panic that nothing handles is printed with its place, and ends the guest with exit status 35.
//@ exit: 35
//@ stdout-contains: guest-tests/src/bin/unhandled_panic.rs:
//@ stdout-contains: index out of bounds: the len is 3 but the index is 7

#![no_std]
#![no_main]

use core::hint::black_box;

guest_tests::entry!(main);

fn main() {
    let array = black_box([1, 2, 3]);
    black_box(array[black_box(7)]);
}
