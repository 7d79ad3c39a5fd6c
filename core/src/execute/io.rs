//! Ports: IN and OUT, and who may use them (INS and OUTS are in `string`).
//!
//! A read whose answer is not there leaves to ask the host, and its op is executed again;
//! a write leaves when the instruction is complete. OUT has a handler of its own, because a guest
//! that talks to a device executes it for every byte.

use iced_x86::Mnemonic;

use super::dispatch::{Flow, Frame, LEFT};
use super::emit::{Emit, Function};
use super::op::{Detail, Handler, Op};
use super::table::Row;
use super::{Cpu, Leave, Output};
use crate::memory::Width;
use crate::paging::Privilege;
use crate::state::{Cr4Flags, Exception, RFlags, Register, SegmentRegister};
use crate::{Access, Space};

pub(super) const ROWS: &[Row] = &[(Mnemonic::In, emit_input), (Mnemonic::Out, emit_output)];

/// With the port in the instruction, with the port in DX; 8, 16 and 32 bits.
const IN: [[Function; 3]; 2] = [
    [input_immediate::<u8>, input_immediate::<u16>, input_immediate::<u32>],
    [input_dx::<u8>, input_dx::<u16>, input_dx::<u32>],
];
const OUT: [[Handler; 3]; 2] = [
    [output::<u8, false>, output::<u16, false>, output::<u32, false>],
    [output::<u8, true>, output::<u16, true>, output::<u32, true>],
];

/// A read leaves in any case, so it ends its block.
fn emit_input(emit: &mut Emit) -> Option<()> {
    let through_dx = emit.is_register(1);
    emit.call_out_last(IN[usize::from(through_dx)][emit.width(0)]);
    Some(())
}

/// A write goes on in its block.
fn emit_output(emit: &mut Emit) -> Option<()> {
    let through_dx = emit.is_register(0);
    let port = if through_dx { 0 } else { emit.immediate(0) as i32 & 0xff };
    let handler = OUT[usize::from(through_dx)][emit.width(1)];
    emit.op(handler, emit.count() + 1, 0, 0, 0, port);
    emit.leaves_behind();
    Some(())
}

/// Port numbers have eight bits in an instruction.
fn immediate_port(detail: &Detail) -> u16 {
    (detail.immediate & 0xff) as u16
}

/// The port in DX.
pub(super) fn dx(cpu: &Cpu) -> u16 {
    cpu.state.gpr[Register::Rdx] as u16
}

fn input_immediate<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    input::<W>(cpu, immediate_port(detail))
}

fn input_dx<W: Width>(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    input::<W>(cpu, dx(cpu))
}

fn input<W: Width>(cpu: &mut Cpu, port: u16) -> Result<(), Leave> {
    require_port::<W>(cpu, port)?;
    let data = read_port::<W>(cpu, port).map_err(|leave| match leave {
        // It is all that the instruction does.
        Leave::Device(access) => Leave::Input(access),
        leave => leave,
    })?;
    cpu.set::<W>(0, data);
    Ok(())
}

/// OUT to the port in DX, or in the op. `a` is the number of the next instruction in the block.
unsafe extern "C" fn output<W: Width, const DX: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a: index, imm, .. } = unsafe { *op };
    let port = if DX { dx(cpu) } else { imm as u16 };
    cpu.frame = Frame { op: op.wrapping_add(1), res, src, budget };
    let data = cpu.get::<W>(0) as u32;
    cpu.leave = Leave::Output(Output { port, size: W::BYTES as u8, index, data });
    if !has_all_ports(cpu) {
        consult_bitmap(cpu, op, port, W::BYTES as u32);
    }
    LEFT
}

/// OUT at a privilege level that may use only some ports.
#[cold]
#[inline(never)]
fn consult_bitmap(cpu: &mut Cpu, op: *const Op, port: u16, size: u32) {
    if let Err(leave) = require_bitmap(cpu, port, size) {
        cpu.frame.op = op;
        cpu.leave = leave;
    }
}

