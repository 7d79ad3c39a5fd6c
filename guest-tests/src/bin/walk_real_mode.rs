//! Real mode, in the order in which a self test walks it: interrupts and their frames, transfers near and far,
//! the stack, strings, far pointers, what raises an exception, and what real mode does not know (SDM, 8086
//! Emulation).
//@ stdout-contains: 128 steps, 437 checks, checksum 0c9c6bb1
//@ bochs: same

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{BP, BR, DB, DE, GP, NM, OF, UD};
use guest_tests::legacy::{CODE_PARAGRAPH, DATA, Found, Legacy, Real};
use guest_tests::register::flags::{self, CF, DF, IF, TF, ZF};
use guest_tests::snippet;
use guest_tests::walk::Walk;

guest_tests::entry!(main);

const START: Real = Real::START;
/// Where the data and the stack of a test start.
const DATA_PARAGRAPH: u16 = START.ds;
const SP: u32 = START.esp;

fn main() {
    let mut walk = Walk::default();
    interrupts(&mut walk);
    transfers(&mut walk);
    stack(&mut walk);
    frames(&mut walk);
    strings(&mut walk);
    pointers(&mut walk);
    exceptions(&mut walk);
    unknown(&mut walk);
    walk.end();
}

/// Runs code, which ends where `vector` comes, `behind` bytes from its start.
fn run(walk: &mut Walk, start: &Real, code: &[u8], vector: u8, behind: u16) -> (Legacy, Found) {
    walk.step();
    let mut legacy = Legacy::new();
    for index in 0..0x40_u8 {
        legacy.write(DATA + 0x100 + u32::from(index), 0x40 + index);
    }
    let found = legacy.run_real(start, code);
    walk.check(found.vector, vector.into(), "the vector");
    walk.check((found.cs, found.ip), (CODE_PARAGRAPH, Real::CODE + behind), "CS and IP");
    for value in [found.eax, found.ebx, found.ecx, found.edx, found.esi, found.edi, found.esp] {
        walk.note(value);
    }
    (legacy, found)
}

/// Runs code that ends in UD2.
fn through(walk: &mut Walk, start: &Real, code: &[u8]) -> (Legacy, Found) {
    run(walk, start, code, UD, code.len() as u16 - 2)
}

fn word(legacy: &Legacy, offset: u32) -> u16 {
    legacy.read(DATA + offset)
}

fn interrupts(walk: &mut Walk) {
    // INT n, INT3 and INTO return behind themselves; the flags are saved, IF and TF are off inside.
    for (code, vector, flags) in [
        (&[0xcd, 0x21][..], 0x21, 2 | CF | DF | IF),
        (&[0xcd, 0xff], 0xff, 2 | ZF),
        (&[0xcc], BP, 2 | CF),
        (&[0xce], OF, 2 | flags::OF),
    ] {
        let start = Real { flags, ..START };
        let (legacy, found) = run(walk, &start, code, vector, code.len() as u16);
        walk.check(found.flags, flags, "saved flags");
        walk.check(found.flags_inside & (TF | IF), 0, "TF and IF inside");
        walk.check(found.flags_inside & DF, flags & DF, "DF inside");
        walk.check(found.esp, SP, "SP");
        walk.check(word(&legacy, SP - 2), flags, "flags on the stack");
    }
    // INTO without OF does nothing.
    through(walk, &START, &[0xce, 0x0f, 0x0b]);
    // A handler that returns.
    let code = snippet!(
        ".code16",
        "push 0x12",
        "stc",
        "pushf",
        "push cs",
        ".byte 0xe8, 5, 0",
        "setc al",
        "ud2",
        "clc",
        "mov bp, sp",
        "mov cx, [bp + 2]",
        "iret",
        ".code64",
    );
    let (_, found) = run(walk, &START, code, UD, 11);
    walk.check((found.eax, found.ecx), (1, CODE_PARAGRAPH.into()), "CF behind IRET, CS inside");
    walk.check(found.esp, SP - 2, "SP behind IRET");
    // Single step behind the instruction; a prefix is part of it, and a load of SS is not followed by one.
    for (code, behind) in [
        (&[0x90, 0x90][..], 1),
        (&[0x2e, 0x66, 0x90, 0x90], 3),
        (&[0x8e, 0xd0, 0x90, 0x90], 3),
        (&[0xeb, 1, 0x90, 0x90], 3),
    ] {
        let start =
            Real { flags: TF | 2, registers: [DATA_PARAGRAPH.into(), 0, 0, 0, 0, 0, 0], ..START };
        let (_, found) = run(walk, &start, code, DB, behind);
        walk.check(found.flags & TF, TF, "saved TF");
        walk.check(found.flags_inside & TF, 0, "TF inside");
    }
    // A short table: a vector beyond its limit raises #GP, which is in it.
    let short = Real { idt_limit: 0x3f, ..START };
    run(walk, &short, &[0xcd, 0x10], GP, 0);
    run(walk, &short, &[0xcd, 0x0f], 0x0f, 2);
}

