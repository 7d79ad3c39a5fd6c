//! An operation and the Jcc on its flags, and the tests in front of divisions.

use crate::common::native::{AF, ALL, OF, compare_all};
use crate::{MARK, agree, compare_with_jumps};

#[test]
fn operations_and_jumps() {
    compare_with_jumps(
        &[
            ("add rax, rcx", &[0x48, 0x01, 0xc8]),
            ("add eax, -1", &[0x83, 0xc0, 0xff]),
            ("sub rax, rcx", &[0x48, 0x29, 0xc8]),
            ("sub eax, ecx", &[0x29, 0xc8]),
            ("sub rax, rax", &[0x48, 0x29, 0xc0]),
            ("sub rax, 5", &[0x48, 0x83, 0xe8, 5]),
            ("add rax, rdx; add rax, rcx", &[0x48, 0x01, 0xd0, 0x48, 0x01, 0xc8]),
            ("add rax, rdx; sub rcx, rax", &[0x48, 0x01, 0xd0, 0x48, 0x29, 0xc1]),
            ("add eax, edx; sub eax, 7", &[0x01, 0xd0, 0x83, 0xe8, 7]),
            ("inc eax", &[0xff, 0xc0]),
            ("dec rcx", &[0x48, 0xff, 0xc9]),
            ("sub ecx, edx; dec ecx", &[0x29, 0xd1, 0xff, 0xc9]),
            ("add cx, dx", &[0x66, 0x01, 0xd1]),
            ("dec cl", &[0xfe, 0xc9]),
        ],
        false,
    );
    compare_with_jumps(
        &[
            ("and rax, rcx", &[0x48, 0x21, 0xc8]),
            ("and eax, 7", &[0x83, 0xe0, 7]),
            ("or eax, ecx", &[0x09, 0xc8]),
            ("xor rax, rcx", &[0x48, 0x31, 0xc8]),
            ("xor eax, -1", &[0x83, 0xf0, 0xff]),
            ("and rax, rdx; xor rcx, rax", &[0x48, 0x21, 0xd0, 0x48, 0x31, 0xc1]),
        ],
        true,
    );
}

#[test]
fn shifts_and_jumps() {
    for jump in [0x72, 0x73, 0x74, 0x75, 0x78, 0x79] {
        let rows: [(&str, &[u8]); 6] = [
            ("shl rax, 3", &[0x48, 0xc1, 0xe0, 3]),
            ("shr eax, 1", &[0xd1, 0xe8]),
            ("sar rcx, 63", &[0x48, 0xc1, 0xf9, 63]),
            ("shr eax, 32", &[0xc1, 0xe8, 32]),
            ("shl eax, cl", &[0xd3, 0xe0]),
            ("add rax, rcx; shr rax, 40", &[0x48, 0x01, 0xc8, 0x48, 0xc1, 0xe8, 40]),
        ];
        for (name, code) in rows {
            let code = [code, &[jump, MARK.len() as u8], &MARK].concat();
            let name = format!("{name}; j{jump:x}");
            compare_all(&[(&name, &code, ALL & !AF & !OF)], 60);
        }
    }
}

#[test]
fn numbers_below_a_bound() {
    let guards: [(&str, &[u8]); 6] = [
        (
            "mov rdx, rax; or rdx, rcx; shr rdx, 32",
            &[0x48, 0x89, 0xc2, 0x48, 0x09, 0xca, 0x48, 0xc1, 0xea, 32],
        ),
        ("mov rdx, rax; shr rdx, 32", &[0x48, 0x89, 0xc2, 0x48, 0xc1, 0xea, 32]),
        (
            "mov rdx, rax; or rdx, rdx; shr rdx, 5",
            &[0x48, 0x89, 0xc2, 0x48, 0x09, 0xd2, 0x48, 0xc1, 0xea, 5],
        ),
        (
            "mov rdx, rax; or rdx, rcx; shr rax, 5",
            &[0x48, 0x89, 0xc2, 0x48, 0x09, 0xca, 0x48, 0xc1, 0xe8, 5],
        ),
        (
            "mov rdx, rax; or rdx, 1; shr rdx, 1",
            &[0x48, 0x89, 0xc2, 0x48, 0x83, 0xca, 1, 0x48, 0xd1, 0xea],
        ),
        ("mov edx, eax; or edx, ecx; shr edx, 16", &[0x89, 0xc2, 0x09, 0xca, 0xc1, 0xea, 16]),
    ];
    for (name, guard) in guards {
        for jump in [0x74, 0x75, 0x72] {
            let code = [guard, &[jump, MARK.len() as u8], &MARK].concat();
            let name = format!("{name}; j{jump:x}");
            compare_all(&[(&name, &code, ALL & !AF & !OF)], 60);
            agree(&code);
        }
    }
}

/// A loop that ends by each kind of jump: what was counted is what single steps count.
#[test]
fn counts() {
    // mov ecx, 20; inc eax; dec ecx; jne
    agree(&[0xb9, 20, 0, 0, 0, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa]);
    // mov ecx, 20; inc eax; sub ecx, 1; jne
    agree(&[0xb9, 20, 0, 0, 0, 0xff, 0xc0, 0x83, 0xe9, 1, 0x75, 0xf9]);
    // or rcx, 1; shl rcx, 1; jne
    agree(&[0x48, 0x83, 0xc9, 1, 0x48, 0xd1, 0xe1, 0x75, 0xfb]);
}
