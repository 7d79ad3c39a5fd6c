//! CPUID: what this processor is and what it offers, as data.
//!
//! A feature is one row of [`OFFERED`], in the file `cpuid/feature.rs`; a leaf that holds something
//! else is one row of [`LEAVES`]. Only what depends on a register or on the machine's [`Model`] is
//! code.
//!
//! The vendor is `GenuineIntel`, because the manual that this processor follows is Intel's (SYSRET,
//! SYSENTER in long mode, canonical checks, x2APIC), and because kernels believe the frequencies in
//! leaf 0x15 and IA32_TSC_DEADLINE of that vendor alone: a start without calibration saves tens of
//! milliseconds. The signature is an Atom's that executes in order, as an interpreter does: nothing
//! is speculated, so kernels need none of the mitigations that cost so much.

use alloc::vec::Vec;

use crate::paging::{LINEAR_ADDRESS_BITS, PHYSICAL_ADDRESS_BITS, WIDEST_LINEAR_ADDRESS_BITS};
use crate::state::{CpuState, Cr4Flags, XCr0Flags};

pub mod feature;
#[cfg(test)]
mod tests;

pub use feature::{BASELINE, Feature, OFFERED, Output};

/// Frequency of the interpreter's time-stamp counter, and of every APIC timer before its divider.
pub const TSC_HZ: u32 = 1_000_000_000;
/// Size of the XSAVE area: the legacy region and the header.
pub const XSAVE_AREA_BYTES: u32 = 512 + 64;
/// Size of the upper halves of the YMM registers, which are behind that.
pub const AVX_STATE_BYTES: u32 = 256;
/// Size of PKRU and of the zeros with it.
pub const PKRU_STATE_BYTES: u32 = 8;
/// Where the standard format has PKRU unless the model says otherwise: behind AVX state.
const PKRU_STATE_AT: u32 = XSAVE_AREA_BYTES + AVX_STATE_BYTES;

pub use crate::state::SIGNATURE;
/// Size of the cache line that CLFLUSH flushes.
const CACHE_LINE_BYTES: u32 = 64;

const HIGHEST_BASIC: u32 = 0x16;
const HYPERVISOR: u32 = 0x4000_0000;
const HIGHEST_HYPERVISOR: u32 = 0x4000_0010;
const EXTENDED: u32 = 0x8000_0000;
const HIGHEST_EXTENDED: u32 = 0x8000_0008;

const VENDOR: &[u8; 12] = b"GenuineIntel";
const HYPERVISOR_VENDOR: &[u8; 12] = b"monovisor\0\0\0";
const BRAND: &[u8; 48] = b"monovisor x86-64 processor\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

use Output::{Eax, Ebx, Ecx, Edx};

/// What the processors of one machine tell about themselves: which features, and how fast their
/// time-stamp counters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// A bit for each row of [`OFFERED`].
    features: u128,
    tsc_khz: u32,
    /// See [`tsc_ratio`].
    tsc_ratio: [u32; 2],
    cr4_writable: Cr4Flags,
    /// Where PKRU is in a standard-format XSAVE area.
    pkru_at: u32,
}

/// No processor's area is longer, tile registers included.
const HIGHEST_STATE_AT: u32 = 16 << 10;

const _: () = assert!(OFFERED.len() <= 128, "a model has a bit for each feature");

impl Default for Model {
    /// Everything that the interpreter offers.
    fn default() -> Self {
        Self {
            features: u128::MAX,
            tsc_khz: TSC_HZ / 1000,
            tsc_ratio: [1, 1],
            cr4_writable: CR4_WRITABLE,
            pkru_at: PKRU_STATE_AT,
        }
    }
}