fn transfers(walk: &mut Walk) {
    // CALL near, in both widths, and its return address.
    for (code, target, pushed) in [
        (&[0xe8, 2, 0, 0x90, 0x90, 0x0f, 0x0b][..], 5, 2),
        (&[0x66, 0xe8, 2, 0, 0, 0, 0x90, 0x90, 0x0f, 0x0b], 8, 4),
    ] {
        let (legacy, found) = run(walk, &START, code, UD, target);
        walk.check(found.esp, SP - pushed, "SP behind CALL");
        walk.check(word(&legacy, SP - pushed), Real::CODE + target - 2, "where it returns to");
    }
    // Far: JMP, CALL and RETF, to another name of the same place.
    let far = Real::CODE - 0x100;
    let code = [0xea, (far + 7) as u8, (far >> 8) as u8, 0x10, 0x40, 0x90, 0x90, 0x0f, 0x0b];
    walk.step();
    let found = Legacy::new().run_real(&START, &code);
    walk.check((found.vector, found.cs, found.ip), (UD.into(), 0x4010, far + 7), "JMP far");
    let code = [0x9a, (far + 7) as u8, (far >> 8) as u8, 0x10, 0x40, 0x0f, 0x0b, 0xca, 6, 0];
    let start = Real { esp: SP - 6, ..START };
    let (_, found) = run(walk, &start, &code, UD, 5);
    walk.check(found.esp, SP, "SP behind RETF 6");
    let mut legacy = Legacy::new();
    walk.step();
    // RETF of 32 bits takes a word of the second doubleword.
    legacy.write(DATA + SP - 8, [u32::from(far) + 2, 0xffff_4010]);
    let found = legacy.run_real(&Real { esp: SP - 8, ..START }, &[0x66, 0xcb, 0x0f, 0x0b]);
    walk.check((found.cs, found.ip), (0x4010, far + 2), "RETF of 32 bits");
    // Indirect, near and far.
    for (modrm, far, calls) in
        [(0x26, false, false), (0x2e, true, false), (0x16, false, true), (0x1e, true, true)]
    {
        walk.step();
        let mut legacy = Legacy::new();
        legacy.write(DATA + 0x200, [0x1234_u16, 0x4056]);
        for place in [0x4_1234, 0x4_1794] {
            legacy.write(place, [0x0f_u8, 0x0b]);
        }
        let found = legacy.run_real(&START, &[0xff, modrm, 0x00, 0x02]);
        let cs = if far { 0x4056 } else { CODE_PARAGRAPH };
        let pushed = if !calls {
            0
        } else if far {
            4
        } else {
            2
        };
        walk.check((found.vector, found.cs, found.ip), (UD.into(), cs, 0x1234), "indirect");
        walk.check(found.esp, SP - pushed, "SP behind it");
    }
    // LOOP and its kin: how often, and the condition.
    for (opcode, flags, cx, left) in [
        (0xe2, 2, 5, 0),
        (0xe1, 2 | ZF, 5, 0),
        (0xe1, 2, 5, 4),
        (0xe0, 2, 5, 0),
        (0xe0, 2 | ZF, 5, 4),
        (0xe2, 2, 1, 0),
    ] {
        let registers = [0, 0, 0x7777_0000 | cx, 0, 0, 0, 0];
        let (_, found) =
            through(walk, &Real { flags, registers, ..START }, &[opcode, 0xfe, 0x0f, 0x0b]);
        walk.check(found.ecx, 0x7777_0000 | left, "CX behind a loop");
    }
    // JCXZ looks at CX, with an address-size prefix at ECX.
    for (code, behind) in
        [(&[0xe3, 2, 0x0f, 0x0b, 0x0f, 0x0b][..], 4), (&[0x67, 0xe3, 2, 0x0f, 0x0b, 0x0f, 0x0b], 3)]
    {
        let start = Real { registers: [0, 0, 0x1_0000, 0, 0, 0, 0], ..START };
        run(walk, &start, code, UD, behind);
    }
    // IP wraps: a jump backwards beyond 0 goes to the segment's end.
    walk.step();
    let mut legacy = Legacy::new();
    legacy.copy(DATA - 0x10, &[0x0f, 0x0b]);
    let found = legacy.run_real(&START, &[0xe9, 0xed, 0xef]);
    walk.check((found.vector, found.ip), (UD.into(), 0xfff0), "a jump through 0");
}

