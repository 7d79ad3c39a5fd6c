//! Operands of call-out instructions: registers and memory as a [`Detail`] describes them.

use super::op::{Detail, Prefixes};
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::paging::{AccessKind, Privilege, Update};
use crate::state::{Exception, Register, Segment, SegmentRegister};

use super::address::SegmentWindow;

impl Cpu {
    /// The offset that the memory operand's base, index and displacement give.
    pub fn effective_address(&self, detail: &Detail) -> u64 {
        let index = self.get::<u64>(detail.index_register).wrapping_shl(detail.scale.into());
        let offset =
            self.get::<u64>(detail.base).wrapping_add(index).wrapping_add(detail.displacement);
        offset & address_mask(detail.address_bits)
    }

    /// The linear address of the memory operand, checked against its segment.
    ///
    /// # Errors
    /// #GP(0) or #SS(0) outside the segment.
    pub fn linear(&self, detail: &Detail, size: u64, write: bool) -> Result<u64, Leave> {
        let segment = super::segment_register(detail.segment);
        self.segment_linear(segment, self.effective_address(detail), size, write)
    }

    /// The linear address of `offset` in `segment`, checked for an access of `size` bytes (SDM,
    /// "Limit Checking", "Type Checking").
    ///
    /// # Errors
    /// #GP(0) or #SS(0) outside the segment.
    pub fn segment_linear(
        &self,
        segment: SegmentRegister,
        offset: u64,
        size: u64,
        write: bool,
    ) -> Result<u64, Leave> {
        let register = &self.state.segments[segment];
        if self.state.mode_64bit() {
            let based = matches!(segment, SegmentRegister::Fs | SegmentRegister::Gs);
            return Ok(if based { register.base.wrapping_add(offset) } else { offset });
        }
        let fault = match segment {
            SegmentRegister::Ss => Exception::SS0,
            _ => Exception::GP0,
        };
        let (first, last) = limits(register);
        let end = offset.checked_add(size - 1).ok_or(fault)?;
        let typed = if write { writable(register) } else { readable(register) };
        // Real mode checks limits only.
        let protected = self.state.protected();
        if offset < first || end > last || protected && !typed {
            return Err(fault.into());
        }
        Ok(register.base.wrapping_add(offset) & 0xffff_ffff)
    }

    /// What handlers may do with `register` without asking.
    pub(super) fn segment_window(&self, register: SegmentRegister, long: bool) -> SegmentWindow {
        let segment = &self.state.segments[register];
        if long {
            let based = matches!(register, SegmentRegister::Fs | SegmentRegister::Gs);
            let base = if based { segment.base } else { 0 };
            let end = u64::MAX;
            return SegmentWindow { base, linear_mask: u64::MAX, read_end: end, write_end: end };
        }
        let protected = self.state.protected();
        let (first, last) = limits(segment);
        let end = |allowed: bool| if first == 0 && (allowed || !protected) { last + 1 } else { 0 };
        SegmentWindow {
            base: segment.base,
            linear_mask: 0xffff_ffff,
            read_end: end(readable(segment)),
            write_end: end(writable(segment)),
        }
    }

    /// The linear address `bytes` behind another.
    pub fn following(&self, linear: u64, bytes: u64) -> u64 {
        let next = linear.wrapping_add(bytes);
        if self.state.mode_64bit() { next } else { next & 0xffff_ffff }
    }

    /// Reads `W` from a linear address on behalf of `segment`.
    ///
    /// # Errors
    /// Whatever the access raises.
    pub fn load<W: Width>(&mut self, segment: SegmentRegister, linear: u64) -> Result<W, Leave> {
        self.mmu
            .read(&self.state, linear, Privilege::Current)
            .map_err(|error| Leave::access(error, segment))
    }

