//! Runs of AES rounds by one op: against the same instructions one by one, with the host's instructions
//! and in portable code, in both encodings, with keys in registers and in memory, and where the keys are
//! not there.

use monovisor_core::state::{Cr0Flags, Cr4Flags, Register, XCr0Flags};

use crate::common::guest::{End, Guest, PAGES, WRITABLE};
use crate::common::numbers::Numbers;

/// The page behind the first.
const BEHIND: u64 = PAGES + 0x1000;
/// Programs for each place of the keys.
const PROGRAMS: u64 = 400;

/// What an instruction has in front of ModRM: prefix, map and opcode.
type Opcode = (u8, u8, u8);
const AESENC: Opcode = (0x66, 2, 0xdc);
const AESENCLAST: Opcode = (0x66, 2, 0xdd);
const AESDEC: Opcode = (0x66, 2, 0xde);
const AESDECLAST: Opcode = (0x66, 2, 0xdf);
/// PXOR, XORPS, XORPD.
const ADDITIONS: [Opcode; 3] = [(0x66, 1, 0xef), (0, 1, 0x57), (0x66, 1, 0x57)];
/// MOVDQA, MOVDQU, MOVAPS, MOVUPS.
const LOADS: [Opcode; 4] = [(0x66, 1, 0x6f), (0xf3, 1, 0x6f), (0, 1, 0x28), (0, 1, 0x10)];

/// An XMM register, or what is that far behind RSI.
#[derive(Clone, Copy)]
enum Source {
    Register(u8),
    Memory(i32),
}

/// An instruction on register `target` and a source. With `both`, the target is a source, too, which
/// VEX says.
#[derive(Clone, Copy)]
struct Coded {
    opcode: Opcode,
    target: u8,
    source: Source,
    both: bool,
}

impl Coded {
    fn bytes(self, vex: bool) -> Vec<u8> {
        let Self { opcode: (prefix, map, opcode), target, source, both } = self;
        let (mode, other) = match source {
            Source::Register(number) => (0xc0, number),
            Source::Memory(_) => (0x80, 6),
        };
        let (r, b) = (target >> 3, other >> 3);
        let mut code = Vec::new();
        if vex {
            let second = if both { target } else { 0 };
            let coded_prefix = [0, 0x66, 0xf3].iter().position(|&it| it == prefix).unwrap() as u8;
            let extension = (1 ^ r) << 7 | 1 << 6 | (1 ^ b) << 5;
            code.extend([0xc4, extension | map, (15 ^ second) << 3 | coded_prefix]);
        } else {
            code.extend((prefix != 0).then_some(prefix));
            code.extend((r | b != 0).then_some(0x40 | r << 2 | b));
            code.push(0x0f);
            code.extend((map == 2).then_some(0x38));
        }
        code.extend([opcode, mode | (target & 7) << 3 | other & 7]);
        if let Source::Memory(displacement) = source {
            code.extend(displacement.to_le_bytes());
        }
        code
    }
}

/// Steps of a cipher on some states, as programs have them: the states side by side, one behind the
/// other, or the last one late.
fn steps(numbers: &mut Numbers) -> Vec<Coded> {
    let count = 1 + numbers.below(8) as u8;
    let first = numbers.below(16) as u8;
    let [round, last_round] = match numbers.one_in(2) {
        true => [AESENC, AESENCLAST],
        false => [AESDEC, AESDECLAST],
    };
    let (adds, ends) = (numbers.one_in(2), numbers.one_in(2));
    let kind = numbers.below(4);
    let most = 2 + numbers.below(4) as u8;
    let mut columns: Vec<Vec<Coded>> = vec![Vec::new(); count.into()];
    let mut rows = Vec::new();
    for step in 0..most {
        let opcode = match step {
            0 if adds => ADDITIONS[numbers.below(3) as usize],
            _ if step == most - 1 && ends => last_round,
            _ => round,
        };
        let memory = Source::Memory(16 * i32::from(step) - 32);
        let key = (first + count + step % 3) & 15;
        let source = match kind {
            0 => Source::Register(key),
            1 => memory,
            2 if step % 2 == 1 => Source::Register(key),
            _ => {
                let opcode = LOADS[numbers.below(4) as usize];
                rows.push(Coded { opcode, target: key, source: memory, both: false });
                Source::Register(key)
            }
        };
        for state in 0..count {
            let coded = Coded { opcode, target: (first + state) & 15, source, both: true };
            rows.push(coded);
            columns[usize::from(state)].push(coded);
        }
    }
    match numbers.below(3) {
        0 if kind < 2 => columns.concat(),
        1 if kind < 2 => {
            let late = columns.pop().unwrap();
            let mut rows: Vec<_> =
                rows.into_iter().filter(|coded| coded.target != late[0].target).collect();
            let place = numbers.below(rows.len() as u64 + 1) as usize;
            rows.splice(place..place, late);
            rows
        }
        _ => rows,
    }
}