fn stack(walk: &mut Walk) {
    // PUSH SP pushes what it was; POP SP takes what is on top.
    let code = snippet!(".code16", "push sp", "pop ax", "push 0x1234", "pop sp", "ud2", ".code64");
    let (_, found) = through(walk, &START, code);
    walk.check((found.eax, found.esp), (SP, 0x1234), "PUSH SP and POP SP");
    // PUSHA and POPA, in both widths: SP itself is pushed as it was, and not taken.
    let registers =
        [0x1111_0001, 0x2222_0002, 0x3333_0003, 0x4444_0004, 0x5555_0005, 0x6666_0006, 0x7777_0007];
    let start = Real { registers, ..START };
    let (legacy, found) = through(walk, &start, &[0x60, 0x0f, 0x0b]);
    let pushed = [0; 8].map({
        let mut at = SP;
        move |_: u16| {
            at -= 2;
            word(&legacy, at)
        }
    });
    walk.check(pushed, [1, 3, 4, 2, SP as u16, 7, 5, 6], "PUSHA");
    walk.check(found.esp, SP - 16, "SP behind PUSHA");
    let (_, found) = through(walk, &start, &[0x66, 0x60, 0x33, 0xc0, 0x66, 0x61, 0x0f, 0x0b]);
    let all = [found.eax, found.ebx, found.ecx, found.edx, found.esi, found.edi, found.ebp];
    walk.check((all, found.esp), (registers, SP), "PUSHAD and POPAD");
    // POP to memory computes its address with SP behind the POP.
    let code = [0x6a, 0x55, 0x67, 0x8f, 0x44, 0x24, 0x10, 0x0f, 0x0b];
    let (legacy, _) = through(walk, &Real { esp: 0x8000, ..START }, &code);
    walk.check(word(&legacy, 0x8010), 0x55, "POP [ESP + 10]");
    // PUSHF and POPF: bit 1 is set, 3, 5 and 15 are clear; NT and IOPL are software's.
    let code = [0x68, 0xff, 0xf0, 0x9d, 0x9c, 0x58, 0x6a, 2, 0x9d, 0x0f, 0x0b];
    let (_, found) = through(walk, &START, &code);
    walk.check(found.eax, 0x70d7, "flags that POPF sets");
    // PUSH of a sign-extended byte, of a constant, of segments.
    let code = snippet!(
        ".code16",
        "push -3",
        "pop ax",
        "push 0x7654",
        "pop bx",
        "push ds",
        "pop cx",
        "push cs",
        "pop dx",
        "ud2",
        ".code64"
    );
    let (_, found) = through(walk, &START, code);
    let all = [found.eax, found.ebx, found.ecx, found.edx];
    walk.check(all, [0xfffd, 0x7654, DATA_PARAGRAPH.into(), CODE_PARAGRAPH.into()], "PUSH and POP");
    // SP wraps from 0.
    let (legacy, found) = through(walk, &Real { esp: 0, ..START }, &[0x68, 0x34, 0x12, 0x0f, 0x0b]);
    walk.check((found.esp, word(&legacy, 0xfffe)), (0xfffe, 0x1234), "PUSH at SP 0");
}

