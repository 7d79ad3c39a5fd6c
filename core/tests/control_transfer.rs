//! JMP, Jcc, CALL, RET, LOOPcc and JrCXZ within their code, against the host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::native::{AF, ALL, compare_all};

/// Every condition, behind flags of every origin; the branch jumps over `mov dl, 0x5a`.
#[test]
fn conditions() {
    const SETTERS: [(&str, &[u8]); 12] = [
        ("", &[]),
        ("cmp al, cl", &[0x38, 0xc8]),
        ("cmp ax, cx", &[0x66, 0x39, 0xc8]),
        ("cmp eax, ecx", &[0x39, 0xc8]),
        ("cmp rax, rcx", &[0x48, 0x39, 0xc8]),
        ("cmp rax, -1", &[0x48, 0x83, 0xf8, 0xff]),
        ("cmp eax, 0x7fffffff", &[0x3d, 0xff, 0xff, 0xff, 0x7f]),
        ("cmp [r9], ecx", &[0x41, 0x39, 0x09]),
        ("test rax, rcx", &[0x48, 0x85, 0xc8]),
        ("test al, al", &[0x84, 0xc0]),
        ("dec ecx", &[0xff, 0xc9]),
        ("add eax, ecx", &[0x01, 0xc8]),
    ];
    let mut rows = Vec::new();
    for (name, setter) in SETTERS {
        for code in 0..16_u8 {
            let short = [setter, &[0x70 | code, 2, 0xb2, 0x5a]].concat();
            rows.push((format!("{name}; j{code:x} short"), short));
            let near = [setter, &[0x0f, 0x80 | code, 2, 0, 0, 0, 0xb2, 0x5a]].concat();
            rows.push((format!("{name}; j{code:x} near"), near));
        }
    }
    // AF is undefined behind TEST.
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, code)| {
            let undefined = if name.starts_with("test") { AF } else { 0 };
            (&**name, &**code, ALL & !undefined)
        })
        .collect();
    compare_all(&rows, 40);
}

#[test]
fn loops_calls_and_jumps() {
    compare_all(
        &[
            ("mov ecx, 5; add eax, edx; loop", &[0xb9, 5, 0, 0, 0, 1, 0xd0, 0xe2, 0xfc], ALL),
            (
                "mov ecx, 9; inc eax; test al, 3; loopne",
                &[0xb9, 9, 0, 0, 0, 0xff, 0xc0, 0xa8, 3, 0xe0, 0xfa],
                ALL & !AF,
            ),
            (
                "mov ecx, 9; inc eax; test al, 3; loope",
                &[0xb9, 9, 0, 0, 0, 0xff, 0xc0, 0xa8, 3, 0xe1, 0xfa],
                ALL & !AF,
            ),
            // A count of 32 bits clears the upper half of RCX.
            ("mov cl, 1; a32 loop; nop", &[0x67, 0xe2, 0, 0x90], ALL),
            ("jrcxz", &[0xe3, 2, 0xb2, 0x5a], ALL),
            ("jecxz", &[0x67, 0xe3, 2, 0xb2, 0x5a], ALL),
            ("call; jmp; add eax, ecx; ret", &[0xe8, 2, 0, 0, 0, 0xeb, 3, 1, 0xc8, 0xc3], ALL),
            ("push rcx; call; jmp; ret 8", &[0x51, 0xe8, 2, 0, 0, 0, 0xeb, 3, 0xc2, 8, 0], ALL),
            (
                "lea rdx, [rip + 3]; jmp rdx; int3; mov edx, 0",
                &[0x48, 0x8d, 0x15, 3, 0, 0, 0, 0xff, 0xe2, 0xcc, 0xba, 0, 0, 0, 0],
                ALL,
            ),
            (
                "lea rdx, [rip + 8]; call rdx; mov edx, 0; jmp; inc al; ret",
                &[
                    0x48, 0x8d, 0x15, 9, 0, 0, 0, 0xff, 0xd2, 0xba, 0, 0, 0, 0, 0xeb, 3, 0xfe,
                    0xc0, 0xc3,
                ],
                ALL,
            ),
        ],
        50,
    );
}
