//! A line and an exit in assembly alone: runs on a KVM that has to emulate kernel mode, too.
//@ stdout: Hello from assembly.

#![no_std]
#![no_main]

guest_tests::bare!(
    "lea esi, [5f]",
    "mov edx, 0x3f8",
    "2:",
    "lodsb",
    "test al, al",
    "jz 3f",
    "out dx, al",
    "jmp 2b",
    "3:",
    "mov al, 16",
    "out 0xf4, al",
    "4:",
    "hlt",
    "jmp 4b",
    "5: .asciz \"Hello from assembly.\\n\"",
);
