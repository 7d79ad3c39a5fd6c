//! An engine that is two: the interpreter executes, and KVM executes the same instruction after it,
//! on a copy of RAM and with the same answers from devices; then both are compared. The first
//! difference that is not legitimate ends the run.
//!
//! The run loop and the devices meet the interpreter alone. Delivery of events (exceptions and
//! interrupts) is the interpreter's: KVM's single step would trap into it, so its state and memory
//! are copied afterwards. The same holds for what KVM cannot step: a few instructions, and privilege
//! levels at which a KVM shows that it cannot, by not stopping.
//!
//! Memory is compared now and then, before what is known to leave KVM behind, and at the end. What
//! an exception leaves uncompared are the stores since then.
//!
//! Invariant: unless `stale` is set, both engines are at the same instruction with the same state.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use monovisor_core::apic::{LocalApic, Message};
use monovisor_core::cpuid::Model;
use monovisor_core::{Clock, CpuState, Engine, EngineError, Exit, FaultLog, Kick, Vcpu};

use super::Socket;
use super::kvm::{self, KvmVcpu, Unavailable};
use crate::clock::VmClock;
use crate::diff::compare::{self, DeviceAccess};
use crate::diff::{Difference, Finding, Site, legitimate};
use crate::memory::GuestRam;

/// After so many compared instructions all of RAM is compared.
const MEMORY_INTERVAL: u64 = 4096;
/// A step that takes longer has not stopped.
const STEP_NS: u64 = 50_000_000;
/// The same for a string instruction with a repeat prefix, which stops at each item.
const STRING_NS: u64 = 1_000_000_000;
/// After so many steps in a row that did not stop, KVM is not tried again at that privilege level.
const MAX_FAILED: u8 = 3;
/// Steps after which the run loop looks at its limits: each may take milliseconds.
const MOST_STEPS: u64 = 64;
/// Stops of KVM that one instruction may take: a string instruction has one for each item.
const MAX_STOPS: usize = 1 << 20;
/// Device accesses of one instruction that KVM repeats; one that makes more is not stepped.
const MAX_ACCESSES: usize = 1 << 16;

/// What has come of the comparison.
#[derive(Debug, Default)]
pub struct Tally {
    /// Instructions that both engines have executed alike.
    pub compared: u64,
    /// Exceptions and interrupts that the interpreter delivered.
    pub events: u64,
    /// Instructions that KVM could not step.
    pub not_stepped: u64,
    /// The difference that has ended the run.
    pub finding: Option<Finding>,
}

/// Both engines of one processor.
pub struct Lockstep {
    interpreter: Vcpu,
    kvm: KvmVcpu,
    ram: Arc<GuestRam>,
    copy: Arc<GuestRam>,
    clock: VmClock,
    kvm_clock: VmClock,
    step: Option<Step>,
    /// Steps in a row that did not stop, at each privilege level.
    failed_at: [u8; 4],
    stale: bool,
    tally: Arc<Mutex<Tally>>,
}

/// The instruction at hand.
struct Step {
    site: Site,
    apic: LocalApic,
    retired: u64,
    accesses: Vec<DeviceAccess>,
    answers: Vec<u64>,
}

/// Keeps what one instruction does, as far as it matters: one item too many tells that it is too much.
fn keep<T>(items: &mut Vec<T>, item: T) {
    if items.len() <= MAX_ACCESSES {
        items.push(item);
    }
}

impl Lockstep {
    /// Both engines at `socket`, telling of themselves what both have of `model`.
    ///
    /// # Errors
    /// Why KVM can't be used.
    pub fn new(
        socket: &Socket,
        model: Model,
        tally: Arc<Mutex<Tally>>,
    ) -> Result<Self, Unavailable> {
        let copy = GuestRam::new(socket.ram.size_bytes())
            .map_err(|error| Unavailable::Unfit(error.to_string()))?;
        let copy = Arc::new(copy);
        let kvm_clock = VmClock::new(true);
        let other = Socket { ram: copy.clone(), clock: kvm_clock.clone(), id: socket.id };
        let (_, kvm) = kvm::create(&other, model, kvm::Trust::AsIs)?;
        let clock = socket.clock.clone();
        let mut interpreter = Vcpu::new(socket.ram.clone(), Arc::new(clock.clone()), socket.id);
        interpreter.set_model(kvm.model());
        Ok(Self {
            interpreter,
            kvm,
            ram: socket.ram.clone(),
            copy,
            clock,
            kvm_clock,
            step: None,
            failed_at: [0; 4],
            stale: true,
            tally,
        })
    }

