//! Segment registers and descriptors: MOV, PUSH and POP of segment registers, LDS, LES, LFS, LGS,
//! LSS, LLDT, LTR, SLDT, STR, LAR, LSL, VERR, VERW, ARPL, the FS and GS bases, SWAPGS.
//!
//! What a load checks is in `interrupt`. Every load ends its block, since handlers know segments as
//! they were when dispatch started.

use iced_x86::Mnemonic;

use super::emit::{Emit, Function};
use super::flags::ZF;
use super::op::Detail;
use super::system::require_visible_tables;
use super::table::Row;
use super::{Cpu, Leave, segment_register};
use crate::interrupt;
use crate::memory::Width;
use crate::state::{Cr4Flags, Exception, Register, SegmentRegister};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Lds, |e| load_pointer(e, SegmentRegister::Ds)),
    (Mnemonic::Les, |e| load_pointer(e, SegmentRegister::Es)),
    (Mnemonic::Lfs, |e| load_pointer(e, SegmentRegister::Fs)),
    (Mnemonic::Lgs, |e| load_pointer(e, SegmentRegister::Gs)),
    (Mnemonic::Lss, |e| load_pointer(e, SegmentRegister::Ss)),
    (Mnemonic::Lldt, |e| last(e, lldt)),
    (Mnemonic::Ltr, |e| last(e, ltr)),
    (Mnemonic::Sldt, |e| plain(e, sldt)),
    (Mnemonic::Str, |e| plain(e, str)),
    (Mnemonic::Lar, |e| with_flags(e, lar)),
    (Mnemonic::Lsl, |e| with_flags(e, lsl)),
    (Mnemonic::Verr, |e| with_flags(e, verr)),
    (Mnemonic::Verw, |e| with_flags(e, verw)),
    (Mnemonic::Arpl, |e| with_flags(e, arpl)),
    (Mnemonic::Rdfsbase, |e| plain(e, |cpu, detail| read_base(cpu, detail, SegmentRegister::Fs))),
    (Mnemonic::Rdgsbase, |e| plain(e, |cpu, detail| read_base(cpu, detail, SegmentRegister::Gs))),
    (Mnemonic::Wrfsbase, |e| last(e, |cpu, detail| write_base(cpu, detail, SegmentRegister::Fs))),
    (Mnemonic::Wrgsbase, |e| last(e, |cpu, detail| write_base(cpu, detail, SegmentRegister::Gs))),
    (Mnemonic::Swapgs, |e| last(e, swapgs)),
];

fn plain(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out(function);
    Some(())
}

fn with_flags(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_flags(function);
    Some(())
}

fn last(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_last(function);
    Some(())
}

/// MOV to or from a segment register, which is operand `position`.
pub(super) fn mov_segment(emit: &mut Emit, position: u32) -> Option<()> {
    match position {
        0 if emit.register(0) == SegmentRegister::Cs as u8 => return None,
        0 => emit.call_out_last(mov_to_segment),
        _ => emit.call_out(mov_from_segment),
    }
    Some(())
}

fn mov_to_segment(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let selector = cpu.read::<u16>(detail, 1)? as u16;
    load(cpu, segment_register(detail.registers[0]), selector)
}

/// MOV and POP to a segment register. A load of SS holds interrupts and debug traps back until the next
/// instruction is complete (SDM, "Masking Exceptions and Interrupts When Switching Stacks").
fn load(cpu: &mut Cpu, register: SegmentRegister, selector: u16) -> Result<(), Leave> {
    interrupt::load_segment(&mut cpu.state, &mut cpu.mmu, register, selector)?;
    if register == SegmentRegister::Ss {
        cpu.state.shadow.mov_ss = true;
    }
    Ok(())
}

fn mov_from_segment(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let selector = cpu.state.segments[segment_register(detail.registers[1])].selector;
    store_selector(cpu, detail, selector)
}

