//! The first instructions of a guest: page tables, 64-bit mode, a stack, SSE, and then Rust.
//!
//! Every protocol's entry leaves its tag in EDI, the loader's information in EBX and where 64-bit mode
//! begins in EBP, and goes on at `start32`, in 32-bit protected mode without paging.

use super::info::{self, Protocol};
use crate::register::msr::IA32_EFER;
use crate::{exit, heap, interrupt, segment};
use core::arch::naked_asm;
use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};
use x86_64::structures::paging::PageTableFlags;

unsafe extern "Rust" {
    /// The main function, defined by `entry!` in the guest's own file.
    safe fn guest_main();
}

#[repr(C, align(4096))]
pub(crate) struct Aligned<const BYTES: usize>([u8; BYTES]);

/// PML4, PDPT, and four page directories that map 4 GiB: in this order, filled by `start32`.
pub(crate) static mut TABLES: Aligned<{ 6 * 4096 }> = Aligned([0; _]);

const STACK_BYTES: usize = 512 * 1024;
static mut STACK: Aligned<STACK_BYTES> = Aligned([0; _]);

const TABLE: u32 = (PageTableFlags::PRESENT.bits() | PageTableFlags::WRITABLE.bits()
    // Whether user mode may use a page is for its last entry to say.
    | PageTableFlags::USER_ACCESSIBLE.bits()) as u32;
const PAGE: u32 = (PageTableFlags::PRESENT.bits()
    | PageTableFlags::WRITABLE.bits()
    | PageTableFlags::HUGE_PAGE.bits()) as u32;

pub(crate) const CR4: u32 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
    .union(Cr4Flags::OSFXSR)
    .union(Cr4Flags::OSXMMEXCPT_ENABLE)
    .bits() as u32;
pub(crate) const EFER: u32 = EferFlags::SYSTEM_CALL_EXTENSIONS
    .union(EferFlags::LONG_MODE_ENABLE)
    .union(EferFlags::NO_EXECUTE_ENABLE)
    .bits() as u32;
pub(crate) const CR0: u32 = Cr0Flags::PROTECTED_MODE_ENABLE
    .union(Cr0Flags::MONITOR_COPROCESSOR)
    .union(Cr0Flags::EXTENSION_TYPE)
    .union(Cr0Flags::NUMERIC_ERROR)
    .union(Cr0Flags::WRITE_PROTECT)
    .union(Cr0Flags::PAGING)
    .bits() as u32;

/// Where PVH enters: EBX holds the address of `hvm_start_info`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn pvh_start() -> ! {
    naked_asm!(
        ".code32",
        "mov edi, {protocol}",
        "mov ebp, offset {start64}",
        "jmp {start32}",
        ".code64",
        protocol = const Protocol::Pvh as u32,
        start64 = sym start64,
        start32 = sym start32,
    )
}

/// Where PVH enters a guest that is to be in user mode before its first Rust.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn pvh_start_in_user_mode() -> ! {
    naked_asm!(
        ".code32",
        "mov edi, {protocol}",
        "mov ebp, offset {start}",
        "jmp {start32}",
        ".code64",
        protocol = const Protocol::Pvh as u32,
        start = sym user_start64,
        start32 = sym start32,
    )
}

/// Where Multiboot 1 and 2 enter: EAX holds the loader's magic, EBX the address of its information.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn multiboot_start() -> ! {
    naked_asm!(
        ".code32",
        "mov edi, eax",
        "mov ebp, offset {start64}",
        "jmp {start32}",
        ".code64",
        start64 = sym start64,
        start32 = sym start32,
    )
}

/// Where a plain ELF image is entered, in 64-bit mode: back to 32-bit mode, so that all go one way.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn elf_start() -> ! {
    naked_asm!(
        "lgdt [rip + {gdt_pointer}]",
        "lea rsp, [rip + {stack} + {stack_bytes}]",
        "push {code32}",
        "lea rax, [rip + 2f]",
        "push rax",
        "retfq",
        ".code32",
        "2: mov eax, {data}",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov edi, {protocol}",
        "mov ebp, offset {start64}",
        "jmp {start32}",
        ".code64",
        start64 = sym start64,
        gdt_pointer = sym segment::GDT_POINTER,
        stack = sym STACK,
        stack_bytes = const STACK_BYTES,
        code32 = const segment::KERNEL_CODE_32,
        data = const segment::KERNEL_DATA,
        protocol = const Protocol::Elf as u32,
        start32 = sym start32,
    )
}

