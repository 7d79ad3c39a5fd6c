//! An engine that is two: it executes for a while on one, moves the whole processor to the other,
//! goes on there, and so forth. The guest must not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use monovisor::clock::VmClock;
use monovisor_core::apic::{LocalApic, Message};
use monovisor_core::{Clock, CpuState, Engine, EngineError, Exit, FaultLog, Kick};

/// How long one engine is kept at most: instructions of the interpreter, and KVM's nanoseconds.
const MOST_INSTRUCTIONS: u64 = 4000;
const MOST_NS: u64 = 400_000;

/// Two engines, one of which has the processor.
pub struct Wanderer {
    engines: [Box<dyn Engine>; 2],
    active: usize,
    clock: VmClock,
    deadline_ns: u64,
    /// A linear congruential generator's state.
    random: u64,
    /// The guest waits for an answer, so the processor stays.
    asked: bool,
    window: bool,
    kick: Kick,
    moves: Arc<AtomicU64>,
}

impl Wanderer {
    /// `engines` on the same RAM; the first begins. `moves` counts.
    pub fn new(
        engines: [Box<dyn Engine>; 2],
        clock: VmClock,
        seed: u64,
        moves: Arc<AtomicU64>,
    ) -> Self {
        let kicks = engines.each_ref().map(|engine| engine.kick_handle());
        let kick = Kick::with_wake(move || kicks.iter().for_each(Kick::kick));
        let deadline_ns = u64::MAX;
        Self {
            engines,
            active: 0,
            clock,
            deadline_ns,
            random: seed,
            asked: false,
            window: false,
            kick,
            moves,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }

    fn go_over(&mut self) -> Result<(), EngineError> {
        let [first, second] = &mut self.engines;
        let (from, to) = if self.active == 0 { (first, second) } else { (second, first) };
        let state = from.state()?;
        to.set_local_apic(from.local_apic());
        to.set_state(&state)?;
        to.forget_code();
        from.request_interrupt_window(false);
        to.request_interrupt_window(self.window);
        self.active = 1 - self.active;
        self.moves.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn engine(&self) -> &dyn Engine {
        &*self.engines[self.active]
    }

    fn engine_mut(&mut self) -> &mut dyn Engine {
        &mut *self.engines[self.active]
    }
}

impl Engine for Wanderer {
    fn run(&mut self, budget: u64) -> Result<Exit, EngineError> {
        if self.kick.take() {
            for engine in &self.engines {
                engine.kick_handle().take();
            }
            return Ok(Exit::Kicked);
        }
        let due_ns = self.clock.now_ns(0) + 1 + self.random(MOST_NS);
        let due_ns = due_ns.min(self.deadline_ns);
        // Not a single one: that would be a step, and not each KVM can step user mode.
        let instructions = 2 + self.random(MOST_INSTRUCTIONS);
        self.engine_mut().set_deadline(due_ns);
        let exit = self.engine_mut().run(budget.min(instructions))?;
        self.asked = matches!(exit, Exit::Read(_));
        self.window &= exit != Exit::InterruptWindow;
        let stay = self.asked || self.random(3) == 0;
        if !stay {
            self.go_over()?;
        }
        Ok(exit)
    }

    fn set_deadline(&mut self, due_ns: u64) {
        self.deadline_ns = due_ns;
    }

    fn answer(&mut self, data: u64) {
        self.engine_mut().answer(data);
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        self.engine_mut().state()
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        self.engine_mut().set_state(state)
    }

    fn local_apic(&self) -> &LocalApic {
        self.engine().local_apic()
    }

    fn set_local_apic(&mut self, apic: &LocalApic) {
        self.engine_mut().set_local_apic(apic);
    }

    fn interruptible(&self) -> bool {
        self.engine().interruptible()
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.window = wanted;
        self.engine_mut().request_interrupt_window(wanted);
    }

    fn inject(&mut self, vector: u8) {
        self.engine_mut().inject(vector);
    }

    fn inject_nmi(&mut self) {
        self.engine_mut().inject_nmi();
    }

    fn accepts_pic(&self) -> bool {
        self.engine().accepts_pic()
    }

    fn deliver(&mut self, message: Message) {
        self.engine_mut().deliver(message);
    }

    fn next_timer_ns(&self) -> Option<u64> {
        self.engine().next_timer_ns()
    }

    fn instructions(&self) -> Option<u64> {
        None
    }

    fn fault_log(&self) -> Option<&FaultLog> {
        self.engine().fault_log()
    }

    fn kick_handle(&self) -> Kick {
        self.kick.clone()
    }
}
