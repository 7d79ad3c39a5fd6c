//! Delivery through vector table and gates: what is pushed, where, and each check with its error
//! code (SDM, INT n).

use super::fixture::*;
use crate::interrupt::{Cause, SoftwareInterrupt, external, raise, software};
use crate::state::{Exception, RFlags, Register, SegmentRegister, Vector};

const IF: RFlags = RFlags::INTERRUPT_FLAG;

fn int(machine: &mut Machine, vector: u8) -> Result<(), Exception> {
    let Machine { state, mmu, .. } = machine;
    software(state, mmu, vector, SoftwareInterrupt::IntN, RIP + 2)
}

#[test]
fn real_mode_pushes_three_words() {
    let mut machine = Machine::real();
    machine.set_flags(IF | RFlags::TRAP_FLAG | RFlags::CARRY_FLAG);
    machine.state.gpr[Register::Rsp] = 0xabcd_0000 | STACK;
    int(&mut machine, 0x21).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], 0xabcd_0000 | (STACK - 6));
    machine.state.gpr[Register::Rsp] &= 0xffff;
    assert_eq!(machine.frame::<u16, 3>(), [RIP + 2, 0, 0x303]);
    assert_eq!(machine.state.rip, HANDLER);
    assert_eq!(machine.state.rflags.bits(), 3);
}

#[test]
fn real_mode_exceptions_push_no_error_code() {
    let mut machine = Machine::real();
    let Machine { state, mmu, log, .. } = &mut machine;
    raise(state, mmu, Exception::GP0, log).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK - 6);
    assert_eq!(machine.frame::<u16, 1>(), [RIP]);
}

#[test]
fn real_mode_stack_wraps_and_table_ends() {
    let mut machine = Machine::real();
    machine.state.gpr[Register::Rsp] = 2;
    int(&mut machine, 3).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], 0xfffc);
    assert_eq!(machine.peek::<u16>(0xfffc), RIP as u16 + 2);
    assert_eq!(machine.peek::<u16>(0), 2);

    let mut machine = Machine::real();
    machine.state.gpr[Register::Rsp] = 1;
    machine.assert_raises(Exception::SS0, |state, mmu| {
        software(state, mmu, 3, SoftwareInterrupt::Int3, RIP)
    });
    machine.state.idtr.limit = 3 * 4 + 2;
    machine.assert_raises(Exception::GP0, |state, mmu| {
        software(state, mmu, 3, SoftwareInterrupt::Int3, RIP)
    });
}

#[test]
fn protected_mode_same_level() {
    let mut machine = Machine::protected(0);
    machine.set_flags(IF | RFlags::TRAP_FLAG | RFlags::NESTED_TASK);
    let Machine { state, mmu, log, .. } = &mut machine;
    raise(state, mmu, Exception::gp(0x1234), log).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK - 16);
    let pushed = (IF | RFlags::TRAP_FLAG | RFlags::NESTED_TASK | RFlags::RESUME_FLAG).bits() | 2;
    assert_eq!(machine.frame::<u32, 4>(), [0x1234, RIP, u64::from(CODE_32), pushed]);
    assert_eq!(machine.state.rflags.bits(), 2);
    assert_eq!(machine.state.segments[SegmentRegister::Ss].selector, DATA);
}

#[test]
fn protected_mode_switches_to_the_inner_stack() {
    let mut machine = Machine::protected(3);
    machine.set_flags(IF);
    machine.idt(0x80, gate(CODE_32, HANDLER, 0xef, 0));
    int(&mut machine, 0x80).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK_0 - 20);
    let pushed = [RIP + 2, u64::from(USER_CODE_32), 0x202, STACK, u64::from(USER_DATA)];
    assert_eq!(machine.frame::<u32, 5>(), pushed);
    assert_eq!(machine.state.cpl(), 0);
    assert_eq!(machine.state.segments[SegmentRegister::Cs].selector, CODE_32);
    assert_eq!(machine.state.segments[SegmentRegister::Ss].selector, DATA);
    assert!(machine.state.rflags.contains(IF), "a trap gate leaves IF alone");
}

