//! PAE paging under code of 32 and of 16 bits and under virtual-8086 mode, and the change to it from 32-bit
//! paging and back by MOV to CR4, without a way through unpaged code; its four pointers are registers of the
//! processor (SDM, PAE Paging; PDPTE Registers; Paging Modes and Control Bits).
//@ qemu: differs: QEMU 7.2 reads the pointers from memory at each walk, and does not check their reserved bits
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{GP, PF, UD};
use guest_tests::legacy::{CODE, Caught, Context, DATA, FREE, Legacy, kind, segment};
use guest_tests::register::cr4;
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

const P: u32 = 1;
const W: u32 = 2;
const U: u32 = 4;
const LARGE: u32 = 0x80;
const PAE: u32 = cr4::PAE as u32;
const PSE: u32 = cr4::PSE as u32;
/// The four pointers, the directories of the first and of the last GiB, another for the last, and its table.
const POINTERS: u32 = DATA + 0x8000;
const FIRST: u32 = DATA + 0x9000;
const LAST: u32 = DATA + 0xa000;
const OTHER: u32 = DATA + 0xb000;
const TABLE: u32 = DATA + 0xc000;
/// A linear address in the last GiB, which the one directory maps to [`DATA`], the other to the page behind.
const LINEAR: u32 = 0xc000_0000 + DATA;
/// 16-bit code at the same offsets.
const CODE_16: u16 = FREE;

fn main() {
    pointers_are_registers();
    code_of_16_bits();
    virtual_8086();
    reserved_bits();
    from_32_bit_paging();
}

fn legacy() -> Legacy {
    let mut legacy = Legacy::new();
    for (at, entry) in [
        (POINTERS, FIRST | P),
        (POINTERS + 3 * 8, LAST | P),
        // 2 MiB, to itself; in the last GiB to the same.
        (FIRST, LARGE | P | W | U),
        (LAST, LARGE | P | W),
        (OTHER, TABLE | P | W),
        (TABLE + (DATA >> 12) * 8, (DATA + 0x1000) | P | W),
    ] {
        legacy.write(at, u64::from(entry));
    }
    legacy.write(DATA, 0x1111_1111_u32);
    legacy.write(DATA + 0x1000, 0x2222_2222_u32);
    legacy
}

fn start() -> Context {
    Context {
        cr3: POINTERS,
        cr4: PAE,
        registers: [0, LINEAR, POINTERS, OTHER | P],
        ..Context::LEVEL_0
    }
}

fn pointers_are_registers() {
    let mut legacy = legacy();
    let code = snippet!(
        ".code32",
        "mov esi, [ebx]",
        // The pointer in memory is another, which says nothing until CR3 is loaded.
        "mov [ecx + 24], edx",
        "invlpg [ebx]",
        "mov edi, [ebx]",
        "mov cr3, ecx",
        "mov ebp, [ebx]",
        "mov eax, cr4",
        "ud2",
        ".code64",
    );
    let caught = legacy.run(&start(), code);
    check_eq!(caught.fault(), (UD, 0));
    check_eq!(caught.eax & PAE, PAE);
    check_eq!([caught.esi, caught.edi, caught.ebp], [0x1111_1111, 0x1111_1111, 0x2222_2222]);
    check_eq!(legacy.read::<u32>(TABLE + (DATA >> 12) * 8) & 0x60, 0x20, "accessed");
    check_eq!(legacy.read::<u32>(POINTERS + 24), OTHER | P, "a pointer has no accessed flag");
    // No pointer for the third GiB.
    let absent = Context { registers: [0, 0x8000_0000, 0, 0], ..start() };
    check_eq!(legacy.run(&absent, &[0x8b, 0x03]).fault(), (PF, 0));
    check_eq!(legacy.run(&absent, &[0x89, 0x03]).fault(), (PF, 2));
}

fn code_of_16_bits() {
    let mut legacy = legacy();
    legacy.describe(CODE_16, segment(CODE, 0xffff, kind::CODE, (false, false)));
    let context = Context { cs: CODE_16, eip: 0, ..start() };
    let code = snippet!(".code16", "mov eax, [ebx]", "mov [ebx + 4], ax", "ud2", ".code64");
    let caught = legacy.run(&context, code);
    check_eq!((caught.fault(), caught.eip), ((UD, 0), code.len() as u32 - 2));
    check_eq!(caught.eax, 0x1111_1111);
    check_eq!(legacy.read::<u16>(DATA + 4), 0x1111);
}

fn virtual_8086() {
    let mut legacy = legacy();
    let context =
        Context { cr3: POINTERS, cr4: PAE, ds: (DATA >> 4) as u16, ..Context::VIRTUAL_8086 };
    // mov ax, [0]; ud2
    let caught = legacy.run(&context, &[0xa1, 0, 0, 0x0f, 0x0b]);
    check_eq!((caught.fault(), caught.eax & 0xffff), ((UD, 0), 0x1111));
}

/// The load of a pointer with a reserved bit is refused, and the pointers stay.
fn reserved_bits() {
    for bit in [1, 2, 5, 8, 63] {
        let mut legacy = legacy();
        // The pointer behind is never used, but loaded.
        let code = snippet!(
            ".code32",
            "mov esi, [ebx]",
            "mov [ecx + 16], eax",
            "mov [ecx + 20], edx",
            "mov cr3, ecx",
            ".code64",
        );
        let entry = 1_u64 << bit | u64::from(P);
        let mut context = start();
        (context.registers[0], context.registers[3]) = (entry as u32, (entry >> 32) as u32);
        let caught = legacy.run(&context, code);
        check_eq!((caught.fault(), caught.esi), ((GP, 0), 0x1111_1111), "bit {bit}");
        check_eq!(caught.eip, CODE + code.len() as u32 - 3, "bit {bit}");
    }
}

/// With paging on, MOV to CR4 goes from 32-bit to PAE paging and back. CR3 is the same: the first structure is a
/// directory to one and the pointers to the other, the second a table and a directory, in which page 0 is 2 MiB.
fn from_32_bit_paging() {
    let mut legacy = legacy();
    legacy.write(POINTERS, [TABLE | P, 0]);
    legacy.write(POINTERS + 0x18, [0_u32, 0]);
    legacy.write(TABLE, [LARGE | P | W | 0x60, 0_u32]);
    for page in 0x30..0x400 {
        // To itself, but for one.
        let to = if page == (DATA >> 12) + 2 { DATA + 0x1000 } else { page << 12 };
        legacy.write(TABLE + page * 4, to | P | W);
    }
    legacy.write(DATA + 0x2000, 0x3333_3333_u32);
    let code = snippet!(
        ".code32",
        // The directory's entry is not writable: neither is a pointer.
        "mov esi, cr0",
        "btr esi, 16",
        "bts esi, 31",
        "mov cr3, ecx",
        "mov cr0, esi",
        "mov esi, [ebx]",
        // The accessed flag would be a reserved bit of the pointer.
        "and dword ptr [ecx], 0xffffff9f",
        "mov cr4, eax",
        "mov edi, [ebx]",
        "mov cr4, edx",
        "mov ebp, [ebx]",
        "mov ecx, cr4",
        "ud2",
        ".code64",
    );
    let context = Context { registers: [PAE, DATA + 0x2000, POINTERS, PSE], ..Context::LEVEL_0 };
    let caught: Caught = legacy.run(&context, code);
    check_eq!((caught.fault(), caught.ecx & (PAE | PSE)), ((UD, 0), PSE));
    check_eq!([caught.esi, caught.edi, caught.ebp], [0x2222_2222, 0x3333_3333, 0x2222_2222]);
}
