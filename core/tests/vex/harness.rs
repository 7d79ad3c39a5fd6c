//! A machine in which AVX is enabled, and instructions on its registers.

use monovisor_core::state::{Exception, Register, XCr0Flags};

use crate::common::{CODE, DATA, Machine};

/// A machine whose YMM registers all differ, with RSI at data.
pub fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    let fpu = &mut machine.state.fpu;
    fpu.xmm = std::array::from_fn(|number| pattern(number as u128));
    fpu.ymm_high = std::array::from_fn(|number| pattern(number as u128 + 16));
    machine.state.gpr[Register::Rsi] = DATA;
    machine
}

fn pattern(number: u128) -> u128 {
    0x0123_4567_89ab_cdef_0fed_cba9_8765_4321 * (number + 1)
}

/// Executes `code`; what it raised.
pub fn raised(machine: &mut Machine, code: &[u8]) -> Option<Exception> {
    machine.assemble(code);
    machine.state.rip = CODE;
    machine.execute().raised()
}

/// Executes `code` and goes on with what it has left.
pub fn step(machine: &mut Machine, code: &[u8]) {
    assert_eq!(raised(machine, code), None, "{code:x?}");
    let rip = machine.state.rip;
    machine.state = machine.vcpu.state().clone();
    machine.state.rip = rip;
    machine.state.activity = monovisor_core::state::Activity::Active;
}
