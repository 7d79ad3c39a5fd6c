//! AND, OR, XOR, TEST, NOT against the host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::native::{AF, ALL, compare_all};

#[test]
fn results_and_flags() {
    let defined = ALL & !AF;
    compare_all(
        &[
            ("and al, cl", &[0x20, 0xc8], defined),
            ("and ah, ch", &[0x20, 0xec], defined),
            ("and ax, cx", &[0x66, 0x21, 0xc8], defined),
            ("or eax, ecx", &[0x09, 0xc8], defined),
            ("xor rax, rcx", &[0x48, 0x31, 0xc8], defined),
            ("xor eax, eax", &[0x31, 0xc0], defined),
            ("test rax, rcx", &[0x48, 0x85, 0xc8], defined),
            ("test al, 0x80", &[0xa8, 0x80], defined),
            ("test rax, -2", &[0x48, 0xa9, 0xfe, 0xff, 0xff, 0xff], defined),
            ("test dword [r9], 5", &[0x41, 0xf7, 0x01, 5, 0, 0, 0], defined),
            ("and rax, -16", &[0x48, 0x83, 0xe0, 0xf0], defined),
            ("and [r9], rcx", &[0x49, 0x21, 0x09], defined),
            ("or cx, [r9]", &[0x66, 0x41, 0x0b, 0x09], defined),
            ("xor byte [r9], 0x55", &[0x41, 0x80, 0x31, 0x55], defined),
            ("lock and [r9], ecx", &[0xf0, 0x41, 0x21, 0x09], defined),
            ("lock or byte [r9], 0x81", &[0xf0, 0x41, 0x80, 0x09, 0x81], defined),
            ("lock xor [r9 + 3], rcx", &[0xf0, 0x49, 0x31, 0x49, 3], defined),
            ("not al", &[0xf6, 0xd0], ALL),
            ("not ecx", &[0xf7, 0xd1], ALL),
            ("not qword [r9]", &[0x49, 0xf7, 0x11], ALL),
            ("lock not word [r9]", &[0x66, 0xf0, 0x41, 0xf7, 0x11], ALL),
        ],
        300,
    );
}
