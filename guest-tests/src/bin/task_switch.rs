//! Hardware task switches: by JMP and CALL to a TSS and to a task gate, by interrupts and exceptions through
//! a task gate, and back by IRET; what is saved, busy bits and links (SDM, Task Management).
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no task switches

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, NP, TS, UD};
use guest_tests::legacy::task::field::{self, CS, EAX, EFLAGS, EIP, ES, ESP, LDT};
use guest_tests::legacy::task::{CALL, JMP, MARK};
use guest_tests::legacy::{
    BEYOND, CODE, CODE_0, Caught, Context, DATA_0, FREE, LOCAL_TABLE, Legacy, OTHER_STACK,
    OTHER_TASK, OTHER_TSS, STACK_0, TASK, TSS, gate, kind, segment,
};
use guest_tests::register::eflags::{CF, NT, RF, VM};

guest_tests::entry!(main);

fn main() {
    switches();
    gates();
    returns();
    narrow();
    virtual_8086();
}

/// Tables in which the other task ends the run at once.
fn legacy() -> Legacy {
    let mut legacy = Legacy::with_other_task();
    legacy.write(OTHER_TSS + EAX, 0x1234_5678);
    legacy.write(OTHER_TSS + LDT, u32::from(LOCAL_TABLE));
    legacy
}

fn check_in_other_task(caught: &Caught) {
    check_eq!((caught.vector, caught.tr), (MARK.into(), OTHER_TASK.into()));
    check_eq!(caught.eax, 0x1234_5678, "EAX of the other task");
    check_eq!((caught.ss, caught.ds, caught.fs), (DATA_0.into(), DATA_0.into(), 0));
    check_eq!(caught.cr0 & 8, 8, "CR0.TS");
}

fn switches() {
    let start = Context {
        eflags: CF | NT | 2,
        registers: [0x1111, 0x2222, 0x3333, 0x4444],
        ..Context::LEVEL_0
    };
    for (code, nests) in [(JMP, false), (CALL, true)] {
        let mut legacy = legacy();
        let start = Context { eflags: if nests { CF | 2 } else { start.eflags }, ..start };
        let caught = legacy.run(&start, code);
        check_in_other_task(&caught);
        check_eq!(legacy.is_busy(TASK), nests);
        check_eq!(legacy.read::<u32>(TSS + EIP), CODE + 7);
        check_eq!(legacy.read::<u32>(TSS + EFLAGS), start.eflags);
        check_eq!(
            [0, 4, 8, 12].map(|at| legacy.read::<u32>(TSS + EAX + at)),
            [0x1111, 0x3333, 0x4444, 0x2222]
        );
        check_eq!(legacy.read::<u32>(TSS + ESP), start.esp);
        check_eq!(
            [ES, CS, field::SS].map(|at| legacy.read::<u16>(TSS + at)),
            [DATA_0, CODE_0, DATA_0]
        );
        check_eq!(legacy.read::<u16>(OTHER_TSS), if nests { TASK } else { 0 }, "the link");
    }
}

fn gates() {
    // An exception with an error code through a task gate, and one without.
    for (vector, code, error) in [
        (GP, &[0x8e, 0xd8][..], Some(0x7770)), // mov ds, eax
        (UD, &[0x0f, 0x0b], None),
        (0x40, &[0xcd, 0x40], None),
    ] {
        let mut legacy = legacy();
        legacy.set_gate(vector, gate(OTHER_TASK, 0, kind::TASK_GATE, 0));
        let start = Context { registers: [0x7772, 0, 0, 0], ..Context::LEVEL_0 };
        let caught = legacy.run(&start, code);
        check_in_other_task(&caught);
        check_eq!(legacy.is_busy(TASK), true);
        check_eq!(legacy.read::<u16>(OTHER_TSS), TASK);
        let eip = if vector == 0x40 { 2 } else { 0 };
        check_eq!(legacy.read::<u32>(TSS + EIP), CODE + eip);
        check_eq!(legacy.read::<u32>(TSS + EFLAGS) & !RF, 2);
        // The stub has pushed a zero and its vector.
        let pushed = OTHER_STACK - 2 * 4;
        match error {
            Some(code) => {
                check_eq!(caught.esp, pushed - 4);
                check_eq!(legacy.read::<u32>(OTHER_STACK - 4), code, "the error code");
            }
            None => check_eq!(caught.esp, pushed),
        }
    }
    // By JMP from privilege level 3, through a gate that is open to it.
    let jump = [0xea, 0, 0, 0, 0, FREE as u8 | 3, 0];
    let mut legacy = legacy();
    legacy.describe(FREE, gate(OTHER_TASK, 0, kind::TASK_GATE | kind::LEVEL_3, 0));
    check_in_other_task(&legacy.run(&Context::LEVEL_3, &jump));
    legacy.describe(FREE, gate(OTHER_TASK, 0, kind::TASK_GATE, 0));
    check_eq!(legacy.run(&Context::LEVEL_3, &jump).fault(), (GP, FREE.into()));
}

