//! The instruction at which a guest ended and its neighbours, disassembled.
//!
//! Invariant: bounded work for any bytes. x86 can't be decoded backwards, so the instructions before
//! one are found by decoding forwards from a start that leads exactly to it: the function's, where
//! the image has symbols, else the farthest of a few bytes that does.

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind};
use monovisor_core::CpuState;
use monovisor_core::state::{Register, SegmentRegister};

/// The longest instruction the architecture allows (SDM, "Instruction Format").
pub const MAX_INSTRUCTION_BYTES: usize = 15;
/// How far before an instruction a function may start to be decoded from there.
pub const MAX_LEAD_BYTES: usize = 4096;
/// How far before an instruction a start is searched that leads to it.
const SEARCH_BYTES: usize = 3 * MAX_INSTRUCTION_BYTES;

/// One disassembled instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its linear address.
    pub address: u64,
    /// Its bytes; at an undecodable place, one byte.
    pub bytes: Vec<u8>,
    /// The instruction in Intel syntax.
    pub text: String,
    /// Where a direct branch leads, or what a RIP-relative operand names.
    pub target: Option<u64>,
}

/// Bytes of guest memory that hold code.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The linear address of the first one.
    pub address: u64,
    /// The code segment's width: 16, 32 or 64.
    pub bitness: u32,
}

impl Code<'_> {
    /// Up to `before` instructions that lead to `address`, the one there, and up to `after` that
    /// follow; with the index of the one at `address`. `start` is where the function begins, if
    /// known. Nothing if there are no bytes at `address`.
    pub fn around(
        &self,
        address: u64,
        start: Option<u64>,
        before: usize,
        after: usize,
    ) -> (Vec<Line>, usize) {
        let Some(here) = self.offset(address) else { return (Vec::new(), 0) };
        let mut lines = start
            .and_then(|start| self.offset(start))
            .and_then(|start| self.path(start, here))
            .or_else(|| {
                let nearest = here.saturating_sub(SEARCH_BYTES);
                (nearest..here).find_map(|start| self.path(start, here))
            })
            .unwrap_or_default();
        lines.drain(..lines.len().saturating_sub(before));
        let index = lines.len();
        lines.extend(self.lines(here).take(after + 1));
        (lines, index)
    }

    /// Whether the bytes before `address` are a call that would return there.
    pub fn is_return_address(&self, address: u64) -> bool {
        let Some(end) = address.checked_sub(self.address).and_then(|end| usize::try_from(end).ok())
        else {
            return false;
        };
        (2..=7.min(end)).any(|length| {
            let Some(bytes) = self.bytes.get(end - length..end) else { return false };
            let instruction = Decoder::new(self.bitness, bytes, DecoderOptions::NONE).decode();
            instruction.mnemonic() == Mnemonic::Call && instruction.len() == length
        })
    }

    /// The linear address of the memory operand of the instruction at `address`, if it has one that
    /// the registers determine.
    pub fn operand_address(&self, address: u64, state: &CpuState) -> Option<u64> {
        let bytes = self.bytes.get(self.offset(address)?..)?;
        let instruction =
            Decoder::with_ip(self.bitness, bytes, address, DecoderOptions::NONE).decode();
        let is_memory = |&operand: &u32| instruction.op_kind(operand) == OpKind::Memory;
        let operand = (0..instruction.op_count()).find(is_memory)?;
        if matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop) {
            return None;
        }
        instruction.try_virtual_address(operand, 0, |register, _, _| value(register, state))
    }

    fn offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.address)?).ok()?;
        (offset < self.bytes.len()).then_some(offset)
    }

    /// The instructions from `start` on if they end exactly at `end`, all of them likely: valid,
    /// and no ADD with opcode 0, which is what padding decodes to.
    fn path(&self, start: usize, end: usize) -> Option<Vec<Line>> {
        if start >= end || end - start > MAX_LEAD_BYTES {
            return None;
        }
        let mut reached = start;
        let mut path = Vec::new();
        for line in self.lines(start) {
            if reached >= end || line.text == INVALID || line.bytes[0] == 0 {
                break;
            }
            reached += line.bytes.len();
            path.push(line);
        }
        (reached == end).then_some(path)
    }

    fn lines(&self, start: usize) -> impl Iterator<Item = Line> {
        let mut offset = start;
        let mut formatter = formatter();
        std::iter::from_fn(move || {
            let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
            let address = self.address.wrapping_add(offset as u64);
            let mut decoder = Decoder::with_ip(self.bitness, rest, address, DecoderOptions::NONE);
            let instruction = decoder.decode();
            let length = if instruction.is_invalid() { 1 } else { instruction.len() };
            offset += length;
            let mut text = String::new();
            if instruction.is_invalid() {
                text.push_str(INVALID);
            } else {
                formatter.format(&instruction, &mut text);
            }
            let bytes = rest[..length].to_vec();
            Some(Line { address, bytes, text, target: target(&instruction) })
        })
    }
}

/// What stands for bytes that are no instruction.
const INVALID: &str = "(invalid)";

