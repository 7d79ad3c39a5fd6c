//! The environment and the state in memory.

use monovisor_core::state::{Fpu, Register};

use super::common::guest::{CODE, DATA, End, Guest};
use super::harness::{Row, compare_all};

const ROWS: &[Row] = &[
    (
        "fnstenv, fldenv",
        &[0x41, 0xd9, 0xb1, 0x00, 0x01, 0x00, 0x00, 0x41, 0xd9, 0xa1, 0x00, 0x01, 0x00, 0x00],
    ),
    (
        "fnsave, frstor",
        &[0x41, 0xdd, 0xb1, 0x00, 0x01, 0x00, 0x00, 0x41, 0xdd, 0xa1, 0x00, 0x01, 0x00, 0x00],
    ),
    ("fnstenv", &[0x41, 0xd9, 0xb1, 0x00, 0x01, 0x00, 0x00]),
    ("fnsave", &[0x41, 0xdd, 0xb1, 0x00, 0x01, 0x00, 0x00]),
];

#[test]
fn agrees_with_the_host() {
    compare_all(ROWS, 4000);
}

/// A state with something in each word, whose top is register 6.
fn some_fpu() -> Fpu {
    let mut st = [0; 8];
    // One, zero, infinity; the others are empty.
    (st[0], st[2]) = (0x3fff << 64 | 1 << 63, 0x7fff << 64 | 1 << 63);
    Fpu {
        st,
        control_word: CONTROL,
        status_word: STATUS,
        tag_word: 0b1100_0001,
        opcode: 0x5a3,
        instruction_pointer: 0x1234_5678,
        data_pointer: 0x9abc_def0,
        ..Guest::long_mode().state.fpu
    }
}

/// The layouts' first three words for it.
const CONTROL: u16 = 0x27f;
const STATUS: u16 = 0x3500;
const TAGS: u16 = 0x4ffe;

/// Instruction pointer, data pointer and opcode that are left of `some_fpu`, once `store` has stored
/// it as `expected`, and `load` has loaded it from there.
fn through_memory(
    guest: &mut Guest,
    at: u64,
    [store, load]: [&[u8]; 2],
    expected: &[u8],
) -> (u64, u64, u16) {
    guest.ram.write(at, &[0; 40]);
    guest.state.fpu = some_fpu();
    let rip = guest.state.rip;
    assert_eq!(guest.run(store), End::Done);
    assert_eq!(guest.bytes(at, expected.len() + 2), [expected, &[0, 0]].concat());
    assert_eq!(guest.state.fpu.control_word, CONTROL | 0x3f);
    guest.state.fpu = Guest::long_mode().state.fpu;
    guest.state.rip = rip;
    assert_eq!(guest.run(load), End::Done);
    guest.state.rip = rip;
    let fpu = guest.state.fpu;
    let words = |fpu: &Fpu| (fpu.control_word, fpu.status_word, fpu.tag_word);
    assert_eq!(words(&fpu), words(&some_fpu()));
    (fpu.instruction_pointer, fpu.data_pointer, fpu.opcode)
}

/// The first words with everything above them set, and the pointers.
fn wide(pointers: [u32; 4]) -> Vec<u8> {
    let words = [CONTROL, STATUS, TAGS].map(|word| 0xffff_0000 | u32::from(word));
    words.into_iter().chain(pointers).flat_map(u32::to_le_bytes).collect()
}

fn narrow(pointers: [u16; 4]) -> Vec<u8> {
    [CONTROL, STATUS, TAGS].into_iter().chain(pointers).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn protected_mode_has_offsets_and_selectors() {
    // [edi] or [rdi].
    const WIDE: [&[u8]; 2] = [&[0xd9, 0x37], &[0xd9, 0x27]];
    const NARROW: [&[u8]; 2] = [&[0x66, 0xd9, 0x37], &[0x66, 0xd9, 0x27]];
    for mut guest in [Guest::protected(), Guest::long_mode()] {
        guest.state.rip = CODE;
        guest.set(Register::Rdi, DATA);
        let image = wide([0x1234_5678, 0x5a3 << 16, 0x9abc_def0, 0xffff_0000]);
        let kept = through_memory(&mut guest, DATA, WIDE, &image);
        assert_eq!(kept, (0x1234_5678, 0x9abc_def0, 0x5a3));
        let image = narrow([0x5678, 0, 0xdef0, 0]);
        let kept = through_memory(&mut guest, DATA, NARROW, &image);
        assert_eq!(kept, (0x5678, 0xdef0, 0));
    }
}

#[test]
fn real_mode_has_linear_addresses_and_the_opcode() {
    // [bx].
    const WIDE: [&[u8]; 2] = [&[0x66, 0xd9, 0x37], &[0x66, 0xd9, 0x27]];
    const NARROW: [&[u8]; 2] = [&[0xd9, 0x37], &[0xd9, 0x27]];
    let mut guest = Guest::real_mode();
    guest.set(Register::Rbx, 0x4000);
    let at = CODE + 0x4000;
    let image = wide([0xffff_5678, 0x0123_45a3, 0xffff_def0, 0x09ab_c000]);
    let kept = through_memory(&mut guest, at, WIDE, &image);
    assert_eq!(kept, (0x1234_5678, 0x9abc_def0, 0x5a3));
    let image = narrow([0x5678, 0x45a3, 0xdef0, 0xc000]);
    let kept = through_memory(&mut guest, at, NARROW, &image);
    assert_eq!(kept, (0x4_5678, 0xc_def0, 0x5a3));
}
