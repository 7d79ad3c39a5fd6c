//! What CPUID offers is there, and what it does not offer is an undefined opcode: for every instruction
//! that the decoder knows, whatever features it names.

mod common;
#[path = "common/features.rs"]
mod features;

use std::collections::BTreeMap;

use common::guest::{DATA, End, Guest};
use features::is_instruction_offered;
use iced_x86::{Code, Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic};
use monovisor_core::instruction_group;
use monovisor_core::state::{Cr4Flags, Exception, Register, XCr0Flags};

/// Bytes that an instruction may be looked for in.
const LONGEST: usize = 15;

/// Instructions of processors that have no feature for it, which are none: undefined by promise, for system
/// management mode, and of processors before there was CPUID.
const UNDEFINED: &[Mnemonic] = &[Mnemonic::Ud0, Mnemonic::Ud1, Mnemonic::Ud2, Mnemonic::Rsm];

/// Hints of features that are not there. They were reserved NOPs before, and are so without the feature.
const HINTS: &[Mnemonic] = &[
    Mnemonic::Endbr32,
    Mnemonic::Endbr64,
    Mnemonic::Rdsspd,
    Mnemonic::Rdsspq,
    Mnemonic::Bndldx,
    Mnemonic::Bndstx,
    Mnemonic::Bndmk,
    Mnemonic::Bndmov,
    Mnemonic::Bndcl,
    Mnemonic::Bndcu,
    Mnemonic::Bndcn,
    Mnemonic::Cldemote,
    Mnemonic::Prefetchwt1,
    Mnemonic::Prefetchit0,
    Mnemonic::Prefetchit1,
    Mnemonic::Reservednop,
];

/// Calls `with` for all that can be in front of a ModR/M byte: prefixes, maps, opcodes.
fn heads(mut with: impl FnMut(&[u8])) {
    for opcode in 0..=255_u8 {
        for mandatory in [&[][..], &[0x66], &[0xf3], &[0xf2]] {
            for rex in [&[][..], &[0x48]] {
                for map in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
                    with(&[mandatory, rex, map, &[opcode]].concat());
                }
            }
        }
        for last in 0..16 {
            // pp, L and W.
            let (pp_length, wide) = (last & 7, last << 4 & 0x80);
            for source in [0x78, 0x48] {
                for map in 1..4 {
                    with(&[0xc4, 0xe0 | map, wide | source | pp_length, opcode]);
                }
            }
            for map in 8..11 {
                with(&[0x8f, 0xe0 | map, wide | 0x78 | pp_length, opcode]);
            }
            for length_mask in [0x08, 0x28, 0x48, 0x68, 0x09, 0x29, 0x49] {
                for map in [1, 2, 3, 5, 6] {
                    let second = wide | 0x7c | last & 3;
                    with(&[0x62, 0xf0 | map, second, length_mask, opcode]);
                }
            }
        }
    }
}

/// Bytes of each instruction of a mode.
fn samples(bitness: u32) -> BTreeMap<Code, (Instruction, [u8; LONGEST])> {
    let mut samples = BTreeMap::new();
    let mut instruction = Instruction::default();
    let mut try_bytes = |head: &[u8], modrm: u8, rest: u8| {
        let mut bytes = [rest; LONGEST];
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()] = modrm;
        let mut decoder = Decoder::new(bitness, &bytes, DecoderOptions::NONE);
        decoder.decode_out(&mut instruction);
        if decoder.last_error() == DecoderError::None {
            samples.entry(instruction.code()).or_insert((instruction, bytes));
        }
    };
    heads(|head| {
        // Memory with each opcode extension, all registers, and memory with an index.
        for modrm in (0..0x40).step_by(8).chain(0xc0..=0xff) {
            try_bytes(head, modrm, 0);
        }
        try_bytes(head, 0x0c, 0x29);
    });
    // The opcode of 3DNow! comes last.
    for opcode in 0..=255 {
        try_bytes(&[0x0f, 0x0f, 0x00], opcode, 0);
    }
    samples
}

/// A guest with everything switched on.
fn guest(bitness: u32) -> Guest {
    let mut guest = if bitness == 64 { Guest::long_mode() } else { Guest::protected() };
    guest.state.control.cr4 |= Cr4Flags::OSXSAVE | Cr4Flags::OSFXSR | Cr4Flags::FSGSBASE;
    guest.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    for register in Register::ALL.into_iter().filter(|register| *register != Register::Rsp) {
        guest.set(register, DATA);
    }
    guest
}

#[test]
fn what_is_not_offered_is_undefined() {
    for bitness in [32, 64] {
        let template = guest(bitness);
        let mut guest = guest(bitness);
        let (mut undefined, mut hints) = (0, 0);
        for (code, (instruction, bytes)) in samples(bitness) {
            let hint = HINTS.contains(&code.mnemonic());
            if is_instruction_offered(&instruction) && !hint {
                continue;
            }
            guest.state = template.state.clone();
            let end = guest.run(&bytes[..instruction.len()]);
            let expected = if hint { End::Done } else { End::Fault(Exception::UD) };
            let features = code.cpuid_features();
            assert_eq!(end, expected, "{code:?} of {features:?} in {bitness} bits: {bytes:x?}");
            *if hint { &mut hints } else { &mut undefined } += 1;
        }
        // The walk is worth something: AVX-512 alone has more.
        assert!(undefined > 1500 && hints > 10, "{undefined} {hints}");
    }
}

#[test]
fn what_is_offered_is_there() {
    for bitness in [16, 32, 64] {
        let there = |code: &Code| {
            UNDEFINED.contains(&code.mnemonic()) || instruction_group(code.mnemonic()).is_some()
        };
        let samples = samples(bitness).into_iter();
        let offered = samples.filter(|(_, (sample, _))| is_instruction_offered(sample));
        let missing: Vec<Code> =
            offered.map(|(code, _)| code).filter(|code| !there(code)).collect();
        assert!(missing.is_empty(), "offered in {bitness} bits, and not there: {missing:?}");
    }
}