    /// One step of both. What the host is to know.
    fn advance(&mut self) -> Result<Option<Exit>, EngineError> {
        let mut step = match self.step.take() {
            Some(step) => step,
            None => self.begin()?,
        };
        let exit = Engine::run(&mut self.interpreter, 1)?;
        let retired = self.interpreter.retired() - step.retired;
        match exit {
            Exit::Read(access) => {
                keep(&mut step.accesses, DeviceAccess { access, written: None });
                self.step = Some(step);
                return Ok(Some(exit));
            }
            Exit::Write(access, value) => {
                keep(&mut step.accesses, DeviceAccess { access, written: Some(value) });
            }
            Exit::Budget if retired == 0 => {
                self.stale = true;
                self.tally().events += 1;
                return Ok(None);
            }
            Exit::Budget => {}
            Exit::Halted => return Ok(Some(exit)),
            Exit::TripleFault => {
                self.stale = true;
                return Ok(Some(exit));
            }
            _ => {
                self.step = Some(step);
                return Ok(Some(exit));
            }
        }
        let told = matches!(exit, Exit::Write(..)).then_some(exit);
        if step.site.repeats() && self.interpreter.state().rip == step.site.rip {
            self.step = Some(step);
            return Ok(told);
        }
        self.follow(&step)?;
        Ok(told)
    }

    /// Before an instruction: brings KVM to where the interpreter is, if it is not.
    fn begin(&mut self) -> Result<Step, EngineError> {
        let state = self.interpreter.state().clone();
        let site = Site::of(&state, &self.ram);
        if self.stale && self.failed_at[usize::from(site.cpl & 3)] < MAX_FAILED {
            compare::copy_memory(&self.ram, &self.copy);
            self.kvm.set_local_apic(self.interpreter.apic());
            self.kvm.set_state(&state)?;
            self.kvm.forget_code();
            self.stale = false;
        } else if !self.stale && self.is_left_behind(&state, &site) {
            let differences = compare::memories(&self.ram, &self.copy);
            self.judge(&site, self.interpreter.retired(), differences)?;
        }
        Ok(Step {
            site,
            apic: self.interpreter.apic().clone(),
            retired: self.interpreter.retired(),
            accesses: Vec::new(),
            answers: Vec::new(),
        })
    }

    /// Whether it is known that KVM will not follow: it cannot step the instruction, or there is an
    /// interrupt to be delivered first.
    fn is_left_behind(&self, state: &CpuState, site: &Site) -> bool {
        let interrupt =
            self.interpreter.interruptible() && self.interpreter.apic().pending().is_some();
        interrupt
            || state.pending.interrupt.is_some()
            || state.pending.nmi
            || !legitimate::steps(&site.instruction)
    }

    /// Ends the run if there are differences.
    fn judge(
        &self,
        site: &Site,
        instructions: u64,
        differences: Vec<Difference>,
    ) -> Result<(), EngineError> {
        if differences.is_empty() {
            return Ok(());
        }
        self.tally().finding = Some(Finding { site: site.clone(), instructions, differences });
        Err(EngineError { operation: "comparison of interpreter and KVM", errno: 0 })
    }

    /// KVM executes what the interpreter has executed, and both are compared.
    fn follow(&mut self, step: &Step) -> Result<(), EngineError> {
        let steps = !self.stale
            && step.accesses.len() <= MAX_ACCESSES
            && legitimate::steps(&step.site.instruction);
        let accesses = if steps { self.run_kvm(step)? } else { None };
        let failed = &mut self.failed_at[usize::from(step.site.cpl & 3)];
        let Some(accesses) = accesses else {
            *failed += u8::from(steps);
            self.stale = true;
            self.tally().not_stepped += 1;
            return Ok(());
        };
        *failed = 0;
        let interpreter = self.interpreter.state().clone();
        let kvm = self.kvm.state()?;
        let expected = legitimate::adopted(&step.site.instruction, &interpreter, &kvm);
        let mut differences = compare::states(&expected, &kvm);
        differences.extend(compare::accesses(&step.accesses, &accesses));
        let compared = self.tally().compared;
        if (compared + 1).is_multiple_of(MEMORY_INTERVAL) {
            differences.extend(compare::memories(&self.ram, &self.copy));
        }
        self.judge(&step.site, step.retired, differences)?;
        if expected != interpreter {
            self.kvm.set_state(&interpreter)?;
        }
        self.tally().compared += 1;
        Ok(())
    }

