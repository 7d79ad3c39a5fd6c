//! Task switches: what is saved and loaded, each way to switch and back, and each check in its order.

use super::fixture::*;
use crate::interrupt::{SoftwareInterrupt, external, far_call, far_jump, iret, raise, software};
use crate::state::{
    Access, Cr0Flags, Cr4Flags, Dr6Flags, Exception, RFlags, Register, SegmentRegister, Vector,
};

use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ldtr, Ss, Tr};

/// The other task's segment, and what it holds.
const OTHER: u64 = 0xc000;
const OTHER_RIP: u32 = 0x5555;
const OTHER_STACK: u32 = 0xd000;
/// Offsets in a 32-bit task-state segment.
const CR3: u64 = 0x1c;
const EIP: u64 = 0x20;
const EFLAGS: u64 = 0x24;
const ESP: u64 = 0x38;
const ES: u64 = 0x48;
const CS: u64 = 0x4c;
const SS: u64 = 0x50;
const LOCAL_TABLE: u64 = 0x60;
const TRAP: u64 = 0x64;
/// Types of task-state segments.
const AVAILABLE: u8 = PRESENT | 9;
const BUSY: u8 = PRESENT | 0xb;
/// Where a second descriptor of a test's own is.
const SECOND: u16 = FREE + 8;

/// Protected mode with the other task's segment at `FREE`, an LDT descriptor at `SECOND`.
fn machine(kind: u8) -> Machine {
    let mut machine = Machine::protected(0);
    machine.free(descriptor(OTHER as u32, 0x67, kind, 0), descriptor(LDT as u32, 15, 0x82, 0));
    for number in 0..8 {
        machine.poke(OTHER + 0x28 + number * 4, 0x1000_0000 + number as u32);
    }
    for (offset, value) in [(EIP, OTHER_RIP), (EFLAGS, 2), (ESP, OTHER_STACK)] {
        machine.poke(OTHER + offset, value);
    }
    for (number, selector) in (0..).zip([DATA, CODE_32, DATA, 0, 0, 0]) {
        machine.poke(OTHER + ES + number * 4, u32::from(selector));
    }
    machine.poke(OTHER + LOCAL_TABLE, u32::from(SECOND));
    machine
}

/// Whether the descriptor of `selector` is that of a busy task.
fn busy(machine: &Machine, selector: u16) -> bool {
    machine.peek::<u8>(GDT + u64::from(selector) + 5) & 2 != 0
}

fn jump(machine: &mut Machine, selector: u16) -> Result<(), Exception> {
    far_jump(&mut machine.state, &mut machine.mmu, selector, 0)
}

fn call(machine: &mut Machine, selector: u16) -> Result<(), Exception> {
    far_call(&mut machine.state, &mut machine.mmu, selector, 0, 32, RIP + 7)
}

fn assert_in_other_task(machine: &Machine) {
    let state = &machine.state;
    assert_eq!(state.pending.fault, None);
    assert_eq!((state.rip, state.gpr[Register::Rsp]), (OTHER_RIP.into(), OTHER_STACK.into()));
    assert_eq!(state.gpr[Register::Rdi], 0x1000_0007);
    let selectors = [Es, Cs, Ss, Ds].map(|register| state.segments[register].selector);
    assert_eq!(selectors, [DATA, CODE_32, DATA, 0]);
    assert!(state.segments[Ds].access.unusable());
    let table = state.segments[Ldtr];
    assert_eq!((table.base, table.limit, table.selector), (LDT, 15, SECOND));
    let task = state.segments[Tr];
    assert_eq!((task.selector, task.base, task.access), (FREE, OTHER, Access(0x8b)));
    assert!(state.control.cr0.contains(Cr0Flags::TASK_SWITCHED));
    assert!(busy(machine, FREE));
}

