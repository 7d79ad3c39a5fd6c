//! ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, MUL, IMUL, DIV, IDIV against the host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::guest::Guest;
use common::native::{AF, ALL, CF, Machine, Native, OF, compare, compare_all};
use common::numbers::Numbers;

/// The opcode of each operation's first form, and the prefixes and opcode increments of its widths.
const BINARY: [(&str, u8); 5] =
    [("add", 0x00), ("adc", 0x10), ("sbb", 0x18), ("sub", 0x28), ("cmp", 0x38)];

/// (name, prefixes, whether the operation is wider than a byte)
const WIDTHS: [(&str, &[u8], u8); 4] =
    [("8", &[], 0), ("16", &[0x66], 1), ("32", &[], 1), ("64", &[0x48], 1)];

/// Every form of a binary operation with these opcodes: register, memory, immediate, locked.
fn forms(name: &str, opcode: u8) -> Vec<(String, Vec<u8>, u64)> {
    let mut rows = Vec::new();
    let digit = opcode & 0x38;
    for (width, prefixes, wide) in WIDTHS {
        let mut row = |form: &str, prefix: &[u8], rex: u8, code: &[u8]| {
            // A REX prefix of the width and one of the memory operand are one byte.
            let mut bytes = prefix.to_vec();
            let mut rex = rex;
            for &byte in prefixes {
                if byte == 0x48 { rex |= 0x48 } else { bytes.push(byte) }
            }
            if rex != 0 {
                bytes.push(rex);
            }
            bytes.extend(code);
            rows.push((format!("{name}{width} {form}"), bytes, ALL));
        };
        row("rax, rcx", &[], 0, &[opcode | wide, 0xc8]);
        row("rcx, rax", &[], 0, &[opcode | wide | 2, 0xc8]);
        row("[r9], rcx", &[], 0x41, &[opcode | wide, 0x09]);
        row("rcx, [r9 - 3]", &[], 0x41, &[opcode | wide | 2, 0x49, 0xfd]);
        row("[r9], imm8", &[], 0x41, &[if wide == 1 { 0x83 } else { 0x80 }, 0x01 | digit, 0x9c]);
        row("rdx, imm8", &[], 0, &[if wide == 1 { 0x83 } else { 0x80 }, 0xc2 | digit, 0x7f]);
        if opcode != 0x38 {
            row("lock [r9], rcx", &[0xf0], 0x41, &[opcode | wide, 0x09]);
            row(
                "lock [r9], imm8",
                &[0xf0],
                0x41,
                &[if wide == 1 { 0x83 } else { 0x80 }, 0x01 | digit, 5],
            );
        }
    }
    rows
}

fn check(rows: &[(String, Vec<u8>, u64)], rounds: usize) {
    let rows: Vec<_> =
        rows.iter().map(|(name, code, defined)| (&**name, &**code, *defined)).collect();
    compare_all(&rows, rounds);
}

#[test]
fn binary_operations() {
    for (name, opcode) in BINARY {
        check(&forms(name, opcode), 150);
    }
}

#[test]
fn increment_decrement_negate() {
    compare_all(
        &[
            ("inc al", &[0xfe, 0xc0], ALL),
            ("inc ax", &[0x66, 0xff, 0xc0], ALL),
            ("dec ecx", &[0xff, 0xc9], ALL),
            ("dec rdx", &[0x48, 0xff, 0xca], ALL),
            ("inc byte [r9]", &[0x41, 0xfe, 0x01], ALL),
            ("dec qword [r9 + 1]", &[0x49, 0xff, 0x49, 0x01], ALL),
            ("lock inc dword [r9]", &[0xf0, 0x41, 0xff, 0x01], ALL),
            ("lock dec word [r9]", &[0x66, 0xf0, 0x41, 0xff, 0x09], ALL),
            ("neg al", &[0xf6, 0xd8], ALL),
            ("neg rcx", &[0x48, 0xf7, 0xd9], ALL),
            ("neg dword [r9]", &[0x41, 0xf7, 0x19], ALL),
            ("lock neg qword [r9]", &[0xf0, 0x49, 0xf7, 0x19], ALL),
        ],
        300,
    );
}

