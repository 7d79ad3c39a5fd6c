//! Virtual-8086 mode (SDM, "8086 Emulation", "Virtual-8086 Mode"): how it is entered and returned
//! from, what a handler outside of it finds, and its extensions: software interrupts that stay
//! within the program, and a virtual interrupt flag.
//!
//! The mode is RFLAGS.VM with CR0.PE; its privilege level is 3, which the DPL of SS says as in all
//! modes. Task switches into it are in `task`.

use super::access::{fault, read_system, table_address};
use super::code;
use super::segment::null_segment;
use super::stack::Stack;
use crate::paging::Mmu;
use crate::state::{
    Access, CpuState, Cr4Flags, Exception, RFlags, Register, Segment, SegmentRegister, Vector,
};

use SegmentRegister::{Ds, Es, Fs, Gs, Ss};

/// Of a segment: present, DPL 3, read and write, accessed.
const RIGHTS: Access = Access(0xf3);
/// The segments that a handler outside the mode does not get, in the order in which they are pushed.
const DATA: [SegmentRegister; 4] = [Gs, Fs, Ds, Es];

/// What a segment register holds: 64 KiB from sixteen times the selector on.
pub(super) fn segment(selector: u16) -> Segment {
    Segment { base: u64::from(selector) << 4, limit: 0xffff, access: RIGHTS, selector }
}

/// The first part of the frame of a handler outside the mode.
pub(super) fn data_selectors(state: &CpuState) -> [u64; 4] {
    DATA.map(|register| state.segments[register].selector.into())
}

/// The handler's data segments: none.
pub(super) fn drop_data(state: &mut CpuState) {
    for register in DATA {
        state.segments[register] = null_segment(0, 0);
    }
}

/// IRETD at privilege level 0 with VM set in the image: enters the mode. `stack` is behind EFLAGS.
///
/// # Errors
/// #SS or #PF on the frame, #GP(0) for an instruction pointer outside the segment; the state is then
/// untouched.
pub(super) fn enter(
    state: &mut CpuState,
    mmu: &mut Mmu,
    mut stack: Stack,
    (selector, rip, image): (u16, u64, u64),
) -> Result<(), Exception> {
    /// Flags that exist.
    const DEFINED: u64 = 0x3f_7fd5;
    let [pointer, ss, es, ds, fs, gs] = stack.pop_all(state, mmu, 32)?;
    let cs = segment(selector);
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }
    state.rflags = RFlags::from_bits_retain(image & DEFINED | 2);
    state.gpr[Register::Rsp] = pointer;
    for (register, selector) in [(Ss, ss), (Es, es), (Ds, ds), (Fs, fs), (Gs, gs)] {
        state.segments[register] = segment(selector as u16);
    }
    code::enter(state, mmu, cs, rip);
    Ok(())
}

/// Whether the program may take its flags from or put them on its stack: PUSHF, POPF and IRET (SDM,
/// "Sensitive Instructions"). Where IOPL keeps IF from it, CR4.VME gives it VIF in a 16-bit image.
///
/// # Errors
/// #GP(0) if not.
pub(crate) fn require_flags(state: &CpuState, operand_bits: u32) -> Result<(), Exception> {
    let extended = state.control.cr4.contains(Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS);
    match state.iopl() == 3 || operand_bits == 16 && extended {
        true => Ok(()),
        false => Err(Exception::GP0),
    }
}

/// VIF out of a flags image that POPF or IRET takes from a program without IOPL; `None` if the
/// program's supervisor has to see to it.
pub(crate) fn virtual_interrupt_flag(rflags: RFlags, image: RFlags) -> Option<bool> {
    let enables = image.contains(RFlags::INTERRUPT_FLAG);
    let pending = rflags.contains(RFlags::VIRTUAL_INTERRUPT_PENDING);
    let denied = enables && pending || image.contains(RFlags::TRAP_FLAG);
    (!denied).then_some(enables)
}

