//! One vCPU on KVM, behind the same [`Engine`] as the interpreter. Its local APIC is the core's own,
//! so a guest meets the same one under both; `local_apic` beside this file has what that takes.
//!
//! Invariants: while the host has control, `ready` tells whether KVM would take an interrupt, and
//! CR8 is the local APIC's; what KVM does not hold of the state is in `own`.

use std::mem;
use std::sync::Arc;

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_INTERNAL_ERROR_DELIVERY_EV,
    KVM_INTERNAL_ERROR_EMULATION, KVM_INTERNAL_ERROR_SIMUL_EX, kvm_guest_debug,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use monovisor_core::apic::{LocalApic, Message};
use monovisor_core::cpuid::Model;
use monovisor_core::exclusive::{Outside, Section};
use monovisor_core::state::{Activity, RFlags};
use monovisor_core::{Clock, CpuState, Engine, EngineError, Exit, Kick};

use super::ioctl::{self, failed};
use super::kick::Bell;
use super::machine::Machine;
use super::registers;
use super::system::Unavailable;
use super::transfer::Transfer;
use crate::clock::VmClock;

/// A vCPU.
pub struct KvmVcpu {
    pub(super) fd: VcpuFd,
    pub(super) machine: Arc<Machine>,
    pub(super) model: Model,
    pub(super) apic: LocalApic,
    pub(super) clock: VmClock,
    /// What KVM does not hold is current here: activity, APIC base, memory types.
    pub(super) own: CpuState,
    bell: Bell,
    transfer: Option<Transfer>,
    /// KVM has an instruction to complete when it is entered again.
    unfinished: bool,
    /// The last exit told of a write, whose instruction counts as executed.
    wrote: bool,
    ready: bool,
    window_wanted: bool,
    /// The processor is to begin at its reset vector, which the host does not know yet.
    pub(super) reset: bool,
    /// An acknowledged interrupt, and an NMI, that KVM has not been given yet.
    interrupt: Option<u8>,
    pub(super) nmi: bool,
    deadline_ns: u64,
    stepping: bool,
    /// What failed where no error could be returned.
    pub(super) failed: Option<EngineError>,
    /// The place at the gate of a vCPU that has others beside it.
    place: Option<Outside>,
}

/// What KVM_RUN came back with.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Device,
    ReadMsr(u32),
    WriteMsr(u32, u64),
    Halted,
    Interrupted,
    Window,
    Shutdown,
    Stepped,
}

impl Stop {
    /// What an exit of KVM's means. One that is not known ends the run.
    fn of_exit(exit: &VcpuExit<'_>) -> Result<Self, EngineError> {
        Ok(match exit {
            VcpuExit::IoIn(..) | VcpuExit::IoOut(..) => Self::Device,
            VcpuExit::MmioRead(..) | VcpuExit::MmioWrite(..) => Self::Device,
            VcpuExit::X86Rdmsr(exit) => Self::ReadMsr(exit.index),
            VcpuExit::X86Wrmsr(exit) => Self::WriteMsr(exit.index, exit.data),
            VcpuExit::Hlt => Self::Halted,
            VcpuExit::Intr | VcpuExit::SetTpr => Self::Interrupted,
            VcpuExit::IrqWindowOpen => Self::Window,
            VcpuExit::Shutdown => Self::Shutdown,
            VcpuExit::Debug(_) => Self::Stepped,
            VcpuExit::FailEntry(..) => {
                return Err(refusal("entry into the guest, which the processor refuses,"));
            }
            _ => return Err(refusal("KVM_RUN, with an exit that is not known,")),
        })
    }
}

impl KvmVcpu {
    /// A vCPU after reset; only the one with APIC ID 0 does not wait to be started.
    ///
    /// # Errors
    /// What KVM refuses.
    pub fn new(machine: &Arc<Machine>, clock: &VmClock, apic_id: u32) -> Result<Self, Unavailable> {
        let (mut fd, model) = machine.create_vcpu(apic_id)?;
        Ok(Self {
            bell: Bell::new(&mut fd),
            fd,
            machine: Arc::clone(machine),
            model,
            apic: LocalApic::new(apic_id),
            clock: clock.clone(),
            own: CpuState::reset(apic_id),
            transfer: None,
            unfinished: false,
            wrote: false,
            ready: false,
            window_wanted: false,
            reset: false,
            interrupt: None,
            nmi: false,
            deadline_ns: u64::MAX,
            stepping: false,
            failed: None,
            place: None,
        })
    }