impl Model {
    /// The same model without the features that `keep` is false for.
    #[must_use]
    pub fn masked(self, keep: impl Fn(&Feature) -> bool) -> Self {
        let kept = OFFERED
            .iter()
            .filter(|feature| keep(feature))
            .fold(0, |kept, feature| kept | 1 << feature.row);
        let mut model = Self { features: self.features & kept, ..self };
        let withheld = CR4_FEATURES.iter().filter(|(_, feature)| !model.offers(feature));
        model.cr4_writable = withheld.fold(self.cr4_writable, |left, (flag, _)| left - *flag);
        model
    }

    /// The same model with a time-stamp counter of this frequency.
    #[must_use]
    pub fn with_tsc_khz(self, tsc_khz: u32) -> Self {
        Self { tsc_khz, tsc_ratio: tsc_ratio(tsc_khz), ..self }
    }

    /// The same model with PKRU at this offset of a standard-format XSAVE area, which each processor
    /// has where it likes, unless AVX state is there.
    #[must_use]
    pub fn with_pkru_at(self, offset: u32) -> Self {
        let possible = (PKRU_STATE_AT..=HIGHEST_STATE_AT).contains(&offset);
        if possible { Self { pkru_at: offset, ..self } } else { self }
    }

    /// Where PKRU is in a standard-format XSAVE area.
    pub fn pkru_at(&self) -> u32 {
        self.pkru_at
    }

    /// The frequency of its time-stamp counter.
    pub fn tsc_khz(&self) -> u32 {
        self.tsc_khz
    }

    /// Whether it has the feature.
    pub fn offers(&self, feature: &Feature) -> bool {
        self.features >> feature.row & 1 != 0
    }

    /// Its features.
    pub fn features(&self) -> impl Iterator<Item = &'static Feature> + use<> {
        let features = self.features;
        OFFERED.iter().filter(move |feature| features >> feature.row & 1 != 0)
    }

    /// Bits of CR4 that software may set; the others are reserved.
    pub fn cr4_writable(&self) -> Cr4Flags {
        self.cr4_writable
    }

    /// Bits of XCR0 that software may set; the others are reserved.
    pub fn xcr0_writable(&self) -> XCr0Flags {
        let rows = [(XCr0Flags::AVX, feature::AVX), (XCr0Flags::MPK, feature::PKU)];
        let offered = rows.iter().filter(|(_, feature)| self.offers(feature));
        offered.fold(XCr0Flags::X87 | XCr0Flags::SSE, |all, (component, _)| all | *component)
    }

    /// The bytes of a standard-format XSAVE area of these components.
    fn standard_bytes(&self, components: XCr0Flags) -> u32 {
        if components.contains(XCr0Flags::MPK) {
            self.pkru_at + PKRU_STATE_BYTES
        } else if components.contains(XCr0Flags::AVX) {
            XSAVE_AREA_BYTES + AVX_STATE_BYTES
        } else {
            XSAVE_AREA_BYTES
        }
    }

    /// Width of its linear addresses, whatever the paging mode is.
    pub fn linear_address_bits(&self) -> u32 {
        if self.offers(&feature::LA57) { WIDEST_LINEAR_ADDRESS_BITS } else { LINEAR_ADDRESS_BITS }
    }

    /// All that CPUID returns, for an engine that is given it as a table: without what depends on
    /// control registers and mode.
    pub fn table(&self, apic_id: u32) -> Vec<Leaf> {
        let mut rows = LEAVES.to_vec();
        for feature in self.features() {
            if !rows.iter().any(|row| row.holds(feature)) {
                let subleaf = BY_SUBLEAF.contains(&feature.leaf).then_some(feature.subleaf);
                rows.push(Leaf { leaf: feature.leaf, subleaf, registers: [0; 4] });
            }
        }
        for row in &mut rows {
            row.registers = self.constant(apic_id, row.leaf, row.subleaf.unwrap_or(0));
        }
        rows
    }

    /// What a leaf says whatever the state.
    fn constant(&self, apic_id: u32, leaf: u32, subleaf: u32) -> [u32; 4] {
        let mut registers = LEAVES
            .iter()
            .find(|row| row.leaf == leaf && row.subleaf.is_none_or(|row| row == subleaf))
            .map_or([0; 4], |row| row.registers);
        let row = Leaf { leaf, subleaf: BY_SUBLEAF.contains(&leaf).then_some(subleaf), registers };
        for feature in self.features().filter(|feature| row.holds(feature)) {
            registers[feature.output as usize] |= 1 << feature.bit;
        }
        match leaf {
            1 => registers[Ebx as usize] |= apic_id << 24,
            // The highest subleaf.
            7 if subleaf == 0 => {
                let subleaves = self.features().filter(|feature| feature.leaf == 7);
                registers[Eax as usize] = subleaves.map(|row| row.subleaf).max().unwrap_or(0);
            }
            0xd if !self.offers(&feature::XSAVE) => registers = [0; 4],
            0xd if subleaf == 0 => {
                let components = self.xcr0_writable();
                registers[Eax as usize] = components.bits() as u32;
                registers[Ecx as usize] = self.standard_bytes(components);
            }
            0xd if subleaf == 2 && !self.offers(&feature::AVX) => registers = [0; 4],
            0xd if subleaf == 9 && self.offers(&feature::PKU) => {
                registers[..2].copy_from_slice(&[PKRU_STATE_BYTES, self.pkru_at]);
            }
            0xb => {
                // The subleaf comes back in levels that do not exist, too.
                registers[Ecx as usize] |= subleaf & 0xff;
                registers[Edx as usize] = apic_id;
            }
            0x15 => registers[..2].copy_from_slice(&self.tsc_ratio),
            0x16 => registers[..2].fill(self.tsc_khz / 1000),
            HIGHEST_HYPERVISOR => registers[0] = self.tsc_khz,
            0x8000_0008 => {
                registers[0] = self.linear_address_bits() << 8 | PHYSICAL_ADDRESS_BITS;
            }
            _ => {}
        }
        registers
    }
}

