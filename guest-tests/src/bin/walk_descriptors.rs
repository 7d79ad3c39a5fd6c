//! Descriptors of protected mode: every type with every privilege level is looked at (LAR, LSL, VERR, VERW)
//! and loaded (data and stack segments, LDTR, TR) from every level with every requested level, and what
//! comes of it is what the manual's rules say (SDM, Protection).
//@ stdout-contains: 16783 steps, 36364 checks, checksum 636bc9df
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM does not check the privilege of descriptors

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{GP, NP, SS};
use guest_tests::legacy::{FREE, Legacy, kind, segment};
use guest_tests::snippet;
use guest_tests::walk::Walk;
use guest_tests::walk::batch::Mode;
use guest_tests::walk::level::{context, tables};
use guest_tests::walk::model::Operands;

guest_tests::entry!(main);

/// The end of a run, by INT.
const THROUGH: (u8, u32) = (0x80, 0);
const LIMIT: u32 = 0x1_2345;
const PRESENT: u8 = 0x80;

/// A descriptor with the rules of the manual.
#[derive(Clone, Copy)]
struct Rules {
    kind: u8,
    dpl: u8,
    rpl: u8,
    cpl: u8,
}

impl Rules {
    fn segment(self) -> bool {
        self.kind & 0x10 != 0
    }

    fn code(self) -> bool {
        self.kind & 0x18 == 0x18
    }

    fn conforming(self) -> bool {
        self.kind & 0x1c == 0x1c
    }

    fn readable(self) -> bool {
        self.segment() && (!self.code() || self.kind & 2 != 0)
    }

    fn writable(self) -> bool {
        self.segment() && !self.code() && self.kind & 2 != 0
    }

    fn visible(self) -> bool {
        self.conforming() || self.dpl >= self.cpl.max(self.rpl)
    }

    fn system(self, kinds: &[u8]) -> bool {
        !self.segment() && kinds.contains(&self.kind)
    }

    /// Bits: LAR, LSL, VERR, VERW set ZF.
    fn looks(self) -> u32 {
        let rights = self.segment() || self.system(&[1, 2, 3, 4, 5, 9, 0xb, 0xc]);
        let limit = self.segment() || self.system(&[1, 2, 3, 9, 0xb]);
        [rights, limit, self.readable(), self.writable()]
            .iter()
            .zip(0..)
            .map(|(&possible, bit)| u32::from(possible && self.visible()) << bit)
            .sum()
    }

    fn loads_data(self, present: bool) -> (u8, u32) {
        match () {
            () if !self.readable() || !self.visible() => (GP, FREE.into()),
            () if !present => (NP, FREE.into()),
            () => THROUGH,
        }
    }

    fn loads_stack(self, present: bool) -> (u8, u32) {
        match () {
            () if self.rpl != self.cpl || !self.writable() || self.dpl != self.cpl => {
                (GP, FREE.into())
            }
            () if !present => (SS, FREE.into()),
            () => THROUGH,
        }
    }

    fn loads_system(self, kinds: &[u8], present: bool) -> (u8, u32) {
        match () {
            () if self.cpl != 0 => (GP, 0),
            () if !self.system(kinds) => (GP, FREE.into()),
            () if !present => (NP, FREE.into()),
            () => THROUGH,
        }
    }
}

fn main() {
    let mut walk = Walk::default();
    let mut legacy = tables();
    for cpl in 0..4 {
        for kind in 0..0x20 {
            for dpl in 0..4 {
                for rpl in 0..4 {
                    let rules = Rules { kind, dpl, rpl, cpl };
                    look(&mut walk, &mut legacy, rules);
                    for present in [false, true] {
                        load(&mut walk, &mut legacy, rules, present);
                    }
                }
            }
        }
    }
    beyond(&mut walk, &mut legacy);
    adjust(&mut walk);
    walk.end();
}

fn describe(legacy: &mut Legacy, rules: Rules, present: bool) -> u64 {
    let present = if present { PRESENT } else { 0 };
    let descriptor = segment(0, LIMIT, rules.kind | rules.dpl << 5 | present, (true, false));
    legacy.describe(FREE, descriptor);
    descriptor
}

fn look(walk: &mut Walk, legacy: &mut Legacy, rules: Rules) {
    let code = snippet!(
        ".code32",
        "xor edi, edi",
        "lar eax, ecx",
        "jnz 2f",
        "or edi, 1",
        "2: lsl edx, ecx",
        "jnz 2f",
        "or edi, 2",
        "2: verr cx",
        "jnz 2f",
        "or edi, 4",
        "2: verw cx",
        "jnz 2f",
        "or edi, 8",
        "2: int 0x80",
        ".code64",
    );
    let descriptor = describe(legacy, rules, true);
    walk.step();
    let mut start = context(rules.cpl);
    start.registers = [0x1111, 0, u32::from(FREE) | u32::from(rules.rpl), 0x2222];
    let caught = legacy.run(&start, code);
    let what = |name| format(rules, name);
    let seen = rules.looks();
    walk.check(caught.edi, seen, what("LAR, LSL, VERR, VERW"));
    // What a limit's bits in the rights are is left open.
    let rights = (descriptor >> 32) as u32 & 0xf0_ff00;
    let found = if seen & 1 != 0 { caught.eax & !0xf_0000 } else { caught.eax };
    walk.check(found, if seen & 1 != 0 { rights } else { 0x1111 }, what("access rights"));
    walk.check(caught.edx, if seen & 2 != 0 { LIMIT } else { 0x2222 }, what("limit"));
    walk.note(caught.edi ^ found ^ caught.edx);
}

