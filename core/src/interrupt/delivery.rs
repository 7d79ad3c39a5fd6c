//! One delivery through the interrupt descriptor table, or the interrupt vector table of
//! real-address mode (SDM, INT n). What happens when it fails is decided in `exception`.

use super::access::{fault, read_system, table_address};
use super::code;
use super::descriptor::{kind, rpl};
use super::gate::Gate;
use super::stack::Stack;
use super::task::{self, Cause, Resumption};
use super::tss;
use super::virtual_8086;
use crate::paging::{Mmu, Privilege};
use crate::state::{Activity, CpuState, Exception, RFlags, Register, SegmentRegister, Vector};

/// What is to be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// Index in the table.
    pub vector: u8,
    /// Pushed last, if there is one.
    pub error_code: Option<u32>,
    /// Whether faults of the delivery have EXT set: not those of INT n, INT3 and INTO.
    pub external: bool,
    /// Whether the gate's DPL must let the current privilege level through.
    pub checks_dpl: bool,
    /// Whether the pushed flags have RF set, so that the restarted instruction does not hit an
    /// instruction breakpoint again.
    pub resumes: bool,
    /// The pushed instruction pointer.
    pub return_rip: u64,
}

/// Delivers. Where a task gate has led to a task that can't run, its fault is left in
/// [`Pending::fault`](crate::state::Pending::fault).
pub(super) fn deliver(state: &mut CpuState, mmu: &mut Mmu, event: &Event) -> Result<(), Exception> {
    if state.protected() {
        through_gate(state, mmu, event)?;
    } else {
        through_vector_table(state, mmu, event)?;
    }
    state.activity = Activity::Active;
    state.shadow.sti = false;
    state.shadow.mov_ss = false;
    Ok(())
}

fn through_vector_table(
    state: &mut CpuState,
    mmu: &mut Mmu,
    event: &Event,
) -> Result<(), Exception> {
    let offset = u16::from(event.vector) * 4;
    if offset + 3 > state.idtr.limit {
        return Err(Exception::GP0);
    }
    let linear = table_address(state, state.idtr.base, u64::from(offset));
    let entry: u32 = read_system(state, mmu, linear, false)?;
    let cs = code::by_paragraph(state, (entry >> 16) as u16);
    let rip = u64::from(entry & 0xffff);
    let frame = [
        state.rflags.bits(),
        u64::from(state.segments[SegmentRegister::Cs].selector),
        event.return_rip,
    ];
    let mut stack = Stack::current(state, Exception::SS0);
    stack.probe(state, mmu, frame.len(), 16)?;
    if !code::holds(state, &cs, rip) {
        return Err(Exception::GP0);
    }
    stack.push(state, mmu, &frame, 16)?;
    state.gpr[Register::Rsp] = stack.pointer;
    let cleared =
        RFlags::INTERRUPT_FLAG | RFlags::TRAP_FLAG | RFlags::ALIGNMENT_CHECK | RFlags::RESUME_FLAG;
    state.rflags = code::without(state.rflags, cleared);
    code::enter(state, mmu, cs, rip);
    Ok(())
}

fn through_gate(state: &mut CpuState, mmu: &mut Mmu, event: &Event) -> Result<(), Exception> {
    let gate = read_gate(state, mmu, event)?;
    let legacy = gate.bits != 64;
    if legacy && gate.kind() == Some(kind::TASK_GATE) {
        return through_task_gate(state, mmu, event, gate.selector);
    }
    let cs = code::behind_gate(state, mmu, gate.selector, event.external, false)?;
    let cpl = rpl(cs.selector);
    let inner = cpl < state.cpl();
    let leaves_virtual_8086 = legacy && state.virtual_8086();
    if leaves_virtual_8086 && cpl != 0 {
        return Err(fault(Vector::GeneralProtection, gate.selector, event.external));
    }
    let mut stack = handler_stack(state, mmu, &gate, cpl, event.external)?;
    // A 64-bit gate always saves the stack pointer.
    let start = if inner || !legacy { 0 } else { 2 };
    let end = if event.error_code.is_some() { 6 } else { 5 };
    let frame = &frame(state, event)[start..end];
    let data = leaves_virtual_8086.then(|| virtual_8086::data_selectors(state));
    stack.probe(state, mmu, frame.len() + data.map_or(0, |data| data.len()), gate.bits)?;
    if !code::holds(state, &cs, gate.offset) {
        return Err(fault(Vector::GeneralProtection, 0, event.external));
    }
    if let Some(data) = data {
        stack.push(state, mmu, &data, gate.bits)?;
        virtual_8086::drop_data(state);
    }
    stack.push(state, mmu, frame, gate.bits)?;

    state.gpr[Register::Rsp] = stack.pointer;
    if inner {
        state.segments[SegmentRegister::Ss] = stack.segment;
    }
    let mut cleared =
        RFlags::TRAP_FLAG | RFlags::NESTED_TASK | RFlags::RESUME_FLAG | RFlags::VIRTUAL_8086_MODE;
    cleared.set(RFlags::INTERRUPT_FLAG, gate.is_interrupt_gate());
    state.rflags = code::without(state.rflags, cleared);
    code::enter(state, mmu, cs, gate.offset);
    Ok(())
}

