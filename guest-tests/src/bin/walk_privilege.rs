//! What a privilege level may do, in the order in which the 80386 added it: flags that POPF and IRET change,
//! instructions that are level 0's or IOPL's, ports by the bitmap of the task, and pages by their two levels of
//! rights, with accessed and dirty flags (SDM, Privilege Levels; I/O Permission Bit Map; Page-Level Protection).
//@ stdout-contains: 1965 steps, 3188 checks, checksum 21effe76
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM does not check ports and flags by the level

#![no_std]
#![no_main]

use guest_tests::device::pic;
use guest_tests::interrupt::vector::{GP, PF};
use guest_tests::legacy::{CODE, Context, DATA, Legacy, TASK, TSS, kind, segment};
use guest_tests::register::eflags::{AC, DF, ID, IF, IOPL, NT, RF, STATUS};
use guest_tests::walk::Walk;
use guest_tests::walk::level::{context, tables};
use x86_64::registers::control::Cr2;

guest_tests::entry!(main);

const END: (u8, u32) = (0x80, 0);
const REFUSED: (u8, u32) = (GP, 0);
/// Status flags, DF, NT, AC and ID, which any level changes.
const OPEN: u32 = STATUS | DF | NT | AC | ID;

fn main() {
    // A timer that firmware has left running would be seen where IF is set.
    pic::init();
    let mut walk = Walk::default();
    let mut legacy = tables();
    for cpl in 0..4 {
        for iopl in 0..4 {
            flags(&mut walk, &mut legacy, cpl, iopl);
            sensitive(&mut walk, &mut legacy, cpl, iopl);
        }
        privileged(&mut walk, &mut legacy, cpl);
    }
    ports(&mut walk, &mut legacy);
    pages(&mut walk);
    walk.end();
}

fn flags(walk: &mut Walk, legacy: &mut Legacy, cpl: u8, iopl: u32) {
    // POPFD, and IRETD to behind itself, of the flags in EAX.
    let popfd: &[u8] = &[0x50, 0x9d, 0xcd, 0x80];
    let iretd: &[u8] = &[0x50, 0x0e, 0x52, 0xcf, 0xcd, 0x80];
    for (code, behind) in [(popfd, 2), (iretd, 4)] {
        for (before, image) in [
            (0, OPEN | IF | IOPL),
            (OPEN & !NT | IF, 0),
            (IF, 1 << 12),
            (0, 0xffc8_802a),
            (OPEN & !NT, IF | RF),
        ] {
            walk.step();
            let mut start = context(cpl);
            start.eflags = before | iopl << 12 | 2;
            start.registers = [image & !(7 << 17 & !(1 << 18)), 0, 0, CODE + behind];
            let caught = legacy.run(&start, code);
            let mut changes = OPEN;
            if cpl == 0 {
                changes |= IOPL;
            }
            if u32::from(cpl) <= iopl {
                changes |= IF;
            }
            // IRETD brings RF, which ends with the instruction that it returns to.
            let expected = start.eflags & !changes | image & changes;
            let what = format_args!("{code:02x?} of {image:#x} at {cpl}, IOPL {iopl}");
            walk.check(caught.fault(), END, what);
            walk.check(caught.eflags & !RF, expected, what);
            walk.note(caught.eflags & !RF);
        }
    }
}

/// CLI, STI: for levels up to IOPL.
fn sensitive(walk: &mut Walk, legacy: &mut Legacy, cpl: u8, iopl: u32) {
    for (opcode, sets) in [(0xfa, false), (0xfb, true)] {
        walk.step();
        let mut start = context(cpl);
        start.eflags = 2 | iopl << 12 | if sets { 0 } else { IF };
        let caught = legacy.run(&start, &[opcode, 0xcd, 0x80]);
        let may = u32::from(cpl) <= iopl;
        let what = format_args!("{opcode:02x} at {cpl}, IOPL {iopl}");
        walk.check(caught.fault(), if may { END } else { REFUSED }, what);
        walk.check(caught.eflags & IF != 0, may == sets, what);
    }
}

fn privileged(walk: &mut Walk, legacy: &mut Legacy, cpl: u8) {
    let rows: [&[u8]; 13] = [
        &[0x0f, 0x06],       // clts
        &[0x0f, 0x01, 0xf0], // lmsw ax
        &[0x0f, 0x20, 0xc1], // mov ecx, cr0
        &[0x0f, 0x20, 0xd1], // mov ecx, cr2
        &[0x0f, 0x22, 0xd1], // mov cr2, ecx
        &[0x0f, 0x20, 0xd9], // mov ecx, cr3
        &[0x0f, 0x21, 0xc1], // mov ecx, dr0
        &[0x0f, 0x23, 0xc1], // mov dr0, ecx
        &[0x0f, 0x21, 0xf9], // mov ecx, dr7
        &[0x0f, 0x01, 0x13], // lgdt [ebx]
        &[0x0f, 0x01, 0x1b], // lidt [ebx]
        &[0x0f, 0x01, 0x3b], // invlpg [ebx]
        &[0x0f, 0x09],       // wbinvd
    ];
    for code in rows {
        walk.step();
        let mut start = context(cpl);
        // PE stays, and the tables are the ones in force.
        start.registers = [1, DATA, 0, 0];
        let (base, limit) = match code {
            [0x0f, 0x01, 0x13] => (guest_tests::legacy::GDT, 0x3ff),
            _ => (guest_tests::legacy::IDT, 0x7ff),
        };
        legacy.write(DATA, [limit, base as u16, (base >> 16) as u16]);
        let mut bytes = [0x90; 5];
        bytes[..code.len()].copy_from_slice(code);
        bytes[3..].copy_from_slice(&[0xcd, 0x80]);
        let caught = legacy.run(&start, &bytes);
        let expected = if cpl == 0 { END } else { REFUSED };
        walk.check(caught.fault(), expected, format_args!("{code:02x?} at {cpl}"));
    }
    // HLT where it is refused, and what any level may: SMSW, SGDT, SIDT, SLDT, STR.
    walk.step();
    if cpl != 0 {
        walk.check(legacy.run(&context(cpl), &[0xf4]).fault(), REFUSED, "HLT");
    }
    let open = [0x0f, 0x01, 0xe0, 0x0f, 0x00, 0xc1, 0x0f, 0x00, 0xca, 0xcd, 0x80];
    let caught = legacy.run(&context(cpl), &open);
    walk.check(caught.fault(), END, "SMSW, SLDT and STR");
    walk.check(caught.edx & 0xffff, TASK.into(), "STR");
}

