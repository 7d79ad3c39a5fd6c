//! Calls between privilege levels: gates of 16 and of 32 bits with parameters, conforming code, far returns to
//! outer levels, and each check on the way (SDM, Accessing a Code Segment Through a Call Gate).
//@ qemu: differs: QEMU 7.2 gives CS the DPL of conforming code; SDM, CALL: "CS(RPL) ← CPL"
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no call gates with parameters

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, NP, TS, UD};
use guest_tests::legacy::{
    BEYOND, CODE, CODE_0, CODE_3, Context, DATA_0, DATA_3, FREE, Legacy, STACK_0, STACK_3, TASK,
    TSS, flat, gate, kind, segment,
};

guest_tests::entry!(main);

/// Where gates lead to: UD2.
const TARGET: u32 = CODE + 0x100;
const GATE: u16 = FREE;
const SEGMENT: u16 = FREE + 8;
/// CALL and JMP of the gate, with the RPL of privilege level 3.
const CALL: [u8; 9] = [0x9a, 0x99, 0x99, 0x99, 0x99, GATE as u8 | 3, 0, 0x0f, 0x0b];
const JMP: [u8; 9] = [0xea, 0x99, 0x99, 0x99, 0x99, GATE as u8 | 3, 0, 0x0f, 0x0b];
const LEVEL_3: u8 = kind::LEVEL_3;

fn main() {
    inward();
    outward();
    parameters_of_returns();
    same_level();
    checks();
    stacks();
}

fn legacy(gate: u64, segment: u64) -> Legacy {
    let mut legacy = Legacy::new();
    legacy.write(TARGET, [0x0f_u8, 0x0b]);
    legacy.describe(GATE, gate);
    legacy.describe(SEGMENT, segment);
    legacy
}

fn inward() {
    for (kind, width) in [(kind::CALL, 4), (kind::CALL_16, 2)] {
        for count in [0, 1, 31] {
            // A 16-bit gate has an offset of 16 bits, so its code has a base.
            let code = segment(CODE, 0xffff, kind::CODE, (true, false));
            let mut legacy = legacy(gate(SEGMENT, 0x100, kind | LEVEL_3, count), code);
            for index in 0..31 {
                legacy.write(STACK_3 + index * width, 0x7000 + index as u16);
            }
            let caught = legacy.run(&Context::LEVEL_3, &CALL);
            check_eq!((caught.fault(), caught.eip), ((UD, 0), 0x100));
            check_eq!((caught.cs, caught.ss), (SEGMENT.into(), DATA_0.into()));
            let pushed = (4 + u32::from(count)) * width;
            let top = STACK_0 - pushed;
            // The exception has come from the same level: vector and code, EIP, CS and EFLAGS.
            check_eq!(caught.esp, top - 20);
            let item = |index: u32| legacy.read::<u16>(top + index * width);
            check_eq!([item(0), item(1)], [CODE as u16 + 7, CODE_3], "the place to return to");
            for index in 0..u32::from(count) {
                check_eq!(item(2 + index), 0x7000 + index as u16, "parameter {index}");
            }
            let behind = 2 + u32::from(count);
            check_eq!([item(behind), item(behind + 1)], [STACK_3 as u16, DATA_3], "the old stack");
        }
    }
}

fn outward() {
    // retf 8, from a frame of level 0 to level 3.
    let mut legacy = Legacy::new();
    let top = Context::LEVEL_0.esp;
    for (index, item) in (0..).zip([TARGET, CODE_3.into(), 1, 2, STACK_3, DATA_3.into()]) {
        legacy.write(top + index * 4, item);
    }
    legacy.write(TARGET, [0x0f_u8, 0x0b]);
    legacy.describe(FREE, flat(kind::DATA | LEVEL_3));
    let context = Context { es: DATA_3, fs: FREE, ..Context::LEVEL_0 };
    // Before it, push what is left of ES: data of level 0 is lost, that of level 3 is not.
    let caught = legacy.run(&context, &[0xca, 8, 0]);
    check_eq!((caught.fault(), caught.eip, caught.cs), ((UD, 0), TARGET, CODE_3.into()));
    check_eq!((caught.old_esp, caught.old_ss), (STACK_3 + 8, DATA_3.into()));
    check_eq!([caught.ds, caught.es, caught.fs, caught.gs], [0, DATA_3.into(), FREE.into(), 0]);
}

fn parameters_of_returns() {
    let rows = [
        (CODE_0, (GP, 0)),
        (0, (GP, 0)),
        (BEYOND | 3, (GP, BEYOND.into())),
        (DATA_3, (GP, u32::from(DATA_3 & !3))),
        (SEGMENT | 3, (NP, SEGMENT.into())),
        (GATE | 3, (GP, GATE.into())),
    ];
    for (selector, fault) in rows {
        let absent = flat((kind::CODE | LEVEL_3) & kind::ABSENT);
        let mut legacy = legacy(gate(CODE_0, TARGET, kind::CALL | LEVEL_3, 0), absent);
        let top = Context::LEVEL_3.esp;
        legacy.write(top, TARGET);
        legacy.write(top + 4, u32::from(selector));
        let fault = if selector == CODE_0 { (GP, u32::from(CODE_0)) } else { fault };
        let caught = legacy.run(&Context::LEVEL_3, &[0xcb]);
        check_eq!((caught.fault(), caught.eip), (fault, CODE), "return to {selector:#x}");
    }
}

