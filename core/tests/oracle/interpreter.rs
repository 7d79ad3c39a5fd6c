//! The interpreter as it stands beside the processor: a guest in user mode with the child's pages and
//! segments, which executes one instruction at a time, or whatever is asked of its processor.

use std::sync::Arc;

use monovisor_core::state::{Activity, RFlags, Register};
use monovisor_core::{CpuState, Exit, InstructionClock, Ram, Vcpu};

use crate::case::{CODE_ROOM, Case, Outcome, Raised, State, X87};
use crate::generate::Image;
use crate::guest::{self, ARENA_FRAME, CODE_FRAME, INT3};
use crate::layout::{Mode, PAGE};

/// Parts of a repeated string instruction, whose operands have few pages.
const MOST_STEPS: u32 = 1 << 15;

pub struct Interpreter {
    ram: Arc<Ram>,
    pub vcpu: Vcpu,
    /// User mode in each mode.
    modes: [CpuState; 3],
    code: Vec<u8>,
}

impl Interpreter {
    pub fn new() -> Self {
        let ram = Arc::new(Ram::new(guest::MEMORY_BYTES).expect("memory"));
        assert!(ram.write(0, &guest::memory()));
        let vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        let modes = Mode::ALL.map(guest::user_mode);
        Self { ram, vcpu, modes, code: Vec::new() }
    }

    /// Does without what the host's vector unit has beyond SSE2.
    pub fn portable() -> Self {
        let mut interpreter = Self::new();
        interpreter.vcpu.use_portable_vectors();
        interpreter
    }

    /// Executes one case.
    pub fn execute(&mut self, image: &Image, case: &Case, out: &mut Outcome) {
        self.begin(image, case);
        let mut exit = self.vcpu.step();
        for _ in 0..MOST_STEPS {
            if exit != Exit::Budget || self.vcpu.state().rip != case.start() {
                break;
            }
            exit = self.vcpu.step();
        }
        self.end(exit, out);
    }

    /// Is about to execute a case.
    pub fn begin(&mut self, image: &Image, case: &Case) {
        self.ram.write(ARENA_FRAME, image);
        self.ram.write(ARENA_FRAME + u64::from(case.poke_at), &case.poke);
        self.put_code(case.code());
        let state = &mut self.modes[case.mode as usize];
        put(state, &case.state);
        self.vcpu.set_state(state);
    }

    /// What has become of it.
    pub fn end(&mut self, exit: Exit, out: &mut Outcome) {
        get(self.vcpu.state(), &mut out.state);
        out.raised = self.raised(exit, &mut out.state);
        self.ram.read(ARENA_FRAME, &mut out.memory);
    }

    /// The registers, and the arena.
    pub fn snapshot(&mut self, state: &mut State, image: &mut Image) {
        get(self.vcpu.state(), state);
        self.ram.read(ARENA_FRAME, image);
    }

    /// Puts the code at the end of its page, unless it is there.
    fn put_code(&mut self, code: &[u8]) {
        if self.code != code {
            let (old, end) = (self.code.len(), CODE_FRAME + PAGE);
            self.ram.write(end - old as u64, &[INT3; CODE_ROOM][..old]);
            self.ram.write(end - code.len() as u64, code);
            let changed = old.max(code.len()) as u64;
            self.vcpu.memory_written(end - changed, changed);
            self.code = code.to_vec();
        }
    }

    /// What was delivered, if anything; then RIP, RFLAGS and RSP are those of the stack frame.
    fn raised(&mut self, exit: Exit, out: &mut State) -> Raised {
        let state = self.vcpu.state();
        // The kernel's handlers halt.
        match (exit, state.cpl()) {
            (Exit::Budget, 3) => return Raised::NOTHING,
            (Exit::Budget | Exit::Halted, 0) => {}
            _ => return Raised::EXIT,
        }
        let read = |address| {
            let mut word = [0; 8];
            assert!(self.ram.read(address, &mut word), "the stack is where the TSS says");
            u64::from_le_bytes(word)
        };
        guest::raised(state.rip, state.control.cr2, read, out)
    }
}

/// The case's registers into the guest's.
fn put(state: &mut CpuState, from: &State) {
    for register in Register::ALL {
        state.gpr[register] = from.gpr[register as usize];
    }
    state.rip = from.rip;
    state.rflags = RFlags::from_bits_retain(from.rflags);
    state.activity = Activity::Active;
    for (number, [low, high]) in from.ymm.into_iter().enumerate() {
        state.fpu.xmm[number] = low;
        state.fpu.ymm_high[number] = high;
    }
    state.fpu.mxcsr = from.mxcsr;
    state.fpu.control_word = from.x87.control;
    state.fpu.status_word = from.x87.status;
    state.fpu.tag_word = from.x87.tags;
    state.fpu.st = from.x87.st;
}

/// The guest's registers as an outcome.
fn get(state: &CpuState, into: &mut State) {
    into.gpr = *state.gpr.as_array();
    into.rip = state.rip;
    into.rflags = state.rflags.bits();
    into.ymm = std::array::from_fn(|number| [state.fpu.xmm[number], state.fpu.ymm_high[number]]);
    into.mxcsr = state.fpu.mxcsr;
    into.x87 = X87 {
        control: state.fpu.control_word,
        status: state.fpu.status_word,
        tags: state.fpu.tag_word,
        st: state.fpu.st,
    };
}
