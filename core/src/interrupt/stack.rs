//! A stack that is pushed to or popped from before the registers know of it.
//!
//! Invariant: only the copy of the stack pointer moves; a caller commits it when nothing can fail
//! any more.

use super::access;
use crate::memory::Width;
use crate::paging::{AccessKind, Mmu, Privilege};
use crate::state::{CpuState, Exception, Register, Segment, SegmentRegister};

/// A stack segment with a pointer into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    /// The stack segment.
    pub segment: Segment,
    /// RSP, as it is to be committed.
    pub pointer: u64,
    /// Width of the stack's addresses: 16, 32 or 64.
    bits: u32,
    privilege: Privilege,
    /// Raised where the stack has not enough room, or is not canonical.
    fault: Exception,
}

impl Stack {
    /// The stack in use; its limit violations raise `fault`.
    pub fn current(state: &CpuState, fault: Exception) -> Self {
        Self {
            segment: state.segments[SegmentRegister::Ss],
            pointer: state.gpr[Register::Rsp],
            bits: state.stack_bitness(),
            privilege: Privilege::Current,
            fault,
        }
    }

    /// The stack in use as a handler in 64-bit mode sees it: without base and limit.
    pub fn current_flat(state: &CpuState, fault: Exception) -> Self {
        Self { bits: 64, ..Self::current(state, fault) }
    }

    /// An inner stack for privilege level `cpl`. `old_pointer` gives RSP's upper half where the
    /// stack is a 16-bit one.
    pub fn inner(
        segment: Segment,
        (old_pointer, pointer): (u64, u64),
        bits: u32,
        cpl: u8,
        fault: Exception,
    ) -> Self {
        let pointer = replace_pointer(old_pointer, pointer, bits);
        Self { segment, pointer, bits, privilege: Privilege::At(cpl), fault }
    }

    /// Checks that `count` items of `item_bits` can be pushed.
    pub fn probe(
        &self,
        state: &CpuState,
        mmu: &mut Mmu,
        count: usize,
        item_bits: u32,
    ) -> Result<(), Exception> {
        let size = item_bits / 8;
        let mut probed = *self;
        if self.bits == 64 {
            // The usual case in one go; if it fails, the items tell at which address.
            let length = size * count as u32;
            let lowest = self.pointer.wrapping_sub(u64::from(length));
            let (privilege, fault) = (self.privilege, self.fault);
            if mmu.serves(state, lowest, length, AccessKind::Write, privilege)
                || access::probe_write(state, mmu, lowest, length, privilege, fault).is_ok()
            {
                return Ok(());
            }
        }
        for _ in 0..count {
            probed.advance(u64::from(size).wrapping_neg());
            let linear = probed.linear(size)?;
            access::probe_write(state, mmu, linear, size, self.privilege, self.fault)?;
        }
        Ok(())
    }

    /// Pushes `items`, the first one first. The caller has probed for as many.
    pub fn push(
        &mut self,
        state: &CpuState,
        mmu: &mut Mmu,
        items: &[u64],
        item_bits: u32,
    ) -> Result<(), Exception> {
        if item_bits == 64 && self.bits == 64 {
            let lowest = self.pointer.wrapping_sub(8 * items.len() as u64);
            if mmu.push_quadwords(state, lowest, items, self.privilege) {
                self.pointer = lowest;
                return Ok(());
            }
        }
        for &item in items {
            match item_bits {
                16 => self.push_one(state, mmu, item as u16)?,
                32 => self.push_one(state, mmu, item as u32)?,
                _ => self.push_one(state, mmu, item)?,
            }
        }
        Ok(())
    }

    /// Pops an item of `item_bits`, zero-extended.
    pub fn pop(
        &mut self,
        state: &CpuState,
        mmu: &mut Mmu,
        item_bits: u32,
    ) -> Result<u64, Exception> {
        match item_bits {
            16 => self.pop_one::<u16>(state, mmu),
            32 => self.pop_one::<u32>(state, mmu),
            _ => self.pop_one::<u64>(state, mmu),
        }
    }

    /// Pops as many items of `item_bits`, zero-extended.
    pub fn pop_all<const COUNT: usize>(
        &mut self,
        state: &CpuState,
        mmu: &mut Mmu,
        item_bits: u32,
    ) -> Result<[u64; COUNT], Exception> {
        if item_bits == 64
            && self.bits == 64
            && let Some(items) = mmu.read_quadwords(state, self.pointer, self.privilege)
        {
            self.advance(8 * COUNT as u64);
            return Ok(items);
        }
        let mut items = [0; COUNT];
        for item in &mut items {
            *item = self.pop(state, mmu, item_bits)?;
        }
        Ok(items)
    }

    /// Moves the pointer up, in the width of the stack's addresses.
    pub fn advance(&mut self, bytes: u64) {
        self.pointer = replace_pointer(self.pointer, self.pointer.wrapping_add(bytes), self.bits);
    }

    fn push_one<W: Width>(
        &mut self,
        state: &CpuState,
        mmu: &mut Mmu,
        item: W,
    ) -> Result<(), Exception> {
        self.advance((W::BYTES as u64).wrapping_neg());
        let linear = self.linear(W::BYTES as u32)?;
        access::write(state, mmu, linear, item, self.privilege, self.fault)
    }

    fn pop_one<W: Width>(&mut self, state: &CpuState, mmu: &mut Mmu) -> Result<u64, Exception> {
        let linear = self.linear(W::BYTES as u32)?;
        let item: W = access::read(state, mmu, linear, self.privilege, self.fault)?;
        self.advance(W::BYTES as u64);
        Ok(item.extend())
    }

    /// The linear address of the `size` bytes at the pointer.
    fn linear(&self, size: u32) -> Result<u64, Exception> {
        if self.bits == 64 {
            return Ok(self.pointer);
        }
        let offset =
            if self.bits == 32 { self.pointer as u32 } else { u32::from(self.pointer as u16) };
        if !contains(&self.segment, offset, size) {
            return Err(self.fault);
        }
        Ok(self.segment.base.wrapping_add(u64::from(offset)) & 0xffff_ffff)
    }
}

/// What RSP becomes when a stack of `bits` is given `pointer`: only SP changes on a 16-bit stack
/// (SDM, IRET: the upper half of ESP is not restored).
pub(super) fn replace_pointer(old: u64, pointer: u64, bits: u32) -> u64 {
    match bits {
        16 => old & !0xffff | pointer & 0xffff,
        32 => pointer & 0xffff_ffff,
        _ => pointer,
    }
}

/// Whether `size` bytes at `offset` lie within the segment (SDM, "Limit Checking").
fn contains(segment: &Segment, offset: u32, size: u32) -> bool {
    let access = segment.access;
    let Some(last) = offset.checked_add(size - 1) else { return false };
    if access.unusable() {
        return false;
    }
    if !access.code() && access.conforming_or_expand_down() {
        let top = if access.default_big() { u32::MAX } else { 0xffff };
        return offset > segment.limit && last <= top;
    }
    last <= segment.limit
}
