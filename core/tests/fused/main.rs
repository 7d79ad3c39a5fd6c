//! Groups of instructions that execute as one: against the host's processor, and against themselves one
//! by one.

#![cfg(target_arch = "x86_64")]

mod branch;
#[path = "../common/mod.rs"]
mod common;
mod copy;
mod counted;
mod division;
mod runs;
mod shifted;

use common::guest::{CODE, End, Guest};
use common::native::{AF, ALL, compare_all};
use common::numbers::Numbers;
use monovisor_core::state::{RFlags, Register};

/// MOV DL, 0x5A: what a branch jumps over.
const MARK: [u8; 2] = [0xb2, 0x5a];

/// Compares code with every Jcc behind it, over [`MARK`]. AF is undefined where `logic` says.
fn compare_with_jumps(rows: &[(&str, &[u8])], logic: bool) {
    let defined = if logic { ALL & !AF } else { ALL };
    for &(name, code) in rows {
        for condition in 0..16 {
            let code = [code, &[0x70 | condition, MARK.len() as u8], &MARK].concat();
            compare_all(&[(&format!("{name}; j{condition:x}"), &code, defined)], 60);
        }
    }
}

/// Executes `code` as blocks and in steps, with many operands: state and count must agree. How often it
/// came to its end, and how often it faulted.
fn agree(code: &[u8]) -> (u32, u32) {
    let (mut blocks, mut steps) = (Guest::long_mode(), Guest::long_mode());
    let fresh = blocks.state.clone();
    let (mut done, mut faults) = (0, 0);
    for seed in 0..200 {
        for guest in [&mut blocks, &mut steps] {
            let mut numbers = Numbers(seed);
            guest.state = fresh.clone();
            for register in [Register::Rax, Register::Rcx, Register::Rdx, Register::Rbx] {
                guest.set(register, numbers.operand());
            }
            guest.state.rflags = RFlags::from_bits_retain(numbers.next() & ALL | 2);
            guest.state.rip = CODE;
        }
        let before = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        match blocks.run(code) {
            End::Done => done += 1,
            End::Fault(_) => faults += 1,
            End::Exit(exit) => panic!("{code:02x?} left with {exit:?}"),
        }
        steps.step_through(code);
        assert_eq!(blocks.state, steps.state, "after {code:02x?} from {seed}: blocks, steps");
        let [of_blocks, of_steps] = [&blocks, &steps].map(|guest| guest.vcpu.retired());
        assert_eq!(of_blocks - before[0], of_steps - before[1], "{code:02x?} from {seed}");
    }
    (done, faults)
}
