//! Writes to control registers: what they may not hold, and what a change asks of the engine
//! (SDM, "Control Registers", MOV—Move to/from Control Registers, XSETBV).
//!
//! Who may write them, and how the operand is encoded, is the instructions' business. What the
//! registers then mean is `paging`'s and others': they read them when they need them, but for the
//! PDPTE registers, which a write that loads them may find faulty.
//!
//! Invariant: an `Err` leaves the state as it was.

use crate::apic::LocalApic;
use crate::paging::{PHYSICAL_ADDRESS_BITS, PagingMode};
use crate::state::{
    Control, CpuState, Cr0Flags, Cr4Flags, EferFlags, Exception, SegmentRegister, XCr0Flags,
};

#[cfg(test)]
mod tests;

/// Which translations have to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    None,
    /// All but those of global pages.
    NonGlobal,
    All,
}

/// What a write asks of the engine, besides a look at what access rights depend on
/// (`Mmu::update_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct ControlEffect {
    pub flush: Flush,
    /// Protection, paging or IA-32e mode went on or off: instructions mean something else now.
    pub mode_changed: bool,
}

impl ControlEffect {
    const NONE: Self = Self { flush: Flush::None, mode_changed: false };
}

/// Bits of CR0 that change what translations allow.
const CR0_TRANSLATION: Cr0Flags =
    Cr0Flags::PAGING.union(Cr0Flags::WRITE_PROTECT).union(Cr0Flags::PROTECTED_MODE_ENABLE);
