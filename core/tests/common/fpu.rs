//! An FPU whose registers all hold something, and its image in memory by the manual's layout.

use super::{CODE, DATA, Machine};
use monovisor_core::CpuState;
use monovisor_core::state::{Exception, Fpu, Register, XCr0Flags};

/// Byte offset of the XSAVE header, of AVX state behind it, and of the area's end.
pub const HEADER: usize = 512;
pub const EXTENDED: usize = 576;
pub const AREA: usize = 832;
/// What the area holds before.
pub const OLD: u8 = 0xee;

/// An FPU of which every register holds something.
pub fn some_fpu() -> Fpu {
    Fpu {
        xmm: std::array::from_fn(|index| {
            0x0101_0101_0101_0101_0101_0101_0101_0101 * (index as u128 + 1)
        }),
        ymm_high: std::array::from_fn(|index| 0x1111_2222 << 64 | index as u128),
        st: std::array::from_fn(|index| 0x1234_5678_9abc_def0_1122 + index as u128),
        mxcsr: 0x3fa1,
        control_word: 0x37f,
        status_word: 0x3800,
        tag_word: 0x81,
        opcode: 0x7a5,
        instruction_pointer: 0x1234_5678_9abc,
        data_pointer: 0x7fff_8765_4321,
    }
}

/// A machine whose state is `some_fpu`, with RSI at the area and everything requested.
pub fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.state.fpu = some_fpu();
    machine.state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    machine.state.gpr[Register::Rsi] = DATA;
    machine.state.gpr[Register::Rax] = u64::MAX;
    machine.state.gpr[Register::Rdx] = u64::MAX;
    machine.ram.write(DATA, &[OLD; AREA]);
    machine
}

/// Executes `code`; what it raised. Then the state is as before.
pub fn raised(machine: &mut Machine, code: &[u8]) -> Option<Exception> {
    machine.assemble(code);
    let exception = machine.execute().raised();
    if exception.is_some() {
        let state = machine.vcpu.state();
        assert_eq!(state.fpu, machine.state.fpu, "{code:x?}");
        assert_eq!(state.gpr, machine.state.gpr, "{code:x?}");
        assert_eq!(state.rip, CODE);
    }
    exception
}

/// Executes `code`; the state behind it.
pub fn done<'a>(machine: &'a mut Machine, code: &[u8]) -> &'a CpuState {
    assert_eq!(raised(machine, code), None, "{code:x?}");
    machine.vcpu.state()
}

pub fn area(machine: &Machine) -> [u8; AREA] {
    let mut bytes = [0; AREA];
    machine.ram.read(DATA, &mut bytes);
    bytes
}

/// The legacy region of `some_fpu`, with pointers of 64 bits or of 32.
pub fn image(wide: bool) -> [u8; AREA] {
    let fpu = some_fpu();
    let mut bytes = [0; AREA];
    bytes[..2].copy_from_slice(&fpu.control_word.to_le_bytes());
    bytes[2..4].copy_from_slice(&fpu.status_word.to_le_bytes());
    bytes[4] = fpu.tag_word;
    bytes[6..8].copy_from_slice(&fpu.opcode.to_le_bytes());
    let width = if wide { 8 } else { 4 };
    bytes[8..8 + width].copy_from_slice(&fpu.instruction_pointer.to_le_bytes()[..width]);
    bytes[16..16 + width].copy_from_slice(&fpu.data_pointer.to_le_bytes()[..width]);
    bytes[24..28].copy_from_slice(&fpu.mxcsr.to_le_bytes());
    bytes[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
    for (index, register) in fpu.st.iter().enumerate() {
        bytes[32 + 16 * index..42 + 16 * index].copy_from_slice(&register.to_le_bytes()[..10]);
    }
    for (index, register) in fpu.xmm.iter().enumerate() {
        bytes[160 + 16 * index..176 + 16 * index].copy_from_slice(&register.to_le_bytes());
    }
    for (index, register) in fpu.ymm_high.iter().enumerate() {
        let at = EXTENDED + 16 * index;
        bytes[at..at + 16].copy_from_slice(&register.to_le_bytes());
    }
    bytes
}

/// The FPU in its initial configuration.
pub fn initial() -> Fpu {
    Fpu {
        xmm: [0; 16],
        ymm_high: [0; 16],
        st: [0; 8],
        mxcsr: 0x1f80,
        control_word: 0x37f,
        status_word: 0,
        tag_word: 0,
        opcode: 0,
        instruction_pointer: 0,
        data_pointer: 0,
    }
}
