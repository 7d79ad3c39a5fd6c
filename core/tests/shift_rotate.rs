//! SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD against the host's processor.

#![cfg(target_arch = "x86_64")]

mod common;

use common::guest::Guest;
use common::native::{AF, ALL, CF, Machine, Native, OF, PF, SF, ZF, compare};
use common::numbers::Numbers;

/// The ModR/M digits.
const ROTATES: [(&str, u8); 4] = [("rol", 0), ("ror", 1), ("rcl", 2), ("rcr", 3)];
const SHIFTS: [(&str, u8); 3] = [("shl", 4), ("shr", 5), ("sar", 7)];
/// Prefix, opcode bit and operand bits of the widths.
const WIDTHS: [(Option<u8>, u8, u32); 4] =
    [(None, 0, 8), (Some(0x66), 1, 16), (None, 1, 32), (Some(0x48), 1, 64)];

/// Code, and how its count is given.
fn forms(digit: u8, prefix: Option<u8>, wide: u8, count: u8) -> [Vec<u8>; 4] {
    let rex = prefix.filter(|&byte| byte == 0x48);
    let operand = prefix.filter(|&byte| byte == 0x66);
    let start: Vec<u8> = operand.into_iter().collect();
    let register = |code: &[u8]| [&start[..], rex.as_slice(), code].concat();
    let memory = |code: &[u8]| [&start[..], &[0x41 | rex.unwrap_or(0)], code].concat();
    [
        register(&[0xc0 | wide, 0xc2 | digit << 3, count]),
        register(&[0xd2 | wide, 0xc2 | digit << 3]),
        memory(&[0xc0 | wide, 0x01 | digit << 3, count]),
        memory(&[0xd2 | wide, 0x01 | digit << 3]),
    ]
}

/// What is defined after a shift or rotate by `count`, which is masked.
fn defined(rotates: bool, count: u32, bits: u32) -> u64 {
    let overflow = if count <= 1 { OF } else { 0 };
    match (count, rotates) {
        (0, _) => ALL,
        (_, true) => ALL & !OF | overflow,
        // CF is undefined for counts of the width and more.
        (_, false) => PF | ZF | SF | overflow | if count < bits { CF } else { 0 },
    }
}

#[test]
fn shifts_and_rotates() {
    let (mut native, mut guest, mut numbers) = (Native::new(), Guest::long_mode(), Numbers(5));
    for ((name, digit), rotates) in
        ROTATES.map(|row| (row, true)).into_iter().chain(SHIFTS.map(|row| (row, false)))
    {
        for (prefix, wide, bits) in WIDTHS {
            for count in (0..=66).chain([0x80, 0xff]) {
                for code in forms(digit, prefix, wide, count) {
                    let mut machine = Machine::random(&mut numbers);
                    machine.rcx = machine.rcx & !0xff | u64::from(count);
                    let masked = u32::from(count) & if bits == 64 { 63 } else { 31 };
                    let defined = defined(rotates, masked, bits);
                    let name = format!("{name}{bits} by {count}");
                    compare(&mut native, &mut guest, &name, &code, &machine, defined);
                }
            }
        }
    }
}

/// D0 and D1 shift by one, which defines OF.
#[test]
fn by_one() {
    let (mut native, mut guest, mut numbers) = (Native::new(), Guest::long_mode(), Numbers(6));
    for (name, digit) in ROTATES.into_iter().chain(SHIFTS) {
        for code in [
            vec![0xd0, 0xc2 | digit << 3],
            vec![0xd1, 0xc2 | digit << 3],
            vec![0x48, 0xd1, 0xc2 | digit << 3],
            vec![0x41, 0xd1, 0x01 | digit << 3],
        ] {
            for _ in 0..100 {
                let machine = Machine::random(&mut numbers);
                let undefined = if digit < 4 { 0 } else { AF };
                compare(&mut native, &mut guest, name, &code, &machine, ALL & !undefined);
            }
        }
    }
}

#[test]
fn double_shifts() {
    let (mut native, mut guest, mut numbers) = (Native::new(), Guest::long_mode(), Numbers(7));
    for (opcode, prefix, bits) in [0xa4_u8, 0xac].into_iter().flat_map(|opcode| {
        [(None, 32), (Some(0x66), 16), (Some(0x48), 64)]
            .map(|(prefix, bits)| (opcode, prefix, bits))
    }) {
        for count in 0..=64_u8 {
            let masked = u32::from(count) & if bits == 64 { 63 } else { 31 };
            if masked > bits {
                // The result is undefined.
                continue;
            }
            for (tail, from_cl) in [(vec![0xda, count], 0), (vec![0xda], 1)] {
                let mut machine = Machine::random(&mut numbers);
                machine.rcx = machine.rcx & !0xff | u64::from(count);
                let code: Vec<u8> =
                    prefix.into_iter().chain([0x0f, opcode | from_cl]).chain(tail).collect();
                let undefined = if masked == 0 {
                    0
                } else if masked == 1 {
                    AF
                } else {
                    AF | OF
                };
                let name = format!("double shift of {bits} by {count}");
                compare(&mut native, &mut guest, &name, &code, &machine, ALL & !undefined);
            }
        }
    }
}

/// What the manual leaves undefined, as processors have it: AF is set, and a double shift of 16 bits
/// by more goes on with the filler.
#[test]
fn undefined_results() {
    use common::guest::{CODE, End};
    use monovisor_core::state::{RFlags, Register};
    let cases: [(&[u8], u64, u64); 7] = [
        (&[0xd0, 0xe0], 0x02, 0x10),                    // shl al, 1
        (&[0xc1, 0xe8, 4], 0x0800_0100, 0x14),          // shr eax, 4
        (&[0xd1, 0xf8], 0xc000_0000, 0x94),             // sar eax, 1
        (&[0x0f, 0xa4, 0xc8, 4], 0x2340_000a, 0x815),   // shld eax, ecx, 4
        (&[0x66, 0x0f, 0xa4, 0xc8, 20], 0xbcda, 0x90),  // shld ax, cx, 20
        (&[0x66, 0x0f, 0xac, 0xc8, 20], 0xdabc, 0x90),  // shrd ax, cx, 20
        (&[0x66, 0x0f, 0xa4, 0xc8, 16], 0xabcd, 0x891), // shld ax, cx, 16
    ];
    let mut guest = Guest::long_mode();
    for (code, result, flags) in cases {
        let inputs = match code {
            [0xd0, ..] => (1, 0),
            [0xc1, ..] => (0x8000_1000, 0),
            [0xd1, ..] => (0x8000_0000, 0),
            [0x0f, ..] => (0x1234_0000, 0xa000_0000),
            _ => (0x1235, 0xabcd),
        };
        guest.state.rip = CODE;
        guest.state.rflags = RFlags::from_bits_retain(2);
        guest.set(Register::Rax, inputs.0);
        guest.set(Register::Rcx, inputs.1);
        assert_eq!(guest.run(code), End::Done);
        let found = (guest.get(Register::Rax), guest.state.rflags.bits() & 0x8d5);
        assert_eq!(found, (result, flags), "{code:x?}");
    }
}