/// Bits of CR0 that change the mode.
const CR0_MODE: Cr0Flags = Cr0Flags::PAGING.union(Cr0Flags::PROTECTED_MODE_ENABLE);
/// Bits of CR4 that change what translations are or allow.
const CR4_TRANSLATION: Cr4Flags = Cr4Flags::PAGE_SIZE_EXTENSION
    .union(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
    .union(Cr4Flags::PAGE_GLOBAL)
    .union(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION)
    .union(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION)
    .union(Cr4Flags::PROTECTION_KEY_USER)
    .union(Cr4Flags::PROTECTION_KEY_SUPERVISOR);

/// MOV to CR0. Reserved bits of the low half are ignored, those of the high half fault.
pub(crate) fn write_cr0(state: &mut CpuState, value: u64) -> Result<ControlEffect, Exception> {
    let new = Cr0Flags::from_bits_truncate(value) | Cr0Flags::EXTENSION_TYPE;
    let old = state.control.cr0;
    let (paging, protected) =
        (new.contains(Cr0Flags::PAGING), new.contains(Cr0Flags::PROTECTED_MODE_ENABLE));
    let write_through_uncached =
        new.contains(Cr0Flags::NOT_WRITE_THROUGH) && !new.contains(Cr0Flags::CACHE_DISABLE);
    if value >> 32 != 0 || paging && !protected || write_through_uncached {
        return Err(Exception::GP0);
    }
    let changed = old ^ new;
    if changed.contains(Cr0Flags::PAGING) {
        let identified = state.control.cr4.contains(Cr4Flags::PCID);
        if paging {
            activate_long_mode(state)?;
        } else if state.mode_64bit() || identified {
            return Err(Exception::GP0);
        } else {
            state.control.efer.remove(EferFlags::LONG_MODE_ACTIVE);
        }
    }
    state.control.cr0 = new;
    Ok(ControlEffect {
        flush: if changed.intersects(CR0_TRANSLATION) { Flush::All } else { Flush::None },
        mode_changed: changed.intersects(CR0_MODE),
    })
}

/// Paging goes on: with EFER.LME that activates IA-32e mode (SDM, "IA-32e Mode Operation":
/// consistency checks).
fn activate_long_mode(state: &mut CpuState) -> Result<(), Exception> {
    if !state.control.efer.contains(EferFlags::LONG_MODE_ENABLE) {
        return Ok(());
    }
    let task = state.segments[SegmentRegister::Tr].access;
    // Types 1 and 3: a 16-bit TSS, available or busy.
    let task_16bit = matches!(task.kind(), 1 | 3);
    let code_64bit = state.segments[SegmentRegister::Cs].access.long();
    let pae = state.control.cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    if !pae || code_64bit || task_16bit {
        return Err(Exception::GP0);
    }
    state.control.efer.insert(EferFlags::LONG_MODE_ACTIVE);
    Ok(())
}

/// Whether a write that has changed `before` into what `state` has loads the PDPTE registers (SDM,
/// "PDPTE Registers"). MOV to CR3 does in any case.
pub(crate) fn loads_pointers(before: &Control, state: &CpuState) -> bool {
    const CR0: Cr0Flags =
        Cr0Flags::CACHE_DISABLE.union(Cr0Flags::NOT_WRITE_THROUGH).union(Cr0Flags::PAGING);
    const CR4: Cr4Flags = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        .union(Cr4Flags::PAGE_GLOBAL)
        .union(Cr4Flags::PAGE_SIZE_EXTENSION)
        .union(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION);
    let after = &state.control;
    PagingMode::of(state) == PagingMode::Pae
        && (CR0.intersects(before.cr0 ^ after.cr0) || CR4.intersects(before.cr4 ^ after.cr4))
}

/// The bit of a value for CR3 that lets translations of the process-context identifier stay.
const NO_FLUSH: u64 = 1 << 63;
/// The process-context identifier in CR3, with CR4.PCIDE.
pub(crate) const PROCESS_CONTEXT: u64 = 0xfff;

/// MOV to CR3 (SDM, "Operations that Invalidate TLBs and Paging-Structure Caches").
///
/// With process-context identifiers, too, all but global translations go: the TLB has no room for
/// those of several address spaces, and what bit 63 lets stay need not stay. So no translation of
/// another identifier than the current one is ever there.
pub(crate) fn write_cr3(state: &mut CpuState, value: u64) -> Result<ControlEffect, Exception> {
    let identified = state.control.cr4.contains(Cr4Flags::PCID);
    let value = if identified { value & !NO_FLUSH } else { value };
    if value >> PHYSICAL_ADDRESS_BITS != 0 {
        return Err(Exception::GP0);
    }
    state.control.cr3 = value;
    Ok(ControlEffect { flush: Flush::NonGlobal, ..ControlEffect::NONE })
}

/// MOV to CR4. Bits of features that CPUID does not offer are reserved: those not `writable`.
pub(crate) fn write_cr4(
    state: &mut CpuState,
    value: u64,
    writable: Cr4Flags,
) -> Result<ControlEffect, Exception> {
    let new = Cr4Flags::from_bits(value).ok_or(Exception::GP0)?;
    let pae = new.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    if !writable.contains(new) || state.long_mode() && !pae {
        return Err(Exception::GP0);
    }
    let changed = state.control.cr4 ^ new;
    if changed.contains(Cr4Flags::L5_PAGING) && state.long_mode() {
        return Err(Exception::GP0);
    }
    let identifies = changed.contains(Cr4Flags::PCID) && new.contains(Cr4Flags::PCID);
    if identifies && (!state.long_mode() || state.control.cr3 & PROCESS_CONTEXT != 0) {
        return Err(Exception::GP0);
    }
    state.control.cr4 = new;
    let forgets = changed.intersects(CR4_TRANSLATION)
        || changed.contains(Cr4Flags::PCID) && !new.contains(Cr4Flags::PCID);
    let flush = if forgets { Flush::All } else { Flush::None };
    Ok(ControlEffect { flush, ..ControlEffect::NONE })
}

/// MOV to CR8: the task-priority class, which can let a pending interrupt through.
pub(crate) fn write_cr8(apic: &mut LocalApic, value: u64) -> Result<(), Exception> {
    let class = u8::try_from(value).ok().filter(|&class| class < 16).ok_or(Exception::GP0)?;
    apic.set_task_priority_class(class);
    Ok(())
}

/// XSETBV: writes the extended control register `index`, of which there is XCR0 alone. Bits of components
/// that CPUID does not offer are reserved: those not `writable`. x87 state is always managed, and AVX state
/// not without that of SSE.
pub(crate) fn write_xcr(
    state: &mut CpuState,
    index: u32,
    value: u64,
    writable: XCr0Flags,
) -> Result<(), Exception> {
    let new = XCr0Flags::from_bits(value).ok_or(Exception::GP0)?;
    let torn = new.contains(XCr0Flags::AVX) && !new.contains(XCr0Flags::SSE);
    if index != 0 || !writable.contains(new) || !new.contains(XCr0Flags::X87) || torn {
        return Err(Exception::GP0);
    }
    state.control.xcr0 = new;
    Ok(())
}

/// CLTS.
pub(crate) fn clear_task_switched(state: &mut CpuState) {
    state.control.cr0.remove(Cr0Flags::TASK_SWITCHED);
}

/// LMSW: writes PE, MP, EM and TS of CR0, but does not clear PE.
pub(crate) fn load_machine_status_word(
    state: &mut CpuState,
    word: u16,
) -> Result<ControlEffect, Exception> {
    let old = state.control.cr0.bits();
    let sticky = old & Cr0Flags::PROTECTED_MODE_ENABLE.bits();
    write_cr0(state, old & !0xf | u64::from(word) & 0xf | sticky)
}