/// Denominator and numerator of the time-stamp counter's frequency as a multiple of the APIC
/// timer's: the nearest whose numerator leaves no kernel's product with kHz above 32 bits.
fn tsc_ratio(tsc_khz: u32) -> [u32; 2] {
    const CRYSTAL_KHZ: u64 = TSC_HZ as u64 / 1000;
    const HIGHEST: u64 = u32::MAX as u64 / CRYSTAL_KHZ;
    let khz = u64::from(tsc_khz);
    let fraction = |denominator: u64| {
        let numerator = (khz * denominator + CRYSTAL_KHZ / 2) / CRYSTAL_KHZ;
        (denominator, numerator)
    };
    // The error of a fraction times both denominators, so that all is in integers.
    let error = |&(denominator, numerator): &(u64, u64)| {
        (khz * denominator).abs_diff(numerator * CRYSTAL_KHZ) * (1 << 20) / denominator
    };
    let fractions = (1..=1000).map(fraction).take_while(|&(_, numerator)| numerator <= HIGHEST);
    fractions.min_by_key(error).map_or([1, 1], |(d, n)| [d as u32, n as u32])
}

/// Results of CPUID that are no features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// EAX when CPUID is executed.
    pub leaf: u32,
    /// ECX when CPUID is executed, for the leaves that look at it.
    pub subleaf: Option<u32>,
    /// EAX, EBX, ECX and EDX after it.
    pub registers: [u32; 4],
}

impl Leaf {
    /// Whether the feature is one of this row's bits.
    fn holds(&self, feature: &Feature) -> bool {
        self.leaf == feature.leaf && self.subleaf.is_none_or(|subleaf| subleaf == feature.subleaf)
    }
}

/// The leaves that look at ECX.
const BY_SUBLEAF: &[u32] = &[4, 7, 0xb, 0xd];

const fn leaf(leaf: u32, registers: [u32; 4]) -> Leaf {
    Leaf { leaf, subleaf: None, registers }
}

const fn subleaf(leaf: u32, subleaf: u32, registers: [u32; 4]) -> Leaf {
    Leaf { leaf, subleaf: Some(subleaf), registers }
}

