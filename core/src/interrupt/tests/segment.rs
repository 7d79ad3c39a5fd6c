//! Loads of segment registers: each check with its exception (SDM, MOV, LLDT, LTR).

use super::fixture::*;
use crate::interrupt::{load_local_descriptor_table, load_segment, load_task_register};
use crate::state::{Access, Exception, SegmentRegister, Vector};

use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ldtr, Ss, Tr};

fn ss(selector: u16) -> Exception {
    code(Vector::StackFault, u32::from(selector & !3))
}

fn np(selector: u16) -> Exception {
    code(Vector::SegmentNotPresent, u32::from(selector & !3))
}

/// Each row: privilege level, register, selector, descriptor at `FREE`, and the outcome.
#[test]
fn checks_in_protected_mode() {
    const FREE_3: u16 = FREE | 3;
    let data = flat(WRITABLE, FLAT_32);
    let user_data = flat(WRITABLE | DPL_3, FLAT_32);
    let rows = [
        (0, Ds, FREE, data, Ok(())),
        (0, Ds, FREE_3, data, Err(Exception::gp(FREE))),
        (3, Ds, FREE, data, Err(Exception::gp(FREE))),
        (3, Ds, FREE, user_data, Ok(())),
        (0, Es, FREE, user_data, Ok(())),
        (0, Fs, BEYOND, 0, Err(Exception::gp(BEYOND))),
        (0, Fs, FREE, descriptor(0, 0, 0x89, 0), Err(Exception::gp(FREE))),
        (0, Gs, FREE, flat(0x99, FLAT_32), Err(Exception::gp(FREE))),
        (0, Gs, FREE, flat(CODE, FLAT_32), Ok(())),
        (3, Gs, FREE, flat(CODE, FLAT_32), Err(Exception::gp(FREE))),
        (3, Gs, FREE, flat(CONFORMING, FLAT_32), Ok(())),
        (0, Ds, FREE, flat(0x13, FLAT_32), Err(np(FREE))),
        (3, Ds, FREE, flat(0x13, FLAT_32), Err(Exception::gp(FREE))),
        (0, Ds, 3, 0, Ok(())),
        (0, Ss, FREE, data, Ok(())),
        (0, Ss, 0, 0, Err(Exception::GP0)),
        (0, Ss, BEYOND, 0, Err(Exception::gp(BEYOND))),
        (0, Ss, FREE_3, user_data, Err(Exception::gp(FREE))),
        (0, Ss, FREE, user_data, Err(Exception::gp(FREE))),
        (0, Ss, FREE_3, data, Err(Exception::gp(FREE))),
        (3, Ss, FREE_3, user_data, Ok(())),
        (0, Ss, FREE, flat(0x91, FLAT_32), Err(Exception::gp(FREE))),
        (0, Ss, FREE, flat(CODE, FLAT_32), Err(Exception::gp(FREE))),
        (0, Ss, FREE, flat(0x13, FLAT_32), Err(ss(FREE))),
        (0, Cs, FREE, flat(CODE, FLAT_32), Err(Exception::UD)),
        (0, Ds, LOCAL | 8, 0, Err(Exception::gp(LOCAL | 8))),
        (0, Ds, LOCAL | 16, 0, Err(Exception::gp(LOCAL | 16))),
    ];
    for (cpl, register, selector, raw, expected) in rows {
        let mut machine = Machine::protected(cpl);
        machine.free(raw, 0);
        match expected {
            Err(exception) => machine.assert_raises(exception, |state, mmu| {
                load_segment(state, mmu, register, selector)
            }),
            Ok(()) => {
                let Machine { state, mmu, .. } = &mut machine;
                assert_eq!(load_segment(state, mmu, register, selector), Ok(()));
                assert_eq!(state.segments[register].selector, selector);
                assert_eq!(state.cpl(), cpl);
            }
        }
    }
}

#[test]
fn hidden_part_comes_from_the_descriptor() {
    let mut machine = Machine::protected(0);
    machine.poke(LDT, descriptor(0x1234_5678, 0x9_abcd, WRITABLE & !1, 0xc));
    let Machine { state, mmu, .. } = &mut machine;
    load_segment(state, mmu, Es, LOCAL).unwrap();
    let segment = state.segments[Es];
    assert_eq!((segment.base, segment.limit), (0x1234_5678, 0x9abc_dfff));
    assert_eq!(segment.access, Access(0xc093));
    assert_eq!(machine.peek::<u8>(LDT + 5), WRITABLE);

    machine.state.segments[Ldtr].access.0 |= Access::UNUSABLE;
    machine.assert_raises(Exception::gp(LOCAL), |state, mmu| load_segment(state, mmu, Es, LOCAL));
}

#[test]
fn real_mode_changes_selector_and_base() {
    let mut machine = Machine::real();
    machine.state.segments[Ds].limit = u32::MAX;
    let Machine { state, mmu, .. } = &mut machine;
    load_segment(state, mmu, Ds, 0xb800).unwrap();
    let segment = state.segments[Ds];
    assert_eq!((segment.selector, segment.base, segment.limit), (0xb800, 0xb_8000, u32::MAX));
    state.segments[Es].access = Access(Access::UNUSABLE);
    load_segment(state, mmu, Es, 1).unwrap();
    assert_eq!((state.segments[Es].limit, state.segments[Es].access), (0xffff, Access(0x93)));
}

