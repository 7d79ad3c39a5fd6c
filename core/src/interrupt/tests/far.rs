//! Far jumps and calls, direct and through gates.

use super::fixture::*;
use crate::interrupt::{far_call, far_jump};
use crate::state::{Exception, Register, SegmentRegister, Vector};

use SegmentRegister::{Cs, Ss};

const TARGET: u64 = 0x2222;

#[test]
fn real_mode() {
    let mut machine = Machine::real();
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, 0x1000, TARGET, 16, RIP + 5).unwrap();
    assert_eq!((state.segments[Cs].base, state.rip), (0x1_0000, TARGET));
    assert_eq!(machine.frame::<u16, 2>(), [RIP + 5, 0]);
    let Machine { state, mmu, .. } = &mut machine;
    far_jump(state, mmu, 0x2000, TARGET + 1).unwrap();
    assert_eq!((state.segments[Cs].base, state.rip), (0x2_0000, TARGET + 1));
    machine.assert_raises(Exception::GP0, |state, mmu| far_jump(state, mmu, 0x2000, 0x1_0000));
}

/// Each row: IA-32e mode, privilege level, selector, descriptor at `FREE`, and the outcome.
#[test]
fn direct_targets() {
    let np = code(Vector::SegmentNotPresent, FREE.into());
    let gp = Exception::gp(FREE);
    let rows = [
        (false, 0, CODE_32, 0, Ok(())),
        (false, 0, 0, 0, Err(Exception::GP0)),
        (false, 0, BEYOND, 0, Err(Exception::gp(BEYOND))),
        (false, 0, DATA, 0, Err(Exception::gp(DATA))),
        (false, 0, CODE_32 | 3, 0, Err(Exception::gp(CODE_32))),
        (false, 0, USER_CODE_32 & !3, 0, Err(Exception::gp(USER_CODE_32))),
        (false, 3, CODE_32, 0, Err(Exception::gp(CODE_32))),
        (false, 3, FREE, flat(CONFORMING, FLAT_32), Ok(())),
        (false, 0, FREE, flat(CONFORMING | DPL_3, FLAT_32), Err(gp)),
        (false, 0, FREE, flat(0x1b, FLAT_32), Err(np)),
        (false, 0, FREE, descriptor(0, TARGET as u32 - 1, CODE, 4), Err(Exception::GP0)),
        (false, 0, FREE, gate(TASK, 0, 0x85, 0), Err(Exception::gp(TASK))),
        (true, 0, FREE, gate(TASK, 0, 0x85, 0), Err(gp)),
        (true, 0, TASK, 0, Err(Exception::gp(TASK))),
        (false, 0, TASK, 0, Err(Exception::gp(TASK))),
        (true, 0, CODE_32, 0, Ok(())),
        (true, 3, USER_CODE_32, 0, Ok(())),
        (true, 0, FREE, flat(CODE, 0xe), Err(gp)),
        (false, 0, FREE | 3, gate(CODE_32, TARGET, 0x8c, 0), Err(gp)),
        (true, 0, FREE, gate(CODE_64, 0, 0x84, 0), Err(gp)),
    ];
    for (long, cpl, selector, raw, expected) in rows {
        for call in [false, true] {
            let mut machine = if long { Machine::long(cpl) } else { Machine::protected(cpl) };
            machine.free(raw, 0);
            let transfer = |state: &mut _, mmu: &mut _| {
                if call {
                    far_call(state, mmu, selector, TARGET, 32, RIP + 7)
                } else {
                    far_jump(state, mmu, selector, TARGET)
                }
            };
            let Err(exception) = expected else {
                let old_cs = u64::from(machine.state.segments[Cs].selector);
                assert_eq!(transfer(&mut machine.state, &mut machine.mmu), Ok(()));
                assert_eq!((machine.state.rip, machine.state.cpl()), (TARGET, cpl));
                let cs = selector & !3 | u16::from(cpl);
                assert_eq!(machine.state.segments[Cs].selector, cs);
                assert!(!call || machine.frame::<u32, 2>() == [RIP + 7, old_cs]);
                continue;
            };
            machine.assert_raises(exception, transfer);
        }
    }
}

