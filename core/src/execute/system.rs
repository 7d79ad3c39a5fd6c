//! System instructions: control and debug registers, descriptor-table registers, MSRs, cache
//! management, HLT, and what reads clocks and counters. TLB management is in `translation`.
//!
//! What a register may hold and what a change of it asks for is in `control_register` and `msr`;
//! here are privilege checks and operands, and the engine is told of the effect.
//!
//! MONITOR and MWAIT are absent on purpose: a guest that waits with HLT lets the host sleep, and without
//! them CPUID offers no reason to wait otherwise.

use core::sync::atomic::{Ordering, fence};

use iced_x86::{Code, Mnemonic, Register as Name};

use super::control_register::{self as control, ControlEffect, Flush};
use super::emit::{Emit, Function};
use super::msr::{self, MsrEffect};
use super::op::Detail;
use super::table::Row;
use super::{Cpu, Leave, segment_register};
use crate::paging::PagingMode;
use crate::state::{
    Activity, Cr4Flags, DescriptorTable, Dr6Flags, Dr7Flags, Exception, Register, Vector,
};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Lgdt, |e| last(e, if is_16bit(e) { lgdt::<true> } else { lgdt::<false> })),
    (Mnemonic::Lidt, |e| last(e, if is_16bit(e) { lidt::<true> } else { lidt::<false> })),
    (Mnemonic::Sgdt, |e| plain(e, sgdt)),
    (Mnemonic::Sidt, |e| plain(e, sidt)),
    (Mnemonic::Lmsw, |e| last(e, lmsw)),
    (Mnemonic::Smsw, |e| plain(e, smsw)),
    (Mnemonic::Clts, |e| last(e, clts)),
    (Mnemonic::Invd, |e| plain(e, flush_caches)),
    (Mnemonic::Wbinvd, |e| plain(e, flush_caches)),
    // A prefix that is ignored.
    (Mnemonic::Wbnoinvd, |e| plain(e, flush_caches)),
    (Mnemonic::Hlt, |e| last(e, hlt)),
    (Mnemonic::Rdmsr, |e| plain(e, rdmsr)),
    (Mnemonic::Wrmsr, |e| last(e, wrmsr)),
    (Mnemonic::Rdtsc, |e| plain(e, rdtsc)),
    (Mnemonic::Rdtscp, |e| plain(e, rdtscp)),
    (Mnemonic::Rdpmc, |e| plain(e, rdpmc)),
    (Mnemonic::Rdpid, |e| plain(e, rdpid)),
    (Mnemonic::Serialize, |e| plain(e, serialize)),
];

fn plain(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out(function);
    Some(())
}

fn last(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_last(function);
    Some(())
}

/// MOV with a segment, control or debug register as operand `position`.
pub(super) fn mov_special(emit: &mut Emit, special: Name, position: u32) -> Option<()> {
    if special.is_segment_register() {
        return super::segment::mov_segment(emit, position);
    }
    match (special, position) {
        (Name::CR0 | Name::CR2 | Name::CR3 | Name::CR4 | Name::CR8, 0) => {
            emit.call_out_last(mov_to_control);
        }
        (Name::CR0 | Name::CR2 | Name::CR3 | Name::CR4 | Name::CR8, _) => {
            emit.call_out(mov_from_control);
        }
        _ if !special.is_dr() || special.number() > 7 => return None,
        (_, 0) => emit.call_out_last(mov_to_debug),
        _ => emit.call_out_last(mov_from_debug),
    }
    Some(())
}

/// A general register in the width that control and debug registers have in this mode.
fn get(cpu: &Cpu, detail: &Detail, position: usize) -> u64 {
    match detail.bitness {
        64 => cpu.get::<u64>(detail.registers[position]),
        _ => cpu.get::<u32>(detail.registers[position]),
    }
}

fn set(cpu: &mut Cpu, detail: &Detail, value: u64) {
    match detail.bitness {
        64 => cpu.set::<u64>(detail.registers[0], value),
        _ => cpu.set::<u32>(detail.registers[0], value),
    }
}

fn mov_to_control(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let value = get(cpu, detail, 1);
    let before = cpu.state.control;
    let effect = match detail.registers[0] {
        0 => control::write_cr0(&mut cpu.state, value)?,
        2 => {
            cpu.state.control.cr2 = value;
            return Ok(());
        }
        3 => control::write_cr3(&mut cpu.state, value)?,
        4 => control::write_cr4(&mut cpu.state, value, cpu.model.cr4_writable())?,
        _ => return Ok(control::write_cr8(&mut cpu.apic, value)?),
    };
    let to_cr3 = detail.registers[0] == 3 && PagingMode::of(&cpu.state) == PagingMode::Pae;
    if to_cr3 || control::loads_pointers(&before, &cpu.state) {
        let cr3 = cpu.state.control.cr3;
        if let Err(fault) = cpu.mmu.load_pointers(&mut cpu.state, cr3) {
            cpu.state.control = before;
            return Err(fault.into());
        }
    }
    follow(cpu, effect);
    Ok(())
}

