//! INT3 is a trap, so RIP lies behind it; its two-byte form is the same; user mode may use it if its
//! gate says so (SDM, INT n).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::interrupt::vector::BP;
use guest_tests::{check_eq, fault_of, snippet, user};

guest_tests::entry!(main);

fn main() {
    // SAFETY: the trap is caught; so below.
    let short = fault_of(|| unsafe { asm!("int3") });
    check_eq!(short.vector, u64::from(BP));
    check_eq!(code_before(short.rip, 1), [0xcc]);
    // SAFETY: as above.
    let long = fault_of(|| unsafe { asm!(".byte 0xcd, 3") });
    check_eq!(long.vector, u64::from(BP));
    check_eq!(code_before(long.rip, 2), [0xcd, 3]);

    let from_user = user::run_code(snippet!("int3"), 0, 0);
    check_eq!(from_user.vector, u64::from(BP));
    check_eq!(from_user.rip, user::CODE + 1);
}

fn code_before(rip: u64, length: usize) -> &'static [u8] {
    // SAFETY: the bytes were executed just now.
    unsafe { core::slice::from_raw_parts((rip as *const u8).sub(length), length) }
}