    /// What it tells about itself.
    pub fn model(&self) -> Model {
        self.model
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clock.now_ns(0)
    }

    /// What the device access at hand asks for next.
    fn next_item(&mut self) -> Option<Exit> {
        let exit = self.transfer.as_mut()?.next();
        if exit.is_none() {
            self.transfer = None;
        }
        exit
    }

    /// Acts on what has happened before the guest goes on. What the host is to know first.
    fn before_entry(&mut self) -> Result<Option<Exit>, EngineError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.bell.kick().take() {
            return Ok(Some(Exit::Kicked));
        }
        if mem::take(&mut self.reset) {
            return Ok(Some(Exit::Reset));
        }
        if self.apic.next_timer_ns().is_some() {
            self.apic.advance(self.now_ns());
        }
        match self.own.activity {
            Activity::Shutdown => return Ok(Some(Exit::TripleFault)),
            Activity::WaitForSipi => return Ok(Some(Exit::Halted)),
            Activity::Active | Activity::Halted => {}
        }
        self.offer_nmi()?;
        if self.ready {
            let vector = self
                .interrupt
                .take()
                .or_else(|| self.apic.pending().map(|_| self.apic.acknowledge()));
            if let Some(vector) = vector {
                ioctl::interrupt(&self.fd, vector)?;
                self.ready = false;
                self.own.activity = Activity::Active;
            } else if self.window_wanted {
                self.window_wanted = false;
                return Ok(Some(Exit::InterruptWindow));
            }
        }
        if self.own.activity == Activity::Halted {
            return Ok(Some(Exit::Halted));
        }
        Ok(None)
    }

    /// Gives KVM the NMI that waits; a halted processor wakes unless it is handling one.
    fn offer_nmi(&mut self) -> Result<(), EngineError> {
        if !self.nmi {
            return Ok(());
        }
        if self.own.activity == Activity::Halted {
            let events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
            if events.nmi.masked != 0 {
                return Ok(());
            }
            self.own.activity = Activity::Active;
        }
        self.nmi = false;
        self.fd.nmi().map_err(failed("KVM_NMI"))
    }

    /// Enters the guest once.
    fn enter(&mut self) -> Result<Stop, EngineError> {
        let wants_window =
            self.window_wanted || self.interrupt.is_some() || self.apic.pending().is_some();
        self.fd.get_kvm_run().request_interrupt_window = wants_window.into();
        let clock = &self.clock;
        let timer_ns = self.apic.next_timer_ns().unwrap_or(u64::MAX);
        let due_ns = self.deadline_ns.min(timer_ns);
        let stop = match self.bell.enter(due_ns, || clock.now_ns(0)) {
            Ok(true) => self.run_kvm(),
            Ok(false) => Ok(Stop::Interrupted),
            Err(error) => Err(error),
        };
        self.bell.leave();
        stop
    }

    /// One KVM_RUN, and what KVM then says beside the reason. Without one, what it said last may be
    /// of a state that has been replaced since.
    fn run_kvm(&mut self) -> Result<Stop, EngineError> {
        self.unfinished = false;
        self.fd.get_kvm_run().cr8 = self.apic.task_priority_class().into();
        let stop = self.call_kvm();
        self.unfinished = matches!(stop, Ok(Stop::Device | Stop::ReadMsr(_) | Stop::WriteMsr(..)));
        let run = self.fd.get_kvm_run();
        self.ready = run.ready_for_interrupt_injection != 0;
        let class = run.cr8 as u8 & 0xf;
        self.apic.set_task_priority_class(class);
        stop
    }

    fn call_kvm(&mut self) -> Result<Stop, EngineError> {
        match self.fd.run() {
            Ok(VcpuExit::InternalError) => Err(self.internal_error()),
            Ok(exit) => Stop::of_exit(&exit),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                Ok(Stop::Interrupted)
            }
            Err(error) => Err(failed("KVM_RUN")(error)),
        }
    }

    fn internal_error(&mut self) -> EngineError {
        let run = self.fd.get_kvm_run();
        // SAFETY: the exit's reason says that this field of the union is valid.
        let suberror = unsafe { run.__bindgen_anon_1.internal }.suberror;
        refusal(match suberror {
            KVM_INTERNAL_ERROR_EMULATION => {
                "KVM_RUN, at an instruction that this KVM would have to emulate and cannot,"
            }
            KVM_INTERNAL_ERROR_SIMUL_EX => "KVM_RUN, at simultaneous exceptions,",
            KVM_INTERNAL_ERROR_DELIVERY_EV => "KVM_RUN, at the delivery of an event,",
            _ => "KVM_RUN, with an internal error of KVM,",
        })
    }

    /// Acts on a stop. What the host is to know; without, the guest goes on.
    fn follow(&mut self, stop: Stop) -> Result<Option<Exit>, EngineError> {
        Ok(match stop {
            Stop::Device => {
                self.transfer = Transfer::of_exit(&mut self.fd);
                None
            }
            Stop::ReadMsr(number) => {
                self.read_msr(number);
                None
            }
            Stop::WriteMsr(number, value) => self.write_msr(number, value)?,
            Stop::Halted => {
                self.own.activity = Activity::Halted;
                None
            }
            // A step that was interrupted has not come to its end.
            Stop::Interrupted if self.bell.kick().take() || self.stepping => Some(Exit::Kicked),
            Stop::Interrupted => Some(Exit::Budget),
            Stop::Window => None,
            Stop::Shutdown => {
                self.own.activity = Activity::Shutdown;
                Some(Exit::TripleFault)
            }
            Stop::Stepped => Some(Exit::Budget),
        })
    }

    /// Has KVM complete the instruction whose access it has told of.
    pub(super) fn complete(&mut self) -> Result<(), EngineError> {
        while self.next_item().is_some() {}
        if !self.unfinished {
            return Ok(());
        }
        self.bell.return_at_once();
        match self.run_kvm()? {
            // Another part of the same instruction.
            Stop::Device => self.transfer = Transfer::of_exit(&mut self.fd),
            Stop::Halted => self.own.activity = Activity::Halted,
            Stop::Shutdown => self.own.activity = Activity::Shutdown,
            _ => {}
        }
        Ok(())
    }

    /// Whether KVM returns after each instruction.
    fn single_step(&mut self, wanted: bool) -> Result<(), EngineError> {
        if self.stepping == wanted {
            return Ok(());
        }
        let control = if wanted { KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP } else { 0 };
        self.fd
            .set_guest_debug(&kvm_guest_debug { control, ..Default::default() })
            .map_err(failed("KVM_SET_GUEST_DEBUG"))?;
        self.stepping = wanted;
        Ok(())
    }

    /// Runs until the host is needed; with `step`, over one instruction at most.
    fn run_until_exit(&mut self, step: bool) -> Result<Exit, EngineError> {
        if let Some(exit) = self.next_item() {
            return Ok(exit);
        }
        if step && self.unfinished {
            self.complete()?;
            // An instruction that wrote to a device counted when it was told of.
            if !self.wrote {
                return Ok(Exit::Budget);
            }
        }
        self.single_step(step)?;
        loop {
            if let Some(exit) = self.next_item() {
                return Ok(exit);
            }
            if let Some(exit) = self.before_entry()? {
                return Ok(exit);
            }
            let stop = self.enter()?;
            let address = self.apic.address();
            if let Some(exit) = self.follow(stop)? {
                return Ok(exit);
            }
            if let Some(exit) = self.access_apic() {
                return Ok(exit);
            }
            if step && self.unfinished && self.transfer.is_none() {
                self.complete()?;
                return Ok(Exit::Budget);
            }
            // The guest has written to its local APIC: others have to see who it is now.
            if self.apic.address() != address {
                return Ok(Exit::Budget);
            }
        }
    }

    /// What KVM and this vCPU hold together.
    pub(super) fn read_state(&mut self) -> Result<CpuState, EngineError> {
        self.complete()?;
        let Self { fd, machine, model, own, .. } = self;
        registers::read(fd, &machine.system, model, own)?;
        let mut state = own.clone();
        state.pending.nmi |= self.nmi;
        state.pending.interrupt = state.pending.interrupt.or(self.interrupt);
        Ok(state)
    }

    pub(super) fn write_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        self.complete()?;
        self.transfer = None;
        self.own.clone_from(state);
        self.interrupt = state.pending.interrupt;
        (self.nmi, self.reset) = (false, false);
        self.apic.restore_base(state.msr.apic_base);
        let shadow = state.shadow;
        self.ready = state.rflags.contains(RFlags::INTERRUPT_FLAG) && !shadow.sti && !shadow.mov_ss;
        let class = self.apic.task_priority_class();
        registers::write(&self.fd, &self.machine.system, &self.model, state, class)
    }
}

