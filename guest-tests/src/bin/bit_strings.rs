//! BT, BTS, BTR and BTC: with a register as bit offset they reach any word around the address, before it
//! too; with an immediate, or on a register, the offset is taken modulo the width (SDM, BT).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

/// Runs `$code` at the middle of eight words: the bit that CF got, and the words.
macro_rules! in_memory {
    ($code:literal) => {
        in_memory!($code, 0)
    };
    ($code:literal, $offset:expr) => {{
        let mut words = [0_u64; 8];
        words[2] = 1 << 63;
        words[5] = 1 << 1;
        let middle = words[4..].as_mut_ptr();
        let carry: u8;
        // SAFETY: the offsets stay inside the words.
        unsafe {
            asm!($code, "setc {}", out(reg_byte) carry, in("rdi") middle, in("rcx") $offset as i64)
        };
        (carry, words)
    }};
}

macro_rules! in_register {
    ($code:literal, $value:expr, $offset:expr) => {{
        let mut value: u64 = $value;
        let carry: u8;
        // SAFETY: only registers change.
        unsafe { asm!($code, "setc {}", out(reg_byte) carry, inout("rax") value, in("rcx") $offset) };
        (carry, value)
    }};
}

fn main() {
    check_eq!(in_memory!("bt [rdi], rcx", 65).0, 1, "BT, 65 bits behind");
    check_eq!(in_memory!("bt [rdi], rcx", 64).0, 0);
    check_eq!(in_memory!("bt [rdi], rcx", -65).0, 1, "BT, 65 bits before");
    check_eq!(in_memory!("bt [rdi], ecx", -65).0, 1, "BT of 32 bits");
    check_eq!(in_memory!("bt [rdi], cx", -65).0, 1, "BT of 16 bits");
    check_eq!(in_memory!("bt qword ptr [rdi + 8], 65").0, 1, "an immediate is taken modulo 64");

    let (carry, words) = in_memory!("bts [rdi], rcx", -1);
    check_eq!((carry, words[3]), (0, 1 << 63), "BTS");
    let (carry, words) = in_memory!("btr [rdi], ecx", -65);
    check_eq!((carry, words[2]), (1, 0), "BTR");
    let (carry, words) = in_memory!("btc [rdi], cx", 64 + 16);
    check_eq!((carry, words[5]), (0, 2 | 1 << 16), "BTC");
    let (carry, words) = in_memory!("lock bts [rdi], rcx", -256);
    check_eq!((carry, words[0]), (0, 1), "LOCK BTS");

    check_eq!(in_register!("bt rax, rcx", 1 << 5, 64 + 5_u64), (1, 1 << 5));
    check_eq!(in_register!("bts eax, ecx", 0, 33_u64), (0, 2));
    check_eq!(in_register!("btr ax, cx", 0xffff, 17_u64), (1, 0xfffd));
    check_eq!(in_register!("btc rax, 63", 1 << 63, 0_u64), (1, 0));
}
