//! Faults of hardware task switches: those found before the point of no return belong to the old task, which
//! is as it was; those of the new task's segments to the new one (SDM, Exception Conditions Checked During a
//! Task Switch).
//@ qemu: differs: QEMU 7.2 loses the new task's EIP, and raises #TS for a gate to a task in the LDT; SDM, INT n: #GP
//@ bochs: differs: Bochs 2.7 looks at the new task's SS before CS; SDM, Exception Conditions Checked During a Task Switch: the order is a model's own, and that of its table has the level of CS first
//@ kvm: skip: a KVM without VMX and SVM has no task switches

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{DF, GP, NP, SS, TS};
use guest_tests::legacy::task::field::{self, CS, EIP, ES, LDT};
use guest_tests::legacy::task::{CALL, JMP, MARK};
use guest_tests::legacy::{
    BEYOND, CODE, CODE_0, Context, DATA_0, DATA_3, FREE, LOCAL_TABLE, Legacy, OTHER_TASK,
    OTHER_TSS, STACK_0, TASK, flat, gate, kind, segment, stub,
};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

fn main() {
    faults_of_the_old_task();
    faults_of_the_new_task();
    double_fault();
    faults_behind_a_gate();
}

fn faults_of_the_old_task() {
    let selector = u32::from(OTHER_TASK);
    let task = |limit, rights| segment(OTHER_TSS, limit, rights, (false, false));
    for (descriptor, fault) in [
        (task(0x67, kind::TASK_BUSY), (GP, selector)),
        (task(0x67, kind::TASK & kind::ABSENT), (NP, selector)),
        (task(0x66, kind::TASK), (TS, selector)),
        (task(0x2a, kind::TASK_16), (TS, selector)),
        (task(0x67, kind::LOCAL), (GP, selector)),
    ] {
        for code in [JMP, CALL] {
            let mut legacy = Legacy::with_other_task();
            legacy.describe(OTHER_TASK, descriptor);
            let caught = legacy.run(&Context::LEVEL_0, code);
            check_eq!((caught.fault(), caught.tr), (fault, TASK.into()), "{descriptor:#x}");
            check_eq!((caught.eip, caught.cs), (CODE, CODE_0.into()));
            check_eq!(legacy.descriptor(OTHER_TASK), descriptor);
        }
    }
}

fn faults_of_the_new_task() {
    let absent = kind::ABSENT;
    let data_3 = kind::DATA | kind::LEVEL_3;
    let ts = |selector: u16| (TS, u32::from(selector & !3));
    for (field, selector, descriptor, fault) in [
        (LDT, LOCAL_TABLE | 4, None, ts(LOCAL_TABLE | 4)),
        (LDT, DATA_0, None, ts(DATA_0)),
        (CS, 0, None, ts(0)),
        (CS, DATA_0, None, ts(DATA_0)),
        (CS, CODE_0 | 1, None, ts(CODE_0)),
        (CS, FREE, Some(flat(kind::CODE & absent)), (NP, FREE.into())),
        (field::SS, 0, None, ts(0)),
        (field::SS, CODE_0, None, ts(CODE_0)),
        (field::SS, DATA_3, None, ts(DATA_3)),
        (field::SS, FREE, Some(flat(kind::DATA & absent)), (SS, FREE.into())),
        (ES, FREE, Some(flat(kind::EXECUTE_ONLY)), ts(FREE)),
        (ES, FREE | 3, Some(flat(kind::DATA)), ts(FREE)),
        (ES, FREE, Some(flat(data_3 & absent)), (NP, FREE.into())),
        (ES, BEYOND, None, ts(BEYOND)),
    ] {
        let mut legacy = Legacy::with_other_task();
        // The handler needs a stack that the new task may not have.
        for vector in [TS, NP, SS] {
            legacy.set_gate(vector, gate(FREE + 8, 0, kind::TASK_GATE, 0));
        }
        let handler = OTHER_TSS + 0x400;
        legacy.describe(FREE + 8, segment(handler, 0x67, kind::TASK, (false, false)));
        legacy.write_task(handler, stub(fault.0), STACK_0);
        if let Some(descriptor) = descriptor {
            legacy.describe(FREE, descriptor);
        }
        legacy.write(OTHER_TSS + field, u32::from(selector));
        let caught = legacy.run(&Context::LEVEL_0, JMP);
        check_eq!(caught.fault(), fault, "{selector:#x} in field {field:#x}");
        check_eq!(legacy.read::<u16>(handler), OTHER_TASK, "the fault is the new task's");
        check_eq!(legacy.read::<u32>(OTHER_TSS + EIP), stub(MARK));
        check_eq!((legacy.is_busy(TASK), legacy.is_busy(OTHER_TASK)), (false, true));
    }
}

/// A handler in a task that can't run makes a double fault of its exception, which a third task gets.
fn double_fault() {
    let mut legacy = Legacy::with_other_task();
    legacy.set_gate(GP, gate(OTHER_TASK, 0, kind::TASK_GATE, 0));
    legacy.write(OTHER_TSS + ES, u32::from(TASK));
    let code = snippet!(".code32", "mov eax, 0x7770", "mov ds, eax", ".code64");
    let caught = legacy.run(&Context::LEVEL_0, code);
    check_eq!((caught.fault(), caught.tr), ((DF, 0), OTHER_TASK.into()));
    check_eq!(caught.eip, stub(MARK));
}

/// The error code is the TSS's, not the gate's.
fn faults_behind_a_gate() {
    for (target, fault) in [
        (OTHER_TASK | 4, (GP, u32::from(OTHER_TASK | 4))),
        (BEYOND, (GP, BEYOND.into())),
        (DATA_0, (GP, DATA_0.into())),
    ] {
        let mut legacy = Legacy::with_other_task();
        legacy.set_gate(0x40, gate(target, 0, kind::TASK_GATE, 0));
        let caught = legacy.run(&Context::LEVEL_0, &[0xcd, 0x40]);
        check_eq!((caught.fault(), caught.tr), (fault, TASK.into()), "gate to {target:#x}");
    }
}
