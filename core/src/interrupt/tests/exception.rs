//! What becomes of an exception whose delivery faults (SDM, "Double Fault Exception"), and what
//! exceptions leave behind.

use alloc::vec::Vec as List;

use super::fixture::*;
use crate::interrupt::{Cause, Delivery, Shutdown, external, nmi, raise};
use crate::state::{Activity, Exception, RFlags, Register, Vector};

fn raise_in(machine: &mut Machine, exception: Exception) -> Result<(), Shutdown> {
    let Machine { state, mmu, log, .. } = machine;
    raise(state, mmu, exception, log)
}

fn vectors(machine: &Machine) -> List<Vector> {
    let vector = |delivery: &Delivery| match delivery.cause {
        Cause::Exception(exception) => exception.vector,
        Cause::Interrupt(_) | Cause::Nmi => Vector::NonMaskableInterrupt,
    };
    machine.log.iter().map(vector).collect()
}

/// Each row: an exception whose gate is broken so that its delivery raises #GP, #NP or #PF, and
/// the vector whose handler runs in the end.
#[test]
fn two_exceptions_combine() {
    use Vector::{
        DivideError as DE, DoubleFault as DF, GeneralProtection as GP, InvalidOpcode as UD,
        InvalidTss as TS, PageFault as PF, SegmentNotPresent as NP, StackFault as SS,
    };
    const NO_GATE: u64 = 0;
    let absent = gate(CODE_64, HANDLER, 0x0e, 0);
    let rows: [(Vector, u64, Vector); 9] = [
        (UD, NO_GATE, GP),
        (UD, absent, NP),
        (DE, NO_GATE, DF),
        (TS, NO_GATE, DF),
        (NP, NO_GATE, DF),
        (SS, absent, DF),
        (GP, absent, DF),
        (PF, NO_GATE, DF),
        (Vector::AlignmentCheck, absent, NP),
    ];
    for (first, broken, last) in rows {
        let mut machine = Machine::long(3);
        machine.idt(first as u8, broken);
        for vector in 0..32 {
            if vector != first as u8 {
                machine.idt(vector, gate(CODE_64, HANDLER + u64::from(vector), 0x8e, 0));
            }
        }
        assert_eq!(raise_in(&mut machine, Exception::plain(first)), Ok(()));
        assert_eq!(machine.state.rip, HANDLER + last as u64, "{first:?}");
        assert_eq!(machine.frame::<u64, 2>()[1], RIP);
    }
}

#[test]
fn page_fault_in_the_delivery_of_a_general_protection_is_delivered() {
    let mut machine = Machine::long(3);
    // #GP uses a stack that is not mapped, #PF a good one.
    machine.poke(TSS + 4, UNMAPPED + 64);
    machine.idt(14, gate(CODE_64, HANDLER + 14, 0x8e, 1));
    assert_eq!(raise_in(&mut machine, Exception::GP0), Ok(()));
    assert_eq!(machine.state.rip, HANDLER + 14);
    assert_eq!(machine.state.control.cr2, UNMAPPED + 56);
    assert_eq!(vectors(&machine), [Vector::GeneralProtection, Vector::PageFault]);
}

#[test]
fn two_page_faults_are_a_double_fault() {
    let mut machine = Machine::long(3);
    machine.poke(TSS + 4, UNMAPPED + 64);
    machine.idt(8, gate(CODE_64, HANDLER + 8, 0x8e, 1));
    assert_eq!(raise_in(&mut machine, Exception::page_fault(0x1_0000_0000, 4)), Ok(()));
    assert_eq!(machine.state.rip, HANDLER + 8);
    assert_eq!(machine.frame::<u64, 2>(), [0, RIP]);
    assert_eq!(machine.state.control.cr2, UNMAPPED + 56);
    let chain = [Vector::PageFault, Vector::PageFault, Vector::DoubleFault];
    assert_eq!(vectors(&machine), chain);
    let log: List<_> = machine.log.iter().map(|entry| (entry.nested, entry.cr2)).collect();
    let second = (true, UNMAPPED + 56);
    assert_eq!(log, [(false, 0x1_0000_0000), second, second]);
}

#[test]
fn a_triple_fault_leaves_the_registers_as_they_were() {
    for mut machine in [Machine::long(3), Machine::protected(3), Machine::real()] {
        machine.state.idtr.limit = 0;
        machine.set_flags(RFlags::TRAP_FLAG);
        let before = machine.state.clone();
        assert_eq!(raise_in(&mut machine, Exception::page_fault(0x123, 4)), Err(Shutdown));
        assert_eq!(machine.state.activity, Activity::Shutdown);
        assert_eq!(machine.state.control.cr2, 0x123);
        machine.state.activity = before.activity;
        machine.state.control.cr2 = before.control.cr2;
        assert_eq!(machine.state, before);
        use Vector::{DoubleFault, GeneralProtection, PageFault};
        let chain = [PageFault, GeneralProtection, DoubleFault, GeneralProtection];
        assert_eq!(vectors(&machine), chain);
    }
}

#[test]
fn an_interrupt_is_logged_when_its_delivery_fails() {
    let mut machine = Machine::long(0);
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x20, log).unwrap();
    assert_eq!(log.iter().count(), 0);
    state.idtr.limit = 0x1ff;
    external(state, mmu, 0x30, log).unwrap();
    let log: List<_> = machine.log.iter().map(|entry| (entry.cause, entry.nested)).collect();
    let second = code(Vector::GeneralProtection, 0x30 * 8 + 3);
    assert_eq!(log, [(Cause::Interrupt(0x30), false), (Cause::Exception(second), true)]);
}

#[test]
fn the_log_keeps_the_last_eight() {
    let mut machine = Machine::long(0);
    for address in 0..11 {
        raise_in(&mut machine, Exception::page_fault(address, 0)).unwrap();
    }
    let addresses: List<_> = machine.log.iter().map(|entry| entry.cr2).collect();
    assert_eq!(addresses, [3, 4, 5, 6, 7, 8, 9, 10]);
    machine.log.clear();
    assert_eq!(machine.log.iter().count(), 0);
}

#[test]
fn nmi_blocks_others_and_wakes() {
    let mut machine = Machine::long(0);
    machine.state.activity = Activity::Halted;
    machine.state.shadow.sti = true;
    machine.state.shadow.mov_ss = true;
    let Machine { state, mmu, log, .. } = &mut machine;
    nmi(state, mmu, log).unwrap();
    assert!(state.shadow.nmi && !state.shadow.sti && !state.shadow.mov_ss);
    assert_eq!(state.activity, Activity::Active);
    assert_eq!(machine.frame::<u64, 1>(), [RIP]);
}

#[test]
fn debug_exceptions_write_their_registers() {
    let mut machine = Machine::long(0);
    machine.state.debug.dr6 |= 3;
    machine.state.debug.dr7 |= 1 << 13;
    let single_step = Exception { payload: 1 << 14, ..Exception::plain(Vector::Debug) };
    raise_in(&mut machine, single_step).unwrap();
    assert_eq!(machine.state.debug.dr6, 0xffff_4ff0);
    assert_eq!(machine.state.debug.dr7, 0x400);
    assert_eq!(machine.frame::<u64, 3>()[2], 2, "a debug exception does not set RF");
}

#[test]
fn stack_of_an_inner_level_is_written_with_that_level() {
    let mut machine = Machine::long(3);
    machine.hide_from_user();
    raise_in(&mut machine, Exception::UD).unwrap();
    assert_eq!(machine.state.gpr[Register::Rsp], STACK_0 - 40);
}
