//! IRET in every mode: round trips, flags, and each check.

use super::fixture::*;
use crate::interrupt::{SoftwareInterrupt, external, iret, software};
use crate::state::{Access, Exception, RFlags, Register, Segment, SegmentRegister, Vector};

use SegmentRegister::{Ds, Es, Fs, Ss};

#[test]
fn returns_where_it_came_from() {
    let machines = [
        (Machine::real(), 16),
        (Machine::protected(0), 32),
        (Machine::protected(3), 32),
        (Machine::long(0), 64),
        (Machine::long(3), 64),
    ];
    for (mut machine, bits) in machines {
        machine.set_flags(RFlags::INTERRUPT_FLAG | RFlags::CARRY_FLAG | RFlags::TRAP_FLAG);
        machine.state.segments[Fs].base = 0x1234;
        machine.state.gpr[Register::Rsp] = STACK - 6;
        let before = machine.state.clone();
        let Machine { state, mmu, log, .. } = &mut machine;
        external(state, mmu, 0x20, log).unwrap();
        assert_ne!(*state, before);
        iret(state, mmu, bits).unwrap();
        assert_eq!(*state, before);
    }
}

#[test]
fn ends_the_blocking_of_nmis() {
    let mut machine = Machine::long(0);
    machine.state.shadow.nmi = true;
    machine.set_frame(&[RIP, CODE_64.into(), 2, STACK, DATA.into()]);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 64).unwrap();
    assert!(!state.shadow.nmi);
}

#[test]
fn outer_level_loses_inner_data_segments() {
    let mut machine = Machine::long(0);
    machine.state.segments[Es].access = Access(0xc0f3);
    machine.set_frame(&[RIP, USER_CODE_64.into(), 2, 0x30_0000, USER_DATA.into()]);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 64).unwrap();
    assert_eq!((state.cpl(), state.gpr[Register::Rsp]), (3, 0x30_0000));
    assert!(state.segments[Ds].access.unusable());
    assert_eq!(state.segments[Ds].selector, 0);
    assert!(!state.segments[Es].access.unusable());
}

#[test]
fn outer_level_loses_the_level_of_null_selectors_but_not_their_base() {
    let mut machine = Machine::long(0);
    let null =
        Segment { base: 0x7fff_0000_0000, access: Access(Access::UNUSABLE), ..Segment::default() };
    machine.state.segments[Fs] = Segment { selector: 3, ..null };
    machine.set_frame(&[RIP, USER_CODE_64.into(), 2, STACK, USER_DATA.into()]);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 64).unwrap();
    assert_eq!(state.segments[Fs], null);
}

#[test]
fn to_compatibility_mode() {
    let mut machine = Machine::long(0);
    machine.state.gpr[Register::Rsp] = STACK;
    let frame = [RIP, USER_CODE_32.into(), 2, 0xffff_ffff_0030_0000, USER_DATA.into()];
    machine.set_frame(&frame);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 64).unwrap();
    assert_eq!((state.bitness(), state.gpr[Register::Rsp]), (32, 0x30_0000));
}

#[test]
fn a_16bit_stack_gets_only_sp_back() {
    let mut machine = Machine::protected(0);
    machine.free(flat(WRITABLE | DPL_3, SMALL_16), 0);
    machine.state.gpr[Register::Rsp] = 0x2_9000;
    let frame = [RIP as u32, USER_CODE_32.into(), 2, 0xabcd_4444, u32::from(FREE | 3)];
    machine.set_frame(&frame);
    let Machine { state, mmu, .. } = &mut machine;
    iret(state, mmu, 32).unwrap();
    assert_eq!(state.gpr[Register::Rsp], 0x2_4444);
}

/// Each row: mode, privilege level, operand width, IOPL, and which bits an image of all ones (but
/// for VM) sets.
#[test]
fn which_flags_change() {
    const STATUS: u64 = 0x4dd7;
    const IF: u64 = 1 << 9;
    const IOPL: u64 = 3 << 12;
    const WIDE: u64 = 0x25_0000;
    const VIRTUAL: u64 = 0x18_0000;
    let rows = [
        (Machine::real(), 16, 0, STATUS | IF | IOPL),
        (Machine::real(), 32, 0, STATUS | IF | IOPL | WIDE),
        (Machine::protected(0), 16, 0, STATUS | IF | IOPL),
        (Machine::protected(0), 32, 0, STATUS | IF | IOPL | WIDE | VIRTUAL),
        (Machine::protected(3), 32, 0, STATUS | WIDE),
        (Machine::protected(3), 32, 3, STATUS | WIDE | IF | IOPL),
        (Machine::protected(3), 16, 3, STATUS | IF | IOPL),
        (Machine::long(0), 64, 0, STATUS | IF | IOPL | WIDE | VIRTUAL),
        (Machine::long(3), 64, 0, STATUS | WIDE),
    ];
    for (mut machine, bits, iopl, expected) in rows {
        machine.set_flags(RFlags::from_bits_retain(iopl << 12));
        let [cs, ss] = [SegmentRegister::Cs, Ss]
            .map(|register| u64::from(machine.state.segments[register].selector));
        let image = !RFlags::VIRTUAL_8086_MODE.bits();
        let frame = [RIP, cs, image, STACK, ss];
        match bits {
            16 => machine.set_frame(&frame.map(|item| item as u16)),
            32 => machine.set_frame(&frame.map(|item| item as u32)),
            _ => machine.set_frame(&frame),
        }
        let Machine { state, mmu, .. } = &mut machine;
        iret(state, mmu, bits).unwrap();
        assert_eq!(state.rflags.bits(), expected, "{bits} bits");
    }
}

