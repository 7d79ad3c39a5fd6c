//! Runs of vector moves: random ones as blocks against the same one by one, within a page, across pages
//! with either of them not there or not writable, misaligned, on the code itself, and on one another.

use monovisor_core::state::{Cr0Flags, Cr4Flags, Register, XCr0Flags};

use crate::common::guest::{CODE, End, Guest, PAGES, WRITABLE};
use crate::common::numbers::Numbers;

/// Moves of whole vector registers: the mandatory prefix and the map as VEX has them, and the opcodes of
/// the load and of the store, if there is one.
const MOVES: [(u8, u8, Option<u8>, Option<u8>); 11] = [
    (0, 1, Some(0x10), Some(0x11)), // movups
    (1, 1, Some(0x10), Some(0x11)), // movupd
    (2, 1, Some(0x6f), Some(0x7f)), // movdqu
    (3, 1, Some(0xf0), None),       // lddqu
    (0, 1, Some(0x28), Some(0x29)), // movaps
    (1, 1, Some(0x28), Some(0x29)), // movapd
    (1, 1, Some(0x6f), Some(0x7f)), // movdqa
    (0, 1, None, Some(0x2b)),       // movntps
    (1, 1, None, Some(0x2b)),       // movntpd
    (1, 1, None, Some(0xe7)),       // movntdq
    (1, 2, Some(0x2a), None),       // movntdqa
];
/// How many of them, from the first on, may be misaligned.
const UNALIGNED: u64 = 4;

/// How a move is encoded, and how many bytes it has.
#[derive(Clone, Copy)]
enum Length {
    Legacy,
    Xmm,
    Ymm,
}

impl Length {
    fn bytes(self) -> u64 {
        if matches!(self, Self::Ymm) { 32 } else { 16 }
    }
}

/// Bytes of the move number `row`, if there is such a load or store, of a register and what is at
/// `displacement` from RSI, or from RDI + RCX * 8 if `indexed`.
fn encode(
    (row, length, store): (u64, Length, bool),
    register: u8,
    indexed: bool,
    displacement: i32,
) -> Option<Vec<u8>> {
    let (prefix, map, load_opcode, store_opcode) = MOVES[row as usize];
    let opcode = if store { store_opcode } else { load_opcode }?;
    let mut code = match length {
        Length::Legacy => {
            let mut code = [&[][..], &[0x66], &[0xf3], &[0xf2]][usize::from(prefix)].to_vec();
            code.extend((register > 7).then_some(0x44));
            code.push(0x0f);
            code.extend((map == 2).then_some(0x38));
            code
        }
        _ => {
            let not_r = if register > 7 { 0 } else { 0x80 };
            let wide = u8::from(matches!(length, Length::Ymm)) << 2;
            vec![0xc4, not_r | 0x60 | map, 0x78 | wide | prefix]
        }
    };
    code.extend([opcode, 0x80 | (register & 7) << 3 | if indexed { 4 } else { 6 }]);
    code.extend(indexed.then_some(0xcf));
    code.extend(displacement.to_le_bytes());
    Some(code)
}

/// A few runs of one kind each, and copies: runs of loads with stores of the same registers behind.
fn runs(numbers: &mut Numbers) -> Vec<u8> {
    let mut below = |bound| numbers.below(bound);
    let mut code = Vec::new();
    for _ in 0..=below(3) {
        let length = [Length::Legacy, Length::Xmm, Length::Ymm, Length::Ymm][below(4) as usize];
        // One that must be aligned makes most runs fault.
        let rows = if below(3) == 0 { MOVES.len() as u64 } else { UNALIGNED };
        let (store, indexed, row) = (below(2) == 0, below(2) == 0, below(rows));
        let (order, start) = (below(4), below(17) as i32 * 8 - 64);
        let (first, count) = (below(16) as u8, 1 + below(9) as i32);
        if below(3) == 0 {
            let copied = count.min(4);
            let (to, indexed_to) = (below(17) as i32 * 8 - 64, below(2) == 0);
            // A register that is loaded twice is stored twice.
            let registers = 1 + below(8) as i32;
            for each in 0..2 * copied {
                let (store, at) = (each >= copied, each % copied);
                let row = if row < 3 || row == 4 { row } else { 2 };
                let (indexed, start) = if store { (indexed_to, to) } else { (indexed, start) };
                let displacement = start + at * length.bytes() as i32;
                let register = first.wrapping_add((at % registers) as u8) & 15;
                code.extend(
                    encode((row, length, store), register, indexed, displacement).expect("both"),
                );
            }
            continue;
        }
        for each in 0..count {
            // The same mnemonic, or any.
            let row = if below(4) == 0 { below(rows) } else { row };
            let bytes = length.bytes() as i32;
            let (register, displacement) = match order {
                0 => (first + each as u8, start + each * bytes),
                1 => (first + each as u8, start - each * bytes),
                2 => (first, start + each * (bytes - 4)),
                _ => (below(16) as u8, below(256) as i32 - 128),
            };
            let kind = (row, length, store);
            code.extend(encode(kind, register & 15, indexed, displacement).unwrap_or_default());
        }
    }
    code
}