fn load(walk: &mut Walk, legacy: &mut Legacy, rules: Rules, present: bool) {
    // MOV to ES, FS and SS, LLDT, LTR: EAX is the selector, INT follows.
    for (code, expected, changes) in [
        (&[0x8e, 0xc0, 0xcd, 0x80][..], rules.loads_data(present), 1),
        (&[0x8e, 0xe0, 0xcd, 0x80], rules.loads_data(present), 1),
        (&[0x8e, 0xd0, 0xcd, 0x80], rules.loads_stack(present), 1),
        (&[0x0f, 0x00, 0xd0, 0xcd, 0x80], rules.loads_system(&[2], present), 0),
        (&[0x0f, 0x00, 0xd8, 0xcd, 0x80], rules.loads_system(&[1, 9], present), 2),
    ] {
        // Once is enough of what nobody but level 0 may do.
        if rules.cpl != 0 && code[1] == 0 && (rules.dpl, rules.rpl) != (3, 3) {
            continue;
        }
        let mut descriptor = describe(legacy, rules, present);
        if expected == THROUGH && code[1] == 0xd0 {
            // A stack in force has to hold what the run needs, also if it expands down.
            let limit = if rules.kind & 4 != 0 { 0 } else { LIMIT };
            descriptor = descriptor & !0xf_0000_0000_ffff | segment(0, limit, 0, (true, true));
            legacy.describe(FREE, descriptor);
        }
        walk.step();
        let mut start = context(rules.cpl);
        start.registers[0] = u32::from(FREE) | u32::from(rules.rpl);
        let caught = legacy.run(&start, code);
        walk.check(caught.fault(), expected, format(rules, "a load"));
        // Accessed or busy.
        let changed = if expected == THROUGH { changes << 40 } else { 0 };
        walk.check(legacy.descriptor(FREE), descriptor | changed, format(rules, "the descriptor"));
        walk.note(u32::from(caught.fault().0) ^ caught.fault().1 << 8);
    }
}

fn format(rules: Rules, what: &'static str) -> impl core::fmt::Display {
    core::fmt::from_fn(move |to| {
        let Rules { kind, dpl, rpl, cpl } = rules;
        write!(to, "{what} of type {kind:#x} with DPL {dpl}, RPL {rpl}, CPL {cpl}")
    })
}

/// NULL selectors, and those beyond the tables' ends.
fn beyond(walk: &mut Walk, legacy: &mut Legacy) {
    legacy.describe(0x7c, segment(0, LIMIT, kind::DATA, (true, false)));
    for (selector, data, stack) in [
        (0, THROUGH, (GP, 0)),
        (3, THROUGH, (GP, 0)),
        (0x7c, THROUGH, THROUGH),
        (0x84, (GP, 0x84), (GP, 0x84)),
        (0x400, (GP, 0x400), (GP, 0x400)),
        (0xfffc, (GP, 0xfffc), (GP, 0xfffc)),
    ] {
        for (code, expected) in
            [([0x8e, 0xd8, 0xcd, 0x80], data), ([0x8e, 0xd0, 0xcd, 0x80], stack)]
        {
            walk.step();
            let mut start = context(0);
            start.registers[0] = selector;
            // The stack is small, but its end is not reached.
            legacy.describe(0x7c, segment(0, 0xf_ffff, kind::DATA, (true, true)));
            let caught = legacy.run(&start, &code);
            walk.check(caught.fault(), expected, format_args!("selector {selector:#x}"));
        }
    }
}

/// ARPL, on pairs of selectors.
fn adjust(walk: &mut Walk) {
    for mode in [Mode::Protected16, Mode::Protected32, Mode::User32] {
        walk.step();
        let mut operands: [Operands; 256] = core::array::from_fn(|index| {
            let (eax, ebx) = (0x7770 + index as u32 / 16, 0x5550 + index as u32 % 16);
            Operands { eax, ebx, flags: 2 | (index as u32 & 1) << 6, ..Operands::default() }
        });
        let before = operands;
        // The operands have 16 bits whatever the code's width.
        mode.execute(&[0x63, 0xd8], mode.bits(), &mut operands);
        for (found, start) in operands.iter().zip(before) {
            let raises = start.eax & 3 < start.ebx & 3;
            let eax = if raises { start.eax & !3 | start.ebx & 3 } else { start.eax };
            let flags = 2 | u32::from(raises) << 6;
            walk.check(*found, Operands { eax, flags, ..start }, "ARPL");
        }
    }
}
