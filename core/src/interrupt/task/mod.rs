//! Hardware task switches (SDM, "Task Management"): by JMP and CALL to a task-state segment or a task
//! gate, by an exception or interrupt through a task gate, by IRET with NT set.
//!
//! Here are the order of the steps and the checks before the point of no return. What a task-state
//! segment holds is in `image`, what is checked of the new task's segments in `segments`.
//!
//! Invariant: an `Err` is a fault of the old task, which is then as it was. A fault behind the point
//! of no return belongs to the new task, whose registers are all loaded: it is left in
//! [`Pending::fault`](crate::state::Pending::fault). IA-32e mode has no task switches; callers see
//! to that.

mod image;
mod segments;

use self::image::{Image, Layout};
use super::access::{
    clear_type_bits, fault, probe_write, read_system, set_type_bits, write_system,
};
use super::code;
use super::descriptor::{BUSY, Descriptor, is_local, is_null, kind};
use super::stack::Stack;
use crate::paging::{Mmu, PagingMode, Privilege};
use crate::state::{
    Activity, CpuState, Cr0Flags, Dr6Flags, Exception, RFlags, Register, SegmentRegister, Shadow,
    Vector,
};

/// What switches tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// JMP: the old task is over.
    Jump,
    /// CALL: the old task is to be returned to.
    Call,
    /// An exception or interrupt, which the new task is entered for as by CALL.
    Event {
        /// Whether faults have EXT set.
        external: bool,
        /// Pushed onto the new task's stack, if there is one.
        error_code: Option<u32>,
    },
    /// IRET: back to the task that the old one is nested in.
    Return,
}

impl Cause {
    /// Whether the new task returns to the old one.
    fn nests(self) -> bool {
        matches!(self, Self::Call | Self::Event { .. })
    }

    /// The EXT bit of error codes.
    fn external(self) -> bool {
        matches!(self, Self::Event { external: true, .. })
    }
}

/// How the old task goes on when it is returned to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumption {
    pub rip: u64,
    pub rflags: RFlags,
}

/// A task-state segment that is switched from or to.
#[derive(Clone, Copy)]
struct Task {
    selector: u16,
    base: u64,
    layout: &'static Layout,
    descriptor: Descriptor,
}

/// Switches to the task that `selector` names.
///
/// # Errors
/// #GP, #TS, #NP or #PF of the old task, which is then as it was.
pub(super) fn switch(
    state: &mut CpuState,
    mmu: &mut Mmu,
    selector: u16,
    cause: Cause,
    mut resumption: Resumption,
) -> Result<(), Exception> {
    let new = incoming(state, mmu, selector, cause)?;
    let old = outgoing(state, mmu, cause.external())?;
    probe(state, mmu, (&old, &new), cause)?;

    if cause == Cause::Return {
        resumption.rflags.remove(RFlags::NESTED_TASK);
    }
    // Whoever takes a page away after the probe must find nothing that hinders the switch from being
    // tried again, so the busy bits come last.
    old.layout.save(state, mmu, old.base, &Image::of(state, resumption))?;
    let mut image = new.layout.load(state, mmu, new.base)?;
    if cause.nests() {
        write_system(state, mmu, new.base, old.selector)?;
        image.rflags |= RFlags::NESTED_TASK.bits();
    }
    if cause != Cause::Return {
        set_type_bits(state, mmu, new.descriptor.type_address(), BUSY, false)?;
    }
    if !cause.nests() {
        let cleared = clear_type_bits(state, mmu, old.descriptor.type_address(), BUSY);
        if cleared.is_err() && cause != Cause::Return {
            clear_type_bits(state, mmu, new.descriptor.type_address(), BUSY)?;
        }
        cleared?;
    }

    let mut task = new.descriptor.segment(new.selector);
    task.access.0 |= u32::from(BUSY);
    state.segments[SegmentRegister::Tr] = task;
    let entered = enter(state, mmu, &image, new.layout, cause);
    match entered {
        Err(fault) => {
            state.pending.fault = Some(fault);
            mmu.attention = true;
        }
        Ok(()) if image.traps => {
            let debug = &mut state.pending.debug;
            *debug = Some(debug.unwrap_or(Dr6Flags::empty()) | Dr6Flags::SWITCH);
        }
        Ok(()) => {}
    }
    Ok(())
}

/// Returns to the task that the current one is nested in (SDM, IRET, "task return").
///
/// # Errors
/// As [`switch`].
pub(super) fn resume_outer(
    state: &mut CpuState,
    mmu: &mut Mmu,
    resumption: Resumption,
) -> Result<(), Exception> {
    let base = state.segments[SegmentRegister::Tr].base;
    let link = read_system(state, mmu, base & 0xffff_ffff, false)?;
    switch(state, mmu, link, Cause::Return, resumption)
}

