//! #DE of DIV and IDIV at every width, by zero and by a quotient that does not fit: a fault, so RIP is
//! the instruction and the registers are as before (SDM, DIV; IDIV; Interrupt 0).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::DE;
use guest_tests::{Frame, catch, check_eq};

guest_tests::entry!(main);

macro_rules! divide {
    ($instruction:literal, $high:expr, $low:expr, $divisor:expr) => {{
        let (mut low, mut high): (u64, u64) = ($low, $high);
        // SAFETY: the registers are named, and a fault is caught.
        let fault = catch(|| unsafe {
            asm!($instruction, inout("rax") low, inout("rdx") high, in("rcx") $divisor as u64)
        });
        match fault {
            None => Ok((high, low)),
            Some(frame) => Err(checked(&frame, $high, $low, $instruction)),
        }
    }};
}

/// The fault's vector, once the registers are found unchanged.
fn checked(frame: &Frame, high: u64, low: u64, instruction: &str) -> u64 {
    check_eq!((frame.rdx, frame.rax), (high, low), "RDX:RAX after {instruction}");
    // SAFETY: the frame points to code.
    let opcode = unsafe { *(frame.rip as *const [u8; 2]) };
    assert!(matches!(opcode, [0x48 | 0x66 | 0xf6 | 0xf7, _]), "RIP is not at {instruction}");
    frame.vector
}

const MIN_64: u64 = 1 << 63;

fn main() {
    const FAULT: Result<(u64, u64), u64> = Err(DE as u64);
    check_eq!(divide!("div cl", 0, 5, 0), FAULT);
    check_eq!(divide!("div cx", 0, 5, 0), FAULT);
    check_eq!(divide!("div ecx", 0, 5, 0), FAULT);
    check_eq!(divide!("div rcx", 0, 5, 0), FAULT);
    check_eq!(divide!("idiv cl", 0, 5, 0), FAULT);
    check_eq!(divide!("idiv rcx", 0, 5, 0), FAULT);

    check_eq!(divide!("div cl", 0, 0x0100, 1), FAULT, "quotient of 9 bits");
    check_eq!(divide!("div cl", 0, 0x01fe, 2), Ok((0, 0x00ff)));
    check_eq!(divide!("div cx", 1, 0, 1), FAULT, "quotient of 17 bits");
    check_eq!(divide!("div ecx", 2, 0, 2), FAULT, "quotient of 33 bits");
    check_eq!(divide!("div ecx", 1, 0, 2), Ok((0, 0x8000_0000)));
    check_eq!(divide!("div rcx", 1, 0, 1), FAULT, "quotient of 65 bits");
    check_eq!(divide!("div rcx", 1, 1, 2), Ok((1, MIN_64)));

    check_eq!(divide!("idiv cl", 0, 0xff80, -1_i64), FAULT, "-128 / -1");
    check_eq!(divide!("idiv cl", 0, 0xff81, -1_i64), Ok((0, 127)));
    check_eq!(divide!("idiv cl", 0, 0xff00, 2), Ok((0, 0x0080)), "-256 / 2");
    check_eq!(divide!("idiv cx", 0xffff, 0x8000, -1_i64), FAULT, "-32768 / -1");
    check_eq!(divide!("idiv ecx", 0xffff_ffff, 0x8000_0000, -1_i64), FAULT, "-2^31 / -1");
    check_eq!(divide!("idiv rcx", u64::MAX, MIN_64, -1_i64), FAULT, "-2^63 / -1");
    check_eq!(divide!("idiv rcx", u64::MAX, MIN_64, 1), Ok((0, MIN_64)));
    check_eq!(divide!("idiv rcx", 0, MIN_64, 1), FAULT, "2^63 / 1");
    check_eq!(divide!("idiv rcx", u64::MAX, -7_i64 as u64, 2), Ok((u64::MAX, -3_i64 as u64)));
}
