//! The address-size prefix in 64-bit mode: effective addresses wrap at 4 GiB, LEA and string pointers are
//! cut and zero-extended, REP and LOOP count in ECX (SDM, Address-Size Override Prefix).
//@ bochs: same

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

const HIGH: u64 = 0xabcd_ef01_0000_0000;

fn main() {
    let (rax, rbx) = (HIGH | 0xffff_fff0, HIGH | 0x20);
    let (cut, whole): (u64, u64);
    // SAFETY: LEA touches no memory.
    unsafe {
        asm!(
            "lea {cut}, [{a:e} + {b:e}]",
            "lea {whole:e}, [{a} + {b}]",
            a = in(reg) rax,
            b = in(reg) rbx,
            cut = out(reg) cut,
            whole = out(reg) whole,
        )
    };
    check_eq!((cut, whole), (0x10, 0x10), "LEA");

    let value = 0x1234_5678_u32;
    let address = &raw const value as u64;
    let read: u64;
    // SAFETY: the address is below 4 GiB, so its lower half is all of it.
    unsafe { asm!("mov {0:e}, [{1:e} + 4]", out(reg) read, in(reg) HIGH | (address - 4)) };
    check_eq!(read, 0x1234_5678, "MOV");

    let bytes = [1_u8, 2, 3, 4];
    let mut copy = [0_u8; 4];
    let (mut rsi, mut rdi) = (HIGH | bytes.as_ptr() as u64, HIGH | copy.as_mut_ptr() as u64);
    let mut rcx = HIGH | 3;
    // SAFETY: three bytes are copied between the arrays.
    unsafe {
        asm!(".byte 0x67", "rep movsb", inout("rsi") rsi, inout("rdi") rdi, inout("rcx") rcx)
    };
    check_eq!(copy, [1, 2, 3, 0], "REP MOVSB");
    check_eq!(rcx, 0, "RCX after REP MOVSB");
    check_eq!(rsi, bytes.as_ptr() as u64 + 3, "RSI after REP MOVSB");
    check_eq!(rdi, copy.as_ptr() as u64 + 3, "RDI after REP MOVSB");

    let mut rcx = HIGH | 2;
    let mut turns = 0_u64;
    // SAFETY: only the two registers change. 67 E2 is LOOP with ECX.
    unsafe { asm!("2: inc {}", ".byte 0x67", "loop 2b", inout(reg) turns, inout("rcx") rcx) };
    check_eq!((rcx, turns), (0, 2), "LOOP");
}
