//! A handler that faults itself: both handlers return, inner before outer, and the interrupted code goes
//! on with all its registers (SDM, Interrupt and Exception Handling).
//@ stdout: outer handler begins
//@ stdout: inner handler
//@ stdout: outer handler ends
//@ stdout: went on with 42

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::{PF, UD};
use guest_tests::interrupt::{Frame, set_handler};
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::println;

guest_tests::entry!(main);

fn outer(frame: &mut Frame) {
    println!("outer handler begins");
    // SAFETY: the inner handler skips the instruction.
    unsafe { asm!("ud2") };
    paging::map_new(frame.cr2, KERNEL);
    println!("outer handler ends");
}

fn inner(frame: &mut Frame) {
    println!("inner handler");
    frame.rip += 2;
}

fn main() {
    set_handler(PF, outer);
    set_handler(UD, inner);
    let sum: u64;
    // SAFETY: the page is there when the handler has returned.
    unsafe { asm!("mov {0}, 42", "add {0}, [{1}]", out(reg) sum, in(reg) TEST_AREA) };
    println!("went on with {sum}");
}
