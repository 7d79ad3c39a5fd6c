//! A store into the very next instruction is seen by it, and so is one into an instruction further on in
//! straight-line code (SDM, Self-Modifying Code).

#![no_std]
#![no_main]

use core::arch::asm;
use guest_tests::paging::{self, KERNEL, TEST_AREA};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

fn main() {
    let page = paging::map_new(TEST_AREA, KERNEL) as *mut u8;
    // DIL becomes the immediate of the MOV behind the store.
    let next = snippet!("mov [rip + 5f + 1], dil", "5: mov eax, 0", "ret");
    // The patched instruction comes after others that lie in the same straight line.
    let later = snippet!(
        "mov [rip + 5f + 1], dil",
        "nop",
        "lea edx, [rdi + 1]",
        "xor ecx, ecx",
        "5: mov eax, 0",
        "ret",
    );
    // INC ECX (FF C1) becomes DEC ECX (FF C9).
    let opcode = snippet!(
        "mov ecx, edi",
        "mov byte ptr [rip + 5f + 1], 0xc9",
        "5: inc ecx",
        "mov eax, ecx",
        "ret",
    );
    for (code, expected, what) in [
        (next, [1, 2, 0x7f], "the next instruction"),
        (later, [1, 2, 0x7f], "a later instruction"),
        (opcode, [0, 1, 0x7e], "an opcode"),
    ] {
        // SAFETY: the page is this test's; its code changes itself and scratch registers.
        unsafe { page.copy_from_nonoverlapping(code.as_ptr(), code.len()) };
        let results = [1, 2, 0x7f].map(|value: u64| {
            let result: u64;
            // SAFETY: as above.
            unsafe {
                asm!("call {}", in(reg) TEST_AREA, in("rdi") value, out("rax") result, out("rcx") _, out("rdx") _)
            };
            result
        });
        check_eq!(results, expected, "{what}");
    }
}
