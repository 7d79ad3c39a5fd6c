//! Through the boundaries between protected, real and virtual-8086 mode: a segment register keeps its limit
//! and its width over the switch to real mode, where a load changes its base alone; back in protected mode
//! paging goes on, and virtual-8086 mode runs under it (SDM, Switching Back to Real-Address Mode, Paging of
//! Virtual-8086 Tasks).
//@ bochs: same
//@ kvm: skip: a KVM without VMX and SVM has no virtual-8086 mode

#![no_std]
#![no_main]

use guest_tests::interrupt::vector::{PF, UD};
use guest_tests::legacy::{CODE, Context, DATA, FREE, Legacy, kind, segment};
use guest_tests::{check_eq, snippet};

guest_tests::entry!(main);

/// 16-bit code of protected mode, at the same offsets as in real mode.
const CODE_16: u16 = FREE;
/// A page directory and a page table; the last page of the table is not present.
const DIRECTORY: u32 = DATA + 0x8000;
const TABLE: u32 = DATA + 0x9000;
const PRESENT_WRITABLE_USER: u32 = 7;

fn main() {
    big_real_mode();
    paged_virtual_8086();
}

fn big_real_mode() {
    let mut legacy = Legacy::new();
    legacy.describe(CODE_16, segment(CODE, 0xffff, kind::CODE, (false, false)));
    legacy.write(DATA, 0x1111_2222_u32);
    legacy.write(DATA + 0x1_0000 - 4, 0x3333_4444_u32);
    let code = snippet!(
        ".code32",
        // JMP to 16-bit code.
        ".byte 0xea",
        ".long 2f - 771b",
        ".short 0x80",
        "2:",
        ".code16",
        "mov eax, cr0",
        "and al, 0xfe",
        "mov cr0, eax",
        ".byte 0xea",
        ".short 3f - 771b, 0x4000",
        // Real mode, with flat data segments of protected mode.
        "3: mov esi, 0x50000",
        "mov ecx, [esi]",
        // A load changes the base alone.
        "mov ax, 0x5000",
        "mov ds, ax",
        "mov esi, 0xfffc",
        "mov edx, [esi]",
        "mov esi, 0xffff0000",
        "add esi, 0x10004",
        "mov word ptr [esi], 0x5555",
        "mov di, cs",
        "mov eax, cr0",
        "or al, 1",
        "mov cr0, eax",
        ".byte 0x66, 0xea",
        ".long 4f - 771b + 0x40000",
        ".short 0x18",
        ".code32",
        "4: mov ebx, 0x10",
        "mov ds, ebx",
        "mov ebx, ds",
        "ud2",
        ".code64",
    );
    let caught = legacy.run(&Context::LEVEL_0, code);
    check_eq!(caught.fault(), (UD, 0));
    check_eq!(caught.eip, CODE + code.len() as u32 - 2);
    check_eq!(caught.ecx, 0x1111_2222, "beyond 64 KiB in real mode");
    check_eq!(caught.edx, 0x3333_4444, "through a segment that real mode has loaded");
    check_eq!(caught.edi & 0xffff, 0x4000, "CS in real mode");
    check_eq!(legacy.read::<u16>(DATA + 4), 0x5555);
}

fn paged_virtual_8086() {
    let mut legacy = Legacy::new();
    legacy.write(DIRECTORY, TABLE | PRESENT_WRITABLE_USER);
    for page in 0..1024 {
        legacy.write(TABLE + page * 4, page << 12 | PRESENT_WRITABLE_USER);
    }
    // The image lies above 1 MiB, the tables of a run below; one page of data is somewhere else.
    legacy.write(TABLE + (DATA >> 12) * 4, (DATA + 0x1000) | PRESENT_WRITABLE_USER);
    legacy.write(TABLE + ((DATA >> 12) + 2) * 4, 0_u32);
    legacy.write(DATA + 0x1010, 0x7788_u16);
    let context = Context {
        ds: (DATA >> 4) as u16,
        cr3: DIRECTORY,
        registers: [0, 0x10, 0, 0],
        ..Context::VIRTUAL_8086
    };
    // mov dx, [bx]; add bh, 0x20; mov dx, [bx]
    let code = [0x8b, 0x17, 0x80, 0xc7, 0x20, 0x8b, 0x37];
    let caught = legacy.run(&context, &code);
    // Not present, a read, in user mode.
    check_eq!((caught.fault(), caught.eip), ((PF, 4), 5));
    check_eq!(caught.edx & 0xffff, 0x7788, "through the page tables");
    check_eq!(legacy.read::<u32>(TABLE + (DATA >> 12) * 4) & 0x20, 0x20, "accessed");
}