fn formatter() -> IntelFormatter {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    formatter
}

fn target(instruction: &Instruction) -> Option<u64> {
    match instruction.op0_kind() {
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
            Some(instruction.near_branch_target())
        }
        _ if instruction.is_ip_rel_memory_operand() => Some(instruction.ip_rel_memory_address()),
        _ => None,
    }
}

/// What an address is computed from: general registers, RIP, and the bases of segments.
fn value(register: iced_x86::Register, state: &CpuState) -> Option<u64> {
    if register.is_segment_register() {
        let segment = *SegmentRegister::ALL.get(register.number())?;
        let flat =
            state.mode_64bit() && !matches!(segment, SegmentRegister::Fs | SegmentRegister::Gs);
        return Some(if flat { 0 } else { state.segments[segment].base });
    }
    let number = register.is_gpr().then(|| register.full_register().number())?;
    let value = state.gpr[*Register::ALL.get(number)?];
    Some(value & (u64::MAX >> (64 - 8 * register.size().min(8))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // push rbp; mov rbp, rsp; call +0; mov qword [rax], rbx; ud2; one byte of an instruction
    const BYTES: &[u8] =
        &[0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x48, 0x89, 0x18, 0x0f, 0x0b, 0x48];
    const CODE: Code<'_> = Code { bytes: BYTES, address: 0x1000, bitness: 64 };

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn neighbours_are_found_from_the_functions_start() {
        let (lines, index) = CODE.around(0x1009, Some(0x1000), 8, 2);
        assert_eq!(
            texts(&lines),
            ["push rbp", "mov rbp, rsp", "call 0x1009", "mov [rax], rbx", "ud2", "(invalid)"]
        );
        assert_eq!((index, lines[index].address), (3, 0x1009));
        assert_eq!(lines[2].target, Some(0x1009));
        assert_eq!(lines[index].bytes, [0x48, 0x89, 0x18]);
    }

    #[test]
    fn neighbours_are_found_without_symbols() {
        let (lines, index) = CODE.around(0x1009, None, 2, 0);
        assert_eq!(texts(&lines), ["mov rbp, rsp", "call 0x1009", "mov [rax], rbx"]);
        assert_eq!(index, 2);
    }

    #[test]
    fn a_start_that_does_not_lead_here_is_not_used() {
        let (lines, index) = CODE.around(0x1009, Some(0x1006), 1, 0);
        assert_eq!(texts(&lines[index..]), ["mov [rax], rbx"]);
        assert_eq!(CODE.around(0x2000, None, 1, 1), (vec![], 0));
    }

    #[test]
    fn widths_follow_the_code_segment() {
        let code = Code { bytes: &[0xb8, 0x34, 0x12, 0, 0], address: 0x7c00, bitness: 16 };
        assert_eq!(
            texts(&code.around(0x7c00, None, 0, 1).0),
            ["mov ax, 0x1234", "add [bx+si], al"]
        );
    }

    #[test]
    fn calls_make_return_addresses() {
        assert!(CODE.is_return_address(0x1009));
        for address in [0x0fff, 0x1000, 0x1004, 0x100c, 0x9000, u64::MAX] {
            assert!(!CODE.is_return_address(address), "{address:#x}");
        }
        // call [rip+8]; call [rsp+0x12345678]; call rax
        for bytes in [&[0xff, 0x15, 8, 0, 0, 0][..], &[0xff, 0x94, 0x24, 1, 2, 3, 4], &[0xff, 0xd0]]
        {
            let code = Code { bytes, address: 0, bitness: 64 };
            assert!(code.is_return_address(bytes.len() as u64), "{bytes:x?}");
        }
    }

    #[test]
    fn operands_are_located() {
        let mut state = CpuState::reset(0);
        state.gpr[Register::Rax] = 0x1_2345_6789;
        state.segments[SegmentRegister::Ds].base = 0x10;
        let at = |bytes: &[u8], bitness| {
            Code { bytes, address: 0x1000, bitness }.operand_address(0x1000, &state)
        };
        assert_eq!(at(&[0x48, 0x89, 0x18], 64), Some(0x1_2345_6799));
        assert_eq!(at(&[0x89, 0x18], 32), Some(0x2345_6799));
        assert_eq!(at(&[0x48, 0x8d, 0x18], 64), None);
        assert_eq!(at(&[0x90], 64), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_disassembled(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            address in any::<u64>(),
            at in 0u64..220,
            start in proptest::option::of(0u64..220),
            bitness in prop_oneof![Just(16), Just(32), Just(64)],
        ) {
            let code = Code { bytes: &bytes, address, bitness };
            let at = address.wrapping_add(at);
            let (lines, index) = code.around(at, start.map(|start| address.wrapping_add(start)), 4, 4);
            prop_assert!(lines.len() <= 9);
            if let Some(line) = lines.get(index) {
                prop_assert_eq!(line.address, at);
            }
            code.is_return_address(at);
            code.operand_address(at, &CpuState::reset(0));
        }
    }
}
