//! A machine of several vCPUs in 64-bit mode, each with a piece of code to execute until it halts.

use std::sync::Arc;
use std::thread;

use monovisor_core::state::Register;
use monovisor_core::{CpuState, Exit, InstructionClock, Ram, SharedCode, Vcpu};

use crate::common::guest::{CODE, Guest};

/// Bytes between the code, and the stacks, of two vCPUs.
const APART: u64 = 0x1_0000;

/// Memory that vCPUs share.
pub struct Machine {
    pub ram: Arc<Ram>,
    pub code: Arc<SharedCode>,
    state: CpuState,
    joined: u64,
}

impl Machine {
    /// For `vcpus` of them.
    pub fn new(vcpus: usize) -> Self {
        let guest = Guest::long_mode();
        Self {
            ram: guest.ram,
            code: SharedCode::new(vcpus, 8 << 20),
            state: guest.state,
            joined: 0,
        }
    }

    /// The next vCPU, before the first instruction of `code`.
    pub fn vcpu(&mut self, code: &[u8], registers: &[(Register, u64)]) -> Vcpu {
        let mut state = self.state.clone();
        state.rip = CODE + self.joined * APART;
        state.gpr[Register::Rsp] = state.rip + APART;
        for &(register, value) in registers {
            state.gpr[register] = value;
        }
        assert!(self.ram.write(state.rip, code));
        let clock = Arc::new(InstructionClock);
        let mut vcpu = Vcpu::new(self.ram.clone(), clock, self.joined as u32);
        assert!(vcpu.join(&self.code));
        vcpu.set_state(&state);
        self.joined += 1;
        vcpu
    }
}

/// Executes each vCPU in a thread of its own until it halts; `between` is called after each slice.
pub fn run_all(vcpus: &mut [Vcpu], slice: u64, between: impl Fn(usize, &mut Vcpu) + Sync) {
    thread::scope(|scope| {
        for (number, vcpu) in vcpus.iter_mut().enumerate() {
            let between = &between;
            scope.spawn(move || {
                loop {
                    match vcpu.run(slice) {
                        Exit::Budget => between(number, vcpu),
                        Exit::Halted => break,
                        exit => panic!("vCPU {number}: {exit:?} at {:#x}", vcpu.state().rip),
                    }
                }
            });
        }
    });
}
