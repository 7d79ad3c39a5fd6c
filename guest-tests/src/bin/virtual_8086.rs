//! Virtual-8086 mode: entered by IRETD, with addresses and transfers of the 8086 and the privilege level
//! 3 of its day's successor; what leaves it finds all segments on its stack and none in the registers
//! (SDM, Virtual-8086 Mode).
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{GP, UD};
use guest_tests::legacy::{
    CODE_PARAGRAPH, Context, DATA, DATA_0, FREE, Legacy, STACK_0, TSS, flat, gate, kind, stub,
};
use guest_tests::register::eflags::{AC, ID, IF, IOPL, RF, VM};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

/// Code of one instruction, and how a program with this IOPL ends that executes it and UD2 behind it.
type Row<'a> = (&'a [u8], u32, (u8, u32), &'a str);

fn main() {
    addresses_and_transfers();
    the_way_out();
    sensitive_instructions();
    gates();
    ports();
}

fn addresses_and_transfers() {
    let code = snippet!(
        ".code16",
        "mov ax, 0x5000",
        "mov ds, ax",
        "mov word ptr [0x10], 0x1234",
        "mov ax, 0x4ff0",
        "mov es, ax",
        // The same place, through a far pointer.
        "mov bx, es:[0x110]",
        "push cs",
        // CALL and RETF of 16 bits, which the assembler would make 32.
        ".byte 0xe8",
        ".short 2f - . - 2",
        "mov cx, sp",
        ".byte 0xea",
        // Offsets count from the snippet's start, here from a paragraph before it.
        ".short 3f - 771b + 0x10, 0x3fff",
        "2: mov dx, 0x7777",
        ".byte 0xcb",
        "3: mov si, cs",
        "ud2",
        ".code64",
    );
    let mut legacy = Legacy::new();
    let caught = legacy.run(&Context::VIRTUAL_8086, code);
    check_eq!(caught.fault(), (UD, 0));
    check_eq!(caught.ebx & 0xffff, 0x1234, "one place through two segments");
    check_eq!(caught.edx & 0xffff, 0x7777, "a far return");
    check_eq!(caught.ecx & 0xffff, 0xf000, "SP behind it");
    check_eq!(caught.esi & 0xffff, 0x3fff, "CS behind a far jump");
    check_eq!(caught.eip, code.len() as u32 - 2 + 0x10, "IP of UD2");
    check_eq!(legacy.read::<u16>(DATA + 0x10), 0x1234);
}

fn the_way_out() {
    let mut legacy = Legacy::new();
    let context = Context {
        eflags: VM | IF | AC | 2,
        ds: 0x1111,
        es: 0x2222,
        fs: 0x3333,
        gs: 0x4444,
        esp: 0x1_2340,
        ..Context::VIRTUAL_8086
    };
    let caught = legacy.run(&context, snippet!("ud2"));
    check_eq!(caught.fault(), (UD, 0));
    check_eq!((caught.eip, caught.cs), (0, u32::from(CODE_PARAGRAPH)));
    check_eq!(caught.eflags & !RF, context.eflags, "EFLAGS, but for RF");
    check_eq!((caught.old_esp, caught.old_ss), (0x1_2340, u32::from(CODE_PARAGRAPH)));
    let old = [caught.old_ds, caught.old_es, caught.old_fs, caught.old_gs];
    check_eq!(old, [0x1111, 0x2222, 0x3333, 0x4444], "segments on the handler's stack");
    check_eq!([caught.ds, caught.es, caught.fs, caught.gs], [0; 4], "segments of the handler");
    check_eq!(caught.ss, u32::from(DATA_0));
    // Nine items, vector and a zero in place of the error code, then PUSHAD's ESP.
    check_eq!(caught.esp, STACK_0 - 11 * 4);
}