/// The leaves, without features and without what depends on registers. Those absent are zero.
pub const LEAVES: &[Leaf] = &[
    leaf(0, [HIGHEST_BASIC, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4)]),
    // EBX: size of a cache line in 8 bytes; one logical processor in the package.
    leaf(1, [SIGNATURE, (CACHE_LINE_BYTES / 8) << 8 | 1 << 16, 0, 0]),
    // One descriptor that says: see leaf 4.
    leaf(2, [0x00ff_0001, 0, 0, 0]),
    subleaf(4, 0, cache(CacheKind::Data, 1, 8, 64)),
    subleaf(4, 1, cache(CacheKind::Instruction, 1, 8, 64)),
    subleaf(4, 2, cache(CacheKind::Unified, 2, 16, 1024)),
    // Topology: each vCPU is a package of its own, so no bits of its ID name a core or a thread.
    subleaf(0xb, 0, [0, 1, 1 << 8, 0]),
    subleaf(0xb, 1, [0, 1, 2 << 8, 0]),
    // The components, and the size of an area of all, are the model's; that of what is enabled is more
    // with more than x87 and SSE.
    subleaf(0xd, 0, [0, XSAVE_AREA_BYTES, 0, 0]),
    subleaf(0xd, 1, [0, XSAVE_AREA_BYTES, 0, 0]),
    // Size and place of AVX state.
    subleaf(0xd, 2, [AVX_STATE_BYTES, XSAVE_AREA_BYTES, 0, 0]),
    // Those of PKRU are the model's.
    subleaf(0xd, 9, [0; 4]),
    // The TSC's ratio to the crystal, which also clocks the APIC timer, is the model's; the
    // crystal's Hz.
    leaf(0x15, [1, 1, TSC_HZ, 0]),
    // Base and highest frequency in MHz are the model's; the bus's.
    leaf(0x16, [0, 0, TSC_HZ / 1_000_000, 0]),
    leaf(
        HYPERVISOR,
        [
            HIGHEST_HYPERVISOR,
            word(HYPERVISOR_VENDOR, 0),
            word(HYPERVISOR_VENDOR, 4),
            word(HYPERVISOR_VENDOR, 8),
        ],
    ),
    // A convention among hypervisors: frequencies of the TSC and of the APIC timer in kHz.
    leaf(HIGHEST_HYPERVISOR, [0, TSC_HZ / 1000, 0, 0]),
    leaf(EXTENDED, [HIGHEST_EXTENDED, 0, 0, 0]),
    leaf(0x8000_0002, words(BRAND, 0)),
    leaf(0x8000_0003, words(BRAND, 16)),
    leaf(0x8000_0004, words(BRAND, 32)),
    // L2 cache: 1 MiB, 16 ways (code 8), 64-byte lines.
    leaf(0x8000_0006, [0, 0, 1024 << 16 | 8 << 12 | CACHE_LINE_BYTES, 0]),
    // The widths of addresses are the model's.
    leaf(0x8000_0008, [0, 0, 0, 0]),
];

/// Bits of CR4 that software may set where every feature is offered.
const CR4_WRITABLE: Cr4Flags = {
    let mut writable = Cr4Flags::empty();
    let mut row = 0;
    while row < CR4_FEATURES.len() {
        writable = writable.union(CR4_FEATURES[row].0);
        row += 1;
    }
    // RDPMC is for user mode if PCE says so, even where there are no counters.
    writable.union(Cr4Flags::PERFORMANCE_MONITOR_COUNTER)
};

