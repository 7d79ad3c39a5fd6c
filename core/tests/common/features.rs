//! What the decoder calls a feature, beside what CPUID calls it.

use iced_x86::{CpuidFeature, Instruction, OpKind};
use monovisor_core::cpuid::{Feature, OFFERED};

/// Features that every processor with 64-bit mode has, or that CPUID does not tell.
const BASELINE: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CPUID,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
    CpuidFeature::PREFETCHW,
    CpuidFeature::RDPMC,
];

/// Features whose names the decoder spells otherwise than [`OFFERED`].
const NAMES: &[(CpuidFeature, &str)] = &[
    (CpuidFeature::CMPXCHG16B, "CX16"),
    (CpuidFeature::CLFSH, "CLFLUSH"),
    (CpuidFeature::FPU287, "FPU"),
    (CpuidFeature::FPU387, "FPU"),
];

/// The row of CPUID that tells of `feature`.
pub fn row(feature: CpuidFeature) -> Option<&'static Feature> {
    let own = format!("{feature:?}");
    let name = NAMES.iter().find(|(known, _)| *known == feature).map_or(&*own, |(_, name)| *name);
    OFFERED.iter().find(|offered| offered.name == name)
}

/// Whether the interpreter says by CPUID that it has `feature`.
fn is_offered(feature: CpuidFeature) -> bool {
    BASELINE.contains(&feature) || row(feature).is_some()
}

/// Whether the interpreter offers the instruction.
pub fn is_instruction_offered(instruction: &Instruction) -> bool {
    let uses_mmx = (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register && instruction.op_register(operand).is_mm()
    });
    instruction.cpuid_features().iter().all(|feature| is_offered(*feature))
        && (!uses_mmx || is_offered(CpuidFeature::MMX))
}