fn sensitive_instructions() {
    let gp = (GP, 0);
    let through = (UD, 0);
    let rows: [Row<'_>; 20] = [
        (&[0xfa], 0, gp, "CLI"),
        (&[0xfb], 0, gp, "STI"),
        (&[0x9c], 0, gp, "PUSHF"),
        (&[0x9d], 0, gp, "POPF"),
        (&[0xcf], 0, gp, "IRET"),
        (&[0xcd, 0x80], 0, gp, "INT"),
        (&[0xfa], IOPL, through, "CLI with IOPL 3"),
        (&[0xfb], IOPL, through, "STI with IOPL 3"),
        (&[0x9c], IOPL, through, "PUSHF with IOPL 3"),
        (&[0x9d], IOPL, through, "POPF with IOPL 3"),
        (&[0xcd, 0x80], IOPL, (0x80, 0), "INT with IOPL 3"),
        (&[0xcd, 0x81], IOPL, (GP, 0x81 * 8 + 2), "INT through a gate of level 0"),
        (&[0xf4], IOPL, gp, "HLT"),
        (&[0x0f, 0x06], IOPL, gp, "CLTS"),
        (&[0x0f, 0x20, 0xc0], IOPL, gp, "MOV from CR0"),
        (&[0x0f, 0x23, 0xc0], IOPL, gp, "MOV to DR0"),
        (&[0x0f, 0x32], IOPL, gp, "RDMSR"),
        (&[0x0f, 0x00, 0xd0], IOPL, (UD, 0), "LLDT"),
        (&[0x0f, 0x02, 0xc0], IOPL, (UD, 0), "LAR"),
        (&[0x63, 0xc0], IOPL, (UD, 0), "ARPL"),
    ];
    for (code, iopl, expected, what) in rows {
        let mut legacy = Legacy::new();
        let mut bytes = [0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b];
        bytes[..code.len()].copy_from_slice(code);
        bytes[code.len()..code.len() + 2].copy_from_slice(&[0x0f, 0x0b]);
        let context = Context { eflags: VM | iopl | 2, ..Context::VIRTUAL_8086 };
        let caught = legacy.run(&context, &bytes);
        check_eq!(caught.fault(), expected, "{what}");
    }
    // What a program with IOPL 3 can change of its flags.
    let mut legacy = Legacy::new();
    let context = Context { eflags: VM | IOPL | IF | 2, ..Context::VIRTUAL_8086 };
    let caught = legacy.run(&context, snippet!(".code16", "push 0", "popf", "ud2", ".code64"));
    check_eq!(caught.eflags & !RF, VM | IOPL | 2, "POPF");
    // pushd 1 << 21; popfd
    let code = [0x66, 0x68, 0, 0, 0x20, 0, 0x66, 0x9d, 0x0f, 0x0b];
    let caught = legacy.run(&context, &code);
    check_eq!(caught.eflags & !RF, VM | IOPL | ID | 2, "POPFD");
}

fn gates() {
    let context = Context { eflags: VM | IOPL | 2, ..Context::VIRTUAL_8086 };
    for (rights, expected) in [
        (kind::CONFORMING, (GP, u32::from(FREE))),
        (kind::CODE | kind::LEVEL_3, (GP, u32::from(FREE))),
        (kind::CODE, (0x80, 0)),
    ] {
        let mut legacy = Legacy::new();
        legacy.describe(FREE, flat(rights));
        legacy.set_gate(0x80, gate(FREE, stub(0x80), kind::INTERRUPT | kind::LEVEL_3, 0));
        check_eq!(legacy.run(&context, &[0xcd, 0x80]).fault(), expected, "rights {rights:#x}");
    }
    // INT3 looks at the gate alone.
    let mut legacy = Legacy::new();
    let context = Context { eflags: VM | 2, ..Context::VIRTUAL_8086 };
    legacy.set_gate(3, gate(0x18, stub(3), kind::INTERRUPT | kind::LEVEL_3, 0));
    check_eq!(legacy.run(&context, &[0xcc]).fault(), (3, 0));
}

/// IOPL has no say in virtual-8086 mode, the bitmap has.
fn ports() {
    for iopl in [0, IOPL] {
        let context = Context { eflags: VM | iopl | 2, ..Context::VIRTUAL_8086 };
        let mut legacy = Legacy::new();
        // Port 0x80 is written for delays only.
        check_eq!(legacy.run(&context, &[0xe6, 0x80, 0x0f, 0x0b]).fault(), (UD, 0));
        legacy.write(TSS + 0x88 + 0x80 / 8, 1_u8);
        check_eq!(legacy.run(&context, &[0xe6, 0x80, 0x0f, 0x0b]).fault(), (GP, 0));
    }
}