    /// Has KVM execute the instruction. Its device accesses; none if it did not stop behind it.
    fn run_kvm(&mut self, step: &Step) -> Result<Option<Vec<DeviceAccess>>, EngineError> {
        self.kvm_clock.skip_to(self.clock.now_ns(step.retired), 0);
        self.kvm.set_local_apic(&step.apic);
        let now_ns = self.kvm_clock.now_ns(0);
        // KVM's clock stands still meanwhile, so the host's tells what is left of the step.
        let started = Instant::now();
        let limit_ns = if step.site.repeats() { STRING_NS } else { STEP_NS };
        let mut left_ns = limit_ns;
        let mut accesses = Vec::new();
        let mut answers = step.answers.iter();
        for _ in 0..MAX_STOPS {
            self.kvm.set_deadline(now_ns.saturating_add(left_ns));
            let complete = match Engine::run(&mut self.kvm, 1)? {
                Exit::Read(access) => {
                    accesses.push(DeviceAccess { access, written: None });
                    self.kvm.answer(answers.next().copied().unwrap_or(u64::MAX));
                    false
                }
                Exit::Write(access, value) => {
                    accesses.push(DeviceAccess { access, written: Some(value) });
                    true
                }
                Exit::Budget | Exit::Halted | Exit::TripleFault => true,
                Exit::Kicked => return Ok(None),
                _ => false,
            };
            if complete && !(step.site.repeats() && self.kvm.state()?.rip == step.site.rip) {
                return Ok(Some(accesses));
            }
            left_ns = limit_ns.saturating_sub(started.elapsed().as_nanos() as u64);
            if left_ns == 0 {
                break;
            }
        }
        Ok(None)
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lockstep {
    /// The run is over: what of memory has not been compared yet is now.
    fn drop(&mut self) {
        if self.stale || self.step.is_some() || self.tally().finding.is_some() {
            return;
        }
        let site = Site::of(self.interpreter.state(), &self.ram);
        let differences = compare::memories(&self.ram, &self.copy);
        let _ = self.judge(&site, self.interpreter.retired(), differences);
    }
}

impl Engine for Lockstep {
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError> {
        for _ in 0..budget.clamp(1, MOST_STEPS) {
            if let Some(exit) = self.advance()? {
                return Ok(exit);
            }
        }
        Ok(Exit::Budget)
    }

    fn answer(&mut self, data: u64) {
        if let Some(step) = &mut self.step {
            keep(&mut step.answers, data);
        }
        Engine::answer(&mut self.interpreter, data);
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        Ok(self.interpreter.state().clone())
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        (self.step, self.stale) = (None, true);
        self.interpreter.set_state(state);
        Ok(())
    }

    fn local_apic(&self) -> &LocalApic {
        self.interpreter.apic()
    }

    fn set_local_apic(&mut self, apic: &LocalApic) {
        self.interpreter.set_local_apic(apic);
    }

    fn interruptible(&self) -> bool {
        self.interpreter.interruptible()
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.interpreter.request_interrupt_window(wanted);
    }

    fn inject(&mut self, vector: u8) {
        self.interpreter.inject(vector);
    }

    fn inject_nmi(&mut self) {
        self.interpreter.inject_nmi();
    }

    fn accepts_pic(&self) -> bool {
        self.interpreter.accepts_pic()
    }

    fn deliver(&mut self, message: Message) {
        self.interpreter.deliver(message);
    }

    fn next_timer_ns(&self) -> Option<u64> {
        self.interpreter.next_timer_ns()
    }

    fn instructions(&self) -> Option<u64> {
        Some(self.interpreter.retired())
    }

    fn fault_log(&self) -> Option<&FaultLog> {
        Some(self.interpreter.fault_log())
    }

    fn kick_handle(&self) -> Kick {
        self.interpreter.kick_handle()
    }
}
