//! The short way out of and back into a block, for an instruction that has written to a device of
//! the host or reads from one: no look at events, no look-up, no settling of flags, if the host
//! changes nothing meanwhile. A guest that talks to a device takes it for every byte.
//!
//! Invariant: while `Vcpu::suspended` is set, the frame is that of the op to go on with, whose block
//! is in the cache; RIP and status flags in the state are stale, counts are not; and nothing waits
//! for attention but the one device access that the host has been told of. With a read, the op is the
//! one that reads, has done nothing, and no op of its instruction in front has accessed a device: so
//! it can go on with the answer, or the whole instruction be executed anew.

use super::{DeviceRead, Vcpu};
use crate::execute::Leave;
use crate::execute::op::Op;
use crate::execute::sse::host_float::{self, HostMxcsr};
use crate::{Access, Exit, Space};

impl Vcpu {
    /// Goes on at the frame's op. In front of the loop a look for an OUT that leaves at once again:
    /// nothing but its own few words is then read or written.
    ///
    /// `wrap` makes what the caller returns: an exit that is put together where it is wanted need
    /// not be copied from where it was.
    #[inline(always)]
    pub(super) fn run_on<R>(&mut self, wrap: impl FnOnce(Exit) -> R) -> R {
        let host = host_float::enter(&self.cpu);
        self.cpu.dispatch();
        if let Leave::Output(output) = self.cpu.leave
            && !self.cpu.mmu.attention
        {
            self.suspend(output.index);
            host_float::leave(&mut self.cpu, host);
            self.cpu.mmu.leave();
            return wrap(output.exit());
        }
        wrap(self.run_away(host))
    }

    #[inline(never)]
    fn run_away(&mut self, host: HostMxcsr) -> Exit {
        let result = self.execute_on(false);
        host_float::leave(&mut self.cpu, host);
        let exit = match result {
            Ok(()) => self.run_loop(false, false, &mut None),
            Err(exit) => exit,
        };
        self.finish(exit)
    }

    /// Suspends before `op` if all that its predecessor did is one write to a device of the host.
    pub(super) fn suspend_after_write(&mut self, op: *const Op) -> Option<Exit> {
        let mmu = &mut self.cpu.mmu;
        let &[(access, data)] = mmu.devices.writes() else { return None };
        let code_written = mmu.code.everything || !mmu.code.written.is_empty();
        let apic = self.cpu.timer_changed || self.cpu.apic_effect.is_some();
        if code_written || apic || self.apic_offset(access).is_some() {
            return None;
        }
        let mmu = &mut self.cpu.mmu;
        mmu.devices.retire();
        mmu.attention = false;
        self.suspend(self.cache.instructions_before(op));
        Some(Exit::Write(access, data))
    }

    /// Suspends before `op`, which reads from a device of the host, unless that has to be asked from
    /// the instruction's beginning.
    pub(super) fn suspend_before_read(&mut self, op: *const Op, access: Access) -> Option<Exit> {
        // IN does nothing else.
        let first = access.space == Space::Port || self.cache.begins_instruction(op);
        if !first || self.cpu.mmu.attention || self.apic_offset(access).is_some() {
            return None;
        }
        self.cpu.mmu.devices.retire();
        self.device = DeviceRead::Asked(access);
        self.suspend(self.cache.instructions_before(op));
        Some(Exit::Read(access))
    }

    /// The frame's op is to go on with, the one with this number in its block.
    #[inline]
    pub(super) fn suspend(&mut self, index: u8) {
        let cpu = &mut *self.cpu;
        let before = i64::from(index);
        cpu.retired = cpu.retired.wrapping_add_signed(cpu.granted - cpu.frame.budget + before);
        // The end of the block will count these instructions once more.
        (cpu.granted, cpu.frame.budget) = (0, before);
        self.suspended = true;
    }

    /// Whether to go on at the frame's op, because nothing wants a look before it. There is a slice
    /// then. The local APIC's timer need not be looked at as long as a budget ends where the one
    /// before did: the host has cut it for that timer.
    #[inline]
    pub(super) fn resumes(&mut self, budget: u64) -> bool {
        let cpu = &mut *self.cpu;
        let asked = cpu.kick.is_pending() || cpu.mmu.has_requests();
        // Behind a gate it enters first, and asks again with the place in hand.
        if !self.suspended || budget <= 1 || asked || self.place.is_some() {
            return false;
        }
        let end = cpu.retired.wrapping_add(budget);
        if end != self.budget_end && cpu.apic.next_timer_ns().is_some() {
            return false;
        }
        match self.device {
            DeviceRead::None => {}
            DeviceRead::Asked(_) => return false,
            DeviceRead::Answered(access) => cpu.mmu.devices.await_read(access),
        }
        self.device = DeviceRead::None;
        self.suspended = false;
        cpu.remaining = i64::try_from(budget).unwrap_or(i64::MAX);
        cpu.grant();
        true
    }

    /// Takes the long way after all: brings the state up to date and forgets the op.
    pub(super) fn come_back(&mut self) {
        if core::mem::take(&mut self.suspended) {
            self.rewind(self.cpu.frame.op);
            self.settle();
            if self.device != DeviceRead::None {
                self.cpu.undo_begin();
            }
        }
    }
}
