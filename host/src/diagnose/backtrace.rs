//! Who called: return addresses from the chain of frame pointers, or, where code keeps none, from
//! the words on the stack that a call could have left there.
//!
//! Invariant: bounded work for any stack; each address in the answer follows a call instruction.

use std::collections::HashSet;

use monovisor_core::state::Register;

use super::disassemble::Code;
use super::guest::Guest;

/// Callers beyond this many are not listed.
const MAX_FRAMES: usize = 8;
/// Words on the stack that are looked at.
const MAX_WORDS: usize = 256;
/// A longer jump from one frame pointer to the next is not believed.
const MAX_FRAME_BYTES: u64 = 1 << 20;
/// Bytes of the longest call instruction.
const MAX_CALL_BYTES: u64 = 7;

/// How the return addresses were found, which says how much to trust them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A chain of frame pointers: these are the callers.
    FramePointers,
    /// Words on the stack: callers, and possibly remains of earlier calls.
    StackScan,
}

/// Return addresses, the innermost first.
pub fn callers(guest: &Guest<'_>) -> (Method, Vec<u64>) {
    let chained = frame_pointers(guest);
    // A chain of one may be an accident of what RBP holds.
    if chained.len() > 1 {
        return (Method::FramePointers, chained);
    }
    (Method::StackScan, scan(guest))
}

fn frame_pointers(guest: &Guest<'_>) -> Vec<u64> {
    let width = u64::from(guest.state.bitness() / 8);
    let mut pointer = guest.state.gpr[Register::Rbp];
    let mut found = Vec::new();
    if pointer < guest.state.gpr[Register::Rsp] {
        return found;
    }
    while found.len() < MAX_FRAMES {
        let frame = guest.stack_address(pointer);
        let (Some(next), Some(return_address)) =
            (guest.word(frame), frame.checked_add(width).and_then(|above| guest.word(above)))
        else {
            break;
        };
        if !is_return_address(guest, return_address) {
            break;
        }
        found.push(return_address);
        // Stacks grow down, so callers' frames are above.
        if next <= pointer || next - pointer > MAX_FRAME_BYTES {
            break;
        }
        pointer = next;
    }
    found
}

fn scan(guest: &Guest<'_>) -> Vec<u64> {
    let width = (guest.state.bitness() / 8) as usize;
    let top = guest.stack_address(guest.state.gpr[Register::Rsp]);
    let stack = guest.read(top, MAX_WORDS * width);
    // Zeroes and small numbers fill stacks; each distinct word is examined once.
    let mut seen = HashSet::new();
    let words = stack.chunks_exact(width).map(|bytes| {
        let mut word = [0; 8];
        word[..width].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    });
    words
        .filter(|&word| word > 0xff && seen.insert(word) && is_return_address(guest, word))
        .take(MAX_FRAMES)
        .collect()
}

fn is_return_address(guest: &Guest<'_>, offset: u64) -> bool {
    let address = guest.code_address(offset);
    let Some(before) = address.checked_sub(MAX_CALL_BYTES) else { return false };
    let bytes = guest.read(before, MAX_CALL_BYTES as usize);
    let whole = bytes.len() == MAX_CALL_BYTES as usize;
    let code = Code { bytes: &bytes, address: before, bitness: guest.state.bitness() };
    whole && guest.translate(address).is_some() && code.is_return_address(address)
}

#[cfg(test)]
mod tests {
    use monovisor_core::CpuState;
    use monovisor_core::state::{Access, Cr0Flags, SegmentRegister};
    use proptest::prelude::*;

    use super::*;
    use crate::memory::GuestRam;

    /// A 32-bit guest without paging, with calls that return to 0x1005, 0x1105 and 0x1205.
    fn guest() -> (CpuState, GuestRam) {
        let mut state = CpuState::reset(0);
        state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE;
        for register in [SegmentRegister::Cs, SegmentRegister::Ss] {
            let access = if register == SegmentRegister::Cs { 0xc09b } else { 0xc093 };
            state.segments[register].access = Access(access);
            state.segments[register].base = 0;
            state.segments[register].limit = u32::MAX;
        }
        let ram = GuestRam::new(2 << 20).unwrap();
        for call in [0x1000, 0x1100, 0x1200] {
            ram.write(call, &[0xe8, 0, 0, 0, 0]).unwrap();
        }
        (state, ram)
    }

    fn push(ram: &GuestRam, address: u64, words: &[u32]) {
        for (word, at) in words.iter().zip((address..).step_by(4)) {
            ram.write(at, &word.to_le_bytes()).unwrap();
        }
    }

    #[test]
    fn frame_pointers_are_followed() {
        let (mut state, ram) = guest();
        state.gpr[Register::Rsp] = 0x8000;
        state.gpr[Register::Rbp] = 0x8010;
        push(&ram, 0x8010, &[0x8040, 0x1005]);
        push(&ram, 0x8040, &[0x8080, 0x1105]);
        push(&ram, 0x8080, &[0, 0x1205]);
        let guest = Guest { state: &state, ram: &ram };
        assert_eq!(callers(&guest), (Method::FramePointers, vec![0x1005, 0x1105, 0x1205]));
    }

    #[test]
    fn a_frame_chain_that_loops_ends() {
        let (mut state, ram) = guest();
        state.gpr[Register::Rbp] = 0x8010;
        push(&ram, 0x8010, &[0x8010, 0x1005]);
        let guest = Guest { state: &state, ram: &ram };
        assert_eq!(frame_pointers(&guest), [0x1005]);
    }

    #[test]
    fn without_frame_pointers_the_stack_is_searched() {
        let (mut state, ram) = guest();
        state.gpr[Register::Rsp] = 0x8000;
        push(&ram, 0x8000, &[7, 0x1105, 0x1006, 0xffff_ffff, 0x1105, 0x1005]);
        let guest = Guest { state: &state, ram: &ram };
        assert_eq!(callers(&guest), (Method::StackScan, vec![0x1105, 0x1005]));
    }

    proptest! {
        #[test]
        fn any_stack_is_survived(
            rsp in any::<u64>(), rbp in any::<u64>(), words in proptest::collection::vec(any::<u32>(), 64),
        ) {
            let (mut state, ram) = guest();
            state.gpr[Register::Rsp] = rsp;
            state.gpr[Register::Rbp] = rbp;
            push(&ram, 0x1f_ff00, &words);
            let (_, found) = callers(&Guest { state: &state, ram: &ram });
            prop_assert!(found.len() <= MAX_FRAMES);
        }
    }
}