/// Flags that one instruction leaves are read by the next, whatever kind they are.
#[test]
fn flags_travel_between_instructions() {
    let producers: [(&str, &[u8]); 8] = [
        ("add eax, ecx", &[0x01, 0xc8]),
        ("sub rax, rcx", &[0x48, 0x29, 0xc8]),
        ("and al, cl", &[0x20, 0xc8]),
        ("inc ax", &[0x66, 0xff, 0xc0]),
        ("dec rax", &[0x48, 0xff, 0xc8]),
        ("adc eax, ecx", &[0x11, 0xc8]),
        ("sbb al, cl", &[0x18, 0xc8]),
        ("shl eax, 3", &[0xc1, 0xe0, 3]),
    ];
    let consumers: [(&str, &[u8]); 8] = [
        ("adc rdx, rcx", &[0x48, 0x11, 0xca]),
        ("sbb edx, [r9]", &[0x41, 0x1b, 0x11]),
        ("setbe dl", &[0x0f, 0x96, 0xc2]),
        ("cmovl rdx, rcx", &[0x48, 0x0f, 0x4c, 0xd1]),
        ("setp [r9]", &[0x41, 0x0f, 0x9a, 0x01]),
        ("rcl edx, 1", &[0xd1, 0xd2]),
        ("lahf", &[0x9f]),
        ("cmovg edx, [r9]", &[0x41, 0x0f, 0x4f, 0x11]),
    ];
    let mut rows = Vec::new();
    for (first, producer) in producers {
        for (second, consumer) in consumers {
            let undefined =
                if first.starts_with("shl") || first.starts_with("and") { AF } else { 0 };
            if undefined != 0 && second == "lahf" {
                continue;
            }
            let undefined = if first.starts_with("shl") { undefined | OF } else { undefined };
            let unreadable =
                first.starts_with("shl") && matches!(second, "cmovl rdx, rcx" | "cmovg edx, [r9]");
            if !unreadable {
                let code = [producer, consumer].concat();
                rows.push((format!("{first}; {second}"), code, ALL & !undefined));
            }
        }
    }
    check(&rows, 100);
}

#[test]
fn multiplications() {
    // The other four flags are undefined.
    let defined = CF | OF;
    compare_all(
        &[
            ("mul cl", &[0xf6, 0xe1], defined),
            ("mul cx", &[0x66, 0xf7, 0xe1], defined),
            ("mul ecx", &[0xf7, 0xe1], defined),
            ("mul rcx", &[0x48, 0xf7, 0xe1], defined),
            ("mul qword [r9]", &[0x49, 0xf7, 0x21], defined),
            ("imul cl", &[0xf6, 0xe9], defined),
            ("imul cx", &[0x66, 0xf7, 0xe9], defined),
            ("imul ecx", &[0xf7, 0xe9], defined),
            ("imul rcx", &[0x48, 0xf7, 0xe9], defined),
            ("imul dword [r9]", &[0x41, 0xf7, 0x29], defined),
            ("imul rdx, rcx", &[0x48, 0x0f, 0xaf, 0xd1], defined),
            ("imul edx, [r9]", &[0x41, 0x0f, 0xaf, 0x11], defined),
            ("imul dx, cx", &[0x66, 0x0f, 0xaf, 0xd1], defined),
            ("imul edx, ecx, -7", &[0x6b, 0xd1, 0xf9], defined),
            ("imul rdx, rcx, 0x12345678", &[0x48, 0x69, 0xd1, 0x78, 0x56, 0x34, 0x12], defined),
            ("imul rdx, [r9], -100000", &[0x49, 0x69, 0x11, 0x60, 0x79, 0xfe, 0xff], defined),
        ],
        300,
    );
}

