//! The interpreter as an [`Engine`]: nothing but what [`Vcpu`] has under the names of the contract.

use super::{DeviceRead, Vcpu};
use crate::apic::{LocalApic, Message};
use crate::exclusive::Outside;
use crate::execute::x87::ErrorLine;
use crate::state::Activity;
use crate::{CpuState, Engine, EngineError, Exit, FaultLog, Kick};

impl Engine for Vcpu {
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError> {
        self.cpu.mmu.enter();
        if self.resumes(budget) {
            return self.run_on(Ok);
        }
        Ok(self.run_for(budget, budget == 1))
    }

    fn run_exclusive(&mut self) -> Result<Exit, EngineError> {
        Ok(self.step_exclusive())
    }

    fn set_pause_limit(&mut self, pauses: u32) {
        self.cpu.pauses.limit = pauses;
    }

    fn answer(&mut self, data: u64) {
        if let DeviceRead::Asked(access) = self.device {
            self.cpu.mmu.devices.answer(data);
            self.device = DeviceRead::Answered(access);
        }
    }

    fn ignore_floating_point_error(&mut self) {
        self.come_back();
        self.cpu.error_line = ErrorLine::Ignored;
        self.cpu.state.activity = Activity::Active;
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        Ok(Self::state(self).clone())
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        Self::set_state(self, state);
        Ok(())
    }

    fn forget_code(&mut self) {
        self.come_back();
        let cpu = &mut *self.cpu;
        cpu.mmu.flush_all();
        cpu.mmu.code.everything = true;
        cpu.mmu.attention = true;
    }

    fn local_apic(&self) -> &LocalApic {
        self.apic()
    }

    fn set_local_apic(&mut self, apic: &LocalApic) {
        self.come_back();
        self.cpu.apic.clone_from(apic);
        self.cpu.apic.restore_base(self.cpu.state.msr.apic_base);
        self.cpu.follow_apic_base();
    }

    fn interruptible(&self) -> bool {
        self.can_interrupt() && self.cpu.state.pending.interrupt.is_none()
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        if wanted {
            self.come_back();
        }
        self.cpu.window_wanted = wanted;
    }

    fn inject(&mut self, vector: u8) {
        self.come_back();
        self.cpu.state.pending.interrupt = Some(vector);
    }

    fn inject_nmi(&mut self) {
        self.come_back();
        self.cpu.state.pending.nmi = true;
    }

    fn accepts_pic(&self) -> bool {
        self.cpu.apic.accepts_pic()
    }

    fn deliver(&mut self, message: Message) {
        self.come_back();
        if self.cpu.apic.matches(message.destination, None) {
            self.accept(message);
        }
    }

    fn next_timer_ns(&self) -> Option<u64> {
        self.cpu.apic.next_timer_ns()
    }

    fn instructions(&self) -> Option<u64> {
        Some(self.cpu.retired)
    }

    fn fault_log(&self) -> Option<&FaultLog> {
        Some(Self::fault_log(self))
    }

    fn take_place(&mut self, place: Outside) {
        Self::take_place(self, place);
    }

    fn leave_place(&mut self) -> Option<Outside> {
        Self::leave_place(self)
    }

    fn kick_handle(&self) -> Kick {
        self.cpu.kick.clone()
    }
}
