//! A guest of four instructions on the interpreter: it says a word to the debug console and halts.

use std::sync::Arc;

use monovisor_core::state::SegmentRegister;
use monovisor_core::{Exit, InstructionClock, Ram, Vcpu};

fn main() -> Result<(), &'static str> {
    // mov si, 0x7c09; mov cx, 7; mov dx, 0xe9; rep outsb; hlt
    let code = [0xbe, 0x0c, 0x7c, 0xb9, 7, 0, 0xba, 0xe9, 0, 0xf3, 0x6e, 0xf4];
    let ram = Arc::new(Ram::new(1 << 20).ok_or("the host has no memory left")?);
    ram.write(0x7c00, &code);
    ram.write(0x7c0c, b"hello!\n");

    let mut vcpu = Vcpu::new(ram, Arc::new(InstructionClock), 0);
    let mut state = vcpu.state().clone();
    state.segments[SegmentRegister::Cs].base = 0;
    state.rip = 0x7c00;
    vcpu.set_state(&state);

    loop {
        match vcpu.run(1_000_000) {
            Exit::Write(access, data) if access.address == 0xe9 => {
                eprint!("{}", data as u8 as char)
            }
            Exit::Halted => return Ok(()),
            Exit::Budget => {}
            _ => return Err("the guest did what it should not"),
        }
    }
}