/// Quotients that fit; the others are the next test's.
#[test]
fn divisions() {
    let (mut native, mut guest, mut numbers) = (Native::new(), Guest::long_mode(), Numbers(3));
    for _ in 0..2000 {
        let mut machine = Machine::random(&mut numbers);
        machine.rcx |= 1;
        // A small dividend and a divisor that is not smaller than its upper half.
        machine.rdx = 0;
        compare(&mut native, &mut guest, "div rcx", &[0x48, 0xf7, 0xf1], &machine, 0);
        compare(&mut native, &mut guest, "div ecx", &[0xf7, 0xf1], &machine, 0);
        compare(&mut native, &mut guest, "div cx", &[0x66, 0xf7, 0xf1], &machine, 0);
        machine.rdx = numbers.next() % machine.rcx;
        compare(&mut native, &mut guest, "div rcx", &[0x48, 0xf7, 0xf1], &machine, 0);
        // A signed dividend with both halves, made from its quotient and a remainder of its sign.
        let (quotient, divisor) = (numbers.operand() as i64, machine.rcx as i64);
        let product = i128::from(quotient) * i128::from(divisor);
        let remainder = i128::from(numbers.next() % divisor.unsigned_abs());
        let dividend = product + if product < 0 { -remainder } else { remainder };
        (machine.rax, machine.rdx) = (dividend as u64, (dividend >> 64) as u64);
        compare(&mut native, &mut guest, "idiv rcx", &[0x48, 0xf7, 0xf9], &machine, 0);
        machine.rcx &= 0x7f;
        machine.rax &= 0x3f;
        compare(&mut native, &mut guest, "div cl", &[0xf6, 0xf1], &machine, 0);
        compare(&mut native, &mut guest, "idiv cl", &[0xf6, 0xf9], &machine, 0);
        // The dividend is sign-extended, and never the smallest number.
        machine.rax = numbers.operand() | 1;
        machine.rcx = numbers.operand() | 1;
        let code = [0x48, 0x99, 0x48, 0xf7, 0xf9];
        compare(&mut native, &mut guest, "cqo; idiv rcx", &code, &machine, 0);
        compare(&mut native, &mut guest, "cdq; idiv ecx", &[0x99, 0xf7, 0xf9], &machine, 0);
        let code = [0x66, 0x99, 0x66, 0xf7, 0xf9];
        compare(&mut native, &mut guest, "cwd; idiv cx", &code, &machine, 0);
    }
}

#[test]
fn quotients_that_do_not_fit_are_divide_errors() {
    use common::guest::End;
    use monovisor_core::state::{Exception, Register};
    let cases: [(&[u8], u64, u64, u64); 8] = [
        (&[0x48, 0xf7, 0xf1], 1, 0, 0),
        (&[0x66, 0xf7, 0xf9], 0, 0x8000, 0xffff),
        (&[0x48, 0xf7, 0xf1], 0, 5, 5),
        (&[0xf7, 0xf1], 0, 7, 7),
        (&[0xf6, 0xf1], 0x1000, 0, 0x10),
        (&[0x48, 0xf7, 0xf9], 1 << 63, u64::MAX, u64::MAX),
        (&[0xf7, 0xf9], 1 << 31, 0xffff_ffff, 0xffff_ffff),
        (&[0xf6, 0xf9], 0xff80, 0, 0xff),
    ];
    for (code, rax, rdx, rcx) in cases {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rax, rax);
        guest.set(Register::Rdx, rdx);
        guest.set(Register::Rcx, rcx);
        assert_eq!(guest.run(code), End::Fault(Exception::DE), "{code:02x?}");
        assert_eq!((guest.get(Register::Rax), guest.get(Register::Rdx)), (rax, rdx));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn two_chains_of_carries() {
    use common::native::{ALL, compare_all};
    if !is_x86_feature_detected!("adx") {
        eprintln!("skipped: this processor lacks the instructions");
        return;
    }
    compare_all(
        &[
            ("adcx rax, rcx", &[0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc1], ALL),
            ("adcx eax, ecx", &[0x66, 0x0f, 0x38, 0xf6, 0xc1], ALL),
            ("adcx rax, rax", &[0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc0], ALL),
            ("adcx rax, [r9]", &[0x66, 0x49, 0x0f, 0x38, 0xf6, 0x01], ALL),
            ("adcx eax, [r9]", &[0x66, 0x41, 0x0f, 0x38, 0xf6, 0x01], ALL),
            ("adox rax, rcx", &[0xf3, 0x48, 0x0f, 0x38, 0xf6, 0xc1], ALL),
            ("adox eax, ecx", &[0xf3, 0x0f, 0x38, 0xf6, 0xc1], ALL),
            ("adox rcx, rcx", &[0xf3, 0x48, 0x0f, 0x38, 0xf6, 0xc9], ALL),
            ("adox rax, [r9]", &[0xf3, 0x49, 0x0f, 0x38, 0xf6, 0x01], ALL),
            ("adox eax, [r9]", &[0xf3, 0x41, 0x0f, 0x38, 0xf6, 0x01], ALL),
        ],
        300,
    );
}
