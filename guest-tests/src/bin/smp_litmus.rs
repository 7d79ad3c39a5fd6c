//! What two processors see of each other's loads and stores (SDM, "Memory Ordering"; x86-TSO): a
//! processor may pass its own stores with a later load, and nothing else; a fence, a locked
//! instruction or a serialising one forbids that, too. More with `rounds=` on the command line.
//@ cpus: 2
//@ qemu: differs: how often stores are seen late is chance

#![no_std]
#![no_main]

use guest_tests::litmus_part as part;
use guest_tests::smp::litmus::Verdict::{self, Forbidden, Ordered, Relaxed};
use guest_tests::smp::litmus::{Litmus, Seen, run_all};

guest_tests::entry!(main);

fn main() {
    run_all(TESTS, 1_000);
}

/// Both loads passed the other's store.
fn passed_both(seen: &[Seen]) -> bool {
    seen[0][0] == 0 && seen[1][0] == 0
}

fn may_pass(seen: &[Seen], _: u64, _: u64) -> Verdict {
    if passed_both(seen) { Relaxed } else { Ordered }
}

fn must_not_pass(seen: &[Seen], _: u64, _: u64) -> Verdict {
    if passed_both(seen) { Forbidden } else { Ordered }
}

/// A message was seen before what it announces.
fn in_order(seen: &[Seen], _: u64, _: u64) -> Verdict {
    if seen[1] == [1, 0] { Forbidden } else { Ordered }
}

const TESTS: &[Litmus] = &[
    Litmus {
        name: "SB",
        parts: &[
            part!("mov [rdi], rcx", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "mov rax, [rdi]"),
        ],
        judge: may_pass,
    },
    Litmus {
        name: "SB + mfence",
        parts: &[
            part!("mov [rdi], rcx", "mfence", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "mfence", "mov rax, [rdi]"),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB + lock or",
        parts: &[
            part!("mov [rdi], rcx", "lock or dword ptr [rsp], 0", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "lock or dword ptr [rsp], 0", "mov rax, [rdi]"),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB + xchg",
        parts: &[
            part!("xchg [rdi], rcx", "mov rax, [rsi]"),
            part!("xchg [rsi], rcx", "mov rax, [rdi]"),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB + lock inc, misaligned",
        parts: &[
            part!("mov [rdi], rcx", "lock inc word ptr [rsp - 15]", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "lock inc word ptr [rsp - 15]", "mov rax, [rdi]"),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB + cpuid",
        parts: &[
            part!(
                "mov [rdi], rcx",
                "mov r8, rbx",
                "cpuid",
                "mov rbx, r8",
                "xor edx, edx",
                "mov rax, [rsi]"
            ),
            part!(
                "mov [rsi], rcx",
                "mov r8, rbx",
                "cpuid",
                "mov rbx, r8",
                "xor edx, edx",
                "mov rax, [rdi]"
            ),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB + mov cr3",
        parts: &[
            part!("mov [rdi], rcx", "mov rdx, cr3", "mov cr3, rdx", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "mov rdx, cr3", "mov cr3, rdx", "mov rax, [rdi]"),
        ],
        judge: must_not_pass,
    },
    Litmus {
        name: "SB with forwarding",
        parts: &[
            part!("mov [rdi], rcx", "mov rdx, [rdi]", "mov rax, [rsi]"),
            part!("mov [rsi], rcx", "mov rdx, [rsi]", "mov rax, [rdi]"),
        ],
        judge: |seen, x, y| {
            // Each sees its own store at once.
            if seen[0][1] != 1 || seen[1][1] != 1 { Forbidden } else { may_pass(seen, x, y) }
        },
    },
    Litmus {
        name: "MP",
        parts: &[
            part!("mov [rdi], rcx", "mov [rsi], rcx"),
            part!("mov rax, [rsi]", "mov rdx, [rdi]"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP of bytes",
        parts: &[
            part!("mov [rdi + 3], cl", "mov [rsi + 5], cl"),
            part!("movzx eax, byte ptr [rsi + 5]", "movzx edx, byte ptr [rdi + 3]"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP, stored by push and stosq, loaded by pop and lodsq",
        parts: &[
            part!(
                "mov r8, rsp",
                "lea rsp, [rdi + 8]",
                "push rcx",
                "mov rsp, r8",
                "mov rdi, rsi",
                "mov eax, 1",
                "stosq",
                "xor eax, eax"
            ),
            part!("lodsq", "mov r8, rsp", "mov rsp, rdi", "pop rdx", "mov rsp, r8"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP by SSE",
        parts: &[
            part!("movq xmm0, rcx", "movdqa [rdi], xmm0", "movq [rsi], xmm0"),
            part!("movdqa xmm0, [rsi]", "movdqa xmm1, [rdi]", "movq rax, xmm0", "movq rdx, xmm1"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "MP + lock xadd",
        parts: &[
            part!("lock xadd [rdi], rcx", "mov ecx, 1", "lock xadd [rsi], rcx"),
            part!("lock xadd [rsi], rax", "lock xadd [rdi], rdx"),
        ],
        judge: in_order,
    },
    Litmus {
        name: "LB",
        parts: &[
            part!("mov rax, [rdi]", "mov [rsi], rcx"),
            part!("mov rax, [rsi]", "mov [rdi], rcx"),
        ],
        judge: |seen, _, _| {
            if seen[0][0] == 1 && seen[1][0] == 1 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "2+2W",
        parts: &[
            part!("mov [rdi], rcx", "inc ecx", "mov [rsi], rcx"),
            part!("mov [rsi], rcx", "inc ecx", "mov [rdi], rcx"),
        ],
        judge: |_, x, y| {
            if x == 1 && y == 1 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "S",
        parts: &[
            part!("mov qword ptr [rdi], 2", "mov [rsi], rcx"),
            part!("mov rax, [rsi]", "mov [rdi], rcx"),
        ],
        judge: |seen, x, _| {
            if seen[1][0] == 1 && x == 2 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "R",
        parts: &[
            part!("mov [rdi], rcx", "mov [rsi], rcx"),
            part!("mov qword ptr [rsi], 2", "mov rax, [rdi]"),
        ],
        judge: |seen, _, y| {
            if seen[1][0] == 0 && y == 2 { Relaxed } else { Ordered }
        },
    },
    Litmus {
        name: "R + mfence",
        parts: &[
            part!("mov [rdi], rcx", "mov [rsi], rcx"),
            part!("mov qword ptr [rsi], 2", "mfence", "mov rax, [rdi]"),
        ],
        judge: |seen, _, y| {
            if seen[1][0] == 0 && y == 2 { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "CoRR",
        parts: &[part!("mov [rdi], rcx"), part!("mov rax, [rdi]", "mov rdx, [rdi]")],
        judge: in_order,
    },
    Litmus {
        name: "CoRW",
        parts: &[part!("mov rax, [rdi]", "mov [rdi], rcx"), part!("mov qword ptr [rdi], 2")],
        judge: |seen, x, _| {
            // What was read is older than what was written behind it.
            if seen[0][0] == 2 && x == 2 || seen[0][0] == 1 { Forbidden } else { Ordered }
        },
    },
];
