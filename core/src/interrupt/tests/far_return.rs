//! Far returns: round trips with far calls, parameters, and each check.

use super::fixture::*;
use crate::interrupt::{far_call, far_return};
use crate::state::{Exception, Register, SegmentRegister};

#[test]
fn returns_from_calls() {
    let rows = [
        (Machine::real(), 0x1000, 16),
        (Machine::protected(0), CODE_32, 32),
        (Machine::protected(3), USER_CODE_32, 16),
        (Machine::long(0), CODE_32, 32),
        (Machine::long(3), USER_CODE_64, 64),
    ];
    for (mut machine, selector, bits) in rows {
        let before = machine.state.clone();
        let Machine { state, mmu, .. } = &mut machine;
        far_call(state, mmu, selector, HANDLER, bits, RIP).unwrap();
        assert_eq!(state.rip, HANDLER);
        far_return(state, mmu, bits, 0).unwrap();
        // A real-mode CS keeps the limit and rights it had.
        assert_eq!(*state, before);
    }
}

#[test]
fn releases_parameters_on_both_stacks() {
    let mut machine = Machine::protected(3);
    machine.free(gate(CODE_32, HANDLER, 0xec, 2), 0);
    machine.set_frame(&[1u32, 2]);
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, FREE, 0, 32, RIP).unwrap();
    far_return(state, mmu, 32, 8).unwrap();
    assert_eq!((state.cpl(), state.rip, state.gpr[Register::Rsp]), (3, RIP, STACK + 8));

    let mut machine = Machine::long(0);
    machine.set_frame(&[RIP, CODE_64.into()]);
    let Machine { state, mmu, .. } = &mut machine;
    far_return(state, mmu, 64, 0x10).unwrap();
    assert_eq!(state.gpr[Register::Rsp], STACK + 0x20);
}

#[test]
fn call_gate_round_trip_in_long_mode() {
    let mut machine = Machine::long(3);
    machine.free(gate(CODE_64, HANDLER, 0xec, 0), 0);
    let before = machine.state.clone();
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, FREE, 0, 64, RIP).unwrap();
    far_return(state, mmu, 64, 0).unwrap();
    assert_eq!(*state, before);
}

/// Each row: instruction pointer, code selector, stack selector, and the exception.
#[test]
fn checks_in_64bit_mode() {
    let rows = [
        (RIP, 0, USER_DATA, Exception::GP0),
        (RIP, BEYOND | 3, USER_DATA, Exception::gp(BEYOND)),
        (RIP, CODE_64 | 3, USER_DATA, Exception::gp(CODE_64)),
        (RIP, USER_DATA, USER_DATA, Exception::gp(USER_DATA)),
        (RIP, USER_CODE_64, 0, Exception::GP0),
        (RIP, USER_CODE_64, DATA, Exception::gp(DATA)),
        (1 << 47, USER_CODE_64, USER_DATA, Exception::GP0),
        (1 << 32, USER_CODE_32, USER_DATA, Exception::GP0),
    ];
    for (rip, cs, ss, expected) in rows {
        let mut machine = Machine::long(0);
        machine.set_frame(&[rip, cs.into(), STACK, ss.into()]);
        machine.assert_raises(expected, |state, mmu| far_return(state, mmu, 64, 0));
    }
}

#[test]
fn a_conforming_segment_is_returned_to_on_any_outer_level() {
    let mut machine = Machine::protected(0);
    machine.set_frame(&[RIP as u32, 0x3b, STACK as u32, USER_DATA.into()]);
    let Machine { state, mmu, .. } = &mut machine;
    far_return(state, mmu, 32, 0).unwrap();
    assert_eq!((state.cpl(), state.segments[SegmentRegister::Cs].selector), (3, 0x3b));
}