/// Reads and checks the gate (SDM, INT n, "protected mode" and "IA-32e mode").
fn read_gate(state: &CpuState, mmu: &mut Mmu, event: &Event) -> Result<Gate, Exception> {
    const IDT: u32 = 2;
    let code = (u32::from(event.vector) * 8) | IDT | u32::from(event.external);
    let denied = Exception::with_code(Vector::GeneralProtection, code);

    let long = state.long_mode();
    let size: u32 = if long { 16 } else { 8 };
    let offset = u32::from(event.vector) * size;
    if offset + size - 1 > u32::from(state.idtr.limit) {
        return Err(denied);
    }
    let linear = table_address(state, state.idtr.base, u64::from(offset));
    let gate = if !long {
        Gate::legacy(read_system(state, mmu, linear, event.external)?)
    } else if let Some([raw, upper]) = mmu.read_quadwords(state, linear, Privilege::System) {
        Gate::long(raw, upper & 0xffff_ffff)
    } else {
        let raw = read_system(state, mmu, linear, event.external)?;
        let upper: u64 = read_system(state, mmu, linear.wrapping_add(8), event.external)?;
        Gate::long(raw, upper & 0xffff_ffff)
    };
    let possible = match gate.kind() {
        Some(kind::INTERRUPT_GATE | kind::TRAP_GATE) => true,
        Some(kind::INTERRUPT_GATE_16 | kind::TRAP_GATE_16 | kind::TASK_GATE) => !long,
        _ => false,
    };
    if !possible || event.checks_dpl && gate.access.dpl() < state.cpl() {
        return Err(denied);
    }
    if !gate.access.present() {
        return Err(Exception::with_code(Vector::SegmentNotPresent, code));
    }
    Ok(gate)
}

fn through_task_gate(
    state: &mut CpuState,
    mmu: &mut Mmu,
    event: &Event,
    selector: u16,
) -> Result<(), Exception> {
    let cause = Cause::Event { external: event.external, error_code: event.error_code };
    let resumption = Resumption { rip: event.return_rip, rflags: pushed_flags(state, event) };
    task::switch(state, mmu, selector, cause, resumption)
}

/// The stack that a handler at privilege level `cpl` gets.
fn handler_stack(
    state: &CpuState,
    mmu: &mut Mmu,
    gate: &Gate,
    cpl: u8,
    external: bool,
) -> Result<Stack, Exception> {
    let inner = cpl < state.cpl();
    if gate.bits != 64 {
        return if inner {
            tss::inner_stack(state, mmu, cpl, external)
        } else {
            Ok(Stack::current(state, fault(Vector::StackFault, 0, external)))
        };
    }
    let mut stack = match (gate.interrupt_stack(), inner) {
        (0, true) => tss::inner_stack_64bit(state, mmu, cpl, external)?,
        (0, false) => Stack::current_flat(state, fault(Vector::StackFault, 0, external)),
        (index, _) => tss::interrupt_stack(state, mmu, index, cpl, external)?,
    };
    stack.pointer &= !0xf;
    Ok(stack)
}

fn pushed_flags(state: &CpuState, event: &Event) -> RFlags {
    let mut rflags = state.rflags;
    if event.resumes {
        rflags |= RFlags::RESUME_FLAG;
    }
    rflags
}

/// All that can be pushed, first to last: SS, RSP, RFLAGS, CS, RIP, error code.
fn frame(state: &CpuState, event: &Event) -> [u64; 6] {
    let selector = |register| u64::from(state.segments[register].selector);
    [
        selector(SegmentRegister::Ss),
        state.gpr[Register::Rsp],
        pushed_flags(state, event).bits(),
        selector(SegmentRegister::Cs),
        event.return_rip,
        u64::from(event.error_code.unwrap_or(0)),
    ]
}
