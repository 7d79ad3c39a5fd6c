//! Locked instructions against the host's processor: each with LOCK and without, at every width, on
//! operands that are aligned, misaligned, and in two windows of sixteen bytes, served by the TLB and not.
//! Against a racing writer they are in `smp/locked.rs`.

#![cfg(target_arch = "x86_64")]

mod common;

use common::guest::{DATA, End, Guest};
use common::native::{AF, ALL, CF, Machine, Native, OF, PF, SF, ZF, compare};
use common::numbers::Numbers;
use monovisor_core::state::{RFlags, Register};

const LOCK: u8 = 0xf0;

/// How an instruction is encoded: opcode, and the bits in ModRM's middle.
struct Form {
    name: &'static str,
    opcode: &'static [u8],
    /// A register's number, or more of the opcode.
    middle: u8,
    immediate: &'static [u8],
    /// There is a form for bytes, whose opcode has a clear lowest bit.
    bytes: bool,
    defined: u64,
}

const ECX: u8 = 1;
const LOGIC: u64 = ALL & !AF;

const fn form(name: &'static str, opcode: &'static [u8], middle: u8, defined: u64) -> Form {
    Form { name, opcode, middle, immediate: &[], bytes: true, defined }
}

const fn with_byte(name: &'static str, middle: u8, defined: u64) -> Form {
    Form { immediate: &[0x93], ..form(name, &[0x80], middle, defined) }
}

const fn bits(name: &'static str, opcode: &'static [u8], middle: u8) -> Form {
    let defined = CF | ZF;
    Form { immediate: &[0x73], bytes: false, ..form(name, opcode, middle, defined) }
}

const FORMS: &[Form] = &[
    form("add [], rcx", &[0x00], ECX, ALL),
    form("sub [], rcx", &[0x28], ECX, ALL),
    form("adc [], rcx", &[0x10], ECX, ALL),
    form("sbb [], rcx", &[0x18], ECX, ALL),
    form("and [], rcx", &[0x20], ECX, LOGIC),
    form("or [], rcx", &[0x08], ECX, LOGIC),
    form("xor [], rcx", &[0x30], ECX, LOGIC),
    form("inc []", &[0xfe], 0, ALL),
    form("dec []", &[0xfe], 1, ALL),
    form("not []", &[0xf6], 2, ALL),
    form("neg []", &[0xf6], 3, ALL),
    form("xadd [], rcx", &[0x0f, 0xc0], ECX, ALL),
    form("xchg [], rcx", &[0x86], ECX, ALL),
    form("cmpxchg [], rcx", &[0x0f, 0xb0], ECX, ALL),
    with_byte("add [], byte", 0, ALL),
    with_byte("or [], byte", 1, LOGIC),
    with_byte("adc [], byte", 2, ALL),
    with_byte("sbb [], byte", 3, ALL),
    with_byte("and [], byte", 4, LOGIC),
    with_byte("sub [], byte", 5, ALL),
    with_byte("xor [], byte", 6, LOGIC),
    bits("bts [], byte", &[0x0f, 0xba], 5),
    bits("btr [], byte", &[0x0f, 0xba], 6),
    bits("btc [], byte", &[0x0f, 0xba], 7),
];

/// The instruction at R9 + `displacement`.
fn encode(form: &Form, width: usize, lock: bool, displacement: i8) -> Vec<u8> {
    let mut code = vec![];
    code.extend((width == 2).then_some(0x66));
    code.extend(lock.then_some(LOCK));
    code.push(if width == 8 { 0x49 } else { 0x41 });
    code.extend_from_slice(form.opcode);
    if width > 1
        && let Some(last) = code.last_mut()
        && form.bytes
    {
        // An immediate of one byte stays one.
        *last |= if *last == 0x80 { 3 } else { 1 };
    }
    code.extend([0x41 | form.middle << 3, displacement as u8]);
    code.extend_from_slice(form.immediate);
    code
}

/// `mov [r9], al`: the TLB serves the page from then on.
const STORE: [u8; 3] = [0x41, 0x88, 0x01];

#[test]
fn results_and_flags_are_the_hosts() {
    let (mut native, mut guest) = (Native::new(), Guest::long_mode());
    let mut numbers = Numbers(3);
    for form in FORMS {
        for width in [1, 2, 4, 8].into_iter().skip(usize::from(!form.bytes)) {
            for (lock, displacement) in
                [false, true].into_iter().flat_map(|lock| [-8, -5, 0, 3, 7].map(|at| (lock, at)))
            {
                // XCHG is locked without the prefix; with it, it is one more encoding.
                let code = encode(form, width, lock, displacement);
                let served = [&STORE[..], &code].concat();
                // mov eax, [r9]: what CMPXCHG compares with is there as often as not.
                let equal = [&STORE[..], &[0x49, 0x8b, 0x41, displacement as u8], &code].concat();
                for code in [&code, &served, &equal] {
                    for _ in 0..20 {
                        let machine = Machine::random(&mut numbers);
                        let name = format!("{}, {width} bytes at {displacement}", form.name);
                        compare(&mut native, &mut guest, &name, code, &machine, form.defined);
                    }
                }
            }
        }
    }
}