/// A guest with YMM registers, in which read-only pages are.
fn guest(pages: [u64; 2]) -> Guest {
    let mut guest = Guest::long_mode();
    guest.state.control.cr0 |= Cr0Flags::WRITE_PROTECT;
    guest.state.control.cr4 |= Cr4Flags::OSXSAVE;
    guest.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    for (page, flags) in (0..).zip(pages) {
        guest.map(PAGES + page * 0x1000, flags);
    }
    guest
}

/// Executes random runs as blocks and in steps with RSI at `base` and a little more: registers, memory
/// and count must agree. How often they came to their end, and how often they faulted.
fn agree(pages: [u64; 2], base: u64, memory: u64, times: usize) -> (u32, u32) {
    let (mut blocks, mut steps) = (guest(pages), guest(pages));
    let fresh = blocks.state.clone();
    let (mut done, mut faults) = (0, 0);
    for seed in 0..160 {
        let mut numbers = Numbers(seed ^ base << 20);
        // The first time fills the TLB.
        let code = runs(&mut numbers).repeat(times);
        let address = base + [0, 0, 32, 16, 8, 1][numbers.below(6) as usize];
        let other = address.wrapping_add([0, 32, 64, 8][numbers.below(4) as usize]);
        for guest in [&mut blocks, &mut steps] {
            let mut numbers = Numbers(seed);
            let bytes: Vec<u8> = (0..0x400).flat_map(|_| numbers.next().to_le_bytes()).collect();
            guest.ram.write(PAGES, &bytes);
            guest.state = fresh.clone();
            let fpu = &mut guest.state.fpu;
            for vector in fpu.xmm.iter_mut().chain(&mut fpu.ymm_high) {
                *vector = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
            }
            let index = numbers.below(32);
            guest.set(Register::Rcx, index);
            guest.set(Register::Rsi, address);
            guest.set(Register::Rdi, other.wrapping_sub(index * 8));
            guest.state.rip = CODE;
        }
        let before = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        match blocks.run(&code) {
            End::Done => done += 1,
            End::Fault(_) => faults += 1,
            End::Exit(exit) => panic!("{code:02x?} left with {exit:?}"),
        }
        steps.step_through(&code);
        assert_eq!(blocks.state, steps.state, "{code:02x?} at {address:#x}: blocks, steps");
        let [of_blocks, of_steps] = [&blocks, &steps].map(|guest| guest.bytes(memory, 0x2000));
        assert!(of_blocks == of_steps, "{code:02x?} at {address:#x} wrote something else");
        let [of_blocks, of_steps] = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        assert_eq!(of_blocks - before[0], of_steps - before[1], "{code:02x?} at {address:#x}");
    }
    (done, faults)
}

/// Between the two pages.
const BETWEEN: u64 = PAGES + 0x1000;
const READABLE: u64 = WRITABLE & !2;

#[test]
fn within_a_page() {
    let (done, faults) = agree([WRITABLE; 2], PAGES + 0x800, PAGES, 3);
    assert!(done > 100 && faults > 8, "{done} done, {faults} faults");
}

#[test]
fn across_pages() {
    let (done, _) = agree([WRITABLE; 2], BETWEEN, PAGES, 3);
    assert!(done > 100, "{done} done");
    for pages in [[WRITABLE, READABLE], [WRITABLE, 0], [READABLE, WRITABLE], [0, WRITABLE]] {
        for base in [BETWEEN - 0x80, BETWEEN, BETWEEN + 0x80] {
            let (done, faults) = agree(pages, base, PAGES, 3);
            assert!(faults > 20, "{done} done, {faults} faults of {pages:?}");
        }
    }
}

#[test]
fn at_the_end_of_what_is_canonical() {
    let (_, faults) = agree([WRITABLE; 2], (1 << 47) - 0x40, PAGES, 1);
    assert!(faults > 120, "{faults} faults");
}

#[test]
fn of_read_only_memory_and_into_it() {
    let (done, faults) = agree([READABLE; 2], BETWEEN, PAGES, 3);
    assert!(done > 20 && faults > 40, "{done} done, {faults} faults");
}

/// A store onto the block itself takes effect before the next instruction.
#[test]
fn on_their_own_code() {
    // What they make of themselves may be anything, so they store NOPs.
    const NOPS: u128 = u128::from_le_bytes([0x90; 16]);
    for (length, count) in
        [(Length::Legacy, 2), (Length::Xmm, 4), (Length::Ymm, 4), (Length::Ymm, 7)]
    {
        for start in (-32..160).step_by(4) {
            let code: Vec<u8> = (0..count)
                .flat_map(|each| {
                    let displacement = start + i32::from(each) * length.bytes() as i32;
                    encode((0, length, true), each, false, displacement).expect("a store")
                })
                .chain([0x48, 0xff, 0xc0].repeat(64))
                .collect();
            let mut guests = [guest([WRITABLE; 2]), guest([WRITABLE; 2])];
            for guest in &mut guests {
                (guest.state.fpu.xmm, guest.state.fpu.ymm_high) = ([NOPS; 16], [NOPS; 16]);
                guest.set(Register::Rsi, CODE);
            }
            let [blocks, steps] = &mut guests;
            // What is left of an instruction may be none.
            let _ = blocks.run(&code);
            steps.step_through(&code);
            assert_eq!(blocks.state, steps.state, "{code:02x?} at {start}");
            assert_eq!(blocks.bytes(CODE, 0x400), steps.bytes(CODE, 0x400), "{code:02x?}");
        }
    }
}
