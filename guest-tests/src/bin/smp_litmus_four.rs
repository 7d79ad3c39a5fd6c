//! What three and four processors see of each other's stores: one order for all (SDM, "Stores Are
//! Seen in a Consistent Order by Other Processors", "Stores Are Transitively Visible"). More with
//! `rounds=` on the command line.
//@ cpus: 4

#![no_std]
#![no_main]

use guest_tests::litmus_part as part;
use guest_tests::smp::litmus::Verdict::{Forbidden, Ordered};
use guest_tests::smp::litmus::{Litmus, run_all};

guest_tests::entry!(main);

fn main() {
    run_all(TESTS, 1_500);
}

const TESTS: &[Litmus] = &[
    Litmus {
        name: "IRIW",
        parts: &[
            part!("mov [rdi], rcx"),
            part!("mov [rsi], rcx"),
            part!("mov rax, [rdi]", "mov rdx, [rsi]"),
            part!("mov rax, [rsi]", "mov rdx, [rdi]"),
        ],
        judge: |seen, _, _| {
            if seen[2] == [1, 0] && seen[3] == [1, 0] { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "IRIW + xchg",
        parts: &[
            part!("xchg [rdi], rcx"),
            part!("xchg [rsi], rcx"),
            part!("mov rax, [rdi]", "mov rdx, [rsi]"),
            part!("mov rax, [rsi]", "mov rdx, [rdi]"),
        ],
        judge: |seen, _, _| {
            if seen[2] == [1, 0] && seen[3] == [1, 0] { Forbidden } else { Ordered }
        },
    },
    Litmus {
        name: "WRC",
        parts: &[
            part!("mov [rdi], rcx"),
            part!("mov rax, [rdi]", "mov [rsi], rax"),
            part!("mov rax, [rsi]", "mov rdx, [rdi]"),
        ],
        judge: |seen, _, _| {
            if seen[2] == [1, 0] { Forbidden } else { Ordered }
        },
    },
];
