//! Model-specific registers: RDMSR and WRMSR, one row of `MSRS` for each register or range.
//!
//! Here are numbers, reserved bits and effects; the values live in the state, in the local APIC and
//! in the clock. A register that is not in the table, or whose feature the model has not, is #GP(0), as on
//! a processor that has not got it. That the privilege level is 0 is the instructions' check.
//!
//! Invariant: an `Err` leaves the state and the APIC as they were.

use crate::apic::{Effect, LocalApic};
use crate::cpuid::{Feature, Model, feature};
use crate::paging::{PHYSICAL_ADDRESS_BITS, repeats_highest};
use crate::state::{BRANCH_TRAP, CpuState, EferFlags, Exception, SegmentRegister};

#[cfg(test)]
mod tests;

/// What a write asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum MsrEffect {
    /// Nothing.
    None,
    /// EFER has changed: translations are to be forgotten.
    Efer,
    /// The local APIC's page has moved, appeared or vanished, and its interrupts with it.
    ApicBase,
    /// The local APIC or its timer has changed: what it asks, and a look at what is pending and
    /// when the timer expires.
    Apic(Effect),
}

/// What registers are made of.
struct Machine<'a> {
    state: &'a mut CpuState,
    apic: &'a mut LocalApic,
    now_ns: u64,
}

type Field = fn(&mut CpuState) -> &mut u64;
type Read = fn(&mut Machine, u32) -> Result<u64, Exception>;
type Write = fn(&mut Machine, u32, u64) -> Result<MsrEffect, Exception>;

/// How a register is read and written.
enum Access {
    /// Read-only: a write is #GP.
    Constant(u64),
    /// Writes have no effect.
    Fixed(u64),
    /// A field of the state.
    Field(Field),
    /// A field of the state that holds a canonical linear address.
    Address(Field),
    /// Functions of the number and the value.
    Functions(Read, Write),
}

/// One register, or several in a row.
struct Msr {
    first: u32,
    last: u32,
    /// A write that sets any other bit is #GP.
    writable: u64,
    access: Access,
    /// What it comes with; without that it is not there.
    feature: Option<Feature>,
}

impl Msr {
    const fn with(self, feature: Feature) -> Self {
        let Self { first, last, writable, access, .. } = self;
        Self { first, last, writable, access, feature: Some(feature) }
    }
}

const fn range(first: u32, last: u32, writable: u64, access: Access) -> Msr {
    Msr { first, last, writable, access, feature: None }
}

const fn msr(number: u32, writable: u64, access: Access) -> Msr {
    range(number, number, writable, access)
}

const LOW_HALF: u64 = 0xffff_ffff;
const ANY: u64 = u64::MAX;
/// The bits of a physical address.
const PHYSICAL: u64 = (1 << PHYSICAL_ADDRESS_BITS) - 1;

/// SCE, LME, LMA (which a write does not change) and NXE.
const EFER_WRITABLE: u64 = EferFlags::SYSTEM_CALL_EXTENSIONS
    .union(EferFlags::LONG_MODE_ENABLE)
    .union(EferFlags::LONG_MODE_ACTIVE)
    .union(EferFlags::NO_EXECUTE_ENABLE)
    .bits();
