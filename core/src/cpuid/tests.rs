//! What the leaves say must agree with itself, with the state and with the manual.

use super::*;
use crate::state::{Access, CpuState, EferFlags, Register, SegmentRegister};

fn ask(leaf: u32, subleaf: u32) -> [u32; 4] {
    cpuid(&Model::default(), &CpuState::reset(0), 0, leaf, subleaf)
}

fn text(registers: &[u32]) -> alloc::string::String {
    let bytes = registers.iter().flat_map(|register| register.to_le_bytes());
    bytes.take_while(|&byte| byte != 0).map(char::from).collect()
}

fn long_mode() -> CpuState {
    let mut state = CpuState::reset(0);
    state.control.efer = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    state
}

#[test]
fn names() {
    let [highest, ebx, ecx, edx] = ask(0, 0);
    assert_eq!((highest, text(&[ebx, edx, ecx]).as_str()), (0x16, "GenuineIntel"));
    let [highest, ebx, ecx, edx] = ask(0x4000_0000, 0);
    assert_eq!((highest, text(&[ebx, ecx, edx]).as_str()), (0x4000_0010, "monovisor"));
    assert_eq!(ask(0x8000_0000, 0), [0x8000_0008, 0, 0, 0]);
    let brand = [ask(0x8000_0002, 0), ask(0x8000_0003, 0), ask(0x8000_0004, 0)].concat();
    assert_eq!(text(&brand), "monovisor x86-64 processor");
}

#[test]
fn no_row_is_out_of_reach() {
    let highest = [HIGHEST_BASIC, HIGHEST_HYPERVISOR, HIGHEST_EXTENDED];
    let reachable =
        |leaf: u32| highest.iter().any(|&highest| leaf >> 28 == highest >> 28 && leaf <= highest);
    for row in LEAVES {
        assert!(reachable(row.leaf), "{:#x}", row.leaf);
        let same = LEAVES.iter().filter(|other| {
            other.leaf == row.leaf && (other.subleaf.is_none() || other.subleaf == row.subleaf)
        });
        assert_eq!(same.count(), 1, "{:#x}", row.leaf);
    }
    for feature in OFFERED {
        assert!(reachable(feature.leaf), "{}", feature.name);
        let same = OFFERED.iter().filter(|other| {
            let place = |feature: &Feature| (feature.leaf, feature.subleaf, feature.bit);
            other.output == feature.output && place(other) == place(feature)
        });
        assert_eq!(same.count(), 1, "{}", feature.name);
        assert!(feature.subleaf == 0 || BY_SUBLEAF.contains(&feature.leaf), "{}", feature.name);
    }
    for row in LEAVES {
        assert_eq!(row.subleaf.is_some(), BY_SUBLEAF.contains(&row.leaf), "{:#x}", row.leaf);
    }
}

/// SDM, CPUID: leaves that are not there give the highest basic one.
#[test]
fn leaves_beyond_the_highest() {
    for leaf in [0x17, 0x1000, 0x3fff_ffff, 0x4000_0011, 0x8000_0009, 0xc000_0000, u32::MAX] {
        assert_eq!(ask(leaf, 0), ask(HIGHEST_BASIC, 0), "{leaf:#x}");
    }
    for leaf in [3, 5, 9, 0xa, 0xc, 0xe, 0x14, 0x4000_0001] {
        assert_eq!(ask(leaf, 0), [0; 4], "{leaf:#x}");
    }
}