/// IN of each width at each port around a byte's end, with each bit of the bitmap.
fn ports(walk: &mut Walk, legacy: &mut Legacy) {
    const FIRST: u32 = 0x310;
    const BITMAP: u32 = TSS + 0x88;
    for (opcode, prefix, width) in [(0xec, 0x90, 1), (0xed, 0x66, 2), (0xed, 0x90, 4)] {
        for port in FIRST + 5..FIRST + 10 {
            for bit in 0..16_u32 {
                for (cpl, iopl) in [(0, 0), (1, 0), (1, 1), (3, 2), (3, 3)] {
                    walk.step();
                    legacy.write(BITMAP + FIRST / 8, 1_u16 << bit);
                    let mut start = context(cpl);
                    start.eflags = 2 | iopl << 12;
                    start.registers[3] = port;
                    let caught = legacy.run(&start, &[prefix, opcode, 0xcd, 0x80]);
                    let shut = (port - FIRST..port - FIRST + width).contains(&bit);
                    let refused = shut && u32::from(cpl) > iopl;
                    let expected = if refused { REFUSED } else { END };
                    let what = format_args!("port {port:#x}, bit {bit}, level {cpl}, IOPL {iopl}");
                    walk.check(caught.fault(), expected, what);
                    walk.note(caught.vector);
                }
            }
        }
    }
    legacy.write(BITMAP + FIRST / 8, 0_u16);
    // The processor reads two bytes of the bitmap, both of which have to be within the limit.
    for (limit, port, open) in [
        (0xfff, FIRST, true),
        (0x88 + FIRST / 8 + 1, FIRST, true),
        (0x88 + FIRST / 8, FIRST, false),
        (0x88 + FIRST / 8, FIRST - 8, true),
        (0x67, 0, false),
    ] {
        walk.step();
        legacy.describe(TASK, segment(TSS, limit, kind::TASK, (false, false)));
        let mut start = context(3);
        start.registers[3] = port;
        let caught = legacy.run(&start, &[0x90, 0xec, 0xcd, 0x80]);
        let expected = if open { END } else { REFUSED };
        walk.check(caught.fault(), expected, format_args!("port {port:#x} with limit {limit:#x}"));
    }
}

/// A page with each combination of rights in the directory and in the table.
fn pages(walk: &mut Walk) {
    const DIRECTORY: u32 = DATA + 0x8000;
    const IDENTITY: u32 = DATA + 0x9000;
    const TABLE: u32 = DATA + 0xa000;
    const LINEAR: u32 = 0x40_3000;
    const ENTRY: u32 = TABLE + 3 * 4;
    const P: u32 = 1;
    const W: u32 = 2;
    const U: u32 = 4;
    const A: u32 = 1 << 5;
    const D: u32 = 1 << 6;
    let mut legacy = tables();
    for page in 0..1024 {
        legacy.write(IDENTITY + page * 4, page << 12 | P | W | U);
    }
    legacy.write(DIRECTORY, IDENTITY | P | W | U);
    for upper in 0..8 {
        for lower in 0..8 {
            for (cpl, protects) in [(0, true), (0, false), (2, true), (3, true)] {
                for write in [false, true] {
                    walk.step();
                    legacy.write(DIRECTORY + 4, TABLE | upper);
                    legacy.write(ENTRY, (DATA + 0x3000) | lower);
                    let start =
                        Context { cr3: DIRECTORY, registers: [0, LINEAR, 0, 0], ..context(cpl) };
                    // CR0.WP goes, or three NOPs for each.
                    let mut code = [0x90; 14];
                    if !protects {
                        code[..10].copy_from_slice(&[
                            0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xf0, 0x10, 0x0f, 0x22, 0xc0,
                        ]);
                    }
                    let opcode = if write { 0x89 } else { 0x8b };
                    code[10..].copy_from_slice(&[opcode, 0x0b, 0xcd, 0x80]);
                    let caught = legacy.run(&start, &code);
                    let both = upper & lower;
                    let user = cpl == 3;
                    let may = both & P != 0
                        && (!user || both & U != 0)
                        && (!write || both & W != 0 || !user && !protects);
                    let error = both & P | u32::from(write) << 1 | u32::from(user) << 2;
                    let what = format_args!(
                        "rights {upper} and {lower}, level {cpl}, WP {protects}, write {write}"
                    );
                    walk.check(caught.fault(), if may { END } else { (PF, error) }, what);
                    let found: u32 = legacy.read(ENTRY);
                    if may {
                        let flags = if write { A | D } else { A };
                        walk.check(found & (A | D), flags, what);
                        walk.check(legacy.read::<u32>(DIRECTORY + 4) & (A | D), A, what);
                    } else {
                        walk.check(Cr2::read_raw(), LINEAR.into(), what);
                        walk.check(found & D, 0, what);
                    }
                    walk.note(u32::from(caught.fault().0) ^ caught.fault().1 << 8);
                }
            }
        }
    }
}