/// Bootstrap processor, x2APIC mode, enable, page.
const APIC_BASE_WRITABLE: u64 = PHYSICAL & !0xfff | 1 << 8 | 1 << 10 | 1 << 11;
/// Fast strings; they change nothing that software can see.
const MISC_ENABLE_WRITABLE: u64 = 1;
/// No branch trace storage, no precise event-based sampling; software writes back what it has read.
const MISC_ENABLE_FIXED: u64 = 1 << 11 | 1 << 12;
/// Type, fixed ranges enabled, all enabled.
const MTRR_DEFAULT_WRITABLE: u64 = 0xff | 1 << 10 | 1 << 11;
/// The numbers of the fixed-range MTRRs, in the order of the state.
const MTRR_FIXED: [u32; 11] =
    [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/// RDCL_NO, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO; SBDR_SSDP_NO, FBSDP_NO,
/// PSDP_NO; BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO: who executes in order leaks nothing by speculation.
const ARCH_CAPABILITIES: u64 = 0b1_0111_1001 | 0b111 << 13 | 1 << 20 | 1 << 24 | 1 << 26 | 1 << 27;

/// RIPV, EIPV, MCIP.
const MCG_STATUS_WRITABLE: u64 = 0b111;
/// IA32_MCG_CAP: the number of banks, and that there is IA32_MCG_CTL.
const MCG_CAP: u64 = MACHINE_CHECK_BANKS as u64 | 1 << 8;
const MACHINE_CHECK_BANKS: u32 = 2;
const MC0_CTL: u32 = 0x400;

/// The registers, by ascending number.
const MSRS: &[Msr] = &[
    // IA32_P5_MC_ADDR, IA32_P5_MC_TYPE: a Pentium's way to tell of an error.
    range(0, 1, 0, Access::Fixed(0)).with(feature::MCE),
    // IA32_TIME_STAMP_COUNTER
    msr(0x10, ANY, Access::Functions(|m, _| Ok(m.tsc()), write_tsc)),
    // IA32_PLATFORM_ID
    msr(0x17, 0, Access::Constant(0)),
    // IA32_APIC_BASE
    msr(
        0x1b,
        APIC_BASE_WRITABLE,
        Access::Functions(|m, _| Ok(m.state.msr.apic_base), write_apic_base),
    ),
    // IA32_TSC_ADJUST
    msr(
        0x3b,
        ANY,
        Access::Functions(|m, _| Ok(m.state.msr.tsc_adjust), |m, _, value| m.adjust_tsc(value)),
    )
    .with(feature::TSC_ADJUST),
    // IA32_BIOS_SIGN_ID: the microcode's revision. Systems write 0 before they read it.
    msr(0x8b, ANY, Access::Fixed(1 << 32)),
    // IA32_MTRRCAP: eight variable ranges, fixed ranges, write-combining.
    msr(0xfe, 0, Access::Constant(8 | 1 << 8 | 1 << 10)).with(feature::MTRR),
    // IA32_ARCH_CAPABILITIES
    msr(0x10a, 0, Access::Constant(ARCH_CAPABILITIES)).with(feature::ARCH_CAPABILITIES),
    // IA32_SYSENTER_CS: the upper half is not used.
    msr(
        0x174,
        ANY,
        Access::Functions(
            |m, _| Ok(m.state.msr.sysenter_cs),
            |m, _, value| {
                m.state.msr.sysenter_cs = value & LOW_HALF;
                Ok(MsrEffect::None)
            },
        ),
    )
    .with(feature::SEP),
    // IA32_SYSENTER_ESP
    msr(0x175, ANY, Access::Address(|state| &mut state.msr.sysenter_esp)).with(feature::SEP),
    // IA32_SYSENTER_EIP
    msr(0x176, ANY, Access::Address(|state| &mut state.msr.sysenter_eip)).with(feature::SEP),
    // IA32_MCG_CAP
    msr(0x179, 0, Access::Constant(MCG_CAP)).with(feature::MCA),
    // IA32_MCG_STATUS
    msr(0x17a, MCG_STATUS_WRITABLE, Access::Field(|state| &mut state.msr.machine_check_status))
        .with(feature::MCA),
    // IA32_MCG_CTL
    msr(0x17b, ANY, Access::Field(|state| &mut state.msr.machine_check_control)).with(feature::MCA),
    // IA32_MISC_ENABLE
    msr(
        0x1a0,
        MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED,
        Access::Functions(
            |m, _| Ok(m.state.msr.misc_enable | MISC_ENABLE_FIXED),
            |m, _, value| {
                m.state.msr.misc_enable = value & MISC_ENABLE_WRITABLE;
                Ok(MsrEffect::None)
            },
        ),
    ),
    // IA32_DEBUGCTL: there are no records of branches to switch on.
    msr(0x1d9, BRANCH_TRAP, Access::Field(|state| &mut state.msr.debug_control)),
    // IA32_MTRR_PHYSBASE0, IA32_MTRR_PHYSMASK0 …
    range(0x200, 0x20f, PHYSICAL, Access::Functions(read_mtrr_variable, write_mtrr_variable))
        .with(feature::MTRR),
    // IA32_MTRR_FIX64K_00000 … IA32_MTRR_FIX4K_F8000
    range(0x250, 0x26f, ANY, Access::Functions(read_mtrr_fixed, write_mtrr_fixed))
        .with(feature::MTRR),
    // IA32_PAT
    msr(0x277, ANY, Access::Functions(|m, _| Ok(m.state.msr.pat), write_pat)).with(feature::PAT),
    // IA32_MTRR_DEF_TYPE
    msr(
        0x2ff,
        MTRR_DEFAULT_WRITABLE,
        Access::Functions(|m, _| Ok(m.state.msr.mtrr_default_type), write_mtrr_default_type),
    )
    .with(feature::MTRR),
    // IA32_MC0_CTL, IA32_MC0_STATUS, IA32_MC0_ADDR, IA32_MC0_MISC …
    range(
        MC0_CTL,
        MC0_CTL + 4 * MACHINE_CHECK_BANKS - 1,
        ANY,
        Access::Functions(read_machine_check_bank, write_machine_check_bank),
    )
    .with(feature::MCA),
    // IA32_TSC_DEADLINE
    msr(0x6e0, ANY, Access::Functions(|m, _| Ok(m.apic.tsc_deadline()), write_tsc_deadline))
        .with(feature::TSC_DEADLINE),
    // IA32_PKRS
    msr(
        0x6e1,
        LOW_HALF,
        Access::Functions(
            |m, _| Ok(m.state.control.pkrs.into()),
            |m, _, value| {
                m.state.control.pkrs = value as u32;
                Ok(MsrEffect::None)
            },
        ),
    )
    .with(feature::PKS),
    // The local APIC in x2APIC mode, which knows its reserved bits.
    range(
        0x800,
        0x8ff,
        ANY,
        Access::Functions(
            |m, number| m.apic.read_msr(number, m.now_ns),
            |m, number, value| Ok(MsrEffect::Apic(m.apic.write_msr(number, value, m.now_ns)?)),
        ),
    ),
    // IA32_XSS: no state component of XSAVES is the supervisor's.
    msr(0xda0, 0, Access::Fixed(0)).with(feature::XSAVES),
    // IA32_EFER
    msr(
        0xc000_0080,
        EFER_WRITABLE,
        Access::Functions(|m, _| Ok(m.state.control.efer.bits()), write_efer),
    ),
    // IA32_STAR
    msr(0xc000_0081, ANY, Access::Field(|state| &mut state.msr.star)),
    // IA32_LSTAR
    msr(0xc000_0082, ANY, Access::Address(|state| &mut state.msr.lstar)),
    // IA32_CSTAR
    msr(0xc000_0083, ANY, Access::Address(|state| &mut state.msr.cstar)),
    // IA32_FMASK
    msr(0xc000_0084, LOW_HALF, Access::Field(|state| &mut state.msr.fmask)),
    // IA32_FS_BASE
    msr(0xc000_0100, ANY, Access::Address(|state| &mut state.segments[SegmentRegister::Fs].base)),
    // IA32_GS_BASE
    msr(0xc000_0101, ANY, Access::Address(|state| &mut state.segments[SegmentRegister::Gs].base)),
    // IA32_KERNEL_GS_BASE
    msr(0xc000_0102, ANY, Access::Address(|state| &mut state.msr.kernel_gs_base)),
    // IA32_TSC_AUX
    msr(0xc000_0103, LOW_HALF, Access::Field(|state| &mut state.msr.tsc_aux)).with(feature::RDTSCP),
];

/// RDMSR.
///
/// # Errors
/// #GP for a register that is not there.
pub fn read(
    model: &Model,
    state: &mut CpuState,
    apic: &mut LocalApic,
    now_ns: u64,
    number: u32,
) -> Result<u64, Exception> {
    let mut machine = Machine { state, apic, now_ns };
    match find(model, number)?.access {
        Access::Constant(value) | Access::Fixed(value) => Ok(value),
        Access::Field(field) | Access::Address(field) => Ok(*field(machine.state)),
        Access::Functions(read, _) => read(&mut machine, number),
    }
}

/// WRMSR.
///
/// # Errors
/// #GP for a register that is not there or takes no such value.
pub fn write(
    model: &Model,
    state: &mut CpuState,
    apic: &mut LocalApic,
    now_ns: u64,
    number: u32,
    value: u64,
) -> Result<MsrEffect, Exception> {
    let msr = find(model, number)?;
    if value & !msr.writable != 0 {
        return Err(Exception::GP0);
    }
    let mut machine = Machine { state, apic, now_ns };
    match msr.access {
        Access::Constant(_) => Err(Exception::GP0),
        // Canonical by the processor's width, whatever the paging mode is.
        Access::Address(_) if !repeats_highest(value, model.linear_address_bits()) => {
            Err(Exception::GP0)
        }
        Access::Fixed(_) => Ok(MsrEffect::None),
        Access::Field(field) | Access::Address(field) => {
            *field(machine.state) = value;
            Ok(MsrEffect::None)
        }
        Access::Functions(_, write) => write(&mut machine, number, value),
    }
}

/// The time-stamp counter at `now_ns`: RDTSC, RDTSCP and IA32_TIME_STAMP_COUNTER.
#[inline]
pub(crate) fn time_stamp_counter(state: &CpuState, now_ns: u64) -> u64 {
    now_ns.wrapping_add(state.msr.tsc_adjust)
}

fn find(model: &Model, number: u32) -> Result<&'static Msr, Exception> {
    let next = MSRS.partition_point(|msr| msr.first <= number);
    let msr = MSRS[..next].last().filter(|msr| number <= msr.last);
    let is_there = |msr: &&Msr| msr.feature.as_ref().is_none_or(|feature| model.offers(feature));
    msr.filter(is_there).ok_or(Exception::GP0)
}