#[unsafe(naked)]
extern "C" fn start32() -> ! {
    naked_asm!(
        ".code32",
        "cli",
        "cld",
        // PML4[0] -> PDPT; PDPT[0..4] -> the page directories.
        "mov ecx, offset {tables}",
        "lea eax, [ecx + 0x1000 + {table}]",
        "mov [ecx], eax",
        "lea edx, [ecx + 0x1000]",
        "2: add eax, 0x1000",
        "mov [edx], eax",
        "add edx, 8",
        "lea esi, [ecx + 0x1000 + 4 * 8]",
        "cmp edx, esi",
        "jne 2b",
        // 2048 pages of 2 MiB; the address in EAX wraps to where it began when all are done.
        "lea edx, [ecx + 0x2000]",
        "mov eax, {page}",
        "3: mov [edx], eax",
        "add edx, 8",
        "add eax, 0x200000",
        "jnc 3b",
        "mov cr3, ecx",
        "mov eax, {cr4}",
        "mov cr4, eax",
        "mov ecx, {efer_msr}",
        "mov eax, {efer}",
        "xor edx, edx",
        "wrmsr",
        "mov eax, {cr0}",
        "mov cr0, eax",
        "lgdt [{gdt_pointer}]",
        "mov esp, offset {stack} + {stack_bytes}",
        "ljmp {code}, offset {long_mode}",
        ".code64",
        tables = sym TABLES,
        table = const TABLE,
        page = const PAGE,
        cr4 = const CR4,
        efer_msr = const IA32_EFER,
        efer = const EFER,
        cr0 = const CR0,
        gdt_pointer = sym segment::GDT_POINTER,
        stack = sym STACK,
        stack_bytes = const STACK_BYTES,
        code = const segment::KERNEL_CODE,
        long_mode = sym long_mode,
    )
}

#[unsafe(naked)]
extern "C" fn long_mode() -> ! {
    naked_asm!("mov eax, ebp", "jmp rax")
}

#[unsafe(naked)]
extern "C" fn start64() -> ! {
    naked_asm!(
        "mov eax, {data}",
        "mov ds, eax",
        "mov es, eax",
        "mov ss, eax",
        "xor eax, eax",
        "mov fs, eax",
        "mov gs, eax",
        "fninit",
        "mov esi, ebx",
        "xor ebp, ebp",
        "call {rust_start}",
        "ud2",
        data = const segment::KERNEL_DATA,
        rust_start = sym rust_start,
    )
}

/// The way to user mode: all pages are its own, and so are all ports, by the bitmap in the TSS, because
/// a paravirtual KVM may forget IOPL. Neither SSE nor x87 is touched before: it knows none of that in
/// kernel mode.
#[unsafe(naked)]
extern "C" fn user_start64() -> ! {
    naked_asm!(
        "mov ecx, offset {tables} + 0x2000",
        "lea edx, [rcx + 0x4000]",
        "2: or dword ptr [rcx], {user}",
        "add ecx, 8",
        "cmp ecx, edx",
        "jne 2b",
        "mov rcx, cr3",
        "mov cr3, rcx",
        "call {open_ports}",
        "mov rcx, rsp",
        "push {data}",
        "push rcx",
        "push {rflags}",
        "push {code}",
        "lea rax, [rip + 3f]",
        "push rax",
        "iretq",
        "3: fninit",
        "mov esi, ebx",
        "xor ebp, ebp",
        "call {rust_start}",
        "ud2",
        tables = sym TABLES,
        user = const PageTableFlags::USER_ACCESSIBLE.bits(),
        data = const segment::USER_DATA,
        rflags = const 2,
        open_ports = sym segment::open_ports,
        code = const segment::USER_CODE,
        rust_start = sym rust_start_in_user_mode,
    )
}

extern "C" fn rust_start_in_user_mode(magic: u32, information: u32) -> ! {
    // SAFETY: both words are the loader's, passed on unchanged.
    unsafe { info::init(magic, information) };
    heap::init();
    guest_main();
    exit::pass()
}

extern "C" fn rust_start(magic: u32, information: u32) -> ! {
    segment::init();
    interrupt::init();
    // SAFETY: both words are the loader's, passed on unchanged.
    unsafe { info::init(magic, information) };
    heap::init();
    guest_main();
    exit::pass()
}
