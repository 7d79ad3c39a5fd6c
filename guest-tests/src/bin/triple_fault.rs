//! A fault while #DF is delivered shuts the processor down (SDM, Interrupt 8).
//@ outcome: triple-fault
//@ exit: 134
//@ stdout: the last line
//@ stderr-contains: triple fault

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::load_idt;
use guest_tests::println;

guest_tests::entry!(main);

fn main() {
    println!("the last line");
    load_idt(0);
    // SAFETY: it ends the run.
    unsafe { asm!("ud2") };
    println!("not reached");
}
