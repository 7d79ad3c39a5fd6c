//! Loads of two neighbouring vectors and an operation on each by one op: against the same instructions one
//! by one, within a page, across pages, and where the second vector is not there.

use monovisor_core::state::Register;

use crate::common::guest::{End, Guest, PAGES, WRITABLE};
use crate::common::numbers::Numbers;

/// The page behind the first is mapped, or is not.
const BEHIND: u64 = PAGES + 0x1000;
/// How often the code stands in the block: the first time fills the TLB.
const TIMES: usize = 3;

/// Executes `code` on vectors at and around addresses of interest as a block and in steps: registers,
/// memory and count must agree. How often it came to its end, and how often it faulted.
fn agree(code: &[u8], flags_behind: u64) -> (u32, u32) {
    let (mut blocks, mut steps) = (Guest::long_mode(), Guest::long_mode());
    let (fresh, code) = (blocks.state.clone(), code.repeat(TIMES));
    let (mut done, mut faults) = (0, 0);
    let addresses = [0x100, 0x108, 0xfe0, 0xfe1, 0xff0, 0xff8, 0xfff];
    for (seed, offset) in (0..).zip(addresses.into_iter().cycle().take(28)) {
        for guest in [&mut blocks, &mut steps] {
            guest.map(BEHIND, flags_behind);
            let mut numbers = Numbers(seed);
            let bytes: Vec<u8> = (0..0x400).flat_map(|_| numbers.next().to_le_bytes()).collect();
            guest.ram.write(PAGES, &bytes);
            guest.state = fresh.clone();
            for vector in &mut guest.state.fpu.xmm {
                *vector = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
            }
            let index = numbers.next() % 32;
            guest.set(Register::Rcx, index);
            guest.set(Register::Rsi, PAGES + offset);
            guest.set(Register::Rdi, PAGES + offset - index * 8);
        }
        let before = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        match blocks.run(&code) {
            End::Done => done += 1,
            End::Fault(_) => faults += 1,
            End::Exit(exit) => panic!("{code:02x?} left with {exit:?}"),
        }
        steps.step_through(&code);
        assert_eq!(blocks.state, steps.state, "{code:02x?} at {offset:#x}: blocks, steps");
        assert!(blocks.bytes(PAGES, 0x2000) == steps.bytes(PAGES, 0x2000), "{code:02x?} wrote");
        let [of_blocks, of_steps] = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        assert_eq!(of_blocks - before[0], of_steps - before[1], "{code:02x?} at {offset:#x}");
    }
    (done, faults)
}

/// With the page behind there, and not there.
fn agree_everywhere(code: &[u8]) {
    assert_eq!(agree(code, WRITABLE), (28, 0), "{code:02x?}");
    assert_eq!(agree(code, 0), (12, 16), "{code:02x?}");
}

/// MOVDQU, MOVUPS, MOVUPD; with [RSI] and with [RDI + RCX * 8].
const UNALIGNED: [&[u8]; 3] = [&[0xf3, 0x0f], &[0x0f], &[0x66, 0x0f]];
/// XMM2's ModRM and what follows: an operand in memory, and its neighbour.
const OPERANDS: [[&[u8]; 2]; 2] = [[&[0x16], &[0x56, 16]], [&[0x14, 0xcf], &[0x54, 0xcf, 16]]];

#[test]
fn loads_with_an_operation() {
    // PADDQ, PSUBB, PXOR of XMM1, XMM2 and of XMM0, XMM2
    for operation in [0xd4, 0xf8, 0xef] {
        for (kind, opcode) in UNALIGNED.into_iter().zip([0x6f, 0x10, 0x10]) {
            for [first, second] in OPERANDS {
                for [left, right] in [[0xca, 0xc2], [0xca, 0xca], [0xca, 0xd0]] {
                    let one = [kind, &[opcode], first, &[0x66, 0x0f, operation, left]].concat();
                    let two = [kind, &[opcode], second, &[0x66, 0x0f, operation, right]].concat();
                    agree_everywhere(&[one, two].concat());
                }
            }
        }
    }
}
