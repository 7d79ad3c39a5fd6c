//! A loop whose body is rewritten in every turn, from inside the loop and in the same page: each turn runs
//! what was written for it (SDM, Self-Modifying Code).
//@ stdout: sum 4999950000

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{check_eq, println, snippet};

guest_tests::entry!(main);

const TURNS: u64 = 100_000;

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    let code = snippet!(
        "xor eax, eax",
        "xor ecx, ecx",
        "4: mov [rip + 5f + 1], ecx",
        "5: mov edx, 0",
        "add rax, rdx",
        "inc ecx",
        "cmp ecx, edi",
        "jb 4b",
        "ret",
    );
    let sum: u64;
    // SAFETY: the page is this test's; its code changes itself and scratch registers.
    unsafe {
        page.copy_from_nonoverlapping(code.as_ptr(), code.len());
        asm!("call {}", in(reg) TEST_AREA, in("rdi") TURNS, out("rax") sum, out("rcx") _, out("rdx") _);
    }
    check_eq!(sum, TURNS * (TURNS - 1) / 2);
    println!("sum {sum}");
}