#[test]
fn jump_ends_the_old_task() {
    let mut machine = machine(AVAILABLE);
    machine.set_flags(RFlags::CARRY_FLAG | RFlags::NESTED_TASK);
    machine.state.gpr[Register::Rbx] = 0x1234_5678;
    machine.state.debug.dr7 = 0x7ff;
    jump(&mut machine, FREE).unwrap();
    assert_in_other_task(&machine);
    assert!(!busy(&machine, TASK));
    assert_eq!(machine.state.rflags.bits(), 2, "no nesting");
    assert_eq!(machine.state.debug.dr7, 0x6aa, "local breakpoints are off");
    assert_eq!(machine.peek::<u32>(TSS + EIP), RIP as u32);
    assert_eq!(machine.peek::<u32>(TSS + EFLAGS), 0x4003);
    assert_eq!(machine.peek::<u32>(TSS + 0x34), 0x1234_5678, "EBX");
    assert_eq!(machine.peek::<u32>(TSS + ESP), STACK as u32);
    assert_eq!(machine.peek::<u32>(TSS + CS), u32::from(CODE_32));
    assert_eq!(machine.peek::<u32>(OTHER), 0, "no link");
}

#[test]
fn call_nests_and_iret_comes_back() {
    for through_gate in [false, true] {
        let mut machine = machine(AVAILABLE);
        machine.set_flags(RFlags::INTERRUPT_FLAG);
        let mut before = machine.state.clone();
        if through_gate {
            let raw = gate(FREE, 0, PRESENT | 5, 0);
            machine.poke(GDT + u64::from(USER_DATA & !7), raw);
            call(&mut machine, USER_DATA & !7).unwrap();
        } else {
            call(&mut machine, FREE).unwrap();
        }
        assert_in_other_task(&machine);
        assert!(busy(&machine, TASK));
        assert_eq!(machine.state.rflags.bits(), 0x4002);
        assert_eq!(machine.peek::<u16>(OTHER), TASK);

        machine.state.rip = 0x7777;
        iret(&mut machine.state, &mut machine.mmu, 32).unwrap();
        assert_eq!(machine.state.pending.fault, None);
        assert!(!busy(&machine, FREE) && busy(&machine, TASK));
        assert_eq!(machine.peek::<u32>(OTHER + EIP), 0x7777);
        assert_eq!(machine.peek::<u32>(OTHER + EFLAGS), 2, "NT is clear in what is saved");
        before.rip = RIP + 7;
        before.control.cr0 |= Cr0Flags::TASK_SWITCHED;
        // The fixture's task has no LDT in its segment.
        before.segments[Ldtr] = machine.state.segments[Ldtr];
        assert_eq!(machine.state, before);
    }
}

#[test]
fn events_nest_and_bring_their_error_code() {
    for (vector, code) in [(Vector::GeneralProtection, Some(0x18)), (Vector::InvalidOpcode, None)] {
        let mut machine = machine(AVAILABLE);
        machine.idt(vector as u8, gate(FREE, 0, PRESENT | 5, 0));
        let Machine { state, mmu, log, .. } = &mut machine;
        let exception = Exception { error_code: code, ..Exception::plain(vector) };
        raise(state, mmu, exception, log).unwrap();
        assert_eq!(machine.peek::<u32>(TSS + EIP), RIP as u32);
        assert_eq!(machine.peek::<u32>(TSS + EFLAGS), 0x1_0002, "faults resume");
        assert_eq!(machine.peek::<u16>(OTHER), TASK);
        let pushed = machine.state.gpr[Register::Rsp];
        match code {
            Some(code) => {
                assert_eq!(pushed, u64::from(OTHER_STACK) - 4);
                assert_eq!(machine.peek::<u32>(pushed), code);
                machine.state.gpr[Register::Rsp] += 4;
            }
            None => assert_eq!(pushed, OTHER_STACK.into()),
        }
        assert_in_other_task(&machine);
    }
    let mut machine = machine(AVAILABLE);
    machine.idt(0x40, gate(FREE, 0, PRESENT | 5, 0));
    let Machine { state, mmu, log, .. } = &mut machine;
    external(state, mmu, 0x40, log).unwrap();
    assert_in_other_task(&machine);
}

