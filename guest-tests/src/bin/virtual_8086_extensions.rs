//! CR4.VME: where IOPL keeps IF from a program in virtual-8086 mode, it has VIF instead, and a bitmap in
//! the TSS leaves software interrupts to the program's own vector table; CR4.PVI gives VIF to protected
//! mode (SDM, Virtual-8086 Mode Extensions, Protected-Mode Virtual Interrupts).
//@ qemu: differs: QEMU 7.2 interprets without CR4.VME and CR4.PVI
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::check_eq;
use guest_tests::interrupt::vector::{GP, UD};
use guest_tests::legacy::{CODE, CODE_PARAGRAPH, Caught, Context, Legacy, TSS};
use guest_tests::register::cr4::{PVI, VME};
use guest_tests::register::eflags::{IF, IOPL, RF, VIF, VIP, VM};

guest_tests::entry!(main);

const END: [u8; 2] = [0x0f, 0x0b];

const NOP: u8 = 0x90;
const CLI: u8 = 0xfa;
const STI: u8 = 0xfb;
const PUSHF: u8 = 0x9c;
const POPF: u8 = 0x9d;
const IRET: u8 = 0xcf;

fn main() {
    flags();
    returns();
    software_interrupts();
    protected_mode();
}

/// Runs `code` and UD2 behind it.
fn run(legacy: &mut Legacy, context: &Context, code: &[u8]) -> Caught {
    let mut bytes = [0; 16];
    bytes[..code.len()].copy_from_slice(code);
    bytes[code.len()..code.len() + 2].copy_from_slice(&END);
    legacy.run(context, &bytes)
}

fn context(flags: u32) -> Context {
    Context { eflags: VM | flags | 2, cr4: VME as u32, ..Context::VIRTUAL_8086 }
}

fn flags() {
    for (code, before, after) in [
        (STI, IF, Some(IF | VIF)),
        (CLI, IF | VIF, Some(IF)),
        (STI, VIP, None),
        (CLI, VIP, Some(VIP)),
        // Both at once are the supervisor's, before the instruction.
        (CLI, VIP | VIF, None),
        (NOP, VIP | VIF, None),
        (CLI, IOPL | IF | VIF, Some(IOPL | VIF)),
    ] {
        let caught = run(&mut Legacy::new(), &context(before), &[code]);
        let expected = after.map_or((GP, 0), |_| (UD, 0));
        check_eq!(caught.fault(), expected, "{code:#x} with {before:#x}");
        let after = VM | 2 | after.unwrap_or(before);
        check_eq!(caught.eflags & !RF, after, "{code:#x} with {before:#x}");
    }
    for (before, pushed) in [(IF, IOPL | 2), (VIF, IOPL | IF | 2)] {
        let mut legacy = Legacy::new();
        check_eq!(run(&mut legacy, &context(before), &[PUSHF]).fault(), (UD, 0));
        check_eq!(u32::from(legacy.read::<u16>(CODE + 0xeffe)), pushed, "PUSHF with {before:#x}");
    }
    for (before, image, after) in [
        (0, IF | IOPL | 1, Some(VIF | 1)),
        (VIF | IF, 0, Some(IF)),
        (VIP, IF, None),
        (VIP, 1, Some(VIP | 1)),
        // TF is not for the program to set.
        (0, 0x100, None),
    ] {
        let mut legacy = Legacy::new();
        legacy.write(CODE + 0xf000, image);
        let caught = run(&mut legacy, &context(before), &[POPF]);
        check_eq!(caught.fault(), after.map_or((GP, 0), |_| (UD, 0)), "POPF of {image:#x}");
        let after = VM | 2 | after.unwrap_or(before);
        check_eq!(caught.eflags & !RF, after, "POPF of {image:#x} with {before:#x}");
    }
    for code in [[0x66, PUSHF], [0x66, POPF], [0x66, IRET]] {
        let caught = run(&mut Legacy::new(), &context(0), &code);
        check_eq!(caught.fault(), (GP, 0), "{code:#x?} of 32 bits");
    }
}

fn returns() {
    for (before, image, after) in
        [(0, IF | IOPL, Some(VIF)), (VIF, 0, Some(0)), (VIP, IF, None), (0, 0x100, None)]
    {
        let mut legacy = Legacy::new();
        for (index, item) in (0..).zip([0x10, u32::from(CODE_PARAGRAPH), image]) {
            legacy.write(CODE + 0xf000 + index * 2, item as u16);
        }
        legacy.write(CODE + 0x10, END);
        let caught = run(&mut legacy, &context(before), &[IRET]);
        check_eq!(caught.fault(), after.map_or((GP, 0), |_| (UD, 0)), "IRET to {image:#x}");
        let after = VM | 2 | after.unwrap_or(before);
        check_eq!(caught.eflags & !RF, after, "IRET to {image:#x} with {before:#x}");
    }
}

fn software_interrupts() {
    // Whether the bitmap keeps INT 0x21 for protected mode; how it ends.
    for (flags, kept, fault) in [
        (0, true, (GP, 0)),
        (IOPL, true, (GP, 0x21 * 8 + 2)),
        (IF | VIF, false, (UD, 0)),
        (IF, false, (UD, 0)),
        (IOPL | IF, false, (UD, 0)),
    ] {
        let mut legacy = Legacy::new();
        // The bitmap of 32 bytes ends where that of ports begins.
        legacy.write(TSS + 0x68 + 4, if kept { 2_u8 } else { 0 });
        // The program's handler is at offset 0x20.
        let vector = 0x21_u32 * 4;
        let old: u32 = legacy.read(vector);
        legacy.write(vector, u32::from(CODE_PARAGRAPH) << 16 | 0x20);
        legacy.write(CODE + 0x20, END);
        let caught = run(&mut legacy, &context(flags), &[0xcd, 0x21]);
        legacy.write(vector, old);
        check_eq!(caught.fault(), fault, "INT with {flags:#x}");
        if kept {
            continue;
        }
        check_eq!((caught.eip, caught.cs), (0x20, u32::from(CODE_PARAGRAPH)));
        check_eq!(caught.old_esp, 0xeffa);
        let frame = [0, 2, 4].map(|at| u32::from(legacy.read::<u16>(CODE + 0xeffa + at)));
        let own = flags & IOPL != 0;
        let shown = if own { flags & IF } else { flags >> 10 & IF };
        check_eq!(frame, [2, CODE_PARAGRAPH.into(), IOPL | shown | 2], "INT with {flags:#x}");
        let after = if own { IOPL } else { flags & IF };
        check_eq!(caught.eflags & !RF, VM | after | 2, "EFLAGS in the handler");
    }
}

fn protected_mode() {
    for (code, before, after) in [
        (STI, 0, Some(VIF)),
        (CLI, VIF | IF, Some(IF)),
        (STI, VIP, None),
        (CLI, IOPL | IF | VIF, Some(IOPL | VIF)),
        (NOP, VIP | VIF, None),
    ] {
        let context = Context { eflags: before | 2, cr4: PVI as u32, ..Context::LEVEL_3 };
        let caught = run(&mut Legacy::new(), &context, &[code]);
        let expected = after.map_or((GP, 0), |_| (UD, 0));
        check_eq!(caught.fault(), expected, "{code:#x} with {before:#x}");
        check_eq!(caught.eflags & !RF, 2 | after.unwrap_or(before), "{code:#x} with {before:#x}");
    }
    let context = Context { cr4: VME as u32, ..Context::LEVEL_3 };
    check_eq!(run(&mut Legacy::new(), &context, &[STI]).fault(), (GP, 0), "VME is not PVI");
}