impl Machine<'_> {
    fn tsc(&self) -> u64 {
        time_stamp_counter(self.state, self.now_ns)
    }

    fn adjust_tsc(&mut self, adjust: u64) -> Result<MsrEffect, Exception> {
        self.state.msr.tsc_adjust = adjust;
        self.apic.tsc_changed(self.tsc(), self.now_ns);
        Ok(MsrEffect::Apic(Effect::None))
    }
}

/// SDM, "Time-Stamp Counter Adjustment": what a write adds to the counter, it adds to
/// IA32_TSC_ADJUST.
fn write_tsc(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    let change = value.wrapping_sub(m.tsc());
    m.adjust_tsc(m.state.msr.tsc_adjust.wrapping_add(change))
}

fn write_tsc_deadline(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    m.apic.set_tsc_deadline(value, m.tsc(), m.now_ns);
    Ok(MsrEffect::Apic(Effect::None))
}

fn write_apic_base(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    m.apic.set_base(value)?;
    m.state.msr.apic_base = value;
    Ok(MsrEffect::ApicBase)
}

fn write_efer(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    let old = m.state.control.efer;
    let active = EferFlags::LONG_MODE_ACTIVE;
    let new = (EferFlags::from_bits_truncate(value) - active) | (old & active);
    // SDM, "IA32_EFER MSR": IA-32e mode goes on and off with paging, not under it.
    if m.state.paging() && (old ^ new).contains(EferFlags::LONG_MODE_ENABLE) {
        return Err(Exception::GP0);
    }
    m.state.control.efer = new;
    Ok(MsrEffect::Efer)
}