#[test]
fn a_16bit_task_has_no_more_than_16_bits() {
    let mut machine = machine(PRESENT | 1);
    for (index, item) in (0..).zip([0x5555_u16, 0x0246, 1, 2, 3, 4, 0xd000, 6, 7, 8]) {
        machine.poke(OTHER + 0xe + index * 2, item);
    }
    for (index, selector) in (0..).zip([DATA, CODE_32, DATA, DATA, SECOND]) {
        machine.poke(OTHER + 0x22 + index * 2, selector);
    }
    call(&mut machine, FREE).unwrap();
    let state = &machine.state;
    assert_eq!(state.pending.fault, None);
    assert_eq!((state.rip, state.rflags.bits()), (0x5555, 0x4246));
    assert_eq!((state.gpr[Register::Rax], state.gpr[Register::Rsp]), (1, 0xd000));
    assert_eq!((state.segments[Ds].selector, state.segments[Fs].selector), (DATA, 0));
    assert_eq!(state.segments[Tr].access, Access(0x83));
    machine.state.gpr[Register::Rax] = 0x1234_5678;
    machine.state.rip = 0x1_8888;
    iret(&mut machine.state, &mut machine.mmu, 32).unwrap();
    assert_eq!(machine.peek::<u16>(OTHER + 0x12), 0x5678, "AX");
    assert_eq!(machine.peek::<u16>(OTHER + 0xe), 0x8888, "IP");
    assert_eq!(machine.state.rip, RIP + 7);
}

#[test]
fn page_directory_comes_with_the_task() {
    let mut machine = machine(AVAILABLE);
    for directory in [0xe000_u64, 0xf000] {
        // 4 MiB, present and writable.
        machine.poke(directory, 0x83_u32);
    }
    machine.state.control.cr3 = 0xe000;
    machine.state.control.cr4 |= Cr4Flags::PAGE_SIZE_EXTENSION;
    machine.state.control.cr0 |= Cr0Flags::PAGING;
    machine.mmu.update_mode(&machine.state);
    machine.poke(OTHER + CR3, 0xf000_u32);
    jump(&mut machine, FREE).unwrap();
    assert_in_other_task(&machine);
    assert_eq!(machine.state.control.cr3, 0xf000);
    assert_eq!(machine.peek::<u32>(TSS + CR3), 0, "CR3 is not saved");
}

#[test]
fn a_debug_exception_follows_if_the_task_wants_it() {
    let mut machine = machine(AVAILABLE);
    machine.poke(OTHER + TRAP, 1_u16);
    jump(&mut machine, FREE).unwrap();
    assert_eq!(machine.state.pending.debug, Some(Dr6Flags::SWITCH));
}

#[test]
fn a_task_can_be_one_of_virtual_8086_mode() {
    let mut machine = machine(AVAILABLE);
    machine.poke(OTHER + EFLAGS, 0x2_0002_u32);
    machine.poke(OTHER + CS, 0x1234_u32);
    machine.poke(OTHER + SS, 0x2345_u32);
    jump(&mut machine, FREE).unwrap();
    let state = &machine.state;
    assert_eq!(state.pending.fault, None);
    assert_eq!((state.virtual_8086(), state.cpl(), state.bitness()), (true, 3, 16));
    assert_eq!((state.segments[Cs].base, state.segments[Ss].base), (0x1_2340, 0x2_3450));
    assert_eq!((state.segments[Gs].base, state.segments[Gs].limit), (0, 0xffff));
    assert_eq!(state.segments[Ldtr].selector, SECOND);
}

#[test]
fn faults_of_the_old_task() {
    type Change = fn(&mut Machine);
    let cases: [(&str, Change, Exception); 8] = [
        ("busy", |m| m.poke(GDT + u64::from(FREE) + 5, BUSY), Exception::gp(FREE)),
        (
            "absent",
            |m| m.poke(GDT + u64::from(FREE) + 5, 9_u8),
            code(Vector::SegmentNotPresent, FREE.into()),
        ),
        (
            "too short",
            |m| m.poke(GDT + u64::from(FREE), 0x66_u16),
            code(Vector::InvalidTss, FREE.into()),
        ),
        ("too privileged", |m| m.enter(3, USER_CODE_32), Exception::gp(FREE)),
        (
            "no current task",
            |m| m.state.segments[Tr].access = Access(Access::UNUSABLE),
            code(Vector::InvalidTss, TASK.into()),
        ),
        (
            "current task too short",
            |m| m.state.segments[Tr].limit = 0x66,
            code(Vector::InvalidTss, TASK.into()),
        ),
        ("not a task", |m| m.poke(GDT + u64::from(FREE) + 5, PRESENT | 2), Exception::gp(FREE)),
        (
            "16 bits, too short",
            |m| m.free(descriptor(OTHER as u32, 0x2a, PRESENT | 1, 0), 0),
            code(Vector::InvalidTss, FREE.into()),
        ),
    ];
    for (what, change, expected) in cases {
        let mut machine = machine(AVAILABLE);
        change(&mut machine);
        let tables: [u64; 12] = core::array::from_fn(|index| machine.peek(GDT + index as u64 * 8));
        machine.assert_raises(expected, |state, mmu| far_jump(state, mmu, FREE, 0));
        machine.assert_raises(expected, |state, mmu| far_call(state, mmu, FREE, 0, 32, 0));
        let after = core::array::from_fn(|index| machine.peek(GDT + index as u64 * 8));
        assert_eq!(tables, after, "{what}");
    }
}