/// The task to switch to: an available TSS, or a busy one to return to (SDM, "Exception Conditions
/// Checked During a Task Switch").
fn incoming(
    state: &CpuState,
    mmu: &mut Mmu,
    selector: u16,
    cause: Cause,
) -> Result<Task, Exception> {
    let returns = cause == Cause::Return;
    let external = cause.external();
    let vector = if returns { Vector::InvalidTss } else { Vector::GeneralProtection };
    let denied = fault(vector, selector, external);
    if is_local(selector) || is_null(selector) {
        return Err(denied);
    }
    let descriptor = Descriptor::read(state, mmu, selector, vector, external)?;
    let access = descriptor.access();
    let layout = match (access.kind(), returns) {
        (kind::TSS_16, false) | (kind::TSS_16_BUSY, true) => &image::NARROW,
        (kind::TSS, false) | (kind::TSS_BUSY, true) => &image::WIDE,
        _ => return Err(denied),
    };
    if access.code_or_data() {
        return Err(denied);
    }
    if !access.present() {
        return Err(fault(Vector::SegmentNotPresent, selector, external));
    }
    if descriptor.limit() < layout.last {
        return Err(fault(Vector::InvalidTss, selector, external));
    }
    Ok(Task { selector, base: descriptor.base(), layout, descriptor })
}

/// The task that is left, by the hidden part of TR.
fn outgoing(state: &CpuState, mmu: &mut Mmu, external: bool) -> Result<Task, Exception> {
    let task = state.segments[SegmentRegister::Tr];
    let layout = match task.access.kind() {
        kind::TSS_16 | kind::TSS_16_BUSY => &image::NARROW,
        _ => &image::WIDE,
    };
    let invalid = fault(Vector::InvalidTss, task.selector, external);
    if task.access.unusable() || task.limit < layout.last {
        return Err(invalid);
    }
    let descriptor = Descriptor::read(state, mmu, task.selector, Vector::InvalidTss, external)?;
    Ok(Task { selector: task.selector, base: task.base, layout, descriptor })
}

/// Finds out whether anything that the switch reads or writes is not mapped, before it begins.
fn probe(
    state: &CpuState,
    mmu: &mut Mmu,
    (old, new): (&Task, &Task),
    cause: Cause,
) -> Result<(), Exception> {
    let denied = fault(Vector::GeneralProtection, 0, cause.external());
    let mut writable =
        |linear, length| probe_write(state, mmu, linear, length, Privilege::System, denied);
    let (first, length) = old.layout.saved();
    writable(old.base.wrapping_add(first.into()) & 0xffff_ffff, length)?;
    if cause.nests() {
        writable(new.base, 2)?;
    } else {
        writable(old.descriptor.type_address(), 1)?;
    }
    if cause != Cause::Return {
        writable(new.descriptor.type_address(), 1)?;
    }
    new.layout.load(state, mmu, new.base).map(|_| ())
}

/// Loads the new task's registers, and then its segments.
///
/// # Errors
/// What the new task faults with.
fn enter(
    state: &mut CpuState,
    mmu: &mut Mmu,
    image: &Image,
    layout: &Layout,
    cause: Cause,
) -> Result<(), Exception> {
    /// The breakpoints that a task has for itself: L0 to L3, and LE.
    const LOCAL_ENABLES: u64 = 0x155;
    state.control.cr0.insert(Cr0Flags::TASK_SWITCHED);
    state.debug.dr7 &= !LOCAL_ENABLES;
    mmu.watch_data(&state.debug);
    state.activity = Activity::Active;
    state.shadow = Shadow { nmi: state.shadow.nmi, ..Shadow::default() };
    let mapped = match image.cr3 {
        Some(cr3) if state.paging() => load_page_directory(state, mmu, cr3),
        _ => Ok(()),
    };
    image.restore(state);
    segments::show(state, image);
    mmu.update_mode(state);
    mapped?;

    let external = cause.external();
    segments::load(state, mmu, image, external)?;
    mmu.update_mode(state);
    if let Cause::Event { error_code: Some(code), .. } = cause {
        let mut stack = Stack::current(state, fault(Vector::StackFault, 0, external));
        stack.probe(state, mmu, 1, layout.bits())?;
        stack.push(state, mmu, &[code.into()], layout.bits())?;
        state.gpr[Register::Rsp] = stack.pointer;
    }
    match code::holds(state, &state.segments[SegmentRegister::Cs], state.rip) {
        true => Ok(()),
        false => Err(fault(Vector::GeneralProtection, 0, external)),
    }
}

fn load_page_directory(state: &mut CpuState, mmu: &mut Mmu, cr3: u64) -> Result<(), Exception> {
    let pae = PagingMode::of(state) == PagingMode::Pae;
    let pointers = if pae { mmu.load_pointers(state, cr3) } else { Ok(()) };
    state.control.cr3 = cr3;
    mmu.flush_non_global();
    pointers
}
