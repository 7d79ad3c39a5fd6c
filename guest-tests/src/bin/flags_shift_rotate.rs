//! Shifts and rotates: results, CF of the last bit moved out, OF where it is defined (a count of 1), the
//! masked count, and that a count of zero changes no flag (SDM, SAL/SAR/SHL/SHR; RCL/RCR/ROL/ROR; SHLD).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::register::rflags::{CF, OF, PF, SF, ZF};

guest_tests::entry!(main);

macro_rules! run {
    ($code:literal, $value:expr, $count:expr, $flags:expr) => {{
        let (mut value, mut flags): (u64, u64) = ($value, $flags);
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
                inout("rax") value,
                in("rcx") $count as u64,
                in("rdx") 0x0123_4567_89ab_cdef_u64,
            )
        };
        (value, flags & (CF | PF | ZF | SF | OF))
    }};
}

fn main() {
    const NONE: u64 = 2;
    const ALL: u64 = 2 | CF | PF | ZF | SF | OF;
    const SEEN: u64 = CF | PF | ZF | SF | OF;
    check_eq!(run!("shl al, cl", 0x81, 1, NONE), (0x02, CF | OF));
    check_eq!(run!("shl al, cl", 0x40, 1, NONE), (0x80, SF | OF));
    check_eq!(run!("shr al, cl", 0x81, 1, NONE), (0x40, CF | OF));
    check_eq!(run!("sar al, cl", 0x81, 1, ALL), (0xc0, CF | PF | SF));
    check_eq!(
        run!("shl eax, cl", 0x8000_0001, 33, NONE),
        (2, CF | OF),
        "the count is masked to 5 bits"
    );
    check_eq!(run!("shl rax, cl", 1, 63, NONE).0, 1 << 63);
    check_eq!(
        run!("shl rax, cl", 1 << 63 | 1, 65, NONE),
        (2, CF | OF),
        "the count is masked to 6 bits"
    );
    check_eq!(run!("sar rax, cl", 1 << 63, 63, NONE).0, u64::MAX);
    check_eq!(run!("shl al, cl", 0xff, 12, NONE).0, 0, "a count above the width");
    check_eq!(run!("sar ax, cl", 0x8000, 31, NONE).0, 0xffff);
    for flags in [NONE, ALL] {
        check_eq!(run!("shl rax, cl", 5, 64, flags), (5, flags & SEEN), "SHL by 0");
        check_eq!(run!("sar eax, cl", 5, 32, flags), (5, flags & SEEN), "SAR by 0");
        check_eq!(run!("rol al, cl", 5, 0, flags), (5, flags & SEEN), "ROL by 0");
        check_eq!(run!("rcr rax, cl", 5, 64, flags), (5, flags & SEEN), "RCR by 0");
        check_eq!(run!("shld rax, rdx, cl", 5, 64, flags), (5, flags & SEEN), "SHLD by 0");
    }
    // A shift of 32 bits by 0 still clears the upper half; one of 16 bits keeps the rest.
    check_eq!(run!("shl eax, cl", 0x1_0000_0005, 32, NONE), (5, 0));
    check_eq!(run!("shl ax, cl", 0x1_0000_8001, 1, NONE).0, 0x1_0000_0002);

    // Rotates touch CF and OF only.
    check_eq!(run!("rol al, cl", 0x81, 1, NONE), (0x03, CF | OF));
    check_eq!(run!("rol al, cl", 0x81, 1, ALL), (0x03, CF | OF | PF | ZF | SF));
    check_eq!(run!("ror al, cl", 0x02, 1, NONE), (0x01, 0));
    check_eq!(run!("ror al, cl", 0x01, 1, NONE), (0x80, CF | OF));
    check_eq!(run!("rol ax, cl", 0x1234, 4, NONE).0, 0x2341, "ROL by 4");
    check_eq!(run!("rol al, cl", 0x81, 8, NONE).1 & CF, CF, "ROL by the width copies bit 0 to CF");
    check_eq!(run!("rcl al, cl", 0x81, 1, NONE), (0x02, CF | OF));
    check_eq!(run!("rcl al, cl", 0x81, 1, NONE | CF), (0x03, CF | OF));
    check_eq!(run!("rcl al, cl", 0x81, 9, NONE).0, 0x81, "RCL by the width and one");
    check_eq!(run!("rcr rax, cl", 1, 1, NONE | CF), (1 << 63, CF | OF));
    check_eq!(run!("rcr eax, cl", 2, 2, NONE).1 & CF, CF, "RCR by 2");

    check_eq!(run!("shld rax, rdx, cl", 1, 4, NONE).0, 0x10);
    check_eq!(run!("shld rax, rdx, cl", 1, 8, NONE).0, 0x101);
    check_eq!(run!("shrd rax, rdx, cl", 0x100, 8, NONE).0, 0xef00_0000_0000_0001);
    check_eq!(run!("shrd eax, edx, cl", 0x8000_0000, 31, NONE).0, 0x1357_9bdf);
    check_eq!(run!("shld eax, edx, cl", 0x8000_0000, 1, NONE), (1, CF | OF));
}
