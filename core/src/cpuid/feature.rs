//! Features: bits of CPUID that say what the processor can do, as constants and as one list.
//!
//! What else CPUID tells is not here. Invariant: what is not offered here raises #UD, or #GP for a
//! register bit, and what is offered works whole.

/// The registers that CPUID writes, in the order of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the manuals name them")]
pub enum Output {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// A bit that says that the processor can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The manual's name.
    pub name: &'static str,
    /// The leaf.
    pub leaf: u32,
    /// The subleaf, for the leaves that have any; 0 otherwise.
    pub subleaf: u32,
    /// The register.
    pub output: Output,
    /// The bit.
    pub bit: u8,
    /// Its place in [`OFFERED`].
    pub(super) row: u8,
}

/// Makes a constant of each feature, and the list of them. A row is `NAME: leaf register bit;`, with
/// `leaf / subleaf` where that is not 0.
macro_rules! features {
    ($($name:ident: $leaf:literal $(/ $subleaf:literal)? $output:ident $bit:literal;)*) => {
        /// Counts the rows.
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "the manuals name them")]
        enum Row {
            $($name,)*
        }
        $(
            #[expect(missing_docs, reason = "the manuals name them")]
            pub const $name: Feature = Feature {
                name: stringify!($name),
                leaf: $leaf,
                subleaf: 0 $(+ $subleaf)?,
                output: Output::$output,
                bit: $bit,
                row: Row::$name as u8,
            };
        )*
        /// What this processor offers, whatever its registers hold.
        pub const OFFERED: &[Feature] = &[$($name),*];
    };
}

features! {
    FPU: 1 Edx 0;
    // Virtual-8086 mode extensions, and virtual interrupts in protected mode.
    VME: 1 Edx 1;
    DE: 1 Edx 2;
    PSE: 1 Edx 3;
    TSC: 1 Edx 4;
    MSR: 1 Edx 5;
    PAE: 1 Edx 6;
    MCE: 1 Edx 7;
    CX8: 1 Edx 8;
    SEP: 1 Edx 11;
    MTRR: 1 Edx 12;
    PGE: 1 Edx 13;
    // The machine-check architecture: registers that tell of errors, of which there are none.
    MCA: 1 Edx 14;
    CMOV: 1 Edx 15;
    PAT: 1 Edx 16;
    PSE36: 1 Edx 17;
    CLFLUSH: 1 Edx 19;
    MMX: 1 Edx 23;
    FXSR: 1 Edx 24;
    SSE: 1 Edx 25;
    SSE2: 1 Edx 26;
    SSE3: 1 Ecx 0;
    PCLMULQDQ: 1 Ecx 1;
    SSSE3: 1 Ecx 9;
    FMA: 1 Ecx 12;
    CX16: 1 Ecx 13;
    PCID: 1 Ecx 17;
    SSE4_1: 1 Ecx 19;
    SSE4_2: 1 Ecx 20;
    X2APIC: 1 Ecx 21;
    MOVBE: 1 Ecx 22;
    POPCNT: 1 Ecx 23;
    TSC_DEADLINE: 1 Ecx 24;
    AES: 1 Ecx 25;
    XSAVE: 1 Ecx 26;
    AVX: 1 Ecx 28;
    F16C: 1 Ecx 29;
    RDRAND: 1 Ecx 30;
    HYPERVISOR: 1 Ecx 31;
    // The APIC timer runs in every sleep state.
    ARAT: 6 Eax 2;
    FSGSBASE: 7 Ebx 0;
    TSC_ADJUST: 7 Ebx 1;
    BMI1: 7 Ebx 3;
    AVX2: 7 Ebx 5;
    SMEP: 7 Ebx 7;
    BMI2: 7 Ebx 8;
    ERMS: 7 Ebx 9;
    INVPCID: 7 Ebx 10;
    // The x87 selectors FCS and FDS are saved as zero.
    ZERO_FCS_FDS: 7 Ebx 13;
    RDSEED: 7 Ebx 18;
    ADX: 7 Ebx 19;
    SMAP: 7 Ebx 20;
    CLFLUSHOPT: 7 Ebx 23;
    CLWB: 7 Ebx 24;
    SHA: 7 Ebx 29;
    UMIP: 7 Ecx 2;
    PKU: 7 Ecx 3;
    LA57: 7 Ecx 16;
    RDPID: 7 Ecx 22;
    MOVDIRI: 7 Ecx 27;
    PKS: 7 Ecx 31;
    FSRM: 7 Edx 4;
    SERIALIZE: 7 Edx 14;
    ARCH_CAPABILITIES: 7 Edx 29;
    XSAVEOPT: 0xd / 1 Eax 0;
    XSAVEC: 0xd / 1 Eax 1;
    // XGETBV with ECX = 1.
    XGETBV_1: 0xd / 1 Eax 2;
    XSAVES: 0xd / 1 Eax 3;
    LAHF_SAHF: 0x8000_0001 Ecx 0;
    LZCNT: 0x8000_0001 Ecx 5;
    PREFETCHW: 0x8000_0001 Ecx 8;
    SYSCALL: 0x8000_0001 Edx 11;
    NX: 0x8000_0001 Edx 20;
    PAGE_1GB: 0x8000_0001 Edx 26;
    RDTSCP: 0x8000_0001 Edx 27;
    LONG_MODE: 0x8000_0001 Edx 29;
    INVARIANT_TSC: 0x8000_0007 Edx 8;
    WBNOINVD: 0x8000_0008 Ebx 9;
}

/// What every x86-64 processor under every engine has: a guest that is told of nothing else runs
/// alike on any host.
pub const BASELINE: &[Feature] = &[
    FPU,
    PSE,
    TSC,
    MSR,
    PAE,
    MCE,
    CX8,
    SEP,
    MTRR,
    PGE,
    MCA,
    CMOV,
    PAT,
    CLFLUSH,
    FXSR,
    SSE,
    SSE2,
    X2APIC,
    TSC_DEADLINE,
    HYPERVISOR,
    ARAT,
    TSC_ADJUST,
    LAHF_SAHF,
    SYSCALL,
    NX,
    LONG_MODE,
    INVARIANT_TSC,
];