#[test]
fn sixteen_bit_gate_and_task_state() {
    let mut machine = Machine::protected(3);
    machine.state.segments[SegmentRegister::Tr].access.0 = 0x83;
    machine.poke(TSS + 2, 0xa000u16);
    machine.poke(TSS + 4, DATA);
    machine.idt(9, gate(CODE_32, 0xffff_0000 | HANDLER, 0xe6, 0));
    int(&mut machine, 9).unwrap();
    assert_eq!(machine.state.rip, HANDLER);
    assert_eq!(machine.state.gpr[Register::Rsp], 0xa000 - 10);
    let pushed = [RIP + 2, u64::from(USER_CODE_32), 2, STACK, u64::from(USER_DATA)];
    assert_eq!(machine.frame::<u16, 5>(), pushed);
}

#[test]
fn conforming_handler_keeps_the_level() {
    let mut machine = Machine::protected(3);
    machine.idt(9, gate(0x38, HANDLER, 0xee, 0));
    int(&mut machine, 9).unwrap();
    assert_eq!(machine.state.segments[SegmentRegister::Cs].selector, 0x3b);
    assert_eq!((machine.state.cpl(), machine.state.gpr[Register::Rsp]), (3, STACK - 12));
}

#[test]
fn long_mode_same_level_aligns_and_saves_the_stack() {
    let mut machine = Machine::long(0);
    machine.state.gpr[Register::Rsp] = STACK - 3;
    machine.set_flags(IF);
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x20, log).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK - 16 - 40);
    let pushed = [RIP, u64::from(CODE_64), 0x202, STACK - 3, u64::from(DATA)];
    assert_eq!(machine.frame::<u64, 5>(), pushed);
    assert_eq!(machine.state.segments[SegmentRegister::Ss].selector, DATA);
    assert_eq!(machine.log.iter().count(), 0);
}

#[test]
fn long_mode_inner_level_has_a_null_stack_segment() {
    let mut machine = Machine::long(3);
    let Machine { state, mmu, log, .. } = &mut machine;
    raise(state, mmu, Exception::page_fault(0xdead_b000, 6), log).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK_0 - 48);
    let rflags = 0x1_0002;
    let pushed = [6, RIP, u64::from(USER_CODE_64), rflags, STACK, u64::from(USER_DATA)];
    assert_eq!(machine.frame::<u64, 6>(), pushed);
    assert_eq!(machine.state.control.cr2, 0xdead_b000);
    let ss = machine.state.segments[SegmentRegister::Ss];
    assert_eq!((ss.selector, ss.access.unusable(), machine.state.cpl()), (0, true, 0));
}

#[test]
fn interrupt_stack_table() {
    for cpl in [0, 3] {
        let mut machine = Machine::long(cpl);
        machine.idt(0xe, gate(CODE_64, HANDLER, 0x8e, 1));
        let Machine { state, mmu, log, .. } = &mut machine;
        raise(state, mmu, Exception::page_fault(0, 0), log).unwrap();
        assert_eq!(machine.state.gpr[Register::Rsp], (IST_1 & !15) - 48);
        let null = machine.state.segments[SegmentRegister::Ss].access.unusable();
        assert_eq!(null, cpl == 3, "SS changes with the privilege level only");
    }
}

#[test]
fn compatibility_mode_is_interrupted_into_64bit_mode() {
    let mut machine = Machine::long(3);
    machine.enter(3, USER_CODE_32);
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x20, log).unwrap();
    assert!(machine.state.mode_64bit());
    assert_eq!(machine.frame::<u64, 2>(), [RIP, u64::from(USER_CODE_32)]);
}