fn refusal(operation: &'static str) -> EngineError {
    EngineError { operation, errno: 0 }
}

impl Engine for KvmVcpu {
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError> {
        let mut place = self.place.take();
        let inside = place.as_mut().map(Outside::enter);
        let exit = self.run_until_exit(budget == 1);
        self.wrote = matches!(exit, Ok(Exit::Write(..)));
        drop(inside);
        self.place = place;
        exit
    }

    fn set_deadline(&mut self, due_ns: u64) {
        self.deadline_ns = due_ns;
    }

    fn answer(&mut self, data: u64) {
        if let Some(transfer) = &mut self.transfer {
            transfer.answer(data);
        }
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        self.read_state()
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        self.write_state(state)
    }

    fn forget_code(&mut self) {
        let forgotten = self.machine.forget_contents(None);
        self.failed = self.failed.take().or(forgotten.err());
    }

    fn forget_code_within(&mut self, section: &Section<'_>) {
        let forgotten = self.machine.forget_contents(Some(section));
        self.failed = self.failed.take().or(forgotten.err());
    }

    fn local_apic(&self) -> &LocalApic {
        &self.apic
    }

    fn set_local_apic(&mut self, apic: &LocalApic) {
        self.apic.clone_from(apic);
    }

    fn interruptible(&self) -> bool {
        let runs = matches!(self.own.activity, Activity::Active | Activity::Halted);
        runs && self.ready && self.interrupt.is_none()
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.window_wanted = wanted;
    }