fn returns() {
    let mut legacy = legacy();
    // The other task only returns, which leaves it behind its IRET.
    legacy.write(CODE + 0x100, [0xcf_u8, 0x0f, 0x0b]);
    legacy.write(OTHER_TSS + EIP, CODE + 0x100);
    let start = Context { eflags: CF | 2, registers: [5, 6, 7, 8], ..Context::LEVEL_0 };
    let caught = legacy.run(&start, CALL);
    check_eq!((caught.fault(), caught.eip, caught.tr), ((UD, 0), CODE + 7, TASK.into()));
    check_eq!([caught.eax, caught.ebx, caught.ecx, caught.edx], [5, 6, 7, 8]);
    check_eq!(caught.eflags & !RF, CF | 2);
    check_eq!((legacy.is_busy(TASK), legacy.is_busy(OTHER_TASK)), (true, false));
    check_eq!(legacy.read::<u32>(OTHER_TSS + EIP), CODE + 0x101);
    check_eq!(legacy.read::<u32>(OTHER_TSS + EFLAGS), 2, "NT is clear in what is saved");

    // What a link may not be.
    let nested = Context { eflags: NT | 2, ..Context::LEVEL_0 };
    let ts = |selector: u16| (TS, u32::from(selector));
    for (link, rights, fault) in [
        (OTHER_TASK, kind::TASK, ts(OTHER_TASK)),
        (OTHER_TASK | 4, kind::TASK_BUSY, ts(OTHER_TASK | 4)),
        (BEYOND, kind::TASK_BUSY, ts(BEYOND)),
        (DATA_0, kind::TASK_BUSY, ts(DATA_0)),
        (OTHER_TASK, kind::TASK_BUSY & kind::ABSENT, (NP, OTHER_TASK.into())),
    ] {
        let mut legacy = self::legacy();
        legacy.describe(OTHER_TASK, segment(OTHER_TSS, 0x67, rights, (false, false)));
        legacy.write(TSS, link);
        let caught = legacy.run(&nested, &[0xcf]);
        check_eq!((caught.fault(), caught.tr), (fault, TASK.into()), "link {link:#x}");
    }
}

fn narrow() {
    let mut legacy = legacy();
    legacy.describe(OTHER_TASK, segment(OTHER_TSS, 0x2b, kind::TASK_16, (false, false)));
    legacy.write(CODE + 0x100, [0xcf_u8, 0x0f, 0x0b]);
    // Its IP has 16 bits, so its code has a segment of its own.
    legacy.describe(FREE, segment(CODE, 0xffff, kind::CODE, (true, false)));
    for (index, item) in (0..).zip([0x100, 2, 0x5678, 1, 2, 3, 0x7ff0, 4, 5, 6]) {
        legacy.write(OTHER_TSS + 0xe + index * 2, item as u16);
    }
    for (index, selector) in (0..).zip([DATA_0, FREE, DATA_0, DATA_0, 0]) {
        legacy.write(OTHER_TSS + 0x22 + index * 2, selector);
    }
    let start = Context { registers: [5, 6, 7, 8], ..Context::LEVEL_0 };
    let caught = legacy.run(&start, CALL);
    check_eq!((caught.fault(), caught.eip, caught.tr), ((UD, 0), CODE + 7, TASK.into()));
    check_eq!([caught.eax, caught.ebx, caught.ecx, caught.edx], [5, 6, 7, 8]);
    check_eq!(legacy.read::<u16>(OTHER_TSS + 0xe), 0x101, "IP");
    check_eq!(legacy.read::<u16>(OTHER_TSS + 0x12), 0x5678, "AX");
    check_eq!(legacy.read::<u16>(OTHER_TSS), TASK);
}

fn virtual_8086() {
    let mut legacy = legacy();
    legacy.write(OTHER_TSS + EFLAGS, VM | 2);
    for (at, selector) in (0..).zip([0x1111, 0x4010, 0x4000, 0x2222, 0x3333, 0x4444]) {
        legacy.write(OTHER_TSS + ES + at * 4, selector);
    }
    legacy.write(OTHER_TSS + EIP, 0_u32);
    // Its handler's stack is in its own TSS.
    legacy.write(OTHER_TSS + 4, STACK_0);
    legacy.write(OTHER_TSS + 8, u32::from(DATA_0));
    legacy.write(CODE + 0x100, [0x0f_u8, 0x0b]);
    let caught = legacy.run(&Context::LEVEL_0, JMP);
    check_eq!((caught.fault(), caught.tr), ((UD, 0), OTHER_TASK.into()));
    check_eq!((caught.cs, caught.eip, caught.eflags & !RF), (0x4010, 0, VM | 2));
    let old = [caught.old_es, caught.old_ds, caught.old_fs, caught.old_gs];
    check_eq!(old, [0x1111, 0x2222, 0x3333, 0x4444]);
}