/// Each row: the gate of vector 0x80, the descriptor at `FREE`, and what INT 0x80 raises.
#[test]
fn checks_of_gate_and_code_segment() {
    const GP: Vector = Vector::GeneralProtection;
    const NP: Vector = Vector::SegmentNotPresent;
    const ENTRY: u32 = 0x80 * 8 + 2;
    const SEGMENT: u32 = FREE as u32;
    let free = |kind| gate(FREE, HANDLER, kind, 0);
    let rows: [(bool, u64, u64, Exception); 16] = [
        (false, free(0xec), 0, code(GP, ENTRY)),
        (false, free(0x8e), 0, code(GP, ENTRY)),
        (false, free(0x6e), 0, code(NP, ENTRY)),
        (false, free(0xe5), 0, code(GP, SEGMENT)),
        (false, gate(3, HANDLER, 0xee, 0), 0, code(GP, 0)),
        (false, gate(BEYOND, HANDLER, 0xee, 0), 0, code(GP, BEYOND.into())),
        (false, free(0xee), flat(WRITABLE, FLAT_32), code(GP, SEGMENT)),
        (false, free(0xee), flat(0x1b, FLAT_32), code(NP, SEGMENT)),
        (false, free(0xee), descriptor(0, 0x100, CODE, 4), Exception::GP0),
        (true, free(0xe6), flat(CODE, FLAT_64), code(GP, ENTRY)),
        (true, free(0xe5), flat(CODE, FLAT_64), code(GP, ENTRY)),
        (true, free(0x8e), flat(CODE, FLAT_64), code(GP, ENTRY)),
        (true, free(0x6e), flat(CODE, FLAT_64), code(NP, ENTRY)),
        (true, free(0xee), flat(CODE, FLAT_32), code(GP, SEGMENT)),
        (true, free(0xee), flat(CODE, 0xe), code(GP, SEGMENT)),
        (true, free(0xee), flat(0x1b, FLAT_64), code(NP, SEGMENT)),
    ];
    for (long, gate, segment, expected) in rows {
        let mut machine = if long { Machine::long(3) } else { Machine::protected(3) };
        machine.idt(0x80, gate);
        machine.free(segment, 0);
        machine.assert_raises(expected, |state, mmu| {
            software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP + 2)
        });
    }
}

#[test]
fn a_code_segment_less_privileged_than_its_caller_is_refused() {
    let mut machine = Machine::protected(0);
    machine.idt(0x80, gate(USER_CODE_32, HANDLER, 0xee, 0));
    machine.assert_raises(Exception::gp(USER_CODE_32), |state, mmu| {
        software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP)
    });
}

/// Each row: SS0 and ESP0 of the TSS, the descriptor at `FREE`, and what INT 0x80 raises.
#[test]
fn checks_of_the_inner_stack() {
    const TS: Vector = Vector::InvalidTss;
    const SS: Vector = Vector::StackFault;
    const SEGMENT: u32 = FREE as u32;
    const EXPAND_DOWN: u8 = 0x97;
    let rows: [(u16, u32, u64, Exception); 9] = [
        (3, 0xa000, 0, code(TS, 0)),
        (BEYOND, 0xa000, 0, code(TS, BEYOND.into())),
        (FREE | 1, 0xa000, flat(WRITABLE, FLAT_32), code(TS, SEGMENT)),
        (FREE, 0xa000, flat(WRITABLE | DPL_3, FLAT_32), code(TS, SEGMENT)),
        (FREE, 0xa000, flat(0x91, FLAT_32), code(TS, SEGMENT)),
        (FREE, 0xa000, flat(CODE, FLAT_32), code(TS, SEGMENT)),
        (FREE, 0xa000, flat(0x13, FLAT_32), code(SS, SEGMENT)),
        (FREE, 0xa000, descriptor(0, 0x9ffe, WRITABLE, 4), code(SS, SEGMENT)),
        (FREE, 0x110, descriptor(0, 0xff, EXPAND_DOWN, 4), code(SS, SEGMENT)),
    ];
    for (selector, pointer, segment, expected) in rows {
        let mut machine = Machine::protected(3);
        machine.idt(0x80, gate(CODE_32, HANDLER, 0xee, 0));
        machine.free(segment, 0);
        machine.poke(TSS + 4, pointer);
        machine.poke(TSS + 8, selector);
        machine.assert_raises(expected, |state, mmu| {
            software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP)
        });
    }
}

