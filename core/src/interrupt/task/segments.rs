//! The segment registers of a task that has been switched to: what makes one invalid raises #TS with
//! its selector, where a load by an instruction would raise #GP (SDM, "Exception Conditions Checked
//! During a Task Switch").
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
    let virtual_8086 = state.virtual_8086();
    let mut loads = Loads { state, mmu, external };
    // CS and SS are checked before the others, which may depend on the privilege level.
    use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
    for register in [Cs, Ss, Es, Ds, Fs, Gs] {
        let selector = loads.state.segments[register].selector;
        let segment = match register {
            _ if virtual_8086 => virtual_8086::segment(selector),
            Cs => loads.code(selector)?,
            Ss => loads.stack(selector)?,
            _ => loads.data(selector)?,
        };
        loads.state.segments[register] = segment;
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

    fn code(&mut self, selector: u16) -> Result<Segment, Exception> {
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
        if !access.present() {
            return Err(self.fault(Vector::SegmentNotPresent, selector));
        }
        self.accept(found, selector)
    }

    fn stack(&mut self, selector: u16) -> Result<Segment, Exception> {
        if is_null(selector) {
            return Err(self.invalid(selector));
        }
        let found = self.descriptor(selector)?;
        let access = found.access();
        let level = self.state.cpl();
        if !is_writable_data(access) {
            return Err(self.invalid(selector));
        }
        if !access.present() {
            return Err(self.fault(Vector::StackFault, selector));
        }
        if access.dpl() != level || rpl(selector) != level {
            return Err(self.invalid(selector));
        }
        self.accept(found, selector)
    }

    fn data(&mut self, selector: u16) -> Result<Segment, Exception> {
        if is_null(selector) {
            return Ok(null_segment(selector, 0));
        }
        let found = self.descriptor(selector)?;
        let access = found.access();
        let readable = access.code_or_data() && (!access.code() || access.readable_or_writable());
        let conforming = access.code() && is_conforming(access);
        if !readable || !conforming && rpl(selector).max(self.state.cpl()) > access.dpl() {
            return Err(self.invalid(selector));
        }
        if !access.present() {
            return Err(self.fault(Vector::SegmentNotPresent, selector));
        }
        self.accept(found, selector)
    }
}