/// ENTER and LEAVE, at each level of nesting.
fn frames(walk: &mut Walk) {
    for level in [0, 1, 2, 3, 31, 32] {
        let bp = 0x8000_u16;
        let start = Real { registers: [0, 0, 0, 0, 0, 0, bp.into()], ..START };
        walk.step();
        let mut legacy = Legacy::new();
        for index in 1..32_u16 {
            legacy.write(DATA + u32::from(bp - index * 2), 0xe000 + index);
        }
        let found = legacy.run_real(&start, &[0xc8, 0x10, 0, level, 0x0f, 0x0b]);
        let level = u32::from(level) % 32;
        walk.check(found.ebp, SP - 2, "BP is the frame");
        walk.check(found.esp, SP - 2 - level * 2 - 0x10, "SP behind ENTER");
        walk.check(word(&legacy, SP - 2), bp, "the old BP");
        for index in 1..level {
            walk.check(
                word(&legacy, SP - 2 - index * 2),
                0xe000 + index as u16,
                "a display pointer",
            );
        }
        if level > 0 {
            walk.check(word(&legacy, SP - 2 - level * 2), SP as u16 - 2, "the frame's own pointer");
        }
        let (_, found) = through(walk, &start, &[0xc8, 0x10, 0, 2, 0xc9, 0x0f, 0x0b]);
        walk.check((found.ebp, found.esp), (bp.into(), SP), "LEAVE");
    }
}

fn strings(walk: &mut Walk) {
    // Opcode, its width in bytes; CX, how far SI and DI go.
    for (opcode, bytes, uses_si, uses_di) in [
        (0xa4_u8, 1, true, true),
        (0xa5, 2, true, true),
        (0xaa, 1, false, true),
        (0xab, 2, false, true),
        (0xac, 1, true, false),
        (0xad, 2, true, false),
    ] {
        for (down, repeats, wide) in
            [(false, false, false), (true, false, false), (false, true, false), (true, true, true)]
        {
            let bytes: u32 = if wide && bytes == 2 { 4 } else { bytes };
            // DS is the segment anyway.
            let mut code = [0x3e, 0x3e, opcode, 0x0f, 0x0b];
            if repeats {
                code[0] = 0xf3;
            }
            if wide {
                code[1] = 0x66;
            }
            let flags = if down { DF | 2 } else { 2 };
            let registers = [0x8877_6655, 0, 3, 0, 0x110, 0x120, 0];
            let (legacy, found) = through(walk, &Real { flags, registers, ..START }, &code);
            let times = if repeats { 3 } else { 1 };
            let by = if down { (times * bytes).wrapping_neg() } else { times * bytes };
            let moved = |start: u32, moves| if moves { (start + by) & 0xffff } else { start };
            walk.check(
                (found.esi, found.edi),
                (moved(0x110, uses_si), moved(0x120, uses_di)),
                "SI and DI",
            );
            walk.check(found.ecx, if repeats { 0 } else { 3 }, "CX");
            for offset in (0x100..0x140).step_by(4) {
                walk.note(legacy.read(DATA + offset));
            }
            if uses_di {
                let first = if uses_si { 0x50 } else { 0x55 };
                walk.check(word(&legacy, 0x120) as u8, first, "the first byte");
            }
        }
    }
    // CMPS and SCAS stop where the condition ends.
    let registers = [0x45, 0, 0x20, 0, 0x100, 0x100, 0];
    let start = Real { registers, ..START };
    let (_, found) = through(walk, &start, &[0xf2, 0xae, 0x0f, 0x0b]);
    walk.check((found.ecx, found.edi), (0x1a, 0x106), "REPNE SCASB");
    let (_, found) = through(walk, &start, &[0xf3, 0xae, 0x0f, 0x0b]);
    walk.check((found.ecx, found.edi), (0x1f, 0x101), "REPE SCASB");
    let (_, found) = through(walk, &start, &[0xf3, 0xa7, 0x0f, 0x0b]);
    walk.check((found.ecx, found.esi, found.flags & ZF), (0, 0x140, ZF), "REPE CMPSW");
    // With CX 0 nothing happens, and flags stay.
    let idle =
        Real { registers: [0, 0, 0x1_0000, 0, 0x100, 0x100, 0], flags: CF | ZF | 2, ..START };
    let (_, found) = through(walk, &idle, &[0xf3, 0xa6, 0x0f, 0x0b]);
    walk.check((found.esi, found.flags), (0x100, CF | ZF | 2), "REPE CMPSB with CX 0");
    // SI wraps in 16 bits; with an address-size prefix it would not.
    let wrapping = Real { registers: [0, 0, 2, 0, 0xabcd_ffff, 0x120, 0], ..START };
    let (_, found) = through(walk, &wrapping, &[0xf3, 0xa4, 0x0f, 0x0b]);
    walk.check(found.esi, 0xabcd_0001, "SI behind the segment's end");
}

