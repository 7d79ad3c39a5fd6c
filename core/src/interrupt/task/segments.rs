//! The segment registers of a task that has been switched to: what makes one invalid raises #TS with
//! its selector, where a load by an instruction would raise #GP (SDM, "Exception Conditions Checked
//! During a Task Switch"). The order of the checks is that of the manual's table, which is a model's own; but
//! nothing is asked of a segment whose descriptor, or whose LDT, is not there.
//!
//! Invariant: what is not loaded yet holds no segment, so that the handler of a fault, which runs in
//! the new task, can't use it.

use super::super::access::fault;
use super::super::code::is_conforming;
use super::super::descriptor::{Descriptor, is_local, is_null, kind, rpl};
use super::super::segment::{is_writable_data, null_segment};
use super::super::virtual_8086;
use super::image::{Image, SEGMENTS};
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, Segment, SegmentRegister, Vector};

/// Makes the selectors visible. The privilege level is that of CS from here on.
pub(super) fn show(state: &mut CpuState, image: &Image) {
    let level = privilege(state, image);
    for (register, selector) in SEGMENTS.into_iter().zip(image.selectors) {
        state.segments[register] = null_segment(selector, level);
    }
    state.segments[SegmentRegister::Ldtr] = null_segment(image.local, 0);
}

fn privilege(state: &CpuState, image: &Image) -> u8 {
    if state.virtual_8086() { 3 } else { rpl(image.selectors[1]) }
}

/// Loads them, LDTR first.
///
/// # Errors
/// #TS, #NP, #SS or #PF of the new task.
pub(super) fn load(
    state: &mut CpuState,
    mmu: &mut Mmu,
    image: &Image,
    external: bool,
) -> Result<(), Exception> {
    if !is_null(image.local) {
        let table = local_table(state, mmu, image.local, external)?;
        state.segments[SegmentRegister::Ldtr] = table;
    }
    if state.virtual_8086() {
        for register in SEGMENTS {
            let segment = &mut state.segments[register];
            *segment = virtual_8086::segment(segment.selector);
        }
        return Ok(());
    }
    let mut loads = Loads { state, mmu, external };
    loads.code_and_stack()?;
    use SegmentRegister::{Ds, Es, Fs, Gs};
    for register in [Ds, Es, Fs, Gs] {
        let selector = loads.state.segments[register].selector;
        loads.state.segments[register] = loads.data(selector)?;
    }
    Ok(())
}

fn local_table(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    external: bool,
) -> Result<Segment, Exception> {
    let invalid = fault(Vector::InvalidTss, selector, external);
    if is_local(selector) {
        return Err(invalid);
    }
    let descriptor = Descriptor::read(state, mmu, selector, Vector::InvalidTss, external)?;
    let access = descriptor.access();
    if access.code_or_data() || access.kind() != kind::LDT || !access.present() {
        return Err(invalid);
    }
    Ok(descriptor.segment(selector))
}

/// What loads have in common.
struct Loads<'a> {
    state: &'a mut CpuState,
    mmu: &'a mut Mmu,
    external: bool,
}

impl Loads<'_> {
    fn fault(&self, vector: Vector, selector: u16) -> Exception {
        fault(vector, selector, self.external)
    }

    fn invalid(&self, selector: u16) -> Exception {
        self.fault(Vector::InvalidTss, selector)
    }

    fn descriptor(&mut self, selector: u16) -> Result<Descriptor, Exception> {
        Descriptor::read(self.state, self.mmu, selector, Vector::InvalidTss, self.external)
    }

    /// Marks a segment that has passed all checks as accessed.
    fn accept(&mut self, mut found: Descriptor, selector: u16) -> Result<Segment, Exception> {
        found.mark_accessed(self.state, self.mmu, self.external)?;
        Ok(found.segment(selector))
    }

    /// CS and SS, whose checks take turns.
    fn code_and_stack(&mut self) -> Result<(), Exception> {
        use SegmentRegister::{Cs, Ss};
        let [code, stack] = [Cs, Ss].map(|register| self.state.segments[register].selector);
        let found = self.code(code)?;
        let found_stack = self.stack(stack)?;
        if !found.access().present() {
            return Err(self.fault(Vector::SegmentNotPresent, code));
        }
        self.state.segments[Cs] = self.accept(found, code)?;
        if rpl(stack) != self.state.cpl() {
            return Err(self.invalid(stack));
        }
        self.state.segments[Ss] = self.accept(found_stack, stack)?;
        Ok(())
    }

    /// Code that the selector's privilege level is right for, present or not.
    fn code(&mut self, selector: u16) -> Result<Descriptor, Exception> {
        if is_null(selector) {
            return Err(self.invalid(selector));
        }
        let found = self.descriptor(selector)?;
        let access = found.access();
        let level = rpl(selector);
        let denied =
            if is_conforming(access) { access.dpl() > level } else { access.dpl() != level };
        if !access.code() || denied {
            return Err(self.invalid(selector));
        }
        Ok(found)
    }

    /// A stack of the current privilege level, whatever the selector's is.
    fn stack(&mut self, selector: u16) -> Result<Descriptor, Exception> {
        if is_null(selector) {
            return Err(self.invalid(selector));
        }
        let found = self.descriptor(selector)?;
        let access = found.access();
        if !is_writable_data(access) {
            return Err(self.invalid(selector));
        }
        if !access.present() {
            return Err(self.fault(Vector::StackFault, selector));
        }
        if access.dpl() != self.state.cpl() {
            return Err(self.invalid(selector));
        }
        Ok(found)
    }

    fn data(&mut self, selector: u16) -> Result<Segment, Exception> {
        if is_null(selector) {
            return Ok(null_segment(selector, 0));
        }
        let found = self.descriptor(selector)?;
        let access = found.access();
        let readable = access.code_or_data() && (!access.code() || access.readable_or_writable());
        let conforming = access.code() && is_conforming(access);
        if !readable {
            return Err(self.invalid(selector));
        }
        if !access.present() {
            return Err(self.fault(Vector::SegmentNotPresent, selector));
        }
        if !conforming && rpl(selector).max(self.state.cpl()) > access.dpl() {
            return Err(self.invalid(selector));
        }
        self.accept(found, selector)
    }
}
