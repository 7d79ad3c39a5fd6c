//! INS and OUTS with REP: the count, the pointers and the order of the bytes (SDM, INS; OUTS).
//@ stdout: a whole line, by one instruction
//@ stdout: and another

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::PF;
use guest_tests::paging::TEST_AREA;
use guest_tests::{check_eq, fault_of};

guest_tests::entry!(main);

const SERIAL: u16 = 0x3f8;
const UNCLAIMED: u16 = 0x1230;

fn main() {
    for line in ["a whole line, by one instruction\n", "and another\n"] {
        let (end, left): (*const u8, u64);
        // SAFETY: the text is read.
        unsafe {
            asm!(
                "rep outsb",
                inout("rsi") line.as_ptr() => end,
                inout("rcx") line.len() as u64 => left,
                in("dx") SERIAL,
            )
        };
        check_eq!((end.addr() - line.as_ptr().addr(), left), (line.len(), 0));
    }
    let mut words = [0_u32; 4];
    let end: *mut u32;
    // SAFETY: three of the four words are written.
    unsafe {
        asm!("rep insd", inout("rdi") words.as_mut_ptr() => end, inout("rcx") 3 => _, in("dx") UNCLAIMED)
    };
    check_eq!(words, [u32::MAX, u32::MAX, u32::MAX, 0]);
    check_eq!(end.addr() - words.as_ptr().addr(), 12);
    // SAFETY: it faults, which `fault_of` expects.
    let fault = fault_of(|| unsafe {
        asm!("rep insb", in("rdi") TEST_AREA, in("rcx") 3, in("dx") UNCLAIMED)
    });
    check_eq!(fault.fault(), (u64::from(PF), 2));
    check_eq!((fault.rdi, fault.rcx), (TEST_AREA, 3), "RDI and RCX at the fault");
}