#[test]
fn faults_behind_a_task_gate() {
    let cases = [
        (FREE | 4, AVAILABLE, Exception::gp(FREE | 4)),
        (BEYOND, AVAILABLE, Exception::gp(BEYOND)),
        (3, AVAILABLE, Exception::GP0),
        (DATA, AVAILABLE, Exception::gp(DATA)),
        (FREE, BUSY, Exception::gp(FREE)),
        (FREE, 9, code(Vector::SegmentNotPresent, FREE.into())),
    ];
    for (selector, kind, expected) in cases {
        let mut machine = machine(kind);
        machine.idt(0x80, gate(selector, 0, PRESENT | 5, 0));
        machine.assert_raises(expected, |state, mmu| {
            software(state, mmu, 0x80, SoftwareInterrupt::IntN, 0)
        });
    }
    let mut machine = machine(AVAILABLE);
    machine.idt(0x80, gate(FREE, 0, PRESENT | 5, 0));
    machine.enter(3, USER_CODE_32);
    let denied = code(Vector::GeneralProtection, 0x80 * 8 + 2);
    machine
        .assert_raises(denied, |state, mmu| software(state, mmu, 0x80, SoftwareInterrupt::IntN, 0));
}

#[test]
fn faults_of_a_return() {
    let invalid = |selector: u16| code(Vector::InvalidTss, selector.into());
    for (link, kind, expected) in [
        (FREE, AVAILABLE, invalid(FREE)),
        (FREE | 4, BUSY, invalid(FREE | 4)),
        (BEYOND, BUSY, invalid(BEYOND)),
        (0, BUSY, invalid(0)),
        (FREE, 0xb, code(Vector::SegmentNotPresent, FREE.into())),
    ] {
        let mut machine = machine(kind);
        machine.poke(TSS, link);
        machine.set_flags(RFlags::NESTED_TASK);
        machine.assert_raises(expected, |state, mmu| iret(state, mmu, 32));
    }
    let mut machine = Machine::long(0);
    machine.set_flags(RFlags::NESTED_TASK);
    machine.assert_raises(Exception::GP0, |state, mmu| iret(state, mmu, 64));
}

