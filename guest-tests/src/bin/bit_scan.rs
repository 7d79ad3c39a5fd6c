//! BSF and BSR set ZF for zero and else give the bit's number; POPCNT counts and clears every other flag
//! (SDM, BSF; BSR; POPCNT).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::cpu::cpuid;
use guest_tests::register::rflags::{STATUS, ZF};

guest_tests::entry!(main);

macro_rules! run {
    ($code:literal, $value:expr) => {{
        let (mut rax, mut flags): (u64, u64) = (0, 0);
        // SAFETY: only registers change; the red zone is skipped.
        unsafe {
            asm!(
                "sub rsp, 128",
                $code,
                "pushfq",
                "pop {flags}",
                "lea rsp, [rsp + 128]",
                flags = inout(reg) flags,
                inout("rax") rax,
                in("rcx") $value as u64,
            )
        };
        (rax, flags & STATUS)
    }};
}

fn main() {
    for bit in 0..64 {
        let noise = 0xa5a5_5a5a_1234_8765_u64;
        let (above, below) = (noise.checked_shl(bit + 1).unwrap_or(0), noise & ((1 << bit) - 1));
        let (rax, flags) = run!("bsf rax, rcx", 1 << bit | above);
        check_eq!((rax, flags & ZF), (bit.into(), 0), "BSF");
        let (rax, flags) = run!("bsr rax, rcx", 1 << bit | below);
        check_eq!((rax, flags & ZF), (bit.into(), 0), "BSR");
    }
    check_eq!(run!("bsf eax, ecx", 0x1_0000_0000_u64).1 & ZF, ZF, "BSF of zero");
    check_eq!(run!("bsr ax, cx", 0xffff_0000_u64).1 & ZF, ZF, "BSR of zero");
    check_eq!(run!("bsr ax, cx", 0x1_8000).0, 15, "BSR of 16 bits");

    assert!(cpuid(1, 0).ecx & 1 << 23 != 0, "CPUID offers no POPCNT");
    check_eq!(run!("popcnt rax, rcx", u64::MAX), (64, 0));
    check_eq!(run!("popcnt rax, rcx", 0), (0, ZF));
    check_eq!(run!("popcnt eax, ecx", 0xf_0000_0001_u64), (1, 0));
    check_eq!(run!("popcnt ax, cx", 0xf_00ff), (8, 0));
}
