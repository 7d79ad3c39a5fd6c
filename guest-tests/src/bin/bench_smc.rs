//! Self-modifying code: an immediate operand is rewritten before each call of its function, on a
//! page that also holds other functions, some of which are called and never change.
//@ stdout: checksum 5cea70360877fdd0
//@ bench: rounds=100000
//@ bench-target: 3.0

#![no_std]
#![no_main]

use core::mem::transmute;
use core::ptr;
use guest_tests::bench::{Checksum, argument};
use guest_tests::paging::{self, KERNEL, PAGE, TEST_AREA};
use guest_tests::snippet;

guest_tests::entry!(main);

/// A function on the page: `value * 3 + immediate`, or the same with a rotation.
type Function = extern "C" fn(u64) -> u64;

/// Bytes from one function to the next.
const STEP: u64 = 128;
const FUNCTIONS: u64 = PAGE / STEP;

fn main() {
    let code = snippet!("lea rax, [rdi + rdi * 2]", "add rax, 0x11111111", "rol rax, 7", "ret");
    let operand = find(code, &0x1111_1111u32.to_le_bytes());
    paging::map_new(TEST_AREA, KERNEL);
    for index in 0..FUNCTIONS {
        // SAFETY: the page was mapped just now and is this guest's own.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), place(index), code.len()) };
    }
    let mut value = 1;
    for round in 0..argument("rounds", 2000) {
        let changed = round % FUNCTIONS;
        // SAFETY: the operand is four bytes of a function on the page, which nothing executes now.
        unsafe { place(changed).add(operand).cast::<u32>().write_unaligned(round as u32) };
        value = function(changed)(value);
        value = function((changed + FUNCTIONS / 2) % FUNCTIONS)(value);
    }
    let mut checksum = Checksum::default();
    checksum.add(value);
    checksum.print();
}

fn place(index: u64) -> *mut u8 {
    (TEST_AREA + index * STEP) as *mut u8
}

fn function(index: u64) -> Function {
    // SAFETY: at each of these places is such a function.
    unsafe { transmute::<*mut u8, Function>(place(index)) }
}

fn find(code: &[u8], bytes: &[u8]) -> usize {
    code.windows(bytes.len()).position(|window| window == bytes).expect("the operand is there")
}