/// The steps of a program. One in four has a few registers, displacements or instructions that spoil its
/// runs.
fn program(numbers: &mut Numbers) -> Vec<u8> {
    let vex = numbers.one_in(3);
    let mut steps = steps(numbers);
    if numbers.one_in(4) {
        for _ in 0..1 + numbers.below(3) {
            let number = numbers.below(16) as u8;
            let place = numbers.below(steps.len() as u64) as usize;
            let coded = &mut steps[place];
            match (numbers.below(4), &mut coded.source) {
                (0, Source::Register(source)) => *source = number,
                (0, Source::Memory(displacement)) => *displacement += i32::from(number),
                (1, _) => coded.target = number,
                (2, _) if coded.both => {
                    coded.opcode = [AESENC, AESDEC, AESENCLAST, AESDECLAST][number as usize % 4]
                }
                _ => {
                    steps.remove(place);
                }
            }
        }
    }
    steps.into_iter().flat_map(|coded| coded.bytes(vex)).collect()
}

fn guest() -> Guest {
    let mut guest = Guest::long_mode();
    guest.state.control.cr4 |= Cr4Flags::OSXSAVE;
    guest.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    guest
}

/// Executes programs with their keys around `PAGES + offset`, where the page behind has these flags. How
/// many came to their end.
fn agree(offset: u64, flags_behind: u64) -> u64 {
    let [mut blocks, mut portable, mut steps] = [guest(), guest(), guest()];
    portable.vcpu.use_portable_vectors();
    let fresh = blocks.state.clone();
    let mut done = 0;
    for seed in 0..PROGRAMS {
        // The first time fills the TLB.
        let code = program(&mut Numbers(seed << 16 | offset)).repeat(2);
        for guest in [&mut blocks, &mut portable, &mut steps] {
            guest.map(BEHIND, flags_behind);
            let mut numbers = Numbers(seed);
            let bytes: Vec<u8> = (0..0x400).flat_map(|_| numbers.next().to_le_bytes()).collect();
            guest.ram.write(PAGES, &bytes);
            guest.state = fresh.clone();
            let fpu = &mut guest.state.fpu;
            for vector in fpu.xmm.iter_mut().chain(&mut fpu.ymm_high) {
                *vector = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
            }
            guest.set(Register::Rsi, PAGES + offset);
        }
        let before = [&blocks, &portable, &steps].map(|guest| guest.vcpu.retired());
        let end = blocks.run(&code);
        assert_eq!(portable.run(&code), end, "{code:02x?} at {offset:#x}");
        steps.step_through(&code);
        done += u64::from(end == End::Done);
        assert!(!matches!(end, End::Exit(_)), "{code:02x?} at {offset:#x}: {end:?}");
        assert_eq!(blocks.state, steps.state, "{code:02x?} at {offset:#x}: blocks, steps");
        assert_eq!(blocks.state, portable.state, "{code:02x?} at {offset:#x}: host, portable");
        let after = [&blocks, &portable, &steps].map(|guest| guest.vcpu.retired());
        let [first, second, third] = [0, 1, 2].map(|index| after[index] - before[index]);
        assert_eq!((first, second), (third, third), "{code:02x?} at {offset:#x}");
    }
    done
}

#[test]
fn within_a_page() {
    assert!(agree(0x100, WRITABLE) > PROGRAMS * 9 / 10);
}

#[test]
fn across_pages() {
    for offset in [0xfe0, 0xff0, 0x1000, 0x1010] {
        assert!(agree(offset, WRITABLE) > PROGRAMS * 9 / 10);
    }
}

#[test]
fn where_alignment_is_asked_for() {
    for offset in [0x108, 0xff8] {
        let done = agree(offset, WRITABLE);
        assert!(done > PROGRAMS / 4 && done < PROGRAMS * 9 / 10, "{done}");
    }
}

#[test]
fn where_the_page_behind_is_not_there() {
    for offset in [0xfe0, 0xff0, 0xff8, 0x1000] {
        let done = agree(offset, 0);
        assert!(done > PROGRAMS / 4 && done < PROGRAMS * 9 / 10, "{done}");
    }
}

#[test]
fn where_vectors_are_not_available() {
    let code = [&[0x66, 0x0f, 0x38, 0xdc, 0xc1][..], &[0x66, 0x0f, 0x38, 0xdc, 0xd1]].concat();
    for (vex, undefined) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut guests = [guest(), guest()];
        for guest in &mut guests {
            if undefined {
                guest.state.control.cr4 -= Cr4Flags::OSFXSR | Cr4Flags::OSXSAVE;
            } else {
                guest.state.control.cr0 |= Cr0Flags::TASK_SWITCHED;
            }
        }
        let code = match vex {
            true => vec![0xc4, 0xe2, 0x79, 0xdc, 0xc1, 0xc4, 0xe2, 0x69, 0xdc, 0xd1],
            false => code.clone(),
        };
        let [blocks, steps] = &mut guests;
        assert!(matches!(blocks.run(&code), End::Fault(_)));
        steps.step_through(&code);
        assert_eq!(blocks.state, steps.state);
    }
}
