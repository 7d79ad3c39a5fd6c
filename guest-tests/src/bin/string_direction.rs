//! The direction flag, and overlapping moves, which go element by element: an ascending move onto the
//! next element repeats the first one (SDM, MOVS; STOS; LODS).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;

guest_tests::entry!(main);

macro_rules! moved {
    ($code:literal, $from:literal -> $to:literal, $count:literal) => {{
        let mut text = *b"abcdefghijklmnopqrstuvwxyz012345";
        let base = text.as_mut_ptr();
        let (from, to) = (base.wrapping_add($from), base.wrapping_add($to));
        // SAFETY: the string lies in `text`.
        unsafe {
            asm!($code, "cld", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") $count => _)
        };
        text
    }};
}

fn main() {
    check_eq!(moved!("rep movsb", 0 -> 1, 7), *b"aaaaaaaaijklmnopqrstuvwxyz012345");
    check_eq!(moved!("rep movsb", 0 -> 3, 9), *b"abcabcabcabcmnopqrstuvwxyz012345");
    check_eq!(moved!("rep movsb", 1 -> 0, 7), *b"bcdefghhijklmnopqrstuvwxyz012345");
    check_eq!(moved!("rep movsw", 0 -> 1, 4), *b"aabbddffhjklmnopqrstuvwxyz012345");
    check_eq!(moved!("rep movsd", 0 -> 4, 4), *b"abcdabcdabcdabcdabcduvwxyz012345");
    check_eq!(moved!("rep movsd", 0 -> 2, 4), *b"ababcdcdghghklklopstuvwxyz012345");
    check_eq!(moved!("rep movsq", 0 -> 8, 3), *b"abcdefghabcdefghabcdefghabcdefgh");
    check_eq!(moved!("rep movsq", 0 -> 1, 3), *b"aabcdefghhjklmnopprstuvwxz012345");
    check_eq!(moved!("rep movsq", 3 -> 0, 3), *b"defghijklmnopqrstuvwxyz0yz012345");
    check_eq!(moved!("std; rep movsb", 6 -> 7, 7), *b"aabcdefgijklmnopqrstuvwxyz012345");
    check_eq!(moved!("std; rep movsb", 7 -> 6, 7), *b"hhhhhhhhijklmnopqrstuvwxyz012345");
    check_eq!(moved!("std; rep movsw", 6 -> 8, 4), *b"ababcdefghklmnopqrstuvwxyz012345");
    check_eq!(moved!("std; rep movsd", 12 -> 10, 3), *b"abefijijmnmnopopqrstuvwxyz012345");
    check_eq!(moved!("std; rep movsq", 16 -> 24, 3), *b"abcdefghabcdefghijklmnopqrstuvwx");
    check_eq!(moved!("std; rep movsq", 24 -> 23, 3), *b"abcdefgijklmnoqqrstuvwyyz0123455");

    let mut words = [0_u16; 4];
    let last = &raw mut words[3];
    let rdi: *mut u16;
    // SAFETY: two words of the four are written.
    unsafe {
        asm!("std", "rep stosw", "cld", inout("rdi") last => rdi, inout("rcx") 2 => _, in("ax") 7_u16)
    };
    check_eq!(words, [0, 0, 7, 7], "STOSW, descending");
    check_eq!(rdi.addr(), last.addr() - 4, "RDI after STOSW, descending");
}