    /// Writes `W` to a linear address on behalf of `segment`.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    pub fn store<W: Width>(
        &mut self,
        segment: SegmentRegister,
        linear: u64,
        value: W,
    ) -> Result<(), Leave> {
        self.mmu
            .write(&self.state, linear, value, Privilege::Current)
            .map_err(|error| Leave::access(error, segment))
    }

    /// Whether a write would fault; nothing is written.
    ///
    /// # Errors
    /// Whatever the write would raise.
    pub fn probe_write(
        &mut self,
        segment: SegmentRegister,
        linear: u64,
        length: u32,
    ) -> Result<(), Leave> {
        self.probe(segment, linear, length, AccessKind::Write)
    }

    /// As [`probe_write`](Self::probe_write) for a read.
    ///
    /// # Errors
    /// Whatever the read would raise, but for its alignment.
    pub fn probe_read(
        &mut self,
        segment: SegmentRegister,
        linear: u64,
        length: u32,
    ) -> Result<(), Leave> {
        self.probe(segment, linear, length, AccessKind::Read)
    }

    fn probe(
        &mut self,
        segment: SegmentRegister,
        linear: u64,
        length: u32,
        kind: AccessKind,
    ) -> Result<(), Leave> {
        self.mmu
            .probe(&self.state, linear, length, kind, Privilege::Current)
            .map_err(|error| Leave::access(error, segment))
    }

    /// Whether one write of all `bytes` would fault, be it for its alignment; nothing is written.
    ///
    /// # Errors
    /// Whatever the write would raise.
    pub fn probe_store(
        &mut self,
        segment: SegmentRegister,
        linear: u64,
        bytes: u8,
    ) -> Result<(), Leave> {
        self.probe_write(segment, linear, bytes.into())?;
        self.mmu
            .check_alignment(&self.state, linear, bytes.into(), AccessKind::Write)
            .map_err(|error| Leave::access(error, segment))
    }

    /// Reads the memory operand.
    ///
    /// # Errors
    /// Whatever the access raises.
    pub fn read_memory<W: Width>(&mut self, detail: &Detail) -> Result<W, Leave> {
        let linear = self.linear(detail, W::BYTES as u64, false)?;
        self.load(super::segment_register(detail.segment), linear)
    }

    /// Writes the memory operand.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    pub fn write_memory<W: Width>(&mut self, detail: &Detail, value: W) -> Result<(), Leave> {
        let linear = self.linear(detail, W::BYTES as u64, true)?;
        self.store(super::segment_register(detail.segment), linear, value)
    }

    /// Reads general-register or memory operand `position`, zero-extended.
    ///
    /// # Errors
    /// Whatever the access raises.
    #[inline]
    pub fn read<W: Width>(&mut self, detail: &Detail, position: usize) -> Result<u64, Leave> {
        if usize::from(detail.memory) == position {
            Ok(self.read_memory::<W>(detail)?.extend())
        } else {
            Ok(self.get::<W>(detail.registers[position]))
        }
    }

    /// Writes general-register or memory operand `position`.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    #[inline]
    pub fn write<W: Width>(
        &mut self,
        detail: &Detail,
        position: usize,
        value: u64,
    ) -> Result<(), Leave> {
        if usize::from(detail.memory) == position {
            self.write_memory(detail, W::truncate(value))
        } else {
            self.set::<W>(detail.registers[position], value);
            Ok(())
        }
    }

    /// Replaces operand 0 by `change(old)`, atomically if the instruction is locked; gives the old
    /// value. `change` may be called more than once and must not have effects that last.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    pub fn modify<W: Width>(
        &mut self,
        detail: &Detail,
        mut change: impl FnMut(u64) -> u64,
    ) -> Result<u64, Leave> {
        if detail.memory != 0 {
            let old = self.get::<W>(detail.registers[0]);
            self.set::<W>(detail.registers[0], change(old));
            return Ok(old);
        }
        let linear = self.linear(detail, W::BYTES as u64, true)?;
        self.modify_at::<W>(detail, linear, change)
    }

    /// As [`modify`](Self::modify), at a linear address in the memory operand's segment.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    pub fn modify_at<W: Width>(
        &mut self,
        detail: &Detail,
        linear: u64,
        mut change: impl FnMut(u64) -> u64,
    ) -> Result<u64, Leave> {
        let locked = detail.prefixes.contains(Prefixes::LOCK);
        let segment = super::segment_register(detail.segment);
        self.mmu
            .modify(&self.state, linear, locked, |old: W| W::truncate(change(old.extend())))
            .map(Width::extend)
            .map_err(|error| Leave::access(error, segment))
    }

    /// As [`modify`](Self::modify) of operand 0 in memory, with an update that hosts know.
    ///
    /// # Errors
    /// Whatever the access raises; then nothing is written.
    pub fn update<W: Width>(
        &mut self,
        detail: &Detail,
        locked: bool,
        update: Update<W>,
    ) -> Result<u64, Leave> {
        let linear = self.linear(detail, W::BYTES as u64, true)?;
        let segment = super::segment_register(detail.segment);
        self.mmu
            .update(&self.state, linear, locked, update)
            .map(Width::extend)
            .map_err(|error| Leave::access(error, segment))
    }

    /// Pushes `W` in the current mode's stack.
    ///
    /// # Errors
    /// Whatever the access raises; then RSP is as before.
    pub fn push<W: Width>(&mut self, value: W) -> Result<(), Leave> {
        let mask = address_mask(self.state.stack_bitness() as u8);
        let rsp = self.state.gpr[Register::Rsp];
        let top = rsp.wrapping_sub(W::BYTES as u64) & mask;
        let linear = self.segment_linear(SegmentRegister::Ss, top, W::BYTES as u64, true)?;
        self.store(SegmentRegister::Ss, linear, value)?;
        self.state.gpr[Register::Rsp] = rsp & !mask | top;
        Ok(())
    }

    /// Reads `W` at `distance` bytes above the top of the stack; RSP stays.
    ///
    /// # Errors
    /// Whatever the access raises.
    pub fn peek<W: Width>(&mut self, distance: u64) -> Result<W, Leave> {
        let mask = address_mask(self.state.stack_bitness() as u8);
        let top = self.state.gpr[Register::Rsp].wrapping_add(distance) & mask;
        let linear = self.segment_linear(SegmentRegister::Ss, top, W::BYTES as u64, false)?;
        self.load(SegmentRegister::Ss, linear)
    }

    /// Adds to the stack pointer within the stack's address size.
    pub fn add_to_stack_pointer(&mut self, bytes: u64) {
        let mask = address_mask(self.state.stack_bitness() as u8);
        let rsp = self.state.gpr[Register::Rsp];
        self.state.gpr[Register::Rsp] = rsp & !mask | rsp.wrapping_add(bytes) & mask;
    }

    /// Raises #GP(0) unless the current privilege level is 0.
    ///
    /// # Errors
    /// #GP(0).
    pub fn require_cpl0(&self) -> Result<(), Leave> {
        if self.state.cpl() == 0 { Ok(()) } else { Err(Exception::GP0.into()) }
    }
}

/// The mask of addresses of this width in bits.
pub(crate) fn address_mask(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}

/// First and last valid offset.
fn limits(segment: &Segment) -> (u64, u64) {
    let access = segment.access;
    let limit = u64::from(segment.limit);
    if access.code_or_data() && !access.code() && access.conforming_or_expand_down() {
        (limit + 1, if access.default_big() { 0xffff_ffff } else { 0xffff })
    } else {
        (0, limit)
    }
}

fn readable(segment: &Segment) -> bool {
    let access = segment.access;
    !access.unusable() && (!access.code() || access.readable_or_writable())
}

fn writable(segment: &Segment) -> bool {
    let access = segment.access;
    !access.unusable() && !access.code() && access.readable_or_writable()
}