/// Memory takes 16 bits, a register as many as the operand has.
fn store_selector(cpu: &mut Cpu, detail: &Detail, selector: u16) -> Result<(), Leave> {
    match (detail.memory, detail.width) {
        (0, _) => cpu.write_memory::<u16>(detail, selector)?,
        (_, 2) => cpu.set::<u16>(detail.registers[0], u64::from(selector)),
        _ => cpu.set::<u64>(detail.registers[0], u64::from(selector)),
    }
    Ok(())
}

/// PUSH of a segment register.
pub(super) fn push_segment(emit: &mut Emit, bytes: i32) -> Option<()> {
    emit.call_out(match bytes {
        2 => push_selector::<u16>,
        4 => push_selector::<u32>,
        _ => push_selector::<u64>,
    });
    Some(())
}

fn push_selector<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let selector = cpu.state.segments[segment_register(detail.registers[0])].selector;
    cpu.push(W::truncate(u64::from(selector)))
}

/// POP of a segment register.
pub(super) fn pop_segment(emit: &mut Emit, bytes: i32) -> Option<()> {
    emit.call_out_last(match bytes {
        2 => pop_selector::<u16>,
        4 => pop_selector::<u32>,
        _ => pop_selector::<u64>,
    });
    Some(())
}

fn pop_selector<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let selector = cpu.peek::<W>(0)?.extend() as u16;
    let rsp = cpu.state.gpr[Register::Rsp];
    // The stack's width is that of the old SS.
    cpu.add_to_stack_pointer(W::BYTES as u64);
    let result = load(cpu, segment_register(detail.registers[0]), selector);
    if result.is_err() {
        cpu.state.gpr[Register::Rsp] = rsp;
    }
    result
}

fn load_pointer(emit: &mut Emit, register: SegmentRegister) -> Option<()> {
    /// The functions of one register by operand width.
    macro_rules! by_register {
        ($($register:ident),*) => {
            match register {
                $(SegmentRegister::$register => [
                    |cpu: &mut Cpu, detail: &Detail| load_far::<u16>(cpu, detail, SegmentRegister::$register),
                    |cpu: &mut Cpu, detail: &Detail| load_far::<u32>(cpu, detail, SegmentRegister::$register),
                    |cpu: &mut Cpu, detail: &Detail| load_far::<u64>(cpu, detail, SegmentRegister::$register),
                ],)*
                _ => return None,
            }
        };
    }
    let functions: [Function; 3] = by_register!(Ds, Es, Fs, Gs, Ss);
    emit.call_out_last(functions[emit.width(0) - 1]);
    Some(())
}

fn load_far<W: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
    register: SegmentRegister,
) -> Result<(), Leave> {
    let (selector, offset) = far_pointer::<W>(cpu, detail)?;
    interrupt::load_segment(&mut cpu.state, &mut cpu.mmu, register, selector)?;
    cpu.set::<W>(detail.registers[0], offset);
    Ok(())
}

/// The far pointer in memory: an offset of `W`, then a selector.
pub(super) fn far_pointer<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(u16, u64), Leave> {
    let segment = segment_register(detail.segment);
    let linear = cpu.linear(detail, W::BYTES as u64 + 2, false)?;
    let offset = cpu.load::<W>(segment, linear)?.extend();
    let selector = cpu.load::<u16>(segment, cpu.following(linear, W::BYTES as u64))?;
    Ok((selector, offset))
}

/// SDM, LLDT and others: not recognised in real-address and virtual-8086 mode.
fn require_protected(cpu: &Cpu) -> Result<(), Leave> {
    if cpu.state.has_descriptors() { Ok(()) } else { Err(Exception::UD.into()) }
}

fn lldt(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    cpu.require_cpl0()?;
    let selector = cpu.read::<u16>(detail, 0)? as u16;
    Ok(interrupt::load_local_descriptor_table(&mut cpu.state, &mut cpu.mmu, selector)?)
}

fn ltr(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    cpu.require_cpl0()?;
    let selector = cpu.read::<u16>(detail, 0)? as u16;
    Ok(interrupt::load_task_register(&mut cpu.state, &mut cpu.mmu, selector)?)
}

