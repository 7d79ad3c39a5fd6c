//! Far transfers of protected mode: JMP and CALL to code and through call gates, RETF and IRETD, interrupts
//! through gates of each type, from every privilege level to every other with every requested level; who may,
//! and what is on which stack afterwards (SDM, Protection; Interrupt 13).
//@ stdout-contains: 3392 steps, 6447 checks, checksum f599efeb
//@ bochs: same
//@ qemu: differs: QEMU 7.2 gives CS the DPL of conforming code behind a call gate (35 of the checks); SDM, CALL: "CS(RPL) ← CPL"
//@ kvm: skip: a KVM without VMX and SVM has no call gates

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{GP, NP};
use guest_tests::legacy::{
    CODE, CODE_0, Caught, FREE, Legacy, STACK_3, flat, gate, kind, segment, stub,
};
use guest_tests::register::eflags::{AC, IOPL};
use guest_tests::walk::Walk;
use guest_tests::walk::level::{at_level, code, context, data, inner_stack, tables};

guest_tests::entry!(main);

/// The end of a run, by INT, which every level may execute.
const END: (u8, u32) = (0x80, 0);
const TARGET: u32 = CODE + 0x100;
const GATE: u16 = FREE;
const SEGMENT: u16 = FREE + 8;
/// Their error codes.
const AT_GATE: (u8, u32) = (GP, GATE as u32);
const AT_SEGMENT: (u8, u32) = (GP, SEGMENT as u32);
const PRESENT: u8 = 0x80;

fn main() {
    let mut walk = Walk::default();
    let mut legacy = tables();
    legacy.write(TARGET, [0xcd_u8, 0x80]);
    for cpl in 0..4 {
        for dpl in 0..4 {
            for rpl in 0..4 {
                for conforming in [false, true] {
                    direct(&mut walk, &mut legacy, Code { cpl, dpl, rpl, conforming });
                    through_gates(&mut walk, &mut legacy, Code { cpl, dpl, rpl, conforming });
                    returns(&mut walk, &mut legacy, Code { cpl, dpl, rpl, conforming });
                }
            }
            interrupts(&mut walk, &mut legacy, cpl, dpl);
        }
    }
    walk.end();
}

/// A transfer from level `cpl` to code of level `dpl`.
#[derive(Clone, Copy, Debug)]
struct Code {
    cpl: u8,
    dpl: u8,
    rpl: u8,
    conforming: bool,
}

impl Code {
    fn descriptor(self, present: bool) -> u64 {
        let kind = if self.conforming { kind::CONFORMING } else { kind::CODE };
        let absent = if present { 0 } else { PRESENT };
        flat(at_level(kind, self.dpl) & !absent)
    }
}

/// JMP and CALL far of `selector`, whose offset counts only if it is code.
fn far(opcode: u8, selector: u16) -> [u8; 7] {
    let [offset @ .., _, _] = TARGET.to_le_bytes();
    let [low, high] = selector.to_le_bytes();
    [opcode, offset[0], offset[1], (TARGET >> 16) as u8, 0, low, high]
}

fn check(walk: &mut Walk, caught: &Caught, expected: (u8, u32), case: Code, what: &str) {
    walk.check(caught.fault(), expected, format_args!("{what}: {case:?}"));
    for value in [caught.vector, caught.error_code, caught.cs, caught.eip, caught.esp] {
        walk.note(value);
    }
    if caught.cs & 3 != 0 {
        walk.note(caught.old_esp ^ caught.old_ss);
    }
}

/// To code, without a gate: the level stays.
fn direct(walk: &mut Walk, legacy: &mut Legacy, case: Code) {
    let Code { cpl, dpl, rpl, conforming } = case;
    let may = if conforming { dpl <= cpl } else { dpl == cpl && rpl <= cpl };
    for present in [true, false] {
        legacy.describe(SEGMENT, case.descriptor(present));
        for opcode in [0xea, 0x9a] {
            walk.step();
            let start = context(cpl);
            let caught = legacy.run(&start, &far(opcode, SEGMENT | u16::from(rpl)));
            let expected = match (may, present) {
                (false, _) => AT_SEGMENT,
                (true, false) => (NP, SEGMENT.into()),
                (true, true) => END,
            };
            check(walk, &caught, expected, case, "a direct transfer");
            let cs = if expected == END { SEGMENT | u16::from(cpl) } else { code(cpl) };
            walk.check(caught.cs, cs.into(), "CS");
            if expected == END && opcode == 0x9a {
                let frame: [u32; 2] = legacy.read(start.esp - 8);
                walk.check(frame, [CODE + 7, code(cpl).into()], "where CALL returns to");
            }
        }
    }
}

