//! Register effects and refusals of the fast system calls.

use super::fixture::*;
use crate::interrupt::{syscall, sysenter, sysexit, sysret};
use crate::state::{Access, EferFlags, Exception, RFlags, Register, Segment, SegmentRegister};

use SegmentRegister::{Cs, Ss};

fn machine(cpl: u8) -> Machine {
    let mut machine = Machine::long(cpl);
    machine.state.msr.star = 0x0013_0008 << 32;
    machine.state.msr.lstar = 0xffff_8000_0000_1000;
    machine.state.msr.fmask = 0x4_7700;
    machine.state.msr.sysenter_cs = 0x8;
    machine.state.msr.sysenter_esp = 0xffff_8000_0000_2000;
    machine.state.msr.sysenter_eip = 0xffff_8000_0000_3000;
    machine
}

fn flat_segment(selector: u16, access: u32) -> Segment {
    Segment { base: 0, limit: u32::MAX, access: Access(access), selector }
}

#[test]
fn syscall_and_back() {
    let mut machine = machine(3);
    machine.set_flags(RFlags::INTERRUPT_FLAG | RFlags::CARRY_FLAG | RFlags::TRAP_FLAG);
    let Machine { state, mmu, .. } = &mut machine;
    syscall(state, mmu, RIP + 2).unwrap();
    assert_eq!(state.rip, state.msr.lstar);
    assert_eq!(state.gpr[Register::Rcx], RIP + 2);
    assert_eq!(state.gpr[Register::R11], 0x303);
    assert_eq!(state.rflags.bits(), 3);
    assert_eq!(state.gpr[Register::Rsp], STACK);
    assert_eq!(state.segments[Cs], flat_segment(8, 0xa09b));
    assert_eq!(state.segments[Ss], flat_segment(16, 0xc093));

    state.gpr[Register::R11] |= !0xffff;
    sysret(state, mmu, 64).unwrap();
    assert_eq!((state.rip, state.bitness(), state.cpl()), (RIP + 2, 64, 3));
    assert_eq!(state.rflags.bits(), 0x3c_0303);
    assert_eq!(state.segments[Cs], flat_segment(0x23, 0xa0fb));
    assert_eq!(state.segments[Ss], flat_segment(0x1b, 0xc0f3));
}

#[test]
fn sysret_to_compatibility_mode() {
    let mut machine = machine(0);
    machine.state.gpr[Register::Rcx] = 0xffff_ffff_0000_5678;
    let Machine { state, mmu, .. } = &mut machine;
    sysret(state, mmu, 32).unwrap();
    assert_eq!((state.rip, state.bitness()), (0x5678, 32));
    assert_eq!(state.segments[Cs], flat_segment(0x13, 0xc0fb));
}

#[test]
fn refusals() {
    let mut disabled = machine(0);
    disabled.state.control.efer.remove(EferFlags::SYSTEM_CALL_EXTENSIONS);
    let mut compatibility = machine(0);
    compatibility.enter(0, CODE_32);
    for machine in [&mut disabled, &mut compatibility, &mut Machine::protected(0)] {
        machine.assert_raises(Exception::UD, |state, mmu| syscall(state, mmu, RIP));
        machine.assert_raises(Exception::UD, |state, mmu| sysret(state, mmu, 64));
    }
    machine(3).assert_raises(Exception::GP0, |state, mmu| sysret(state, mmu, 64));
    machine(3).assert_raises(Exception::GP0, |state, mmu| sysexit(state, mmu, 64));
    let mut distant = machine(0);
    distant.state.gpr[Register::Rcx] = 1 << 47;
    distant.assert_raises(Exception::GP0, |state, mmu| sysret(state, mmu, 64));
    distant.assert_raises(Exception::GP0, |state, mmu| sysexit(state, mmu, 64));
    let mut null = machine(0);
    null.state.msr.sysenter_cs = 3;
    for machine in [&mut null, &mut Machine::real()] {
        machine.assert_raises(Exception::GP0, sysenter);
        machine.assert_raises(Exception::GP0, |state, mmu| sysexit(state, mmu, 32));
    }
}

#[test]
fn sysenter_and_back() {
    let mut machine = machine(3);
    machine.set_flags(RFlags::INTERRUPT_FLAG | RFlags::DIRECTION_FLAG);
    let Machine { state, mmu, .. } = &mut machine;
    sysenter(state, mmu).unwrap();
    assert_eq!((state.rip, state.cpl()), (state.msr.sysenter_eip, 0));
    assert_eq!(state.gpr[Register::Rsp], state.msr.sysenter_esp);
    assert_eq!(state.rflags.bits(), 0x402);
    assert_eq!(state.segments[Cs], flat_segment(8, 0xa09b));
    assert_eq!(state.segments[Ss], flat_segment(16, 0xc093));

    state.gpr[Register::Rcx] = STACK;
    state.gpr[Register::Rdx] = RIP;
    sysexit(state, mmu, 64).unwrap();
    assert_eq!((state.rip, state.gpr[Register::Rsp]), (RIP, STACK));
    assert_eq!(state.segments[Cs], flat_segment(0x2b, 0xa0fb));
    assert_eq!(state.segments[Ss], flat_segment(0x33, 0xc0f3));
}

#[test]
fn sysenter_in_protected_mode() {
    let mut machine = Machine::protected(3);
    machine.state.msr.sysenter_cs = 0x8;
    machine.state.msr.sysenter_eip = 0x1_2345_6789;
    let Machine { state, mmu, .. } = &mut machine;
    sysenter(state, mmu).unwrap();
    assert_eq!((state.rip, state.segments[Cs]), (0x2345_6789, flat_segment(8, 0xc09b)));
    sysexit(state, mmu, 32).unwrap();
    assert_eq!(state.segments[Cs], flat_segment(0x1b, 0xc0fb));
    assert_eq!(state.segments[Ss], flat_segment(0x23, 0xc0f3));
}