fn write_pat(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    // UC, WC, WT, WP, WB and UC-.
    if !value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)) {
        return Err(Exception::GP0);
    }
    m.state.msr.pat = value;
    Ok(MsrEffect::None)
}

/// The control register of a machine-check bank, if it is that which the number names.
fn machine_check_control<'a>(m: &'a mut Machine, number: u32) -> Option<&'a mut u64> {
    let (bank, register) = ((number - MC0_CTL) / 4, number % 4);
    (register == 0).then(|| &mut m.state.msr.machine_check_banks[bank as usize])
}

fn read_machine_check_bank(m: &mut Machine, number: u32) -> Result<u64, Exception> {
    Ok(machine_check_control(m, number).map_or(0, |control| *control))
}

/// SDM, "Error-Reporting Register Banks": software may clear what tells of an error, and no more.
fn write_machine_check_bank(
    m: &mut Machine,
    number: u32,
    value: u64,
) -> Result<MsrEffect, Exception> {
    match machine_check_control(m, number) {
        Some(control) => *control = value,
        None if value != 0 => return Err(Exception::GP0),
        None => {}
    }
    Ok(MsrEffect::None)
}

/// Whether an MTRR may name this memory type: UC, WC, WT, WP or WB. There are no caches, so a type
/// changes nothing.
fn is_memory_type(kind: u8) -> bool {
    matches!(kind, 0 | 1 | 4..=6)
}

fn write_mtrr_default_type(m: &mut Machine, _: u32, value: u64) -> Result<MsrEffect, Exception> {
    if !is_memory_type(value as u8) {
        return Err(Exception::GP0);
    }
    m.state.msr.mtrr_default_type = value;
    Ok(MsrEffect::None)
}

/// The pair of a variable-range MTRR's number, and whether it is the base (0) or the mask (1).
fn mtrr_variable(number: u32) -> (usize, usize) {
    ((number as usize & 0xf) / 2, number as usize % 2)
}

fn read_mtrr_variable(m: &mut Machine, number: u32) -> Result<u64, Exception> {
    let (pair, half) = mtrr_variable(number);
    Ok(m.state.msr.mtrr_variable[pair][half])
}

fn write_mtrr_variable(m: &mut Machine, number: u32, value: u64) -> Result<MsrEffect, Exception> {
    let (pair, half) = mtrr_variable(number);
    let legal = match half {
        0 => value & 0xf00 == 0 && is_memory_type(value as u8),
        // Below the mask there is the valid bit alone.
        _ => value & 0x7ff == 0,
    };
    if !legal {
        return Err(Exception::GP0);
    }
    m.state.msr.mtrr_variable[pair][half] = value;
    Ok(MsrEffect::None)
}

fn mtrr_fixed(number: u32) -> Result<usize, Exception> {
    MTRR_FIXED.binary_search(&number).map_err(|_| Exception::GP0)
}

fn read_mtrr_fixed(m: &mut Machine, number: u32) -> Result<u64, Exception> {
    Ok(m.state.msr.mtrr_fixed[mtrr_fixed(number)?])
}

fn write_mtrr_fixed(m: &mut Machine, number: u32, value: u64) -> Result<MsrEffect, Exception> {
    let index = mtrr_fixed(number)?;
    if !value.to_le_bytes().into_iter().all(is_memory_type) {
        return Err(Exception::GP0);
    }
    m.state.msr.mtrr_fixed[index] = value;
    Ok(MsrEffect::None)
}
