//! XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B.

mod common;

use common::guest::{CODE, DATA, End, Guest};
use monovisor_core::state::{Exception, RFlags, Register};

#[cfg(target_arch = "x86_64")]
#[test]
fn results_and_flags_are_the_hosts() {
    use common::native::{ALL, compare_all};
    compare_all(
        &[
            ("xadd rcx, rdx", &[0x48, 0x0f, 0xc1, 0xd1], ALL),
            ("xadd ecx, ecx", &[0x0f, 0xc1, 0xc9], ALL),
            ("xadd cx, dx", &[0x66, 0x0f, 0xc1, 0xd1], ALL),
            ("xadd ch, dl", &[0x0f, 0xc0, 0xd5], ALL),
            ("lock xadd [r9], edx", &[0xf0, 0x41, 0x0f, 0xc1, 0x11], ALL),
            ("xadd [r9 + 5], rdx", &[0x49, 0x0f, 0xc1, 0x51, 5], ALL),
            ("cmpxchg rcx, rdx", &[0x48, 0x0f, 0xb1, 0xd1], ALL),
            ("cmpxchg ecx, edx", &[0x0f, 0xb1, 0xd1], ALL),
            ("cmpxchg eax, edx", &[0x0f, 0xb1, 0xd0], ALL),
            ("cmpxchg cl, dl", &[0x0f, 0xb0, 0xd1], ALL),
            ("lock cmpxchg [r9], rdx", &[0xf0, 0x49, 0x0f, 0xb1, 0x11], ALL),
            ("cmpxchg [r9], dx", &[0x66, 0x41, 0x0f, 0xb1, 0x11], ALL),
            // After these two the accumulator agrees with memory.
            (
                "mov eax, [r9]; lock cmpxchg [r9], ecx",
                &[0x41, 0x8b, 1, 0xf0, 0x41, 0x0f, 0xb1, 9],
                ALL,
            ),
            ("cmpxchg8b [r9]", &[0x41, 0x0f, 0xc7, 0x09], ALL),
            (
                "mov eax, [r9]; mov edx, [r9 + 4]; lock cmpxchg8b [r9]",
                &[0x41, 0x8b, 1, 0x41, 0x8b, 0x51, 4, 0xf0, 0x41, 0x0f, 0xc7, 9],
                ALL,
            ),
        ],
        300,
    );
}

#[test]
fn sixteen_bytes_are_exchanged_when_they_are_what_was_expected() {
    const LOCK_CMPXCHG16B: [u8; 6] = [0xf0, 0x49, 0x0f, 0xc7, 0x09, 0x90];
    for (expected, equal) in [(0x1111, true), (0x2222, false)] {
        let mut guest = Guest::long_mode();
        guest.ram.write(DATA, &[0x1111_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat());
        guest.set(Register::R9, DATA);
        guest.set(Register::Rax, expected);
        guest.set(Register::Rdx, 5);
        guest.set(Register::Rbx, 6);
        guest.set(Register::Rcx, 7);
        assert_eq!(guest.run(&LOCK_CMPXCHG16B), End::Done);
        assert_eq!(guest.state.rflags.contains(RFlags::ZERO_FLAG), equal);
        assert_eq!(guest.get(Register::Rax), 0x1111);
        let stored = if equal { 6_u64 } else { 0x1111 };
        assert_eq!(guest.bytes(DATA, 8), stored.to_le_bytes());
    }
}

#[test]
fn sixteen_bytes_must_be_aligned() {
    let mut guest = Guest::long_mode();
    guest.set(Register::R9, DATA + 8);
    assert_eq!(guest.run(&[0x49, 0x0f, 0xc7, 0x09]), End::Fault(Exception::GP0));
    assert_eq!(guest.state.rip, CODE);
}

/// F3 90 is PAUSE, and with REX.B it is XCHG with R8, whatever the prefix.
#[test]
fn pause_with_another_register_exchanges() {
    for (code, rax, r8) in [
        (&[0xf3, 0x49, 0x90][..], 0x8888_8888_8888, 0x1111_1111_1111),
        (&[0xf3, 0x41, 0x90], 0x8888_8888, 0x1111_1111),
        (&[0xf3, 0x66, 0x41, 0x90], 0x1111_1111_8888, 0x8888_8888_1111),
        (&[0xf3, 0x48, 0x90], 0x1111_1111_1111, 0x8888_8888_8888),
    ] {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rax, 0x1111_1111_1111);
        guest.set(Register::R8, 0x8888_8888_8888);
        assert_eq!(guest.run(code), End::Done);
        assert_eq!((guest.get(Register::Rax), guest.get(Register::R8)), (rax, r8), "{code:x?}");
    }
}