fn same_level() {
    // Conforming code is called without a gate, and keeps the level.
    let direct = [0x9a, 0, 1, 4, 0, SEGMENT as u8 | 3, 0];
    let mut legacy = legacy(0, flat(kind::CONFORMING));
    let caught = legacy.run(&Context::LEVEL_3, &direct);
    check_eq!((caught.fault(), caught.cs), ((UD, 0), u32::from(SEGMENT | 3)));
    check_eq!((caught.old_esp, caught.eip), (STACK_3 - 8, TARGET));
    // Through a gate, too; a JMP does not push.
    legacy.describe(GATE, gate(SEGMENT, TARGET, kind::CALL | LEVEL_3, 5));
    let caught = legacy.run(&Context::LEVEL_3, &CALL);
    check_eq!((caught.fault(), caught.cs), ((UD, 0), u32::from(SEGMENT | 3)));
    check_eq!(caught.old_esp, STACK_3 - 8, "no parameters are copied");
    let caught = legacy.run(&Context::LEVEL_3, &JMP);
    check_eq!((caught.fault(), caught.old_esp), ((UD, 0), STACK_3));
}

fn checks() {
    let at = u32::from(GATE);
    let code = u32::from(SEGMENT);
    let to = |selector, kind| gate(selector, TARGET, kind, 0);
    let open = kind::CALL | LEVEL_3;
    let zero = flat(kind::CODE);
    for (gate, segment, call, jump) in [
        (to(SEGMENT, kind::CALL), zero, (GP, at), (GP, at)),
        (to(SEGMENT, open & kind::ABSENT), zero, (NP, at), (NP, at)),
        (to(0, open), zero, (GP, 0), (GP, 0)),
        (to(3, open), zero, (GP, 0), (GP, 0)),
        (to(BEYOND, open), zero, (GP, BEYOND.into()), (GP, BEYOND.into())),
        (to(SEGMENT, open), flat(kind::DATA), (GP, code), (GP, code)),
        (to(SEGMENT, open), flat(kind::CODE & kind::ABSENT), (NP, code), (GP, code)),
        (to(SEGMENT, open), zero, (UD, 0), (GP, code)),
        (to(SEGMENT | 3, open), zero, (UD, 0), (GP, code)),
        (to(SEGMENT, open), flat(kind::CODE | LEVEL_3), (UD, 0), (UD, 0)),
        // An interrupt gate is no call gate, nor is the LDT.
        (to(SEGMENT, kind::INTERRUPT | LEVEL_3), zero, (GP, at), (GP, at)),
        (to(SEGMENT, kind::LOCAL | LEVEL_3), zero, (GP, at), (GP, at)),
    ] {
        for (bytes, expected) in [(CALL, call), (JMP, jump)] {
            let caught = legacy(gate, segment).run(&Context::LEVEL_3, &bytes);
            check_eq!(caught.fault(), expected, "{gate:#x} to {segment:#x}");
        }
    }
    // From level 0 nothing leads to less privileged code.
    let caught =
        legacy(to(SEGMENT, open), flat(kind::CODE | LEVEL_3)).run(&Context::LEVEL_0, &CALL);
    check_eq!(caught.fault(), (GP, code));
}

fn stacks() {
    let ts = |selector: u16| (TS, u32::from(selector & !3));
    for (selector, rights, expected) in [
        (0, 0, (TS, 0)),
        (DATA_3, 0, ts(DATA_3)),
        (CODE_0, 0, ts(CODE_0)),
        (TASK, 0, ts(TASK)),
        (BEYOND, 0, ts(BEYOND)),
        (SEGMENT + 8, kind::READ_ONLY, ts(SEGMENT + 8)),
        (SEGMENT + 8, kind::DATA & kind::ABSENT, (12, u32::from(SEGMENT + 8))),
    ] {
        // The exception needs a stack of level 0 as well, so the call is to level 1.
        let open = gate(SEGMENT | 1, TARGET, kind::CALL | LEVEL_3, 0);
        let mut legacy = legacy(open, flat(kind::CODE | 0x20));
        // What is for level 1 in the rows is for level 0: raise it.
        if rights != 0 {
            legacy.describe(selector, flat(rights | 0x20));
        }
        let level = if selector == 0 { 0 } else { 1 };
        let selector = if selector & 3 == 3 { selector } else { selector | level };
        legacy.write(TSS + 12, STACK_0 - 0x800);
        legacy.write(TSS + 16, u32::from(selector));
        let caught = legacy.run(&Context::LEVEL_3, &CALL);
        check_eq!(caught.fault(), expected, "SS1 {selector:#x}");
    }
}
