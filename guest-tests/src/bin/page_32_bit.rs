//! 32-bit paging: tables of 4-byte entries, pages of 4 MiB with CR4.PSE, their address bits above 32
//! (PSE-36), the bit that is reserved in them, accessed and dirty flags (SDM, 32-Bit Paging).
//@ qemu: differs: QEMU 7.2 reports RSVD without P; SDM, Page-Fault Exceptions: RSVD can be set only if P is, because reserved bits of an entry whose P flag is 0 are not checked

#![no_std]
#![no_main]

use core::ptr;
use guest_tests::cpu::cpuid;
use guest_tests::paging;
use guest_tests::segment::KERNEL_CODE_32;
use guest_tests::{check_eq, interrupt, low, snippet};

guest_tests::entry!(main);

/// The 32-bit IDT, of which there is the gate of #PF alone.
const GATE: *mut u64 = (0x6000 + 14 * 8) as *mut u64;
/// A byte that pages are mapped to.
const BYTE: u32 = 0x7900;
const TABLE: *mut [Probe; PROBES] = 0x7000 as *mut _;
const PROBES: usize = 9;

const P: u32 = 1;
const W: u32 = 2;
const A: u32 = 1 << 5;
const D: u32 = 1 << 6;
const PS: u32 = 1 << 7;

/// Bytes of a page.
const LARGE: u32 = 4 << 20;
/// The linear address of the first directory entry that is not one to one.
const AREA: u32 = 0x100 * LARGE;

/// An access and what became of it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Probe {
    address: u32,
    /// 0 reads, anything else is written.
    write: u32,
    /// The byte that was read.
    value: u32,
    /// The error code of a page fault, or all ones.
    error: u32,
}

const fn read(address: u32) -> Probe {
    Probe { address, write: 0, value: 0, error: u32::MAX }
}

const fn write(address: u32, value: u8) -> Probe {
    Probe { address, write: value as u32, value: 0, error: u32::MAX }
}

fn main() {
    assert!(cpuid(1, 0).edx & 1 << 17 != 0, "CPUID offers no PSE-36");
    let directory = paging::frame() as *mut u32;
    let table = paging::frame() as *mut u32;
    // SAFETY: both are new.
    let put = |table: *mut u32, index: u32, entry: u32| unsafe {
        table.add(index as usize).write_volatile(entry);
    };
    for index in 0..0x100 {
        put(directory, index, (index * LARGE) | P | W | PS);
    }
    put(directory, 0x100, table as u32 | P | W);
    put(directory, 0x101, P | PS);
    put(directory, 0x102, P | W | PS | 1 << 21);
    // Bits 20:13 are address bits 39:32.
    put(directory, 0x103, P | W | PS | 1 << 13);
    put(table, 0, BYTE & !0xfff | P | W);
    put(table, 1, BYTE & !0xfff | P);
    let offset = BYTE & 0xfff;
    let found = run(
        directory,
        [
            read(AREA + offset),
            write(AREA + offset, 0x22),
            read(AREA + LARGE + BYTE),
            write(AREA + LARGE + BYTE, 0x33),
            write(AREA + 0x1000 + offset, 0x44),
            read(AREA + 0x2000),
            read(AREA + 2 * LARGE),
            // 4 GiB further up, where there is no memory.
            write(AREA + 3 * LARGE + BYTE, 0x55),
            read(BYTE),
        ],
    );
    let results = found.map(|probe| match probe.error {
        u32::MAX => Ok(probe.value),
        error => Err(error),
    });
    check_eq!(results[0], Ok(0x11), "a page of 4 KiB");
    check_eq!(results[1], Ok(0), "a write to it");
    check_eq!(results[2], Ok(0x22), "the same in a page of 4 MiB");
    check_eq!(results[3], Err(0b011), "a write to a read-only page of 4 MiB, with CR0.WP");
    check_eq!(results[4], Err(0b011), "a write to a read-only page of 4 KiB");
    check_eq!(results[5], Err(0b000), "no page");
    check_eq!(results[6], Err(0b1001), "a reserved bit");
    check_eq!(results[7], Ok(0), "a page beyond 4 GiB");
    check_eq!(results[8], Ok(0x22), "which is not at its low address bits");
    // SAFETY: both are tables of their own.
    let flags = |table: *mut u32, index| unsafe { table.add(index).read_volatile() & (A | D) };
    check_eq!(flags(directory, 0x100), A, "a page table");
    check_eq!(flags(table, 0), A | D, "a page that was written to");
    check_eq!(flags(table, 1), 0, "a page that a write was refused to");
    check_eq!(flags(directory, 0x101), A, "a large page that was read");
    check_eq!(flags(directory, 0x103), A | D, "a large page that was written to");
}

/// Makes the accesses under 32-bit paging with this page directory.
fn run(directory: *mut u32, probes: [Probe; PROBES]) -> [Probe; PROBES] {
    // 100: the handler of #PF. 180: the IDT's pointer.
    let code = snippet!(
        ".code32",
        "22:",
        // Out of IA-32e mode, then paging with 4-byte entries.
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "btr eax, 8",
        "wrmsr",
        "lidt [0x8180]",
        "mov edx, cr3",
        "mov cr3, esi",
        "mov eax, cr4",
        "btr eax, 5",
        "bts eax, 4",
        "mov cr4, eax",
        "mov eax, cr0",
        "bts eax, 31",
        "bts eax, 16",
        "mov cr0, eax",
        "mov ebx, 0x7000",
        "mov ecx, 9",
        "3: mov esi, [ebx]",
        "mov eax, [ebx + 4]",
        "test eax, eax",
        "jnz 4f",
        "mov al, [esi]",
        "movzx eax, al",
        "mov [ebx + 8], eax",
        "jmp 5f",
        ".skip 0x80 - (. - 22b), 0x90",
        "4: mov [esi], al",
        ".skip 0x90 - (. - 22b), 0x90",
        "5: add ebx, 16",
        "loop 3b",
        // And back.
        "mov eax, cr0",
        "btr eax, 31",
        "mov cr0, eax",
        "mov eax, cr4",
        "bts eax, 5",
        "mov cr4, eax",
        "mov cr3, edx",
        "mov ecx, 0xc0000080",
        "rdmsr",
        "bts eax, 8",
        "wrmsr",
        "mov eax, cr0",
        "bts eax, 31",
        "mov cr0, eax",
        "push 8",
        "push edi",
        "retf",
        ".skip 0x100 - (. - 22b), 0x90",
        "pop eax",
        "mov [ebx + 12], eax",
        "mov dword ptr [esp], 0x8090",
        "iretd",
        ".skip 0x180 - (. - 22b), 0x90",
        ".short 0x7f",
        ".long 0x6000",
        ".code64",
    );
    let gate = 0x8e00_u64 << 32 | (low::ADDRESS + 0x100) | u64::from(KERNEL_CODE_32) << 16;
    // SAFETY: nothing else uses this memory below 1 MiB; interrupts are off, and the code leaves all as it was.
    unsafe {
        ptr::write_volatile(GATE, gate);
        ptr::write_volatile(BYTE as usize as *mut u8, 0x11);
        ptr::write_volatile(TABLE, probes);
        low::execute(code, directory as u64);
    }
    interrupt::load_idt(0xfff);
    // SAFETY: the code has written it.
    unsafe { ptr::read_volatile(TABLE) }
}
