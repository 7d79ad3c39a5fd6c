//! Moves and the operation behind them, which execute as one, against the host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::native::{AF, ALL, OF, compare_all};

#[test]
fn operations_on_a_copy() {
    let logic = ALL & !AF;
    let shift = ALL & !AF & !OF;
    compare_all(
        &[
            ("mov rdx, rax; add rdx, rcx", &[0x48, 0x89, 0xc2, 0x48, 0x01, 0xca], ALL),
            ("mov edx, eax; sub edx, ecx", &[0x89, 0xc2, 0x29, 0xca], ALL),
            ("mov rdx, rax; sub rdx, rdx", &[0x48, 0x89, 0xc2, 0x48, 0x29, 0xd2], ALL),
            ("mov rdx, rax; add rdx, rax", &[0x48, 0x89, 0xc2, 0x48, 0x01, 0xc2], ALL),
            ("mov rdx, rax; add rdx, -7", &[0x48, 0x89, 0xc2, 0x48, 0x83, 0xc2, 0xf9], ALL),
            ("mov edx, eax; sub edx, 0x80", &[0x89, 0xc2, 0x81, 0xea, 0x80, 0, 0, 0], ALL),
            ("mov edx, eax; and edx, ecx", &[0x89, 0xc2, 0x21, 0xca], logic),
            ("mov rdx, rax; or rdx, rcx", &[0x48, 0x89, 0xc2, 0x48, 0x09, 0xca], logic),
            ("mov edx, eax; xor edx, -1", &[0x89, 0xc2, 0x83, 0xf2, 0xff], logic),
            ("mov rdx, rax; shl rdx, 13", &[0x48, 0x89, 0xc2, 0x48, 0xc1, 0xe2, 13], shift),
            ("mov edx, eax; shr edx, 31", &[0x89, 0xc2, 0xc1, 0xea, 31], shift),
            ("mov rdx, rax; sar rdx, 63", &[0x48, 0x89, 0xc2, 0x48, 0xc1, 0xfa, 63], shift),
            ("mov edx, eax; shl edx, 32", &[0x89, 0xc2, 0xc1, 0xe2, 32], ALL),
            (
                "mov rdx, rax; shl rdx, 5; xor rdx, rcx: flags that nobody reads",
                &[0x48, 0x89, 0xc2, 0x48, 0xc1, 0xe2, 5, 0x48, 0x31, 0xca],
                logic,
            ),
            ("mov dx, ax; add dx, cx", &[0x66, 0x89, 0xc2, 0x66, 0x01, 0xca], ALL),
            ("mov rdx, rax; add dl, cl", &[0x48, 0x89, 0xc2, 0x00, 0xca], ALL),
            ("mov edx, eax; add rdx, rcx", &[0x89, 0xc2, 0x48, 0x01, 0xca], ALL),
            ("mov rdx, rax; add edx, ecx", &[0x48, 0x89, 0xc2, 0x01, 0xca], ALL),
        ],
        300,
    );
}
