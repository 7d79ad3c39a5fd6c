//! Loads of the data and stack segment registers, of LDTR and of TR. CS changes only with the
//! instruction pointer, in the files of the transfers.

use super::access::{fault, set_type_bits};
use super::descriptor::{BUSY, Descriptor, is_local, is_null, kind, rpl};
use super::virtual_8086;
use crate::paging::Mmu;
use crate::state::{Access, CpuState, Exception, Segment, SegmentRegister, Vector};

/// Loads DS, ES, FS, GS or SS as MOV, POP and LDS do (SDM, MOV). CS, LDTR and TR can't be loaded
/// so and raise #UD.
///
/// # Errors
/// #GP, #SS, #NP or #PF; the state is then untouched.
pub(crate) fn load_segment(
    state: &mut CpuState,
    mmu: &mut Mmu,
    register: SegmentRegister,
    selector: u16,
) -> Result<(), Exception> {
    let segment = match register {
        SegmentRegister::Cs | SegmentRegister::Ldtr | SegmentRegister::Tr => {
            return Err(Exception::UD);
        }
        _ if !state.has_descriptors() => by_paragraph(state, register, selector),
        SegmentRegister::Ss => {
            stack_segment(state, mmu, selector, state.cpl(), state.mode_64bit())?
        }
        _ => data_segment(state, mmu, selector)?,
    };
    state.segments[register] = segment;
    Ok(())
}

/// A load where a selector is a sixteenth of the base: in real-address or virtual-8086 mode.
pub(super) fn by_paragraph(state: &CpuState, register: SegmentRegister, selector: u16) -> Segment {
    match state.virtual_8086() {
        true => virtual_8086::segment(selector),
        false => real_mode(&state.segments[register], selector),
    }
}

/// A load in real-address mode: limit and rights stay as they were, which "big real mode" depends
/// on. A register that held no segment gets those of a processor after reset.
fn real_mode(old: &Segment, selector: u16) -> Segment {
    let base = u64::from(selector) << 4;
    if old.access.unusable() || !old.access.present() {
        return Segment { base, limit: 0xffff, access: Access(0x93), selector };
    }
    Segment { base, selector, ..*old }
}

/// What a register holds after a load of a NULL selector: no segment, and DPL for SS, whose DPL is
/// the current privilege level.
pub(super) fn null_segment(selector: u16, dpl: u8) -> Segment {
    Segment { base: 0, limit: 0, access: Access(Access::UNUSABLE).with_dpl(dpl), selector }
}

/// Checks and reads a stack segment for privilege level `cpl`, as MOV to SS and returns do.
/// `into_64bit` is whether it is for 64-bit mode, which takes a NULL selector below level 3.
pub(super) fn stack_segment(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    cpl: u8,
    into_64bit: bool,
) -> Result<Segment, Exception> {
    if is_null(selector) {
        return if into_64bit && cpl != 3 && rpl(selector) == cpl {
            Ok(null_segment(selector, cpl))
        } else {
            Err(Exception::GP0)
        };
    }
    let mut descriptor = Descriptor::read(state, mmu, selector, Vector::GeneralProtection, false)?;
    let access = descriptor.access();
    if rpl(selector) != cpl || !is_writable_data(access) || access.dpl() != cpl {
        return Err(Exception::gp(selector));
    }
    if !access.present() {
        return Err(fault(Vector::StackFault, selector, false));
    }
    descriptor.mark_accessed(state, mmu, false)?;
    Ok(descriptor.segment(selector))
}

fn data_segment(state: &CpuState, mmu: &mut Mmu, selector: u16) -> Result<Segment, Exception> {
    if is_null(selector) {
        return Ok(null_segment(selector, 0));
    }
    let mut descriptor = Descriptor::read(state, mmu, selector, Vector::GeneralProtection, false)?;
    let access = descriptor.access();
    let readable = access.code_or_data() && (!access.code() || access.readable_or_writable());
    let conforming = access.code() && access.conforming_or_expand_down();
    if !readable || !conforming && rpl(selector).max(state.cpl()) > access.dpl() {
        return Err(Exception::gp(selector));
    }
    if !access.present() {
        return Err(fault(Vector::SegmentNotPresent, selector, false));
    }
    descriptor.mark_accessed(state, mmu, false)?;
    Ok(descriptor.segment(selector))
}

/// A writable data segment: the only kind a stack may be.
pub(super) fn is_writable_data(access: Access) -> bool {
    access.code_or_data() && !access.code() && access.readable_or_writable()
}

/// Takes data segments away that a less privileged level may not use (SDM, IRET, "return to outer
/// privilege level"). A NULL selector loses its RPL; the base beside it stays.
pub(super) fn invalidate_inner(state: &mut CpuState, cpl: u8) {
    use SegmentRegister::{Ds, Es, Fs, Gs};
    for register in [Es, Fs, Gs, Ds] {
        let segment = &mut state.segments[register];
        let access = segment.access;
        let conforming = access.code() && access.conforming_or_expand_down();
        if access.unusable() {
            segment.selector = 0;
        } else if !conforming && access.dpl() < cpl {
            *segment = null_segment(0, 0);
        }
    }
}

/// LLDT (SDM, LLDT).
///
/// # Errors
/// #UD outside protected mode and in virtual-8086 mode, #GP, #NP or #PF; the state is then untouched.
pub(crate) fn load_local_descriptor_table(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
) -> Result<(), Exception> {
    privileged(state)?;
    let segment = if is_null(selector) {
        null_segment(selector, 0)
    } else {
        system_segment(state, mmu, selector, |found| found == kind::LDT)?.0
    };
    state.segments[SegmentRegister::Ldtr] = segment;
    Ok(())
}

/// LTR: loads TR and marks the TSS busy (SDM, LTR).
///
/// # Errors
/// #UD outside protected mode and in virtual-8086 mode, #GP, #NP or #PF; the state is then untouched.
pub(crate) fn load_task_register(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
) -> Result<(), Exception> {
    privileged(state)?;
    if is_null(selector) {
        return Err(Exception::GP0);
    }
    let long = state.long_mode();
    let (mut segment, descriptor) = system_segment(state, mmu, selector, |found| {
        found == kind::TSS || found == kind::TSS_16 && !long
    })?;
    set_type_bits(state, mmu, descriptor.type_address(), BUSY, false)?;
    segment.access.0 |= u32::from(BUSY);
    state.segments[SegmentRegister::Tr] = segment;
    Ok(())
}

fn privileged(state: &CpuState) -> Result<(), Exception> {
    match (state.has_descriptors(), state.cpl()) {
        (false, _) => Err(Exception::UD),
        (true, 0) => Ok(()),
        (true, _) => Err(Exception::GP0),
    }
}

/// An LDT or TSS descriptor in the GDT; sixteen bytes of it in 64-bit mode.
fn system_segment(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    wanted: impl Fn(u8) -> bool,
) -> Result<(Segment, Descriptor), Exception> {
    if is_local(selector) {
        return Err(Exception::gp(selector));
    }
    let descriptor = Descriptor::read(state, mmu, selector, Vector::GeneralProtection, false)?;
    let access = descriptor.access();
    if access.code_or_data() || !wanted(access.kind()) {
        return Err(Exception::gp(selector));
    }
    if !access.present() {
        return Err(fault(Vector::SegmentNotPresent, selector, false));
    }
    let mut segment = descriptor.segment(selector);
    if state.mode_64bit() {
        segment.base |= descriptor.upper(state, mmu, selector)? << 32;
        if !mmu.takes_base(segment.base) {
            return Err(Exception::gp(selector));
        }
    }
    Ok((segment, descriptor))
}
