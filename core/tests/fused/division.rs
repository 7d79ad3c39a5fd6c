//! DIV behind the XOR that clears (E)DX, and the test of its remainder.

use crate::common::native::{AF, ALL, compare_all};
use crate::{MARK, agree};

/// OR ECX, 1, where the divisor must not be zero.
const ODD: [u8; 3] = [0x83, 0xc9, 1];
/// What stands in front of the DIV.
const HEADS: [(&str, &[u8]); 8] = [
    ("xor edx, edx", &[0x31, 0xd2]),
    ("mov rax, rbx; xor edx, edx", &[0x48, 0x89, 0xd8, 0x31, 0xd2]),
    ("mov eax, ebx; xor edx, edx", &[0x89, 0xd8, 0x31, 0xd2]),
    ("xor edx, edx; mov rax, rbx", &[0x31, 0xd2, 0x48, 0x89, 0xd8]),
    ("xor edx, edx; mov eax, ebx", &[0x31, 0xd2, 0x89, 0xd8]),
    ("mov rax, rdx; xor edx, edx", &[0x48, 0x89, 0xd0, 0x31, 0xd2]),
    ("xor edx, edx; mov rax, rdx", &[0x31, 0xd2, 0x48, 0x89, 0xd0]),
    ("mov rbx, rax; xor edx, edx", &[0x48, 0x89, 0xc3, 0x31, 0xd2]),
];
const DIVISIONS: [(&str, &[u8]); 2] =
    [("div rcx", &[0x48, 0xf7, 0xf1]), ("div ecx", &[0xf7, 0xf1])];
/// What looks at quotient and remainder; a Jcc may follow.
const TAILS: [(&str, &[u8]); 5] = [
    ("", &[]),
    ("test rdx, rdx", &[0x48, 0x85, 0xd2]),
    ("test edx, edx", &[0x85, 0xd2]),
    ("add rdx, rax", &[0x48, 0x01, 0xc2]),
    ("test eax, edx", &[0x85, 0xd0]),
];

/// Calls `check` with each division behind `first`.
fn each(first: &[u8], mut check: impl FnMut(&str, &[u8], bool)) {
    for (head, head_code) in HEADS {
        for (division, division_code) in DIVISIONS {
            for (tail, tail_code) in TAILS {
                let name = format!("{head}; {division}; {tail}");
                let code = [first, head_code, division_code, tail_code].concat();
                check(&name, &code, !tail.is_empty());
                for jump in [0x74, 0x75, 0x78] {
                    let code = [&code[..], &[jump, MARK.len() as u8], &MARK].concat();
                    check(&format!("{name}; j{jump:x}"), &code, !tail.is_empty());
                }
            }
        }
    }
}

#[test]
fn quotients_and_remainders() {
    each(&ODD, |name, code, flags| {
        // DIV leaves flags that the manual calls undefined.
        let logic = ALL & !AF;
        let defined = match flags {
            true if name.contains("add") => ALL,
            true => logic,
            false => 0,
        };
        // Jumps on undefined flags go anywhere.
        if flags || !name.contains("; j") {
            compare_all(&[(name, code, defined)], 60);
        }
    });
}

#[test]
fn faults_and_flags_are_those_of_single_instructions() {
    each(&[], |name, code, _| {
        let (done, faults) = agree(code);
        assert!(done > 0 && faults > 0, "{name}: {done} ended, {faults} faulted");
    });
}

#[test]
fn other_divisors() {
    let rows: [(&str, &[u8]); 5] = [
        ("xor edx, edx; div rdx", &[0x31, 0xd2, 0x48, 0xf7, 0xf2]),
        ("xor edx, edx; div eax", &[0x31, 0xd2, 0xf7, 0xf0]),
        ("mov eax, ebx; xor edx, edx; div eax", &[0x89, 0xd8, 0x31, 0xd2, 0xf7, 0xf0]),
        ("mov eax, ebx; xor edx, edx; div rcx", &[0x89, 0xd8, 0x31, 0xd2, 0x48, 0xf7, 0xf1]),
        ("xor edx, edx; div cx", &[0x31, 0xd2, 0x66, 0xf7, 0xf1]),
    ];
    for (name, code) in rows {
        let (_, faults) = agree(code);
        assert!(faults > 0, "{name}");
    }
}