/// Which feature each bit of CR4 comes with. The other bits need none that could be absent.
const CR4_FEATURES: &[(Cr4Flags, Feature)] = &[
    (Cr4Flags::TIMESTAMP_DISABLE, feature::TSC),
    (Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS, feature::VME),
    (Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS, feature::VME),
    (Cr4Flags::DEBUGGING_EXTENSIONS, feature::DE),
    (Cr4Flags::PAGE_SIZE_EXTENSION, feature::PSE),
    (Cr4Flags::PHYSICAL_ADDRESS_EXTENSION, feature::PAE),
    (Cr4Flags::MACHINE_CHECK_EXCEPTION, feature::MCE),
    (Cr4Flags::PAGE_GLOBAL, feature::PGE),
    (Cr4Flags::OSFXSR, feature::FXSR),
    (Cr4Flags::OSXMMEXCPT_ENABLE, feature::SSE),
    (Cr4Flags::FSGSBASE, feature::FSGSBASE),
    (Cr4Flags::OSXSAVE, feature::XSAVE),
    (Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, feature::SMEP),
    (Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, feature::SMAP),
    (Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, feature::UMIP),
    (Cr4Flags::L5_PAGING, feature::LA57),
    (Cr4Flags::PCID, feature::PCID),
    (Cr4Flags::PROTECTION_KEY_USER, feature::PKU),
    (Cr4Flags::PROTECTION_KEY_SUPERVISOR, feature::PKS),
];

/// What CPUID returns in EAX, EBX, ECX and EDX for EAX = `leaf` and ECX = `subleaf`.
pub fn cpuid(model: &Model, state: &CpuState, apic_id: u32, leaf: u32, subleaf: u32) -> [u32; 4] {
    // SDM, CPUID: a leaf above the highest gives the data of the highest basic one.
    let leaf = match leaf {
        0..=HIGHEST_BASIC | HYPERVISOR..=HIGHEST_HYPERVISOR | EXTENDED..=HIGHEST_EXTENDED => leaf,
        _ => HIGHEST_BASIC,
    };
    let mut registers = model.constant(apic_id, leaf, subleaf);
    match leaf {
        1 => {
            registers[Ecx as usize] |=
                u32::from(state.control.cr4.contains(Cr4Flags::OSXSAVE)) << 27;
            registers[Edx as usize] |= ((state.msr.apic_base >> 11 & 1) as u32) << 9;
        }
        // OSPKE.
        7 if subleaf == 0 => {
            let used = state.control.cr4.contains(Cr4Flags::PROTECTION_KEY_USER);
            registers[Ecx as usize] |= u32::from(used) << 4;
        }
        0xd if !model.offers(&feature::XSAVE) => {}
        // The size of an area of what is enabled.
        0xd if subleaf == 0 => {
            registers[Ebx as usize] = model.standard_bytes(state.control.xcr0);
        }
        // In compacted format, where nothing is left out.
        0xd if subleaf == 1 => {
            let sizes = [(XCr0Flags::AVX, AVX_STATE_BYTES), (XCr0Flags::MPK, PKRU_STATE_BYTES)];
            let enabled = sizes.iter().filter(|(part, _)| state.control.xcr0.contains(*part));
            registers[Ebx as usize] += enabled.map(|(_, bytes)| bytes).sum::<u32>();
        }
        // SYSCALL is not there outside 64-bit mode, and Intel's CPUID says so.
        0x8000_0001 if !state.mode_64bit() => registers[Edx as usize] &= !(1 << 11),
        _ => {}
    }
    registers
}

#[derive(Clone, Copy)]
enum CacheKind {
    Data = 1,
    Instruction,
    Unified,
}

/// A subleaf of leaf 4: a self-initialising cache that belongs to one vCPU.
const fn cache(kind: CacheKind, level: u32, ways: u32, sets: u32) -> [u32; 4] {
    [kind as u32 | level << 5 | 1 << 8, (ways - 1) << 22 | (CACHE_LINE_BYTES - 1), sets - 1, 0]
}

/// Four characters from `at` on.
const fn word<const N: usize>(text: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}

/// Sixteen characters from `at` on.
const fn words<const N: usize>(text: &[u8; N], at: usize) -> [u32; 4] {
    [word(text, at), word(text, at + 4), word(text, at + 8), word(text, at + 12)]
}
