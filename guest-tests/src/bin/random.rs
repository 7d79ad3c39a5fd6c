//! RDRAND and RDSEED: CF says that there is a number, the other status flags are zero, an operand of 32
//! bits clears the upper half, and numbers differ (SDM, RDRAND; RDSEED).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::check_eq;
use guest_tests::cpu::cpuid;
use guest_tests::register::rflags::{CF, STATUS};

guest_tests::entry!(main);

macro_rules! draw {
    ($code:literal) => {{
        let mut tries = 0;
        loop {
            let (mut value, mut flags): (u64, u64) = (u64::MAX, 0);
            // SAFETY: only registers change; the red zone is skipped.
            unsafe {
                asm!(
                    "sub rsp, 128",
                    $code,
                    "pushfq",
                    "pop {flags}",
                    "lea rsp, [rsp + 128]",
                    flags = inout(reg) flags,
                    inout("rax") value,
                )
            };
            check_eq!(flags & STATUS & !CF, 0, "flags after {}", $code);
            if flags & CF != 0 {
                break value;
            }
            check_eq!(value, 0, "without CF, the destination of {}", $code);
            tries += 1;
            assert!(tries < 1000, "no number of {}", $code);
        }
    }};
}

fn main() {
    assert!(cpuid(1, 0).ecx & 1 << 30 != 0, "CPUID offers no RDRAND");
    let first = draw!("rdrand rax");
    assert!((0..8).any(|_| draw!("rdrand rax") != first), "RDRAND repeats {first:#x}");
    assert!(draw!("rdrand eax") <= u64::from(u32::MAX), "RDRAND of 32 bits");
    check_eq!(draw!("rdrand ax") >> 16, u64::MAX >> 16, "RDRAND of 16 bits keeps the rest");
    // QEMU 7.2 has no RDSEED.
    if cpuid(7, 0).ebx & 1 << 18 != 0 {
        let first = draw!("rdseed rax");
        assert!((0..8).any(|_| draw!("rdseed rax") != first), "RDSEED repeats {first:#x}");
    }
}
