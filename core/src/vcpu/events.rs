//! What happens between instructions: device accesses that were made, code that was written,
//! exceptions, interrupts, and the local APIC's part in them.

use super::{DeviceRead, Vcpu};
use crate::apic::{Accepted, Effect, Message};
use crate::interrupt::{self, Shutdown};
use crate::state::{Activity, BRANCH_TRAP, Dr6Flags, Exception, RFlags, SegmentRegister};
use crate::{Access, Engine, Exit, Space};

/// What a look at events came to.
pub(super) enum Outcome {
    /// The next instruction is to be executed.
    Nothing,
    /// An event was delivered.
    Delivered,
    /// The host is to know.
    Exit(Exit),
}

impl Vcpu {
    /// Acts on what the last instruction has done to devices and to code.
    pub(super) fn attend(&mut self) -> Option<Exit> {
        self.trap_data_breakpoints();
        if self.cpu.timer_changed {
            self.cpu.timer_changed = false;
            return Some(Exit::Budget);
        }
        if let Some(effect) = self.cpu.apic_effect.take()
            && let Some(exit) = self.apic_effect(effect)
        {
            return Some(exit);
        }
        self.cpu.mmu.follow_others();
        if self.cpu.pauses.take_due() {
            return Some(Exit::Pause);
        }
        if !self.cpu.mmu.attention {
            return None;
        }
        while let Some(&(access, data)) = self.cpu.mmu.devices.writes().get(self.written) {
            self.written += 1;
            let exit = match self.apic_offset(access) {
                None => Some(Exit::Write(access, data)),
                Some(offset) => {
                    let now_ns = self.cpu.now_ns();
                    let effect = self.cpu.apic.write(offset, data as u32, now_ns);
                    self.cpu.timer_changed = true;
                    self.apic_effect(effect)
                }
            };
            if exit.is_some() {
                return exit;
            }
        }
        self.written = 0;
        self.cpu.mmu.devices.retire();
        self.cpu.mmu.attention = false;
        self.forget_written_code();
        None
    }

    /// Forgets the blocks of code that was written.
    pub(super) fn forget_written_code(&mut self) {
        if self.cpu.mmu.code.everything {
            self.cpu.mmu.code.everything = false;
            self.cpu.mmu.code.written.clear();
            self.cache.flush(&mut self.cpu.mmu);
            self.cpu.forget_jumps();
        }
        while let Some((page, chunks)) = self.cpu.mmu.code.written.pop() {
            self.invalidate(page, chunks);
        }
    }

    /// The register's offset, if the access is to the local APIC's page.
    pub(super) fn apic_offset(&self, access: Access) -> Option<u32> {
        let base = self.cpu.state.msr.apic_base & !0xfff;
        let offset = access.address.wrapping_sub(base);
        let mapped = self.cpu.apic.mode() == crate::apic::Mode::XApic;
        (mapped && access.space == Space::Memory && offset < 0x1000).then_some(offset as u32)
    }

    /// Asks a device for what the instruction at hand reads.
    pub(super) fn read_device(&mut self, access: Access) -> Result<(), Exit> {
        let Some(offset) = self.apic_offset(access) else { return Err(Exit::Read(access)) };
        let now_ns = self.cpu.now_ns();
        let data = self.cpu.apic.read(offset, now_ns);
        self.answer(u64::from(data));
        Ok(())
    }

    fn apic_effect(&mut self, effect: Effect) -> Option<Exit> {
        match effect {
            Effect::None => None,
            Effect::EndOfInterrupt(vector) => Some(Exit::EndOfInterrupt(vector)),
            Effect::Accepted(accepted) => {
                self.accepted(accepted);
                None
            }
            Effect::SendIpi(message) => {
                let accepted = self.cpu.apic.accept_own(message);
                self.accepted(accepted);
                Some(Exit::Ipi(message))
            }
        }
    }

    /// A message has arrived that is for this local APIC.
    pub(super) fn accept(&mut self, message: Message) {
        let accepted = self.cpu.apic.accept(message);
        self.accepted(accepted);
    }

    /// The local APIC has accepted a message.
    pub(super) fn accepted(&mut self, accepted: Accepted) {
        let cpu = &mut *self.cpu;
        match accepted {
            Accepted::Nmi => cpu.state.pending.nmi = true,
            Accepted::Init => {
                cpu.state.init();
                cpu.apic.init();
                cpu.mmu.flush_all();
                cpu.mmu.watch_data(&cpu.state.debug);
                self.device = DeviceRead::None;
                self.cpu.adopt_status();
                self.reset = self.cpu.state.activity == Activity::Active;
            }
            Accepted::StartUp(vector) if cpu.state.activity == Activity::WaitForSipi => {
                cpu.state.start_up(vector);
            }
            Accepted::StartUp(_) | Accepted::Interrupt | Accepted::ExtInt | Accepted::Ignored => {}
        }
    }

    /// Whether a maskable interrupt can be taken.
    pub(super) fn can_interrupt(&self) -> bool {
        let state = &self.cpu.state;
        let active = matches!(state.activity, Activity::Active | Activity::Halted);
        active
            && state.rflags.contains(RFlags::INTERRUPT_FLAG)
            && !state.shadow.sti
            && !state.shadow.mov_ss
    }