#[test]
fn short_task_state_and_bad_stack_pointers() {
    let int = |machine: &mut Machine, expected| {
        machine.assert_raises(expected, |state, mmu| {
            software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP)
        });
    };
    let mut machine = Machine::protected(3);
    machine.idt(0x80, gate(CODE_32, HANDLER, 0xee, 0));
    machine.state.segments[SegmentRegister::Tr].limit = 8;
    int(&mut machine, code(Vector::InvalidTss, TASK.into()));
    machine.state.segments[SegmentRegister::Tr].limit = 9;
    assert_eq!(super::delivery::int(&mut machine, 0x80), Ok(()));

    let mut machine = Machine::long(3);
    machine.idt(0x80, gate(CODE_64, HANDLER, 0xee, 0));
    machine.state.segments[SegmentRegister::Tr].limit = 10;
    int(&mut machine, code(Vector::InvalidTss, TASK.into()));
    machine.state.segments[SegmentRegister::Tr].limit = 0x67;
    machine.poke(TSS + 4, 0x8000_0000_0000u64);
    int(&mut machine, Exception::SS0);
    machine.poke(TSS + 4, UNMAPPED + 24);
    int(&mut machine, Exception::page_fault(UNMAPPED + 8, 2));
    machine.poke(TSS + 4, STACK_0);
    machine.poke(IDT + 0x80 * 16 + 8, 0x8000u32);
    int(&mut machine, Exception::GP0);
}

#[test]
fn faults_of_external_events_have_ext_set() {
    let mut machine = Machine::long(3);
    machine.idt(0x21, 0);
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x21, log).unwrap();
    assert_eq!(machine.frame::<u64, 2>(), [0x21 * 8 + 3, RIP]);

    let mut machine = Machine::long(3);
    machine.state.segments[SegmentRegister::Tr].limit = 10;
    let Machine { state, mmu, log, .. } = &mut machine;
    assert!(external(state, mmu, 0x21, log).is_err(), "the handler of #TS has no stack either");
    let second = Cause::Exception(code(Vector::InvalidTss, u32::from(TASK) | 1));
    assert_eq!(log.iter().nth(1).map(|entry| entry.cause), Some(second));

    let mut machine = Machine::long(3);
    machine.idt(1, 0);
    machine.assert_raises(code(Vector::GeneralProtection, 11), |state, mmu| {
        software(state, mmu, 1, SoftwareInterrupt::Int1, RIP + 1)
    });
}

#[test]
fn int1_passes_a_gate_that_int_n_may_not() {
    let mut machine = Machine::long(3);
    let Machine { state, mmu, .. } = &mut machine;
    assert!(software(state, mmu, 1, SoftwareInterrupt::IntN, RIP + 2).is_err());
    software(state, mmu, 1, SoftwareInterrupt::Int1, RIP + 1).unwrap();
    assert_eq!(machine.frame::<u64, 1>(), [RIP + 1]);
}

#[test]
fn accessed_bits_are_set_once() {
    let mut machine = Machine::protected(3);
    machine.idt(0x80, gate(FREE, HANDLER, 0xee, 0));
    machine.free(flat(CODE & !1, FLAT_32), 0);
    int(&mut machine, 0x80).unwrap();
    assert_eq!(machine.peek::<u8>(GDT + u64::from(FREE) + 5), CODE);
    assert_eq!(machine.state.segments[SegmentRegister::Cs].access.kind(), 0xb);
}

#[test]
fn a_16bit_expand_down_stack_ends_at_64_kib() {
    let mut machine = Machine::protected(0);
    machine.state.segments[SegmentRegister::Ss].access.0 = 0x97;
    machine.state.segments[SegmentRegister::Ss].limit = 0xfff;
    machine.state.gpr[Register::Rsp] = 2;
    machine.assert_raises(Exception::SS0, |state, mmu| {
        software(state, mmu, 3, SoftwareInterrupt::Int3, RIP)
    });
    machine.state.gpr[Register::Rsp] = 0;
    int(&mut machine, 3).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], 0xfff4);
}

#[test]
fn a_stack_in_device_memory_loses_what_is_pushed() {
    let mut machine = Machine::protected(0);
    machine.state.gpr[Register::Rsp] = 0x1000_0000;
    int(&mut machine, 3).unwrap();
    assert_eq!((machine.state.rip, machine.state.gpr[Register::Rsp]), (HANDLER, 0x0fff_fff4));
}