fn sldt(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    require_visible_tables(cpu)?;
    store_selector(cpu, detail, cpu.state.segments[SegmentRegister::Ldtr].selector)
}

fn str(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    require_visible_tables(cpu)?;
    store_selector(cpu, detail, cpu.state.segments[SegmentRegister::Tr].selector)
}

fn lar(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    let selector = cpu.read::<u16>(detail, 1)? as u16;
    let rights = interrupt::access_rights(&cpu.state, &mut cpu.mmu, selector)?;
    store_if_visible(cpu, detail, rights);
    Ok(())
}

fn lsl(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    let selector = cpu.read::<u16>(detail, 1)? as u16;
    let limit = interrupt::segment_limit(&cpu.state, &mut cpu.mmu, selector)?;
    store_if_visible(cpu, detail, limit);
    Ok(())
}

fn store_if_visible(cpu: &mut Cpu, detail: &Detail, value: Option<u32>) {
    set_zero(cpu, value.is_some());
    if let Some(value) = value.map(u64::from) {
        match detail.width {
            2 => cpu.set::<u16>(detail.registers[0], value),
            _ => cpu.set::<u64>(detail.registers[0], value),
        }
    }
}

fn set_zero(cpu: &mut Cpu, zero: bool) {
    let others = cpu.status() & !ZF;
    cpu.set_status(if zero { others | ZF } else { others });
}

fn verr(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    let selector = cpu.read::<u16>(detail, 0)? as u16;
    let readable = interrupt::readable(&cpu.state, &mut cpu.mmu, selector)?;
    set_zero(cpu, readable);
    Ok(())
}

fn verw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    let selector = cpu.read::<u16>(detail, 0)? as u16;
    let writable = interrupt::writable(&cpu.state, &mut cpu.mmu, selector)?;
    set_zero(cpu, writable);
    Ok(())
}

/// ARPL raises the RPL of operand 0 to that of operand 1.
fn arpl(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_protected(cpu)?;
    let rpl = cpu.get::<u16>(detail.registers[1]) & 3;
    let selector = cpu.read::<u16>(detail, 0)?;
    let raised = selector & 3 < rpl;
    // A selector that stays is not written, be it in memory that cannot be.
    if raised {
        cpu.write::<u16>(detail, 0, selector & !3 | rpl)?;
    }
    set_zero(cpu, raised);
    Ok(())
}

/// SDM, RDFSBASE and others: #UD without CR4.FSGSBASE.
fn require_fsgsbase(cpu: &Cpu) -> Result<(), Leave> {
    let enabled = cpu.state.control.cr4.contains(Cr4Flags::FSGSBASE);
    if enabled { Ok(()) } else { Err(Exception::UD.into()) }
}

fn read_base(cpu: &mut Cpu, detail: &Detail, register: SegmentRegister) -> Result<(), Leave> {
    require_fsgsbase(cpu)?;
    let base = cpu.state.segments[register].base;
    match detail.width {
        4 => cpu.set::<u32>(detail.registers[0], base),
        _ => cpu.set::<u64>(detail.registers[0], base),
    }
    Ok(())
}

fn write_base(cpu: &mut Cpu, detail: &Detail, register: SegmentRegister) -> Result<(), Leave> {
    require_fsgsbase(cpu)?;
    let base = match detail.width {
        4 => cpu.get::<u32>(detail.registers[0]),
        _ => cpu.get::<u64>(detail.registers[0]),
    };
    if !cpu.mmu.takes_base(base) {
        return Err(Exception::GP0.into());
    }
    cpu.state.segments[register].base = base;
    Ok(())
}

/// SWAPGS. The decoder gives it in 64-bit mode alone.
fn swapgs(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let gs = &mut cpu.state.segments[SegmentRegister::Gs];
    core::mem::swap(&mut gs.base, &mut cpu.state.msr.kernel_gs_base);
    Ok(())
}
