//! Any bytes as code in any state of the machine: nothing panics, hangs or touches what is not the
//! guest's, and the counts are right.

#![no_main]

#[path = "../../tests/common/random.rs"]
mod random;

use libfuzzer_sys::fuzz_target;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Dr6Flags, EferFlags, RFlags, SegmentRegister, XCr0Flags,
};
use monovisor_core::{CpuState, Engine};
use random::{Machine, Mode, Source, Stop};

fuzz_target!(|bytes: &[u8]| {
    let mut source = Source::new(bytes);
    let mode = Mode::ALL[usize::from(source.byte()) % Mode::ALL.len()];
    let changes = std::array::from_fn::<_, 6, _>(|_| (source.byte(), source.word()));
    let budgets: [u8; 4] = std::array::from_fn(|_| source.byte());
    let events = source.byte();
    let pages = std::array::from_fn::<_, 2, _>(|_| (source.byte(), source.word()));
    let (mut state, code) = random::start(mode, source);
    let mut machine = Machine::with(&state, code);
    // Few changes: with many, hardly a state executes anything.
    for (what, value) in &changes[..usize::from(events >> 4) % (changes.len() + 1)] {
        change(&mut state, *what, *value);
    }
    machine.vcpu.set_state(&state);
    for (page, entry) in pages {
        // An entry of any paging structure, but zeros.
        if entry != 0 {
            machine.ram.write(0x1000 + u64::from(page) * 64, &entry.to_le_bytes());
        }
    }
    round_trip(&mut machine);
    for (index, budget) in budgets.into_iter().enumerate() {
        let before = machine.vcpu.retired();
        let stop = machine.run(u64::from(budget) * 8);
        assert!(machine.vcpu.retired() >= before, "the count of instructions went back");
        round_trip(&mut machine);
        if stop == Stop::Dead {
            return;
        }
        match events >> index & 3 {
            1 => machine.vcpu.inject_nmi(),
            2 if machine.vcpu.interruptible() => machine.vcpu.inject(value_of(budget)),
            3 => machine.vcpu.memory_written(u64::from(budget) << 12, 0x1_0000),
            _ => {}
        }
    }
});

fn value_of(budget: u8) -> u8 {
    budget.rotate_left(3)
}

/// The state that a vCPU tells is one that it takes.
fn round_trip(machine: &mut Machine) {
    let state = machine.vcpu.state().clone();
    machine.vcpu.set_state(&state);
    assert_eq!(*machine.vcpu.state(), state);
}

/// Sets one part of the state to anything.
fn change(state: &mut CpuState, what: u8, value: u64) {
    let register = SegmentRegister::ALL[usize::from(what >> 2 & 7)];
    match what % 20 {
        0 => state.control.cr0 ^= Cr0Flags::from_bits_truncate(value),
        1 => state.control.cr4 ^= Cr4Flags::from_bits_truncate(value),
        2 => state.control.efer ^= EferFlags::from_bits_truncate(value),
        3 => state.control.cr3 = value,
        4 => state.segments[register].base = value,
        5 => state.segments[register].limit = value as u32,
        6 => state.segments[register].access = Access(value as u32 & 0x1_f0ff),
        7 => state.segments[register].selector = value as u16,
        8 => (state.gdtr.base, state.gdtr.limit) = (value, value as u16),
        9 => (state.idtr.base, state.idtr.limit) = (value, value as u16),
        10 => state.rip = value,
        11 => state.rflags = RFlags::from_bits_truncate(value) | RFlags::from_bits_retain(2),
        12 => state.debug.dr7 = value & 0xffff_ffff | 0x400,
        13 => state.debug.address[usize::from(what >> 4 & 3)] = value,
        14 => state.pending.debug = Some(Dr6Flags::from_bits_retain(value & 0xf)),
        15 => state.fpu.mxcsr = value as u32 & 0xffff,
        16 => (state.control.pkru, state.control.pkrs) = (value as u32, (value >> 32) as u32),
        17 => state.control.xcr0 ^= XCr0Flags::from_bits_truncate(value),
        18 => state.control.pdptes = Some([value, value >> 7, value << 7, !value]),
        _ => state.msr.debug_control = value,
    }
}
