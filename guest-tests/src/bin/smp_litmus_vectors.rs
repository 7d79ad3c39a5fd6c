//! What processors see of each other's vectors where several are moved near one another, as programs copy
//! and fill memory: loads in the order of the program and stores in that order, whichever way they go
//! (SDM, "Memory Ordering"). More with `rounds=` on the command line.
//@ cpus: 4

#![no_std]
#![no_main]

use guest_tests::litmus_part as part;
use guest_tests::smp::litmus::Verdict::{self, Forbidden, Ordered};
use guest_tests::smp::litmus::{Litmus, Seen, run_all};

guest_tests::entry!(main);

fn main() {
    run_all(TESTS, 1_000);
}

/// A message was seen before what it announces.
fn in_order(seen: &[Seen], _: u64, _: u64) -> Verdict {
    if seen[1] == [1, 0] { Forbidden } else { Ordered }
}

/// Both of the last two saw one store and not the other, and not the same one.
fn one_order(seen: &[Seen], _: u64, _: u64) -> Verdict {
    if seen[2] == [1, 0] && seen[3] == [1, 0] { Forbidden } else { Ordered }
}

/// y is 128 bytes behind x, so that both can be meant by displacements from one register; and the bytes at
/// 48 and 64 behind x are in two cache lines.
const TESTS: &[Litmus] = &[
    Litmus {
        name: "MP, upwards",
        parts: &[
            part!("movq xmm0, rcx", "movdqa [rdi], xmm0", "movdqa [rdi + 128], xmm0"),
            part!(
                "movdqa xmm0, [rdi + 128]",
                "movdqa xmm1, [rdi]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP, downwards",
        parts: &[
            part!("movq xmm0, rcx", "movdqu [rdi + 128], xmm0", "movdqu [rdi], xmm0"),
            part!(
                "movdqu xmm0, [rdi]",
                "movdqu xmm1, [rdi + 128]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP, the second and the third of four",
        parts: &[
            part!(
                "movq xmm0, rcx",
                "movdqa [rdi + 16], xmm0",
                "movdqa [rdi], xmm0",
                "movdqa [rdi + 128], xmm0",
                "movdqa [rdi + 144], xmm0"
            ),
            part!(
                "movdqa xmm2, [rdi + 16]",
                "movdqa xmm0, [rdi + 128]",
                "movdqa xmm1, [rdi]",
                "movdqa xmm3, [rdi + 144]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP, loaded by a copy",
        parts: &[
            part!("mov [rdi + 64], rcx", "mov [rdi + 48], rcx"),
            part!(
                "movdqu xmm0, [rdi + 48]",
                "movdqu xmm1, [rdi + 64]",
                "movdqu [rsp - 64], xmm0",
                "movdqu [rsp - 48], xmm1",
                "mov rax, [rsp - 64]",
                "mov rdx, [rsp - 48]"
            ),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP, stored by a copy",
        parts: &[
            part!(
                "mov [rsp - 64], rcx",
                "mov [rsp - 48], rcx",
                "movdqu xmm0, [rsp - 64]",
                "movdqu xmm1, [rsp - 48]",
                "movdqu [rdi + 48], xmm0",
                "movdqu [rdi + 64], xmm1"
            ),
            part!("mov rax, [rdi + 64]", "mov rdx, [rdi + 48]"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "S, stored upwards",
        parts: &[
            part!(
                "movq xmm1, rcx",
                "inc ecx",
                "movq xmm0, rcx",
                "movdqa [rdi], xmm0",
                "movdqa [rdi + 128], xmm1"
            ),
            part!("mov rax, [rsi]", "mov [rdi], rcx"),
        ],
        judge: |seen, x, _| {
            if seen[1][0] == 1 && x == 2 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "2+2W, upwards and downwards",
        parts: &[
            part!(
                "movq xmm0, rcx",
                "inc ecx",
                "movq xmm1, rcx",
                "movdqa [rdi], xmm0",
                "movdqa [rdi + 128], xmm1"
            ),
            part!(
                "movq xmm0, rcx",
                "inc ecx",
                "movq xmm1, rcx",
                "movdqa [rdi + 128], xmm0",
                "movdqa [rdi], xmm1"
            ),
        ],
        judge: |_, x, y| {
            if x == 1 && y == 1 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "SB + mfence, loaded by a copy",
        parts: &[
            part!(
                "mov [rdi], rcx",
                "mfence",
                "movdqa xmm0, [rsi]",
                "movdqu [rsp - 64], xmm0",
                "mov rax, [rsp - 64]"
            ),
            part!(
                "mov [rsi], rcx",
                "mfence",
                "movdqa xmm0, [rdi]",
                "movdqu [rsp - 64], xmm0",
                "mov rax, [rsp - 64]"
            ),
        ],
        judge: |seen, _, _| {
            if seen[0][0] == 0 && seen[1][0] == 0 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "CoRR, upwards",
        parts: &[
            part!("mov [rdi], rcx"),
            part!("movdqa xmm0, [rdi]", "movdqa xmm1, [rdi]", "movq rax, xmm0", "movq rdx, xmm1"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "WRC, passed on by a copy",
        parts: &[
            part!("mov [rdi], rcx"),
            part!("movdqa xmm0, [rdi]", "movdqa [rsi], xmm0", "movq rax, xmm0"),
            part!(
                "movdqa xmm0, [rdi + 128]",
                "movdqa xmm1, [rdi]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
        ],
        judge: |seen, _, _| {
            if seen[2] == [1, 0] { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "IRIW, upwards and downwards",
        parts: &[
            part!("mov [rdi], rcx"),
            part!("mov [rsi], rcx"),
            part!(
                "movdqa xmm0, [rdi]",
                "movdqa xmm1, [rdi + 128]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
            part!(
                "movdqa xmm0, [rdi + 128]",
                "movdqa xmm1, [rdi]",
                "movq rax, xmm0",
                "movq rdx, xmm1"
            ),
        ],
        judge: one_order,
    },
];
