//! All instructions, found by a walk over the opcode maps.

use std::collections::BTreeSet;

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic, OpKind,
    Register,
};
use monovisor_core::instruction_group;
use monovisor_core::state::{MxCsr, RFlags};

use crate::common::numbers::Numbers;
use crate::common::{CODE, DATA, Machine, Outcome};
use crate::harness::machine;

/// What CPUID offers of what is encoded so.
const OFFERED: [CpuidFeature; 6] = [
    CpuidFeature::AVX,
    CpuidFeature::AVX2,
    CpuidFeature::FMA,
    CpuidFeature::F16C,
    CpuidFeature::AES,
    CpuidFeature::PCLMULQDQ,
];

fn is_offered(code: Code) -> bool {
    let features = code.cpuid_features();
    code.encoding() == EncodingKind::VEX && features.iter().all(|feature| OFFERED.contains(feature))
}

#[test]
fn every_instruction_has_a_row() {
    let missing: BTreeSet<Mnemonic> = Code::values()
        .filter(|&code| is_offered(code))
        .map(Code::mnemonic)
        .filter(|&mnemonic| instruction_group(mnemonic).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The first bytes of each instruction, with registers and with memory at [RSI].
fn encodings() -> Vec<Vec<u8>> {
    let mut found: Vec<(Code, bool, Vec<u8>)> = Vec::new();
    let heads = (1..4_u8).flat_map(|map| (0..=255_u8).map(move |opcode| (map, opcode)));
    for (map, opcode) in heads {
        for last in (0..2_u8).flat_map(|wide| (0..8).map(move |rest| wide << 7 | rest)) {
            // XMM2 is the second source, or there is none. The indices of gathers are YMM4.
            for source in [0x68, 0x78] {
                for modrm in
                    (0..8).flat_map(|digit| [0xc1, 0x06, 0x04].map(|rest| digit << 3 | rest))
                {
                    let mut bytes = vec![0xc4, 0xe0 | map, last | source, opcode, modrm];
                    bytes.extend([0x26, 0x35, 0, 0, 0, 0]);
                    let instruction = decode(&bytes);
                    let memory = (0..instruction.op_count())
                        .any(|position| instruction.op_kind(position) == OpKind::Memory);
                    let vsib = modrm & 0xc7 == 4;
                    let wanted = is_offered(instruction.code())
                        && instruction.is_vsib() == vsib
                        && instruction.mnemonic() != Mnemonic::Vmaskmovdqu;
                    let key = (instruction.code(), memory);
                    if wanted && !found.iter().any(|(code, form, _)| (*code, *form) == key) {
                        bytes.truncate(instruction.len());
                        found.push((key.0, key.1, bytes));
                    }
                }
            }
        }
    }
    found.into_iter().map(|(_, _, bytes)| bytes).collect()
}

fn decode(bytes: &[u8]) -> Instruction {
    Decoder::with_ip(64, bytes, CODE, DecoderOptions::NONE).decode()
}

/// Executes `code` on what `operands` says; everything that can have changed.
fn outcome(machine: &mut Machine, code: &[u8], operands: &mut Numbers) -> String {
    let state = &mut machine.state;
    for half in state.fpu.xmm.iter_mut().chain(&mut state.fpu.ymm_high) {
        *half = operands.lane();
    }
    let random = operands.next() as u32;
    let masks = if random & 1 == 0 { 0x1f80 } else { random & 0x1f80 };
    state.fpu.mxcsr = MxCsr::from_bits_truncate(random & 0xe07f & !0x3f | masks).bits();
    state.rflags = RFlags::from_bits_retain(operands.next() & 0x8d5 | 2);
    state.rip = CODE;
    if decode(code).is_vsib() {
        // Near the base.
        (state.fpu.xmm[4], state.fpu.ymm_high[4]) = (0x10 << 96 | 8 << 64 | 4 << 32, 0x18 << 64);
    }
    let data: Vec<u8> = (0..16).flat_map(|_| operands.lane().to_le_bytes()).collect();
    machine.ram.write(DATA, &data);
    let outcome = match machine.execute() {
        Outcome::Completed => None,
        Outcome::Raised(exception) => Some(exception),
    };
    let state = machine.vcpu.state();
    let mut memory = [0; 64];
    machine.ram.read(DATA, &mut memory);
    format!("{outcome:?} {:?} {:?} {:?} {memory:x?}", state.gpr, state.rflags, state.fpu)
}

#[test]
fn the_hosts_unit_and_portable_code_agree() {
    const CASES: u32 = 24;
    let encodings = encodings();
    assert!(encodings.len() > 900, "{}", encodings.len());
    let (mut native, mut portable) = (machine(), machine());
    portable.vcpu.use_portable_vectors();
    for code in encodings {
        // The tables of reciprocals are each processor's own.
        if matches!(
            decode(&code).mnemonic(),
            Mnemonic::Vrcpps | Mnemonic::Vrcpss | Mnemonic::Vrsqrtps | Mnemonic::Vrsqrtss
        ) {
            continue;
        }
        native.assemble(&code);
        portable.assemble(&code);
        for seed in 0..CASES {
            let operands = || Numbers(u64::from(seed) << 32 | u64::from(code[3]));
            let expected = outcome(&mut native, &code, &mut operands());
            let found = outcome(&mut portable, &code, &mut operands());
            assert_eq!(found, expected, "{} {code:x?}", decode(&code));
        }
    }
}

#[test]
fn instructions_write_the_upper_half_or_clear_it() {
    let mut machine = machine();
    for code in encodings() {
        let instruction = decode(&code);
        let target = instruction.op0_register();
        let keeps = instruction.is_vsib() || !target.is_xmm();
        if keeps || target == Register::None {
            continue;
        }
        machine.assemble(&code);
        for half in machine.state.fpu.xmm.iter_mut() {
            *half = 0;
        }
        machine.state.fpu.mxcsr = 0x1f80;
        machine.state.rip = CODE;
        assert!(machine.execute().raised().is_none(), "{instruction}");
        let upper = machine.vcpu.state().fpu.ymm_high[target.number()];
        // Comparisons have their first source there.
        let reads = matches!(
            instruction.mnemonic(),
            Mnemonic::Vcomiss
                | Mnemonic::Vcomisd
                | Mnemonic::Vucomiss
                | Mnemonic::Vucomisd
                | Mnemonic::Vptest
                | Mnemonic::Vtestps
                | Mnemonic::Vtestpd
                | Mnemonic::Vpcmpistri
                | Mnemonic::Vpcmpistrm
                | Mnemonic::Vpcmpestri
                | Mnemonic::Vpcmpestri64
                | Mnemonic::Vpcmpestrm
                | Mnemonic::Vpcmpestrm64
        );
        if !reads {
            assert_eq!(upper, 0, "{instruction}");
        }
    }
}
