//! Bits of registers and numbers of model-specific ones, by the manual's names (SDM, EFLAGS Register; Control
//! Registers; IA-32 Architectural MSRs).

#![expect(missing_docs, reason = "the manuals name them")]

/// The flags that FLAGS has, as constants of a width.
macro_rules! flags_of_16_bits {
    ($width:ty) => {
        pub const CF: $width = 1;
        pub const PF: $width = 1 << 2;
        pub const AF: $width = 1 << 4;
        pub const ZF: $width = 1 << 6;
        pub const SF: $width = 1 << 7;
        pub const TF: $width = 1 << 8;
        pub const IF: $width = 1 << 9;
        pub const DF: $width = 1 << 10;
        pub const OF: $width = 1 << 11;
        pub const IOPL: $width = 3 << 12;
        pub const NT: $width = 1 << 14;
        /// The flags that arithmetic sets.
        pub const STATUS: $width = CF | PF | AF | ZF | SF | OF;
    };
}

/// The flags that EFLAGS has beyond those.
macro_rules! flags_of_32_bits {
    ($width:ty) => {
        pub const RF: $width = 1 << 16;
        pub const VM: $width = 1 << 17;
        pub const AC: $width = 1 << 18;
        pub const VIF: $width = 1 << 19;
        pub const VIP: $width = 1 << 20;
        pub const ID: $width = 1 << 21;
    };
}

/// FLAGS.
pub mod flags {
    flags_of_16_bits!(u16);
}

/// EFLAGS.
pub mod eflags {
    flags_of_16_bits!(u32);
    flags_of_32_bits!(u32);
}

/// RFLAGS.
pub mod rflags {
    flags_of_16_bits!(u64);
    flags_of_32_bits!(u64);
}

/// CR0.
pub mod cr0 {
    pub const PE: u64 = 1;
    pub const MP: u64 = 1 << 1;
    pub const EM: u64 = 1 << 2;
    pub const TS: u64 = 1 << 3;
    pub const NE: u64 = 1 << 5;
    pub const WP: u64 = 1 << 16;
    pub const NW: u64 = 1 << 29;
    pub const CD: u64 = 1 << 30;
    pub const PG: u64 = 1 << 31;
}

/// CR4.
pub mod cr4 {
    pub const VME: u64 = 1;
    pub const PVI: u64 = 1 << 1;
    pub const TSD: u64 = 1 << 2;
    pub const PSE: u64 = 1 << 4;
    pub const PAE: u64 = 1 << 5;
    pub const MCE: u64 = 1 << 6;
    pub const PGE: u64 = 1 << 7;
    pub const OSFXSR: u64 = 1 << 9;
    pub const OSXMMEXCPT: u64 = 1 << 10;
    pub const UMIP: u64 = 1 << 11;
    pub const LA57: u64 = 1 << 12;
    pub const FSGSBASE: u64 = 1 << 16;
    pub const PCIDE: u64 = 1 << 17;
    pub const OSXSAVE: u64 = 1 << 18;
    pub const SMEP: u64 = 1 << 20;
    pub const SMAP: u64 = 1 << 21;
    pub const PKE: u64 = 1 << 22;
    pub const PKS: u64 = 1 << 24;
}

/// IA32_EFER.
pub mod efer {
    pub const SCE: u64 = 1;
    pub const LME: u64 = 1 << 8;
    pub const LMA: u64 = 1 << 10;
    pub const NXE: u64 = 1 << 11;
}

/// Model-specific registers.
pub mod msr {
    pub const IA32_SYSENTER_CS: u32 = 0x174;
    pub const IA32_SYSENTER_ESP: u32 = 0x175;
    pub const IA32_SYSENTER_EIP: u32 = 0x176;
    pub const IA32_MCG_CAP: u32 = 0x179;
    pub const IA32_MCG_STATUS: u32 = 0x17a;
    pub const IA32_MCG_CTL: u32 = 0x17b;
    pub const IA32_MC0_CTL: u32 = 0x400;
    pub const IA32_MC0_STATUS: u32 = 0x401;
    pub const IA32_EFER: u32 = 0xc000_0080;
    pub const IA32_STAR: u32 = 0xc000_0081;
    pub const IA32_LSTAR: u32 = 0xc000_0082;
    pub const IA32_FMASK: u32 = 0xc000_0084;
    pub const IA32_FS_BASE: u32 = 0xc000_0100;
    pub const IA32_GS_BASE: u32 = 0xc000_0101;
    pub const IA32_KERNEL_GS_BASE: u32 = 0xc000_0102;
}