    /// Delivers the most urgent event that is pending (SDM, "Priority Among Concurrent Events").
    pub(super) fn events(&mut self) -> Result<Outcome, Shutdown> {
        if core::mem::take(&mut self.reset) {
            return Ok(Outcome::Exit(Exit::Reset));
        }
        // The last instruction, or the host, may have changed what a delivery's accesses go by.
        self.cpu.mmu.update_mode(&self.cpu.state);
        match self.cpu.state.activity {
            Activity::Shutdown => return Err(Shutdown),
            Activity::WaitForSipi => return Ok(Outcome::Exit(Exit::Halted)),
            Activity::Active | Activity::Halted => {}
        }
        if let Some(fault) = self.cpu.state.pending.fault.take() {
            self.raise(fault)?;
            return Ok(Outcome::Delivered);
        }
        let shadow = self.cpu.state.shadow;
        let pending = self.cpu.state.pending;
        if let Some(hit) = pending.debug
            && !shadow.mov_ss
        {
            self.cpu.state.pending.debug = None;
            self.raise(Exception::debug(hit))?;
            return Ok(Outcome::Delivered);
        }
        let vcpu = &mut *self.cpu;
        if pending.nmi && !shadow.nmi && !shadow.mov_ss {
            vcpu.state.pending.nmi = false;
            vcpu.state.activity = Activity::Active;
            interrupt::nmi(&mut vcpu.state, &mut vcpu.mmu, &mut self.log)?;
            return Ok(Outcome::Delivered);
        }
        if self.can_interrupt() {
            let vcpu = &mut *self.cpu;
            let vector = match vcpu.state.pending.interrupt.take() {
                Some(vector) => Some(vector),
                None => vcpu.apic.pending().map(|_| vcpu.apic.acknowledge()),
            };
            if let Some(vector) = vector {
                vcpu.state.activity = Activity::Active;
                interrupt::external(&mut vcpu.state, &mut vcpu.mmu, vector, &mut self.log)?;
                return Ok(Outcome::Delivered);
            }
            if self.cpu.window_wanted {
                self.cpu.window_wanted = false;
                return Ok(Outcome::Exit(Exit::InterruptWindow));
            }
        }
        if self.cpu.state.activity == Activity::Halted {
            return Ok(Outcome::Exit(Exit::Halted));
        }
        if let Some(hit) = self.code_breakpoint() {
            self.raise(Exception::debug(hit))?;
            return Ok(Outcome::Delivered);
        }
        if interrupt::virtual_interrupt_is_due(&self.cpu.state) {
            self.raise(Exception::GP0)?;
            return Ok(Outcome::Delivered);
        }
        Ok(Outcome::Nothing)
    }

    /// Delivers an exception at `state.rip`.
    pub(super) fn raise(&mut self, exception: Exception) -> Result<(), Shutdown> {
        let vcpu = &mut *self.cpu;
        vcpu.state.activity = Activity::Active;
        interrupt::raise(&mut vcpu.state, &mut vcpu.mmu, exception, &mut self.log)
    }

    /// The instruction breakpoints that `state.rip` hits (SDM, "Instruction-Breakpoint Exception
    /// Condition"). Behind a load of SS there is none: debug exceptions are held back there ("Masking
    /// Exceptions and Interrupts When Switching Stacks"), and this one has no later.
    fn code_breakpoint(&self) -> Option<Dr6Flags> {
        let state = &self.cpu.state;
        let dr7 = state.debug.dr7;
        let passed = state.rflags.contains(RFlags::RESUME_FLAG) || state.shadow.mov_ss;
        if dr7 & 0xff == 0 || passed {
            return None;
        }
        let linear = match state.mode_64bit() {
            true => state.rip,
            false => {
                let base = state.segments[SegmentRegister::Cs].base;
                base.wrapping_add(state.rip) & 0xffff_ffff
            }
        };
        let hits = (0..4_usize)
            .filter(|&number| {
                let enabled = dr7 >> (2 * number) & 3 != 0;
                let on_execution = dr7 >> (16 + 4 * number) & 3 == 0;
                enabled && on_execution && state.debug.address[number] == linear
            })
            .fold(0, |hits, number| hits | 1 << number);
        (hits != 0).then(|| Dr6Flags::from_bits_retain(hits))
    }

    /// Data breakpoints that an instruction or an event's delivery has hit become a trap behind it.
    fn trap_data_breakpoints(&mut self) {
        let hits = self.cpu.mmu.take_data_breakpoints();
        if hits != 0 {
            self.pend_debug(Dr6Flags::from_bits_retain(hits.into()));
        }
    }

    fn pend_debug(&mut self, hit: Dr6Flags) {
        let debug = &mut self.cpu.state.pending.debug;
        *debug = Some(debug.unwrap_or(Dr6Flags::empty()) | hit);
    }

    /// A single-step trap is due if the instruction began with TF set, unless it suppresses the
    /// trap itself. With IA32_DEBUGCTL.BTF it has to have branched (SDM, "Single-Stepping on
    /// Branches").
    pub(super) fn trap_after(&mut self, branched: bool) {
        let state = &self.cpu.state;
        let wanted = branched || state.msr.debug_control & BRANCH_TRAP == 0;
        let held_back = state.shadow.mov_ss;
        let suppressed = core::mem::take(&mut self.cpu.trap_suppressed);
        if self.trapping && wanted && !suppressed && !held_back {
            self.pend_debug(Dr6Flags::STEP);
        }
    }
}