/// Whether a virtual interrupt is due: VIF and VIP are both set where a program has VIF for IF. Then #GP(0)
/// is in the place of its next instruction (SDM, "Class 2—Maskable Hardware Interrupt Handling in
/// Virtual-8086 Mode Using the Virtual Interrupt Mechanism"; "Protected-Mode Virtual Interrupts").
pub(crate) fn virtual_interrupt_is_due(state: &CpuState) -> bool {
    const DUE: RFlags = RFlags::VIRTUAL_INTERRUPT.union(RFlags::VIRTUAL_INTERRUPT_PENDING);
    let extension = match state.virtual_8086() {
        true => Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS,
        false => Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS,
    };
    state.rflags.contains(DUE)
        && state.protected()
        && state.cpl() == 3
        && state.iopl() < 3
        && state.control.cr4.contains(extension)
}

/// The flags as a program in this mode finds them on its stack: with an IOPL below 3, VIF is in the
/// place of IF, and IOPL looks like 3.
pub(crate) fn shown_flags(mut rflags: RFlags, iopl: u8) -> RFlags {
    if iopl < 3 {
        rflags.set(RFlags::INTERRUPT_FLAG, rflags.contains(RFlags::VIRTUAL_INTERRUPT));
        rflags |= RFlags::IOPL_LOW | RFlags::IOPL_HIGH;
    }
    rflags
}

/// INT n in virtual-8086 mode, where the TSS or IOPL have it handled otherwise than through the IDT
/// (SDM, "Class 3—Software Interrupt Handling in Virtual-8086 Mode"). `false` if they have not.
///
/// # Errors
/// #GP(0) if the program may not execute INT n, and what its own stack raises; the state is then
/// untouched.
pub(super) fn software_interrupt(
    state: &mut CpuState,
    mmu: &mut Mmu,
    vector: u8,
    return_rip: u64,
) -> Result<bool, Exception> {
    let extended = state.control.cr4.contains(Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS);
    if extended && is_redirected(state, mmu, vector)? {
        redirect(state, mmu, vector, return_rip)?;
        return Ok(true);
    }
    if state.iopl() < 3 { Err(Exception::GP0) } else { Ok(false) }
}

/// Whether the bitmap below the I/O permission bitmap leaves the interrupt to the program: its bit is
/// clear.
fn is_redirected(state: &CpuState, mmu: &mut Mmu, vector: u8) -> Result<bool, Exception> {
    const BITMAP_BASE: u32 = 0x66;
    const BITMAP_BYTES: u32 = 32;
    let task = state.segments[SegmentRegister::Tr];
    if task.access.unusable() || task.limit < BITMAP_BASE + 1 {
        return Err(Exception::GP0);
    }
    let address = |offset: u32| table_address(state, task.base, offset.into());
    let end: u16 = read_system(state, mmu, address(BITMAP_BASE), false)?;
    let offset = u32::from(end).wrapping_sub(BITMAP_BYTES).wrapping_add(u32::from(vector / 8));
    if offset > task.limit {
        return Err(Exception::GP0);
    }
    let bits: u8 = read_system(state, mmu, address(offset), false)?;
    Ok(bits >> (vector % 8) & 1 == 0)
}

/// Goes to the handler in the program's own vector table, at linear address 0.
fn redirect(
    state: &mut CpuState,
    mmu: &mut Mmu,
    vector: u8,
    return_rip: u64,
) -> Result<(), Exception> {
    let entry: u32 = read_system(state, mmu, u64::from(vector) * 4, false)?;
    let (cs, rip) = (segment((entry >> 16) as u16), u64::from(entry & 0xffff));
    let own = match state.iopl() {
        3 => RFlags::INTERRUPT_FLAG,
        _ => RFlags::VIRTUAL_INTERRUPT,
    };
    let selector = state.segments[SegmentRegister::Cs].selector;
    let frame = [shown_flags(state.rflags, state.iopl()).bits(), selector.into(), return_rip];
    let mut stack = Stack::current(state, fault(Vector::StackFault, 0, false));
    stack.probe(state, mmu, frame.len(), 16)?;
    stack.push(state, mmu, &frame, 16)?;
    state.gpr[Register::Rsp] = stack.pointer;
    state.rflags = code::without(state.rflags, RFlags::TRAP_FLAG | RFlags::RESUME_FLAG | own);
    code::enter(state, mmu, cs, rip);
    Ok(())
}