fn pointers(walk: &mut Walk) {
    // LES, LDS, LSS, LFS and LGS of an offset and a segment.
    for (code, which) in [
        (&[0xc4, 0x06, 0x00, 0x01, 0x0f, 0x0b][..], 0),
        (&[0xc5, 0x06, 0x00, 0x01, 0x0f, 0x0b], 1),
        (&[0x0f, 0xb4, 0x06, 0x00, 0x01, 0x0f, 0x0b], 2),
        (&[0x0f, 0xb5, 0x06, 0x00, 0x01, 0x0f, 0x0b], 3),
    ] {
        let (_, found) = through(walk, &START, code);
        let loaded = [found.es, found.ds, found.fs, found.gs][which];
        walk.check((found.eax, loaded), (0x4140, 0x4342), "a far pointer");
    }
    // LEA takes no segment; XLAT adds AL; addresses of 16 bits wrap.
    let registers = [0xffff_0005, 0x1234_fff0, 0, 0, 0x0020, 0, 0];
    let start = Real { registers, ..START };
    let (_, found) = through(walk, &start, &[0x8d, 0x50, 0x7f, 0x0f, 0x0b]);
    walk.check(found.edx, 0x8f, "LEA DX, [BX + SI + 7f]");
    let start = Real { registers: [0xffff_0005, 0x1234_0100, 0, 0, 0, 0, 0], ..START };
    let (_, found) = through(walk, &start, &[0xd7, 0x0f, 0x0b]);
    walk.check(found.eax, 0xffff_0045, "XLAT");
    // BOUND within its bounds, signed.
    let bounds = Real { registers: [0x4140, 0, 0, 0, 0, 0, 0], ..START };
    through(walk, &bounds, &[0x62, 0x06, 0x00, 0x01, 0x0f, 0x0b]);
    for outside in [0x413f_u32, 0x4343, 0xffff] {
        let start = Real { registers: [outside, 0, 0, 0, 0, 0, 0], ..START };
        run(walk, &start, &[0x62, 0x06, 0x00, 0x01], BR, 0);
    }
    // MOV to and from segments: 16 bits from memory, a zero-extended register.
    let code = snippet!(
        ".code16",
        "mov ax, 0x1357",
        "mov es, ax",
        ".byte 0x66, 0x8c, 0xc1",
        "mov fs, [0x100]",
        "mov [0x102], fs",
        "mov dx, [0x102]",
        "ud2",
        ".code64"
    );
    let start = Real { registers: [0, 0, 0xffff_ffff, 0, 0, 0, 0], ..START };
    let (_, found) = through(walk, &start, code);
    walk.check((found.es, found.ecx, found.fs), (0x1357, 0x1357, 0x4140), "segment registers");
    walk.check(found.edx, 0x4140, "FS in memory");
}