    fn inject(&mut self, vector: u8) {
        self.interrupt = Some(vector);
    }

    fn inject_nmi(&mut self) {
        self.nmi = true;
    }

    fn accepts_pic(&self) -> bool {
        self.apic.accepts_pic()
    }

    fn deliver(&mut self, message: Message) {
        if self.apic.matches(message.destination, None) {
            let accepted = self.apic.accept(message);
            self.accepted(accepted);
        }
    }

    fn next_timer_ns(&self) -> Option<u64> {
        self.apic.next_timer_ns()
    }

    fn instructions(&self) -> Option<u64> {
        None
    }

    fn take_place(&mut self, place: Outside) {
        self.place = Some(place);
    }

    fn leave_place(&mut self) -> Option<Outside> {
        self.place.take()
    }

    fn kick_handle(&self) -> Kick {
        self.bell.kick().clone()
    }
}

impl Drop for KvmVcpu {
    fn drop(&mut self) {
        self.bell.silence();
    }
}

impl KvmVcpu {
    /// Takes the device access at hand if it is to the local APIC's page.
    fn access_apic(&mut self) -> Option<Exit> {
        let mut exit = None;
        while exit.is_none() {
            let offset = self.apic_offset(self.transfer.as_ref()?.memory_address()?)?;
            exit = match self.next_item()? {
                Exit::Read(_) => {
                    let value = self.apic.read(offset, self.now_ns());
                    self.answer(value.into());
                    None
                }
                Exit::Write(_, value) => {
                    let effect = self.apic.write(offset, value as u32, self.now_ns());
                    self.apic_effect(effect)
                }
                other => Some(other),
            };
        }
        exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_entry_and_unknown_exits_are_failures() {
        let failure = |exit: VcpuExit<'_>| Stop::of_exit(&exit).map_err(|error| error.operation);
        let refused = "entry into the guest, which the processor refuses,";
        assert_eq!(failure(VcpuExit::FailEntry(0x8000_0021, 0)), Err(refused));
        for exit in [VcpuExit::Unknown, VcpuExit::Exception, VcpuExit::Unsupported(1 << 20)] {
            assert_eq!(failure(exit), Err("KVM_RUN, with an exit that is not known,"));
        }
        assert_eq!(failure(VcpuExit::Hlt), Ok(Stop::Halted));
    }
}