#[test]
fn call_gate_to_an_inner_level_copies_parameters() {
    let mut machine = Machine::protected(3);
    machine.free(gate(CODE_32, TARGET, 0xec, 2), 0);
    machine.set_frame(&[0x1111u32, 0x2222]);
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, FREE | 3, 0xbad, 32, RIP + 7).unwrap();
    assert_eq!((state.cpl(), state.rip), (0, TARGET));
    assert_eq!(state.gpr[Register::Rsp], STACK_0 - 24);
    let frame = [RIP + 7, USER_CODE_32.into(), 0x1111, 0x2222, STACK, u64::from(USER_DATA)];
    assert_eq!(machine.frame::<u32, 6>(), frame);
}

#[test]
fn sixteen_bit_call_gate_on_the_same_level() {
    let mut machine = Machine::protected(0);
    machine.free(gate(CODE_32, 0xffff_0000 | TARGET, 0x84, 5), 0);
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, FREE, 0, 32, RIP).unwrap();
    assert_eq!((state.rip, state.gpr[Register::Rsp]), (TARGET, STACK - 4));
    assert_eq!(machine.frame::<u16, 2>(), [RIP, u64::from(CODE_32)]);
}

#[test]
fn long_mode_call_gate() {
    let high = 0xffff_8000_0000_0000 | TARGET;
    let mut machine = Machine::long(3);
    machine.free(gate(CODE_64, high, 0xec, 9), high >> 32);
    let Machine { state, mmu, .. } = &mut machine;
    far_call(state, mmu, FREE, 0, 32, RIP).unwrap();
    assert_eq!((state.cpl(), state.rip), (0, high));
    assert!(state.segments[Ss].access.unusable());
    assert_eq!(state.gpr[Register::Rsp], STACK_0 - 32);
    let frame = [RIP, USER_CODE_64.into(), STACK, u64::from(USER_DATA)];
    assert_eq!(machine.frame::<u64, 4>(), frame);
}

/// Each row: IA-32e mode, privilege level, the gate, its upper half, whether a call (else a jump),
/// and the exception.
#[test]
fn checks_of_call_gates() {
    let to = |selector, kind| gate(selector, TARGET, kind, 0);
    let gp = Exception::gp(FREE);
    let rows = [
        (false, 3, to(CODE_32, 0x8c), 0, true, gp),
        (false, 3, to(CODE_32, 0x6c), 0, true, code(Vector::SegmentNotPresent, FREE.into())),
        (false, 3, to(0, 0xec), 0, true, Exception::GP0),
        (false, 3, to(BEYOND, 0xec), 0, true, Exception::gp(BEYOND)),
        (false, 3, to(DATA, 0xec), 0, true, Exception::gp(DATA)),
        (false, 0, to(USER_CODE_32, 0xec), 0, true, Exception::gp(USER_CODE_32)),
        (false, 3, to(CODE_32, 0xec), 0, false, Exception::gp(CODE_32)),
        (true, 3, to(CODE_32, 0xec), 0, true, Exception::gp(CODE_32)),
        (true, 3, to(CODE_64, 0xec), 0x100_0000_0000, true, gp),
        (true, 3, to(CODE_64, 0xec), 0x8000, true, Exception::GP0),
    ];
    for (long, cpl, raw, upper, call, expected) in rows {
        let mut machine = if long { Machine::long(cpl) } else { Machine::protected(cpl) };
        machine.free(raw, upper);
        machine.assert_raises(expected, |state, mmu| {
            if call {
                far_call(state, mmu, FREE, 0, 32, RIP)
            } else {
                far_jump(state, mmu, FREE, 0)
            }
        });
    }
}

#[test]
fn faults_on_the_stack_change_nothing() {
    let mut machine = Machine::long(0);
    machine.state.gpr[Register::Rsp] = UNMAPPED + 8;
    machine.poke(UNMAPPED - 8, 0x5555u64);
    let fault = Exception::page_fault(UNMAPPED, 2);
    machine.assert_raises(fault, |state, mmu| far_call(state, mmu, CODE_64, 0, 64, RIP));
    assert_eq!(machine.peek::<u64>(UNMAPPED - 8), 0x5555);
    let mut machine = Machine::protected(0);
    machine.state.gpr[Register::Rsp] = 6;
    machine.assert_raises(Exception::SS0, |state, mmu| {
        state.segments[Ss].limit = 0x1000;
        let result = far_call(state, mmu, CODE_32, 0, 32, RIP);
        state.segments[Ss].limit = u32::MAX;
        result
    });
}