fn exceptions(walk: &mut Walk) {
    // Quotients that do not fit, and by 0.
    for (code, registers) in [
        (&[0xf6, 0xf3][..], [0x100, 1, 0]),
        (&[0xf6, 0xf3], [5, 0, 0]),
        (&[0xf6, 0xfb], [0x80, 1, 0]),
        (&[0xf7, 0xf3], [0, 1, 1]),
        (&[0xf7, 0xfb], [0, 0xffff, 0x4000]),
        (&[0x66, 0xf7, 0xf3], [0, 7, 7]),
    ] {
        let [eax, ebx, edx] = registers;
        let start = Real { registers: [eax, ebx, 0, edx, 0, 0, 0], ..START };
        let (_, found) = run(walk, &start, code, DE, 0);
        walk.check([found.eax, found.ebx, found.edx], registers, "registers at #DE");
    }
    // The coprocessor that is not there, or belongs to another task.
    for (cr0, code, vector) in [
        (1 << 2, &[0xdb, 0xe3][..], NM),
        (1 << 3, &[0xd9, 0xe8], NM),
        (1 << 3 | 1 << 1, &[0x9b], NM),
        (1 << 3, &[0x9b, 0x0f, 0x0b], UD),
        (1 << 1, &[0x9b, 0x0f, 0x0b], UD),
    ] {
        let behind = if vector == UD { 1 } else { 0 };
        run(walk, &Real { cr0, ..START }, code, vector, behind);
    }
    // Fifteen bytes are an instruction, sixteen are none.
    let mut long = [0x2e; 18];
    long[14..17].copy_from_slice(&[0x90, 0x0f, 0x0b]);
    run(walk, &START, &long, UD, 15);
    long[14..18].copy_from_slice(&[0x2e, 0x90, 0x0f, 0x0b]);
    run(walk, &START, &long, GP, 0);
}

/// What real mode does not know, and what it lets through.
fn unknown(walk: &mut Walk) {
    for code in [
        &[0x0f, 0x00, 0xc0][..],   // sldt ax
        &[0x0f, 0x00, 0xc8],       // str ax
        &[0x0f, 0x00, 0xd0],       // lldt ax
        &[0x0f, 0x00, 0xd8],       // ltr ax
        &[0x0f, 0x00, 0xe0],       // verr ax
        &[0x0f, 0x00, 0xe8],       // verw ax
        &[0x0f, 0x02, 0xc0],       // lar ax, ax
        &[0x0f, 0x03, 0xc0],       // lsl ax, ax
        &[0x63, 0xc0],             // arpl ax, ax
        &[0x0f, 0xff, 0xc0],       // ud0
        &[0x0f, 0xb9, 0xc0],       // ud1
        &[0x8e, 0xc8],             // mov cs, ax
        &[0x8e, 0xf0],             // mov of segment 6
        &[0x8c, 0xf8],             // mov from segment 7
        &[0xc4, 0xc0],             // les of a register
        &[0x62, 0xc0],             // bound of a register
        &[0x8d, 0xc0],             // lea of a register
        &[0xfe, 0xd0],             // fe /2
        &[0xff, 0xf8],             // ff /7
        &[0xff, 0xd8],             // call far of a register
        &[0xf0, 0x90],             // lock nop
        &[0xf0, 0x01, 0xc0],       // lock add of registers
        &[0xf0, 0x39, 0x06, 0, 1], // lock cmp
        &[0x0f, 0x20, 0xc8],       // mov from cr1
        &[0x0f, 0xba, 0xc0, 0],    // 0f ba /0
    ] {
        run(walk, &START, code, UD, 0);
    }
    let code = snippet!(
        ".code16",
        "smsw ax",
        "mov ebx, cr0",
        "sgdt [0x100]",
        "sidt [0x108]",
        "mov cx, [0x108]",
        "clts",
        "lmsw ax",
        "mov edx, dr7",
        "ud2",
        ".code64"
    );
    let (_, found) = through(walk, &START, code);
    walk.check(found.eax & 1, 0, "PE in the machine status word");
    walk.check(found.ebx as u16, found.eax as u16, "SMSW and CR0");
    walk.check((found.ecx, found.edx), (0x3ff, 0x400), "the table's limit, and DR7");
}