/// A bit number in a register reaches beyond the operand, to both sides.
#[test]
fn bits_far_from_the_operand() {
    let (mut native, mut guest) = (Native::new(), Guest::long_mode());
    let mut numbers = Numbers(5);
    for opcode in [0xab, 0xb3, 0xbb] {
        for (prefix, rex) in [(Some(0x66), 0x41), (None, 0x41), (None, 0x49)] {
            for (lock, served) in [(true, true), (true, false), (false, true)] {
                let mut code = if served { STORE.to_vec() } else { vec![] };
                code.extend(prefix);
                code.extend(lock.then_some(LOCK));
                code.extend([rex, 0x0f, opcode, 0x09]);
                for _ in 0..60 {
                    let mut machine = Machine::random(&mut numbers);
                    // Within 16 bytes before R9 and 16 behind.
                    machine.rcx = (numbers.next() % 192).wrapping_sub(128);
                    let defined = CF | ZF;
                    compare(&mut native, &mut guest, "bit", &code, &machine, defined);
                }
            }
        }
    }
}

/// The flags that were there stay where an instruction leaves them.
#[test]
fn flags_that_stay() {
    let (mut native, mut guest) = (Native::new(), Guest::long_mode());
    let mut numbers = Numbers(7);
    // cmp al, cl; mov [r9], al; then the locked instruction.
    let before = [&[0x38, 0xc8][..], &STORE].concat();
    let rows: [(&str, &[u8], u64); 5] = [
        ("lock inc dword [r9]", &[0xf0, 0x41, 0xff, 0x01], ALL),
        ("lock not dword [r9]", &[0xf0, 0x41, 0xf7, 0x11], ALL),
        ("xchg [r9], ecx", &[0x41, 0x87, 0x09], ALL),
        ("lock bts dword [r9], 3", &[0xf0, 0x41, 0x0f, 0xba, 0x29, 3], CF | ZF),
        ("lock cmpxchg8b [r9]", &[0xf0, 0x41, 0x0f, 0xc7, 0x09], CF | PF | AF | ZF | SF | OF),
    ];
    for (name, code, defined) in rows {
        for _ in 0..100 {
            let machine = Machine::random(&mut numbers);
            let code = [&before, code].concat();
            compare(&mut native, &mut guest, name, &code, &machine, defined);
        }
    }
}

/// In all three forms of address, also with a base of FS.
#[test]
fn every_form_of_address() {
    let rows: [(&str, &[u8]); 4] = [
        ("lock add [r9 + rdx * 2 + 6], ecx", &[0xf0, 0x41, 0x01, 0x4c, 0x51, 6]),
        ("lock add fs:[r9 + 6], ecx", &[0x64, 0xf0, 0x41, 0x01, 0x49, 6]),
        ("lock add [r9d + 6], ecx", &[0x67, 0xf0, 0x41, 0x01, 0x49, 6]),
        ("lock bts fs:[r9 + 6], ecx", &[0x64, 0xf0, 0x41, 0x0f, 0xab, 0x49, 6]),
    ];
    for (name, code) in rows {
        for served in [false, true] {
            let mut guest = Guest::long_mode();
            guest.ram.write(DATA, &[0; 64]);
            guest.set(Register::R9, DATA);
            guest.set(Register::Rdx, 1);
            guest.set(Register::Rcx, 5);
            let before: &[u8] = if served { &STORE } else { &[] };
            assert_eq!(guest.run(&[before, code].concat()), End::Done, "{name}");
            let place = if name.contains("rdx") { 8 } else { 6 };
            let expected = if name.contains("bts") { 32_u32 } else { 5 };
            let found = guest.bytes(DATA + place, 4);
            assert_eq!(found, expected.to_le_bytes(), "{name}, served by the TLB: {served}");
        }
    }
}

/// CMPXCHG16B of an operand that the TLB serves: both ways, and one that is not aligned.
#[test]
fn sixteen_bytes() {
    const LOCK_CMPXCHG16B: [u8; 5] = [0xf0, 0x49, 0x0f, 0xc7, 0x09];
    for (expected, equal) in [(0x1111, true), (0x2222, false)] {
        let mut guest = Guest::long_mode();
        guest.ram.write(DATA, &[0x1111_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat());
        guest.set(Register::R9, DATA);
        guest.set(Register::Rax, expected);
        guest.set(Register::Rdx, 5);
        guest.set(Register::Rbx, 6);
        guest.set(Register::Rcx, 7);
        // mov [r9 + 32], al
        let code = [&[0x41, 0x88, 0x41, 32][..], &LOCK_CMPXCHG16B].concat();
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.state.rflags.contains(RFlags::ZERO_FLAG), equal);
        assert_eq!(guest.get(Register::Rax), 0x1111);
        let stored = if equal { 6_u64 } else { 0x1111 };
        assert_eq!(guest.bytes(DATA, 8), stored.to_le_bytes());
    }
    let mut guest = Guest::long_mode();
    guest.set(Register::R9, DATA + 8);
    let end = guest.run(&[&STORE[..], &LOCK_CMPXCHG16B].concat());
    assert_eq!(end, End::Fault(monovisor_core::state::Exception::GP0));
}