/// SDM, "Detecting …": a feature stands on others.
#[test]
fn no_feature_lacks_its_prerequisites() {
    use feature::*;
    let rows: &[(Feature, &[Feature])] = &[
        (SSE, &[FXSR]),
        (SSE2, &[SSE, CLFLUSH]),
        (FXSR, &[FPU]),
        (XSAVE, &[FXSR]),
        (AVX, &[XSAVE, SSE4_2]),
        (AVX2, &[AVX]),
        (FMA, &[AVX]),
        (F16C, &[AVX]),
        (XSAVEOPT, &[XSAVE]),
        (XSAVEC, &[XSAVE]),
        (XSAVES, &[XSAVEC]),
        (CX16, &[CX8]),
        (CMOV, &[FPU]),
        (PAT, &[MTRR, MSR]),
        (MTRR, &[MSR]),
        (MCE, &[MSR]),
        (MCA, &[MCE]),
        (SEP, &[MSR]),
        (X2APIC, &[MSR]),
        (TSC_DEADLINE, &[TSC, MSR]),
        (TSC_ADJUST, &[TSC, MSR]),
        (INVARIANT_TSC, &[TSC]),
        (RDTSCP, &[TSC, MSR]),
        (LONG_MODE, &[PAE, MSR, CMOV, PGE, SSE2, FXSR, CX8, TSC]),
        (NX, &[PAE, MSR]),
        (SYSCALL, &[LONG_MODE]),
        (PAGE_1GB, &[LONG_MODE]),
        (RDPID, &[RDTSCP]),
        (INVPCID, &[PCID]),
        (LA57, &[LONG_MODE]),
        (PKU, &[LONG_MODE, XSAVE]),
        (PKS, &[LONG_MODE, MSR]),
        (CLFLUSHOPT, &[CLFLUSH]),
        (CLWB, &[CLFLUSH]),
        (FSGSBASE, &[LONG_MODE]),
        (SSE, &[FXSR, MMX]),
        (SSE3, &[SSE2]),
        (SSSE3, &[SSE3]),
        (SSE4_1, &[SSSE3]),
        (SSE4_2, &[SSE4_1, POPCNT]),
        (AES, &[SSE2]),
        (PCLMULQDQ, &[SSE2]),
        (SHA, &[SSE2]),
        (FSRM, &[ERMS]),
        (ARCH_CAPABILITIES, &[MSR]),
    ];
    for (feature, needs) in rows {
        assert!(OFFERED.contains(feature), "{}", feature.name);
        for need in *needs {
            assert!(OFFERED.contains(need), "{} needs {}", feature.name, need.name);
        }
    }
}

/// What must not be offered, because it is not there: (leaf, output, bit, name).
#[test]
fn nothing_else_is_offered() {
    let rows = [(1, Ecx, 3, "MONITOR"), (1, Ecx, 5, "VMX"), (7, Edx, 26, "SPEC_CTRL")];
    for (leaf, output, bit, name) in rows {
        assert_eq!(ask(leaf, 0)[output as usize] >> bit & 1, 0, "{name}");
    }
}

#[test]
fn registers_show() {
    let mut state = CpuState::reset(0);
    assert_eq!(u64::from(ask(1, 0)[0]), state.gpr[Register::Rdx], "the signature, as at reset");
    let bits = |state: &CpuState| {
        let [_, ebx, ecx, edx] = cpuid(&Model::default(), state, 5, 1, 0);
        (ebx >> 24, ecx >> 27 & 1, edx >> 9 & 1)
    };
    assert_eq!(bits(&state), (5, 0, 1));
    state.control.cr4 = Cr4Flags::OSXSAVE;
    state.msr.apic_base &= !(1 << 11);
    assert_eq!(bits(&state), (5, 1, 0));
    let ospke = |state: &CpuState| cpuid(&Model::default(), state, 0, 7, 0)[2] >> 4 & 1;
    assert_eq!(ospke(&state), 0);
    state.control.cr4 = Cr4Flags::PROTECTION_KEY_USER;
    assert_eq!(ospke(&state), 1);
}

