//! A copy, its shift, and an operation on that.

use crate::common::native::{AF, ALL, CF, compare_all};

/// Operations, their opcodes with two registers, and the flags that they define.
const OPERATIONS: [(&str, u8, u64); 5] = [
    ("add", 0x01, ALL),
    ("sub", 0x29, ALL),
    ("and", 0x21, ALL & !AF),
    ("or", 0x09, ALL & !AF),
    ("xor", 0x31, ALL & !AF),
];
/// ModRM of RDX, RCX as its source.
const WITH_RCX: u8 = 0xca;
/// ModRM of RDX, RAX as its source: what was copied.
const WITH_RAX: u8 = 0xc2;
/// ModRM of RDX with itself.
const WITH_ITSELF: u8 = 0xd2;

#[test]
fn operations_on_shifted_copies() {
    for (width, prefix) in [(32, &[][..]), (64, &[0x48])] {
        for (shift, digit) in [("shl", 0xe2), ("shr", 0xea), ("sar", 0xfa)] {
            for count in [1, 13, 31, 0] {
                let mov = [prefix, &[0x89, 0xc2]].concat();
                let shift_code = [prefix, &[0xc1, digit, count]].concat();
                for (operation, opcode, defined) in OPERATIONS {
                    for other in [WITH_RCX, WITH_RAX, WITH_ITSELF] {
                        let code = [prefix, &[opcode, other]].concat();
                        let code = [&mov[..], &shift_code, &code].concat();
                        let name = format!("{width}: mov; {shift} {count}; {operation} {other:x}");
                        compare_all(&[(&name, &code, defined)], 60);
                    }
                    // With an immediate, the operation is in the ModRM byte.
                    let modrm = 0xc2 | opcode & 0x38;
                    let code = [prefix, &[0x83, modrm, 0xf5]].concat();
                    let code = [&mov[..], &shift_code, &code].concat();
                    let name = format!("{width}: mov; {shift} {count}; {operation} -11");
                    compare_all(&[(&name, &code, defined)], 60);
                }
            }
        }
    }
}

#[test]
fn a_chain() {
    // Twice: mov rdx, rax; shr rdx, 30; xor rdx, rax; imul rdx, rcx; mov rax, rdx.
    let round = [
        0x48, 0x89, 0xc2, 0x48, 0xc1, 0xea, 30, 0x48, 0x31, 0xc2, 0x48, 0x0f, 0xaf, 0xd1, 0x48,
        0x89, 0xd0,
    ];
    compare_all(&[("two rounds", &[round, round].concat(), CF)], 300);
}

#[test]
fn mixes_and_their_products() {
    for (width, prefix) in [(32, &[][..]), (64, &[0x48])] {
        for (shift, digit) in [("shl", 0xe2), ("shr", 0xea)] {
            for (name, modrm) in [("rcx", 0xd1), ("rax", 0xd0), ("rdx", 0xd2)] {
                let [mov, shifted, xor] =
                    [&[0x89, 0xc2][..], &[0xc1, digit, 27], &[0x31, WITH_RAX]]
                        .map(|code| [prefix, code].concat());
                let imul = [prefix, &[0x0f, 0xaf, modrm]].concat();
                let mix = [mov, shifted, xor, imul].concat();
                let name = format!("{width}: {shift} and xor; imul {name}");
                compare_all(&[(&name, &mix, CF)], 100);
                let add = [prefix, &[0x01, WITH_RCX]].concat();
                compare_all(&[(&format!("{name}; add"), &[mix, add].concat(), ALL)], 100);
            }
        }
    }
}

#[test]
fn mixes_of_a_register_that_is_moved_to_itself() {
    for (width, prefix) in [(32, &[][..]), (64, &[0x48])] {
        for (shift, digit) in [("shl", 0xe2), ("shr", 0xea)] {
            // mov rdx, rdx; the shift; xor rdx, rdx; imul rdx, rcx; add rcx, rax
            let code = [
                &[0x89, 0xd2][..],
                &[0xc1, digit, 5],
                &[0x31, 0xd2],
                &[0x0f, 0xaf, 0xd1],
                &[0x01, 0xc1],
            ]
            .map(|code| [prefix, code].concat());
            compare_all(&[(&format!("{width}: {shift}"), &code.concat(), ALL)], 60);
        }
    }
}