#[test]
fn null_stack_segment_in_64bit_mode() {
    let mut machine = Machine::long(0);
    let Machine { state, mmu, .. } = &mut machine;
    load_segment(state, mmu, Ss, 0).unwrap();
    assert!(state.segments[Ss].access.unusable());
    machine.assert_raises(Exception::GP0, |state, mmu| load_segment(state, mmu, Ss, 3));
    let mut machine = Machine::long(3);
    machine.assert_raises(Exception::GP0, |state, mmu| load_segment(state, mmu, Ss, 3));
    let mut machine = Machine::long(0);
    machine.enter(0, CODE_32);
    machine.assert_raises(Exception::GP0, |state, mmu| load_segment(state, mmu, Ss, 0));
}

#[test]
fn tables_are_read_as_the_system() {
    let mut machine = Machine::long(3);
    machine.hide_from_user();
    machine.free(flat(WRITABLE & !1 | DPL_3, FLAT_32), 0);
    let Machine { state, mmu, .. } = &mut machine;
    load_segment(state, mmu, Ds, FREE | 3).unwrap();
    state.gdtr.base = UNMAPPED;
    let fault = Exception::page_fault(UNMAPPED + u64::from(FREE), 0);
    machine.assert_raises(fault, |state, mmu| load_segment(state, mmu, Ds, FREE | 3));
    machine.state.gdtr.base = 0x8000_0000_0000;
    machine.assert_raises(Exception::GP0, |state, mmu| load_segment(state, mmu, Ds, FREE | 3));
}

/// Each row: IA-32e mode, LTR (else LLDT), selector, descriptor at `FREE`, its upper half, and the
/// outcome.
#[test]
fn task_and_local_table_registers() {
    let tss = |kind| descriptor(0x7000, 0x67, PRESENT | kind, 0);
    let absent = descriptor(0x7000, 0x67, 9, 0);
    let rows = [
        (false, true, FREE, tss(9), 0, Ok(0x7000)),
        (false, true, FREE, tss(1), 0, Ok(0x7000)),
        (true, true, FREE, tss(9), 0xffff_8000, Ok(0xffff_8000_0000_7000)),
        (true, true, FREE, tss(9), 0x8000, Ok(0x8000_0000_7000)),
        (true, true, FREE, tss(9), 0x100_0000, Err(Exception::gp(FREE))),
        (true, true, FREE, tss(9), 0x100_0000_0000, Err(Exception::gp(FREE))),
        (true, true, FREE, tss(1), 0, Err(Exception::gp(FREE))),
        (true, true, FREE + 8, tss(9), u64::MAX, Err(Exception::gp(FREE + 8))),
        (false, true, 0, 0, 0, Err(Exception::GP0)),
        (false, true, LOCAL, 0, 0, Err(Exception::gp(LOCAL))),
        (false, true, BEYOND, 0, 0, Err(Exception::gp(BEYOND))),
        (false, true, FREE, tss(0xb), 0, Err(Exception::gp(FREE))),
        (false, true, FREE, flat(WRITABLE, FLAT_32), 0, Err(Exception::gp(FREE))),
        (false, true, FREE, absent, 0, Err(np(FREE))),
        (false, false, FREE, tss(2), 0, Ok(0x7000)),
        (true, false, FREE, tss(2), 1, Ok(0x1_0000_7000)),
        (false, false, FREE, tss(9), 0, Err(Exception::gp(FREE))),
        (false, false, FREE, descriptor(0, 0, 2, 0), 0, Err(np(FREE))),
        (false, false, LOCAL, 0, 0, Err(Exception::gp(LOCAL))),
    ];
    for (long, task, selector, raw, upper, expected) in rows {
        let mut machine = if long { Machine::long(0) } else { Machine::protected(0) };
        machine.free(raw, upper);
        let load = if task { load_task_register } else { load_local_descriptor_table };
        match expected {
            Err(exception) => {
                machine.assert_raises(exception, |state, mmu| load(state, mmu, selector));
            }
            Ok(base) => {
                let Machine { state, mmu, .. } = &mut machine;
                assert_eq!(load(state, mmu, selector), Ok(()));
                let segment = machine.state.segments[if task { Tr } else { Ldtr }];
                assert_eq!((segment.base, segment.limit), (base, 0x67));
                let in_memory = machine.peek::<u8>(GDT + u64::from(FREE) + 5);
                assert_eq!(in_memory & 2, 2, "a TSS is busy now, an LDT has the bit anyway");
                assert_eq!(segment.access.kind(), in_memory & 0xf);
            }
        }
    }
}

#[test]
fn null_local_table_and_privilege() {
    let mut machine = Machine::protected(0);
    let Machine { state, mmu, .. } = &mut machine;
    load_local_descriptor_table(state, mmu, 0).unwrap();
    assert!(state.segments[Ldtr].access.unusable());
    for (mut machine, expected) in
        [(Machine::protected(3), Exception::GP0), (Machine::real(), Exception::UD)]
    {
        machine.assert_raises(expected, |state, mmu| load_task_register(state, mmu, FREE));
        machine.assert_raises(expected, |state, mmu| load_local_descriptor_table(state, mmu, FREE));
    }
}

#[test]
fn a_table_in_device_memory_reads_all_ones() {
    let mut machine = Machine::protected(0);
    machine.state.gdtr.base = 0x1000_0000;
    // All ones: a conforming, readable and accessed code segment of level 3.
    let Machine { state, mmu, .. } = &mut machine;
    assert_eq!(load_segment(state, mmu, Ds, FREE), Ok(()));
    assert_eq!(state.segments[Ds].base, 0xffff_ffff);
}