#[test]
fn cache_lines_agree() {
    let bytes = 64;
    assert_eq!((ask(1, 0)[1] >> 8 & 0xff) * 8, bytes);
    assert_eq!(ask(0x8000_0006, 0)[2] & 0xff, bytes);
    // (subleaf, type, level, KiB)
    for (subleaf, kind, level, kib) in [(0, 1, 1, 32), (1, 2, 1, 32), (2, 3, 2, 1024)] {
        let [eax, ebx, ecx, _] = ask(4, subleaf);
        assert_eq!((eax & 0x1f, eax >> 5 & 7), (kind, level));
        assert_eq!((ebx & 0xfff) + 1, bytes);
        let (partitions, ways) = ((ebx >> 12 & 0x3ff) + 1, (ebx >> 22) + 1);
        assert_eq!(bytes * partitions * ways * (ecx + 1), kib * 1024);
    }
    assert_eq!(ask(4, 3), [0; 4], "no more caches");
}

#[test]
fn topology() {
    let state = CpuState::reset(0);
    for (subleaf, kind) in [(0, 1), (1, 2), (2, 0), (7, 0)] {
        let [shift, _, ecx, id] = cpuid(&Model::default(), &state, 300, 0xb, subleaf);
        assert_eq!((shift, ecx, id), (0, kind << 8 | subleaf, 300));
    }
}

/// SDM, "XSAVE-Supported Features and State-Component Bitmaps".
#[test]
fn xsave_area() {
    assert_eq!(ask(0xd, 0), [0b10_0000_0111, 576, 840, 0]);
    // XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES.
    assert_eq!(ask(0xd, 1), [0b1111, 576, 0, 0]);
    assert_eq!(ask(0xd, 2), [256, 576, 0, 0]);
    assert_eq!(ask(0xd, 9), [8, 832, 0, 0]);
    for subleaf in [3, 8, 10, 63] {
        assert_eq!(ask(0xd, subleaf), [0; 4], "no further components");
    }
    let legacy = XCr0Flags::X87 | XCr0Flags::SSE;
    let mut state = CpuState::reset(0);
    // (XCR0, standard format, compacted format, standard format with PKRU elsewhere)
    let elsewhere = Model::default().with_pkru_at(2688);
    for (components, standard, compacted, distant) in [
        (legacy, 576, 576, 576),
        (legacy | XCr0Flags::AVX, 832, 832, 832),
        (legacy | XCr0Flags::MPK, 840, 584, 2696),
        (legacy | XCr0Flags::AVX | XCr0Flags::MPK, 840, 840, 2696),
    ] {
        state.control.xcr0 = components;
        let bytes = |model: &Model, subleaf| cpuid(model, &state, 0, 0xd, subleaf)[Ebx as usize];
        assert_eq!(bytes(&Model::default(), 0), standard, "{components:?}");
        assert_eq!(bytes(&Model::default(), 1), compacted, "{components:?}");
        assert_eq!(bytes(&elsewhere, 0), distant, "{components:?}");
        assert_eq!(bytes(&elsewhere, 1), compacted, "{components:?}");
    }
    assert_eq!(elsewhere.constant(0, 0xd, 0)[Ecx as usize], 2696);
    assert_eq!(elsewhere.constant(0, 0xd, 9), [8, 2688, 0, 0]);
    assert_eq!(Model::default().with_pkru_at(831), Model::default(), "AVX state is there");
}

#[test]
fn an_area_is_as_long_as_what_is_offered() {
    let state = CpuState::reset(0);
    for (without, components, bytes, absent) in
        [(feature::AVX, 0b10_0000_0011, 840, 2), (feature::PKU, 0b111, 832, 9)]
    {
        let model = Model::default().masked(|feature| *feature != without);
        assert_eq!(model.xcr0_writable().bits(), components);
        assert_eq!(cpuid(&model, &state, 0, 0xd, 0), [components as u32, 576, bytes, 0]);
        assert_eq!(cpuid(&model, &state, 0, 0xd, absent), [0; 4]);
    }
    let baseline = Model::default().masked(|feature| BASELINE.contains(feature));
    for subleaf in [0, 1, 2, 9] {
        assert_eq!(cpuid(&baseline, &state, 0, 0xd, subleaf), [0; 4], "without XSAVE");
    }
}

