//! The short way out of and back into a block, for an instruction that has written to a device of
//! the host: no look at events, no look-up, no settling of flags, if the host changes nothing
//! meanwhile. A guest that talks to a device takes it for every byte.
//!
//! Invariant: while `Vcpu::resume` is set, the frame is that of the op to go on with, whose block is
//! in the cache, RIP and status flags in the state are stale, and the only thing that wants
//! attention is the one device write that the host has been told of.

use super::Vcpu;
use crate::Exit;
use crate::execute::op::Op;

impl Vcpu {
    /// If all that `op`'s predecessor did is one write to a device of the host: what to tell it.
    /// `op` is then the place to resume at.
    pub(super) fn suspend(&mut self, op: *const Op) -> Option<Exit> {
        let cpu = &*self.cpu;
        let &[(access, data)] = cpu.mmu.devices.writes() else { return None };
        let code_written = cpu.mmu.code.everything || !cpu.mmu.code.written.is_empty();
        let apic = cpu.timer_changed || cpu.apic_effect.is_some();
        if code_written || apic || self.apic_offset(access).is_some() {
            return None;
        }
        let before = i64::from(self.cache.instructions_before(op));
        let cpu = &mut *self.cpu;
        cpu.frame.op = op;
        cpu.retired = cpu.retired.wrapping_add_signed(cpu.granted - cpu.frame.budget + before);
        // The end of the block will count these instructions once more.
        (cpu.granted, cpu.frame.budget) = (0, before);
        self.resume = Some(op);
        Some(Exit::Write(access, data))
    }

    /// The op to go on with, if nothing wants a look before it.
    pub(super) fn resumable(&mut self, budget: u64) -> Option<*const Op> {
        let op = self.resume?;
        let cpu = &mut *self.cpu;
        let asked = cpu.kick.is_pending() || cpu.mmu.has_requests();
        if budget <= 1 || asked || cpu.apic.next_timer_ns().is_some() {
            return None;
        }
        self.resume = None;
        cpu.mmu.devices.retire();
        cpu.mmu.attention = false;
        Some(op)
    }

    /// Takes the long way after all: brings the state up to date and forgets the op.
    pub(super) fn come_back(&mut self) {
        let Some(op) = self.resume.take() else { return };
        self.rewind(op);
        self.settle();
        self.written = self.cpu.mmu.devices.writes().len();
    }
}