/// Whether the current privilege level may use all ports. In virtual-8086 mode the bitmap has the say,
/// whatever IOPL is (SDM, "I/O Permission Bit Map").
#[inline(always)]
fn has_all_ports(cpu: &Cpu) -> bool {
    // Of the flags from bit 10 on, IOPL is in bits 2 and 3, and VM is the sign: below any level.
    const { assert!(RFlags::VIRTUAL_8086_MODE.bits() >> 10 == 0x80) };
    let permitted = (cpu.state.rflags.bits() >> 10) as i8 & !0x73;
    (cpu.state.cpl() << 2) as i8 <= permitted
}

fn access<W: Width>(port: u16) -> Access {
    Access { space: Space::Port, address: u64::from(port), size: W::BYTES as u8 }
}

/// Reads a port that may be used.
///
/// # Errors
/// [`Leave::Device`] if the host has to be asked first.
pub(super) fn read_port<W: Width>(cpu: &mut Cpu, port: u16) -> Result<u64, Leave> {
    let data = cpu.mmu.device_read(access::<W>(port)).map_err(Leave::Device)?;
    cpu.note_port(port, W::BYTES);
    Ok(data)
}

/// Writes a port that may be used.
pub(super) fn write_port<W: Width>(cpu: &mut Cpu, port: u16, data: u64) {
    cpu.mmu.devices.write(access::<W>(port), data);
    cpu.mmu.attention = true;
    cpu.note_port(port, W::BYTES);
}

impl Cpu {
    /// Notes an access to `bytes` ports from `port` on: with CR4.DE there are breakpoints on them
    /// (SDM, "Debug Control Register (DR7)"), which trap behind the instruction as those on data.
    pub fn note_port(&mut self, port: u16, bytes: usize) {
        if self.state.control.cr4.contains(Cr4Flags::DEBUGGING_EXTENSIONS) {
            self.mmu.note_port(port, bytes);
        }
    }
}

/// Whether the current privilege level may use `port` and those behind it that `W` covers: by IOPL,
/// or by the bitmap in the TSS (SDM, "I/O Permission Bit Map").
///
/// # Errors
/// #GP(0) if not, and whatever the access to the TSS raises.
#[inline]
pub(super) fn require_port<W: Width>(cpu: &mut Cpu, port: u16) -> Result<(), Leave> {
    if has_all_ports(cpu) {
        return Ok(());
    }
    require_bitmap(cpu, port, W::BYTES as u32)
}

#[cold]
fn require_bitmap(cpu: &mut Cpu, port: u16, size: u32) -> Result<(), Leave> {
    /// Where a TSS of 32 or 64 bits says where its bitmap is.
    const BITMAP_OFFSET: u32 = 0x66;
    /// Type bit that tells those from 16-bit ones, which have no bitmap.
    const NOT_16BIT: u8 = 8;
    let task = cpu.state.segments[SegmentRegister::Tr];
    if task.access.unusable() || task.access.kind() & NOT_16BIT == 0 {
        return Err(Exception::GP0.into());
    }
    let denied = Leave::Exception(Exception::GP0);
    let mut field = |offset: u32| {
        // Two bytes are read always, so that a wide access can span a byte of the bitmap.
        if offset + 1 > task.limit {
            return Err(denied);
        }
        // The base has 64 bits in compatibility mode, too.
        let linear = task.base.wrapping_add(offset.into());
        let linear = if cpu.state.long_mode() { linear } else { linear & 0xffff_ffff };
        cpu.mmu
            .read::<u16>(&cpu.state, linear, Privilege::System)
            .map_err(|error| Leave::access(error, SegmentRegister::Tr))
    };
    let bitmap = field(BITMAP_OFFSET)?;
    let bits = field(u32::from(bitmap) + u32::from(port / 8))?;
    let mask = (1 << size) - 1;
    if u32::from(bits) >> (port % 8) & mask == 0 { Ok(()) } else { Err(denied) }
}