#[test]
fn frequencies_agree() {
    let [denominator, numerator, crystal_hz, _] = ask(0x15, 0);
    let tsc_hz = u64::from(crystal_hz) * u64::from(numerator) / u64::from(denominator);
    assert_eq!(tsc_hz, 1_000_000_000);
    assert_eq!(ask(0x16, 0), [1000, 1000, 1000, 0]);
    assert_eq!(ask(0x4000_0010, 0), [1_000_000, 1_000_000, 0, 0]);
}

#[test]
fn subleaves() {
    assert_ne!(ask(7, 0), [0; 4]);
    assert_eq!(ask(7, 0)[0], 0, "the highest subleaf");
    assert_eq!(ask(7, 1), [0; 4]);
    assert_eq!(ask(1, 9), ask(1, 0), "leaf 1 does not look at ECX");
}

#[test]
fn syscall_is_offered_in_64_bit_mode() {
    let bit = |state: &CpuState| cpuid(&Model::default(), state, 0, 0x8000_0001, 0)[3] >> 11 & 1;
    assert_eq!((bit(&CpuState::reset(0)), bit(&long_mode())), (0, 1));
}

#[test]
fn addresses_and_control_bits() {
    assert_eq!(ask(0x8000_0008, 0)[0], 57 << 8 | 46);
    let narrow = Model::default().masked(|feature| *feature != feature::LA57);
    assert_eq!(narrow.constant(0, 0x8000_0008, 0)[0], 48 << 8 | 46);
    for (flag, feature) in CR4_FEATURES {
        assert!(OFFERED.contains(feature), "{flag:?}");
        assert!(CR4_WRITABLE.contains(*flag));
    }
}

#[test]
fn a_model_tells_what_it_keeps() {
    let model = Model::default().masked(|feature| BASELINE.contains(feature));
    let told: alloc::vec::Vec<_> = model.features().collect();
    assert_eq!(told.len(), BASELINE.len());
    assert!(model.offers(&feature::SSE2) && !model.offers(&feature::POPCNT));
    assert!(model.cr4_writable().contains(Cr4Flags::OSFXSR | Cr4Flags::PAGE_GLOBAL));
    assert!(!model.cr4_writable().intersects(Cr4Flags::OSXSAVE | Cr4Flags::FSGSBASE));
    assert_eq!(cpuid(&model, &long_mode(), 0, 1, 0)[2] >> 23 & 1, 0);
}

/// What an engine that takes a table is given is what the other computes.
#[test]
fn a_table_says_what_the_leaves_say() {
    let mut state = long_mode();
    state.msr.apic_base = 0;
    for model in [Model::default(), Model::default().masked(|feature| BASELINE.contains(feature))] {
        for row in model.table(3) {
            let asked = cpuid(&model, &state, 3, row.leaf, row.subleaf.unwrap_or(0));
            assert_eq!(row.registers, asked, "{:#x}", row.leaf);
        }
        for feature in model.features() {
            let is_told = |row: &Leaf| {
                row.holds(feature) && row.registers[feature.output as usize] >> feature.bit & 1 != 0
            };
            assert!(model.table(3).iter().any(is_told), "{}", feature.name);
        }
    }
}

/// Kernels multiply kHz by the ratio's numerator in 32 bits.
#[test]
fn every_frequency_has_a_ratio() {
    assert_eq!(Model::default(), Model::default().with_tsc_khz(TSC_HZ / 1000));
    for tsc_khz in [1_000_000, 800_000, 2_649_998, 3_700_012, 5_999_999] {
        let model = Model::default().with_tsc_khz(tsc_khz);
        let [denominator, numerator, crystal_hz, _] = model.constant(0, 0x15, 0);
        let product = (crystal_hz / 1000).checked_mul(numerator).expect("32 bits");
        let error = u64::from(product / denominator).abs_diff(tsc_khz.into());
        assert!(error * 100_000 < tsc_khz.into(), "{tsc_khz}: {error}");
    }
}