/// Each row: the frame in 64-bit mode at privilege level 0, the descriptor at `FREE`, and the
/// exception.
#[test]
fn checks_in_64bit_mode() {
    const GP0: Exception = Exception::GP0;
    const ANY: u64 = 2;
    let [cs, ss, user_cs, user_ss, compat, free] =
        [CODE_64, DATA, USER_CODE_64, USER_DATA, USER_CODE_32, FREE].map(u64::from);
    let gp_free = Exception::gp(FREE);
    let np_free = code(Vector::SegmentNotPresent, FREE.into());
    let ss_free = code(Vector::StackFault, FREE.into());
    let rows = [
        ([RIP, 0, ANY, STACK, ss], 0, GP0),
        ([RIP, BEYOND.into(), ANY, STACK, ss], 0, Exception::gp(BEYOND)),
        ([RIP, ss, ANY, STACK, ss], 0, Exception::gp(DATA)),
        ([RIP, cs | 3, ANY, STACK, user_ss], 0, Exception::gp(CODE_64)),
        ([RIP, free | 1, ANY, STACK, ss], flat(CONFORMING | DPL_3, FLAT_64), gp_free),
        ([RIP, free, ANY, STACK, ss], flat(CODE, 0xe), gp_free),
        ([RIP, free, ANY, STACK, ss], flat(0x1b, FLAT_64), np_free),
        ([1 << 47, cs, ANY, STACK, ss], 0, GP0),
        ([1 << 32, compat, ANY, STACK, user_ss], 0, GP0),
        ([RIP, cs, ANY, STACK, 3], 0, GP0),
        ([RIP, user_cs, ANY, STACK, 3], 0, GP0),
        ([RIP, compat, ANY, STACK, 0], 0, GP0),
        ([RIP, user_cs, ANY, STACK, BEYOND.into()], 0, Exception::gp(BEYOND)),
        ([RIP, user_cs, ANY, STACK, ss], 0, Exception::gp(DATA)),
        ([RIP, user_cs, ANY, STACK, free | 3], flat(WRITABLE, FLAT_32), gp_free),
        ([RIP, user_cs, ANY, STACK, free | 3], flat(0xf1, FLAT_32), gp_free),
        ([RIP, user_cs, ANY, STACK, free | 3], flat(0x73, FLAT_32), ss_free),
    ];
    for (frame, raw, expected) in rows {
        let mut machine = Machine::long(0);
        machine.free(raw, 0);
        machine.set_frame(&frame);
        machine.assert_raises(expected, |state, mmu| iret(state, mmu, 64));
    }
}

#[test]
fn inner_levels_and_nested_tasks_are_refused() {
    let mut machine = Machine::long(3);
    machine.set_frame(&[RIP, CODE_64.into(), 2, STACK, DATA.into()]);
    machine.assert_raises(Exception::gp(CODE_64), |state, mmu| iret(state, mmu, 64));

    let mut machine = Machine::long(0);
    machine.set_flags(RFlags::NESTED_TASK);
    machine.assert_raises(Exception::GP0, |state, mmu| iret(state, mmu, 32));
}

#[test]
fn bad_stacks_and_targets() {
    let mut machine = Machine::long(0);
    machine.state.gpr[Register::Rsp] = UNMAPPED - 16;
    machine.set_frame(&[RIP, CODE_64.into()]);
    let fault = Exception::page_fault(UNMAPPED, 0);
    machine.assert_raises(fault, |state, mmu| iret(state, mmu, 64));
    machine.state.gpr[Register::Rsp] = 1 << 47;
    machine.assert_raises(Exception::SS0, |state, mmu| iret(state, mmu, 64));

    let mut machine = Machine::real();
    machine.set_frame(&[0x1_0000u32, 0, 2]);
    machine.assert_raises(Exception::GP0, |state, mmu| iret(state, mmu, 32));

    let mut machine = Machine::protected(0);
    machine.state.segments[Ss].limit = STACK as u32 + 10;
    machine.assert_raises(Exception::SS0, |state, mmu| iret(state, mmu, 32));
}

#[test]
fn null_stack_segment_survives_nested_interrupts() {
    let mut machine = Machine::long(3);
    machine.idt(0x80, gate(CODE_64, HANDLER, 0xee, 0));
    let user = machine.state.clone();
    let Machine { state, mmu, log, .. } = &mut machine;
    software(state, mmu, 0x80, SoftwareInterrupt::IntN, RIP).unwrap();
    let kernel = state.clone();
    assert_eq!(kernel.segments[Ss].selector, 0);
    external(state, mmu, 0x20, log).unwrap();
    iret(state, mmu, 64).unwrap();
    assert_eq!(*state, kernel);
    iret(state, mmu, 64).unwrap();
    assert_eq!(*state, user);
}