fn mov_from_control(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let registers = &cpu.state.control;
    let value = match detail.registers[1] {
        0 => registers.cr0.bits(),
        2 => registers.cr2,
        3 => registers.cr3,
        4 => registers.cr4.bits(),
        _ => u64::from(cpu.apic.task_priority_class()),
    };
    set(cpu, detail, value);
    Ok(())
}

/// Forgets the translations that a write to a control register asks to forget. What else depends on
/// the mode is looked at anew when the next block is entered.
fn follow(cpu: &mut Cpu, effect: ControlEffect) {
    match effect.flush {
        Flush::None => {}
        Flush::NonGlobal => cpu.mmu.flush_non_global(),
        Flush::All => cpu.mmu.flush_all(),
    }
}

fn lmsw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let word = cpu.read::<u16>(detail, 0)? as u16;
    let effect = control::load_machine_status_word(&mut cpu.state, word)?;
    follow(cpu, effect);
    Ok(())
}

/// SDM, "User-Mode Instruction Prevention": CR4.UMIP keeps SGDT, SIDT, SLDT, SMSW and STR for privilege
/// level 0.
pub(super) fn require_visible_tables(cpu: &Cpu) -> Result<(), Leave> {
    match cpu.state.control.cr4.contains(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION) {
        true => cpu.require_cpl0(),
        false => Ok(()),
    }
}

/// SMSW: memory takes 16 bits, a register as many of CR0 as the operand has.
fn smsw(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    require_visible_tables(cpu)?;
    let cr0 = cpu.state.control.cr0.bits();
    match (detail.memory, detail.width) {
        (0, _) => cpu.write_memory::<u16>(detail, cr0 as u16)?,
        (_, 2) => cpu.set::<u16>(detail.registers[0], cr0),
        (_, 4) => cpu.set::<u32>(detail.registers[0], cr0),
        _ => cpu.set::<u64>(detail.registers[0], cr0),
    }
    Ok(())
}

fn clts(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    control::clear_task_switched(&mut cpu.state);
    Ok(())
}

/// The checks of MOV to and from debug register `number` (SDM, "Debug Registers"), and the number
/// that DR4 and DR5 are aliases of.
fn debug_register(cpu: &Cpu, number: u8) -> Result<u8, Leave> {
    let aliased = matches!(number, 4 | 5);
    if aliased && cpu.state.control.cr4.contains(Cr4Flags::DEBUGGING_EXTENSIONS) {
        return Err(Exception::UD.into());
    }
    cpu.require_cpl0()?;
    if cpu.state.debug.dr7 & Dr7Flags::GENERAL_DETECT_ENABLE.bits() != 0 {
        let payload = Dr6Flags::ACCESS_DETECTED.bits();
        return Err(Exception { vector: Vector::Debug, error_code: None, payload }.into());
    }
    Ok(if aliased { number + 2 } else { number })
}

fn mov_to_debug(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    /// Of DR6: B0 to B3, BD, BS, BT; the other bits of the low half, but bit 12, read as one.
    const DR6_WRITABLE: u64 = 0xe00f;
    const DR6_ONES: u64 = 0xffff_0ff0;
    /// Of DR7: all but bits 10 (one), 11, 12, 14 and 15.
    const DR7_WRITABLE: u64 = 0xffff_23ff;
    const DR7_ONES: u64 = 0x400;
    let number = debug_register(cpu, detail.registers[0])?;
    let value = get(cpu, detail, 1);
    let debug = &mut cpu.state.debug;
    match number {
        0..=3 => debug.address[usize::from(number)] = value,
        _ if value >> 32 != 0 => return Err(Exception::GP0.into()),
        6 => debug.dr6 = value & DR6_WRITABLE | DR6_ONES,
        _ => debug.dr7 = value & DR7_WRITABLE | DR7_ONES,
    }
    cpu.mmu.watch_data(&cpu.state.debug);
    Ok(())
}

fn mov_from_debug(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let number = debug_register(cpu, detail.registers[1])?;
    let debug = &cpu.state.debug;
    let value = match number {
        0..=3 => debug.address[usize::from(number)],
        6 => debug.dr6,
        _ => debug.dr7,
    };
    set(cpu, detail, value);
    Ok(())
}

/// Whether LGDT or LIDT has an operand of 16 bits.
fn is_16bit(emit: &Emit) -> bool {
    matches!(emit.instruction.code(), Code::Lgdt_m1632_16 | Code::Lidt_m1632_16)
}

/// Bytes of the base in a descriptor-table operand.
fn base_bytes(detail: &Detail) -> u64 {
    if detail.bitness == 64 { 8 } else { 4 }
}

