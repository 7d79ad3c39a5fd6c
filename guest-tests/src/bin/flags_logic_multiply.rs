//! Logic clears CF and OF and sets SF, ZF and PF; NOT touches nothing; MUL and IMUL set CF and OF when the
//! upper half matters; SAHF, LAHF, CMC and the like (SDM, AND; NOT; MUL; IMUL; LAHF).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{CF, OF, PF, SF, STATUS, ZF};

guest_tests::entry!(main);

const LOGIC: u64 = CF | PF | ZF | SF | OF;
const MULTIPLY: u64 = CF | OF;

/// Runs `$code` with RAX, RCX and all status flags set: RAX, RDX and the flags in `$mask`.
macro_rules! run {
    ($code:literal, $rax:expr, $rcx:expr, $mask:expr) => {{
        let (mut rax, mut rdx, mut flags): (u64, u64, u64) = ($rax as u64, 0, STATUS | 2);
        // SAFETY: only registers change; the red zone is skipped.
        unsafe {
            asm!(
                "sub rsp, 128",
                "push {flags}",
                "popfq",
                $code,
                "pushfq",
                "pop {flags}",
                "lea rsp, [rsp + 128]",
                flags = inout(reg) flags,
                inout("rax") rax,
                inout("rdx") rdx,
                in("rcx") $rcx as u64,
            )
        };
        (rax, rdx, flags & $mask)
    }};
}

fn main() {
    check_eq!(run!("and al, cl", 0xf0, 0x0f, LOGIC), (0, 0, ZF | PF));
    check_eq!(run!("or al, cl", 0xf0, 0x0f, LOGIC), (0xff, 0, SF | PF));
    check_eq!(run!("xor eax, ecx", 0x1_8000_0001_u64, 0, LOGIC), (0x8000_0001, 0, SF));
    check_eq!(run!("test rax, rcx", 0x8000_0000_0000_0300_u64, -1_i64, LOGIC).2, SF | PF);
    check_eq!(run!("not ax", 0xff_00ff, 0, STATUS), (0xff_ff00, 0, STATUS), "NOT");

    check_eq!(run!("mul cl", 16, 15, MULTIPLY), (240, 0, 0));
    check_eq!(run!("mul cl", 16, 16, MULTIPLY), (256, 0, CF | OF));
    check_eq!(
        run!("mul ecx", 0xffff_ffff_u64, 0xffff_ffff_u64, MULTIPLY),
        (1, 0xffff_fffe, CF | OF)
    );
    check_eq!(run!("mul rcx", u64::MAX, 2, MULTIPLY), (u64::MAX - 1, 1, CF | OF));
    check_eq!(run!("imul cl", 0xff, 0xff, MULTIPLY), (1, 0, 0), "-1 * -1");
    check_eq!(run!("imul cl", 0x80, 0x80, MULTIPLY), (0x4000, 0, CF | OF), "-128 * -128");
    check_eq!(run!("imul cl", 0x80, 1, MULTIPLY), (0xff80, 0, 0), "-128 * 1");
    check_eq!(run!("imul rcx", -1_i64, 1, MULTIPLY), (u64::MAX, u64::MAX, 0));
    check_eq!(run!("imul rcx", i64::MIN, -1_i64, MULTIPLY), (1 << 63, 0, CF | OF));
    check_eq!(run!("imul eax, ecx", 0x1_0000, 0x8000, MULTIPLY), (0x8000_0000, 0, CF | OF));
    check_eq!(run!("imul eax, ecx", 0x1_0000, 0x7fff, MULTIPLY), (0x7fff_0000, 0, 0));
    check_eq!(run!("imul ax, cx, -2", 0, 0x4000, MULTIPLY), (0x8000, 0, 0));
    check_eq!(run!("imul ax, cx, -2", 0, 0x4001, MULTIPLY), (0x7ffe, 0, CF | OF));

    check_eq!(run!("lahf", 0, 0, STATUS), (0xd700, 0, STATUS), "LAHF");
    check_eq!(run!("mov ah, 0; sahf", 0, 0, STATUS), (0, 0, OF), "SAHF");
    check_eq!(run!("cmc", 0, 0, STATUS).2, STATUS & !CF);
    check_eq!(run!("clc", 0, 0, STATUS).2, STATUS & !CF);
    check_eq!(run!("xor eax, eax; stc", 1, 0, CF | ZF).2, CF | ZF);
    check_eq!(run!("cwde", 0x1234_8000, 0, STATUS), (0xffff_8000, 0, STATUS), "CWDE");
    check_eq!(run!("cqo", -1_i64, 0, STATUS), (u64::MAX, u64::MAX, STATUS), "CQO");
    check_eq!(run!("cdq", 0x8000_0000_u64, 0, STATUS), (0x8000_0000, 0xffff_ffff, STATUS), "CDQ");
    check_eq!(run!("bswap eax", 0x1_1122_3344_u64, 0, STATUS), (0x4433_2211, 0, STATUS), "BSWAP");
}
