//! REPE and REPNE with CMPS and SCAS: where they stop, what the flags say then, and that a count of zero
//! changes nothing, flags included (SDM, REP; CMPS; SCAS).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{CF, SF, ZF};

guest_tests::entry!(main);

/// Runs a string instruction with all flags of interest set before; returns how far RSI and RDI went,
/// RCX, and the flags.
macro_rules! string {
    ($code:literal, $rsi:expr, $rdi:expr, $rcx:expr, $rax:expr) => {{
        let (from, to) = ($rsi.as_ptr() as u64, $rdi.as_ptr() as u64);
        let (mut rsi, mut rdi, mut rcx, flags) = (from, to, $rcx as u64, 0_u64);
        let mut flags = flags;
        // SAFETY: the strings are longer than the count.
        unsafe {
            asm!(
                "sub rsp, 128",
                "xor edx, edx",
                "stc",
                $code,
                "pushfq",
                "pop {flags}",
                "cld",
                "lea rsp, [rsp + 128]",
                flags = inout(reg) flags,
                inout("rsi") rsi,
                inout("rdi") rdi,
                inout("rcx") rcx,
                in("rax") $rax as u64,
                out("rdx") _,
            )
        };
        (rsi.wrapping_sub(from) as i64, rdi.wrapping_sub(to) as i64, rcx, flags & (ZF | CF | SF))
    }};
}

fn main() {
    let (a, b) = (b"abcdefgh", b"abcxefgh");
    check_eq!(string!("repe cmpsb", a, b, 8, 0), (4, 4, 4, CF | SF), "stops behind the difference");
    check_eq!(string!("repe cmpsb", a, b, 3, 0), (3, 3, 0, ZF), "all equal");
    check_eq!(string!("repne cmpsb", a, b, 8, 0), (1, 1, 7, ZF), "stops behind the equal pair");
    check_eq!(string!("repe cmpsd", a, b, 2, 0), (4, 4, 1, CF | SF), "four bytes at once");
    check_eq!(string!("repe cmpsw", b, a, 4, 0), (4, 4, 2, 0), "b is above a");
    // XOR set ZF, STC set CF.
    check_eq!(string!("repe cmpsb", a, b, 0, 0), (0, 0, 0, ZF | CF), "a count of zero");
    check_eq!(string!("repne scasb", a, b, 8, b'x'), (0, 4, 4, ZF), "found");
    check_eq!(string!("repne scasb", a, b, 8, b'z'), (0, 8, 0, 0), "not found");
    check_eq!(string!("repe scasb", a, b, 8, b'a'), (0, 2, 6, CF | SF), "the first that differs");
    check_eq!(string!("repne scasq", a, b, 0, 0), (0, 0, 0, ZF | CF), "a count of zero");
    let end = &a[4..];
    check_eq!(string!("std; repe cmpsb", end, end, 4, 0), (-4, -4, 0, ZF), "descending");
    check_eq!(string!("std; scasw", a, a, 9, 0x6261), (0, -2, 9, ZF), "descending, once");
}