fn load_table<const NARROW: bool>(
    cpu: &mut Cpu,
    detail: &Detail,
) -> Result<DescriptorTable, Leave> {
    /// What a 16-bit operand holds of the base (SDM, LGDT).
    const BASE_16BIT: u64 = 0xff_ffff;
    cpu.require_cpl0()?;
    let segment = segment_register(detail.segment);
    let linear = cpu.linear(detail, 2 + base_bytes(detail), false)?;
    let limit = cpu.load::<u16>(segment, linear)?;
    let at = cpu.following(linear, 2);
    let base = match detail.bitness {
        64 => cpu.load::<u64>(segment, at)?,
        _ => u64::from(cpu.load::<u32>(segment, at)?),
    };
    let base = if NARROW { base & BASE_16BIT } else { base };
    if !cpu.mmu.takes_base(base) {
        return Err(Exception::GP0.into());
    }
    Ok(DescriptorTable { base, limit })
}

fn lgdt<const NARROW: bool>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.state.gdtr = load_table::<NARROW>(cpu, detail)?;
    Ok(())
}

fn lidt<const NARROW: bool>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.state.idtr = load_table::<NARROW>(cpu, detail)?;
    Ok(())
}

fn store_table(cpu: &mut Cpu, detail: &Detail, table: DescriptorTable) -> Result<(), Leave> {
    require_visible_tables(cpu)?;
    let segment = segment_register(detail.segment);
    let bytes = 2 + base_bytes(detail);
    let linear = cpu.linear(detail, bytes, true)?;
    cpu.probe_write(segment, linear, bytes as u32)?;
    cpu.store(segment, linear, table.limit)?;
    let at = cpu.following(linear, 2);
    match detail.bitness {
        64 => cpu.store(segment, at, table.base),
        _ => cpu.store(segment, at, table.base as u32),
    }
}

fn sgdt(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    store_table(cpu, detail, cpu.state.gdtr)
}

fn sidt(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    store_table(cpu, detail, cpu.state.idtr)
}

/// INVD and WBINVD: there are no caches to flush.
fn flush_caches(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    cpu.mmu.serialize();
    Ok(())
}

fn hlt(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    cpu.state.activity = Activity::Halted;
    Ok(())
}

/// A 64-bit value in EDX:EAX.
fn set_edx_eax(cpu: &mut Cpu, value: u64) {
    cpu.state.gpr[Register::Rax] = value & 0xffff_ffff;
    cpu.state.gpr[Register::Rdx] = value >> 32;
}

fn rdmsr(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let number = cpu.state.gpr[Register::Rcx] as u32;
    let now_ns = cpu.now_ns();
    let value = msr::read(&cpu.model, &mut cpu.state, &mut cpu.apic, now_ns, number)?;
    set_edx_eax(cpu, value);
    Ok(())
}

fn wrmsr(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    cpu.require_cpl0()?;
    let gpr = &cpu.state.gpr;
    let number = gpr[Register::Rcx] as u32;
    let value = gpr[Register::Rax] & 0xffff_ffff | gpr[Register::Rdx] << 32;
    let now_ns = cpu.now_ns();
    match msr::write(&cpu.model, &mut cpu.state, &mut cpu.apic, now_ns, number, value)? {
        MsrEffect::None => {}
        MsrEffect::Efer => cpu.mmu.flush_all(),
        MsrEffect::ApicBase => {
            cpu.follow_apic_base();
            cpu.timer_changed = true;
        }
        MsrEffect::Apic(effect) => {
            cpu.apic_effect = Some(effect);
            cpu.timer_changed = true;
        }
    }
    Ok(())
}

/// SDM, RDTSC: CR4.TSD keeps it for privilege level 0.
fn require_time_stamp(cpu: &Cpu) -> Result<(), Leave> {
    match cpu.state.control.cr4.contains(Cr4Flags::TIMESTAMP_DISABLE) {
        true => cpu.require_cpl0(),
        false => Ok(()),
    }
}

fn rdtsc(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    require_time_stamp(cpu)?;
    let counter = msr::time_stamp_counter(&cpu.state, cpu.now_ns());
    set_edx_eax(cpu, counter);
    Ok(())
}

fn rdtscp(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    rdtsc(cpu, detail)?;
    cpu.state.gpr[Register::Rcx] = cpu.state.msr.tsc_aux & 0xffff_ffff;
    Ok(())
}

/// RDPID, which CR4.TSD does not keep from anybody.
fn rdpid(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let number = cpu.state.msr.tsc_aux & 0xffff_ffff;
    cpu.set::<u64>(detail.registers[0], number);
    Ok(())
}

/// SERIALIZE: what others have written to code is seen from here on.
fn serialize(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    fence(Ordering::SeqCst);
    cpu.mmu.serialize();
    Ok(())
}

/// There are no performance counters: every number is invalid, whatever CR4.PCE says.
fn rdpmc(_: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    Err(Exception::GP0.into())
}