#[test]
fn faults_of_the_new_task() {
    let selector = |offset: u64, value: u16| (offset, u32::from(value));
    let invalid = |selector: u16| code(Vector::InvalidTss, u32::from(selector & !3));
    let flat_data = GDT + u64::from(USER_DATA & !7) + 5;
    let flat_code = GDT + u64::from(CODE_32) + 5;
    let cases = [
        ("LDT is local", selector(LOCAL_TABLE, SECOND | 4), None, invalid(SECOND | 4)),
        ("LDT is none", selector(LOCAL_TABLE, DATA), None, invalid(DATA)),
        ("LDT beyond", selector(LOCAL_TABLE, BEYOND), None, invalid(BEYOND)),
        ("CS null", selector(CS, 0), None, invalid(0)),
        ("CS is data", selector(CS, DATA), None, invalid(DATA)),
        ("CS of another level", selector(CS, CODE_32 | 3), None, invalid(CODE_32)),
        (
            "CS absent",
            selector(CS, CODE_32),
            Some((flat_code, 0x1b)),
            code(Vector::SegmentNotPresent, u32::from(CODE_32)),
        ),
        ("SS null", selector(SS, 0), None, invalid(0)),
        ("SS is code", selector(SS, CODE_32), None, invalid(CODE_32)),
        ("SS of another level", selector(SS, USER_DATA), None, invalid(USER_DATA)),
        (
            "SS absent",
            selector(SS, USER_DATA & !3),
            Some((flat_data, 0x13)),
            code(Vector::StackFault, u32::from(USER_DATA & !3)),
        ),
        ("ES is a system segment", selector(ES, TASK), None, invalid(TASK)),
        (
            "ES absent",
            selector(ES, USER_DATA),
            Some((flat_data, 0x73)),
            code(Vector::SegmentNotPresent, u32::from(USER_DATA & !3)),
        ),
    ];
    for (what, (offset, value), byte, expected) in cases {
        let mut machine = machine(AVAILABLE);
        machine.poke(OTHER + offset, value);
        if let Some((address, kind)) = byte {
            machine.poke::<u8>(address, kind);
        }
        jump(&mut machine, FREE).unwrap();
        assert_eq!(machine.state.pending.fault, Some(expected), "{what}");
        assert_eq!(machine.state.rip, u64::from(OTHER_RIP), "{what}");
        assert_eq!(machine.state.segments[Tr].selector, FREE, "{what}");
    }
    let mut machine = machine(AVAILABLE);
    machine.poke(GDT + u64::from(CODE_32), descriptor(0, 0x5554, CODE, FLAT_32 & 7));
    jump(&mut machine, FREE).unwrap();
    assert_eq!(machine.state.pending.fault, Some(Exception::GP0), "EIP beyond the limit");
}

/// The order is that of the table under "Exception Conditions Checked During a Task Switch".
#[test]
fn of_several_faults_of_the_new_task_the_first_is_raised() {
    let rights = |selector: u16| GDT + u64::from(selector & !7) + 5;
    let (absent_code, absent_data) = ((rights(USER_CODE_32), 0x7b), (rights(USER_DATA), 0x13));
    let invalid = |selector: u16| code(Vector::InvalidTss, u32::from(selector & !3));
    let absent = |vector, selector: u16| code(vector, u32::from(selector & !3));
    for (what, fields, (address, kind), expected) in [
        ("levels of CS, of SS", [(CS, CODE_32 | 3), (SS, 0)], absent_data, invalid(CODE_32)),
        ("a valid SS, presence of CS", [(CS, USER_CODE_32), (SS, 0)], absent_code, invalid(0)),
        (
            "presence of CS, the selector of SS",
            [(CS, USER_CODE_32), (SS, USER_DATA & !3)],
            absent_code,
            absent(Vector::SegmentNotPresent, USER_CODE_32),
        ),
        (
            "presence of ES, its level",
            [(ES, USER_DATA), (SS, DATA)],
            absent_data,
            absent(Vector::SegmentNotPresent, USER_DATA),
        ),
    ] {
        let mut machine = machine(AVAILABLE);
        machine.poke::<u8>(address, kind);
        for (offset, selector) in fields {
            machine.poke(OTHER + offset, u32::from(selector));
        }
        jump(&mut machine, FREE).unwrap();
        assert_eq!(machine.state.pending.fault, Some(expected), "{what}");
    }
}

#[test]
fn a_handler_that_can_not_run_makes_a_double_fault() {
    let mut machine = machine(AVAILABLE);
    machine.poke(OTHER + ES, u32::from(TASK));
    machine.idt(Vector::GeneralProtection as u8, gate(FREE, 0, PRESENT | 5, 0));
    let Machine { state, mmu, log, .. } = &mut machine;
    raise(state, mmu, Exception::GP0, log).unwrap();
    assert_eq!((state.rip, state.pending.fault), (HANDLER, None));
    let vectors = log.iter().map(|delivery| delivery.cause);
    let expected = [
        Exception::GP0,
        code(Vector::InvalidTss, u32::from(TASK) | 1),
        code(Vector::DoubleFault, 0),
    ];
    assert!(vectors.eq(expected.map(crate::interrupt::Cause::Exception)));
    assert_eq!(machine.frame::<u32, 2>(), [0, OTHER_RIP.into()], "in the new task");
}