fn through_gates(walk: &mut Walk, legacy: &mut Legacy, case: Code) {
    let Code { cpl, dpl, rpl, conforming } = case;
    const PARAMETERS: u8 = 3;
    legacy.describe(SEGMENT, case.descriptor(true));
    for gate_dpl in 0..4 {
        for opcode in [0xea, 0x9a] {
            walk.step();
            // The RPL of the selector in a gate counts for nothing.
            let selector = SEGMENT | u16::from(gate_dpl);
            let through = gate(selector, TARGET, at_level(kind::CALL, gate_dpl), PARAMETERS);
            legacy.describe(GATE, through);
            let start = context(cpl);
            for (at, value) in
                (start.esp..).step_by(4).zip([0xaaaa_0001_u32, 0xaaaa_0002, 0xaaaa_0003])
            {
                legacy.write(at, value);
            }
            let caught = legacy.run(&start, &far(opcode, GATE | u16::from(rpl)));
            let calls = opcode == 0x9a;
            let may = if calls || conforming { dpl <= cpl } else { dpl == cpl };
            let expected = match () {
                () if gate_dpl < cpl.max(rpl) => AT_GATE,
                () if !may => AT_SEGMENT,
                () => END,
            };
            check(walk, &caught, expected, case, "a call gate");
            if expected != END {
                continue;
            }
            let inner = calls && !conforming && dpl < cpl;
            let level = if inner { dpl } else { cpl };
            walk.check(caught.cs, u32::from(SEGMENT | u16::from(level)), "CS behind a gate");
            let place = [CODE + 7, code(cpl).into()];
            if inner {
                let top = inner_stack(dpl) - 7 * 4;
                let frame: [u32; 7] = legacy.read(top);
                let old = [0xaaaa_0001, 0xaaaa_0002, 0xaaaa_0003, start.esp, data(cpl).into()];
                walk.check(&frame[..2], &place[..], "where CALL returns to");
                walk.check(&frame[2..], &old[..], "parameters and the outer stack");
                if dpl != 0 {
                    walk.check(
                        (caught.old_esp, caught.old_ss),
                        (top, data(dpl).into()),
                        "the inner stack",
                    );
                }
            } else if calls {
                walk.check(legacy.read(start.esp - 8), place, "where CALL returns to");
            }
        }
    }
}

/// RETF and IRETD to the level that the selector's RPL says.
fn returns(walk: &mut Walk, legacy: &mut Legacy, case: Code) {
    let Code { cpl, dpl, rpl, conforming } = case;
    legacy.describe(SEGMENT, case.descriptor(true));
    let cs = SEGMENT | u16::from(rpl);
    let may = rpl >= cpl && if conforming { dpl <= rpl } else { dpl == rpl };
    for (opcode, flags) in [(0xcb, false), (0xcf, true)] {
        // The stack segment of a return to an outer level has to be of that level.
        for stack in 0..4 {
            if rpl == cpl && stack != rpl {
                continue;
            }
            walk.step();
            let start = context(cpl);
            let top = start.esp - 0x40;
            let frame = [TARGET, cs.into(), 2];
            let frame = if flags { &frame[..] } else { &frame[..2] };
            let outer = [STACK_3 - 0x80, data(stack).into()];
            for (at, value) in (top..).step_by(4).zip(frame.iter().chain(&outer)) {
                legacy.write(at, *value);
            }
            // sub esp, 40
            let code = [0x83, 0xec, 0x40, opcode];
            let caught = legacy.run(&start, &code);
            let expected = match () {
                () if !may => AT_SEGMENT,
                () if rpl > cpl && stack != rpl => (GP, u32::from(data(stack) & !3)),
                () => END,
            };
            check(walk, &caught, expected, case, "a return");
            if expected != END {
                walk.check(caught.eip, CODE + 3, "EIP of a return that faults");
                continue;
            }
            walk.check((caught.cs, caught.eip), (cs.into(), TARGET + 2), "CS and EIP");
            if rpl > cpl {
                walk.check(
                    (caught.old_esp, caught.old_ss),
                    (outer[0], outer[1]),
                    "the outer stack",
                );
                // Data of a level that is more privileged than the new one is lost.
                walk.check([caught.ds, caught.es, caught.fs, caught.gs], [0; 4], "data segments");
            }
        }
    }
}

/// INT through a gate of every type.
fn interrupts(walk: &mut Walk, legacy: &mut Legacy, cpl: u8, dpl: u8) {
    const VECTOR: u8 = 0x42;
    const NARROW: u16 = FREE + 16;
    // A 16-bit gate has an offset of 16 bits, so its code has a base.
    legacy.describe(NARROW, segment(CODE, 0xffff, kind::CODE, (true, false)));
    for kind in 0..0x20 {
        for present in [true, false] {
            walk.step();
            let narrow = matches!(kind, 6 | 7);
            let (selector, offset) = match narrow {
                true => (NARROW, TARGET - CODE),
                false => (CODE_0, stub(VECTOR)),
            };
            let rights = at_level(kind, dpl) | if present { PRESENT } else { 0 };
            legacy.set_gate(VECTOR, gate(selector, offset, rights, 0));
            let mut start = context(cpl);
            start.eflags = 2 | IOPL | AC;
            let caught = legacy.run(&start, &[0xcd, VECTOR]);
            let possible = matches!(kind, 5 | 6 | 7 | 0xe | 0xf);
            let at_vector = u32::from(VECTOR) * 8 + 2;
            let expected = match () {
                () if !possible || dpl < cpl => (GP, at_vector),
                () if !present => (NP, at_vector),
                // CODE_0 is no task.
                () if kind == 5 => (GP, CODE_0.into()),
                () if narrow => END,
                () => (VECTOR, 0),
            };
            walk.check(caught.fault(), expected, format_args!("gate {rights:#x} from {cpl}"));
            walk.note(caught.vector ^ caught.error_code << 8);
            if !matches!(expected, END | (VECTOR, 0)) {
                walk.check(caught.eip, CODE, "EIP of an INT that faults");
                continue;
            }
            let place = [CODE + 2, code(cpl).into(), start.eflags, start.esp, data(cpl).into()];
            let count = if cpl == 0 { 3 } else { 5 };
            let top = if cpl == 0 { start.esp } else { inner_stack(0) };
            for (index, expected) in (0..count as u32).zip(place) {
                let behind = count as u32 - index;
                let (found, expected) = match narrow {
                    true => (legacy.read::<u16>(top - behind * 2).into(), expected & 0xffff),
                    false => (legacy.read::<u32>(top - behind * 4), expected),
                };
                walk.check(found, expected, format_args!("item {index} of gate {rights:#x}"));
            }
        }
    }
}
