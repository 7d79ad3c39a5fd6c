//! The processor's state at a guest's first instruction: real, protected and long mode, and the
//! descriptor and page tables that they need.
//!
//! Invariant: what the state says of segments is what the descriptor table in memory says, so a
//! guest that reloads a selector gets the same segment.

use monovisor_core::CpuState;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, DescriptorTable, EferFlags, Register, Segment, SegmentRegister,
};
use x86_64::structures::paging::PageTableFlags;

use super::error::Reason;
use crate::memory::{GuestRam, layout};

/// Selectors of the mode's code and of data, where Linux wants them (`__BOOT_CS`, `__BOOT_DS`).
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;

/// Flat segments: base 0, limit 4 GiB, present, DPL 0, accessed.
const FLAT_CODE_32: u64 = 0x00cf_9b00_0000_ffff;
const FLAT_CODE_64: u64 = 0x00af_9b00_0000_ffff;
const FLAT_DATA: u64 = 0x00cf_9300_0000_ffff;

/// How much is mapped at entry in long mode: all that RAM and devices below 4 GiB need.
const MAPPED_BYTES: u64 = 4 << 30;
const LARGE_PAGE: u64 = 2 << 20;
const TABLE_BYTES: u64 = 4096;

/// Real mode at `entry`. SS:SP is 8000:0000, so that the stack is [`layout::BOOT_STACK`].
pub fn real(entry: u64) -> Result<CpuState, Reason> {
    if entry >= layout::EXTENDED_START {
        return Err(Reason::RealModeEntry(entry));
    }
    let mut state = CpuState::reset(0);
    let (base, offset) = if entry < 0x1_0000 { (0, entry) } else { (entry & !0xf, entry & 0xf) };
    set_real_base(&mut state, SegmentRegister::Cs, base);
    set_real_base(&mut state, SegmentRegister::Ss, layout::BOOT_STACK.start);
    state.rip = offset;
    Ok(state)
}

fn set_real_base(state: &mut CpuState, register: SegmentRegister, base: u64) {
    let segment = &mut state.segments[register];
    segment.base = base;
    segment.selector = (base >> 4) as u16;
}

/// 32-bit protected mode at `entry`: flat segments, paging and interrupts off. This is what
/// Multiboot, PVH and 32-bit Linux ask for.
pub fn protected(ram: &GuestRam, entry: u64) -> Result<CpuState, Reason> {
    if entry > u64::from(u32::MAX) {
        return Err(Reason::ProtectedModeEntry(entry));
    }
    let mut state = flat_state(ram, entry, FLAT_CODE_32)?;
    state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::EXTENSION_TYPE;
    Ok(state)
}

/// 64-bit mode at `entry`: flat segments, the first 4 GiB mapped to themselves by 2 MiB pages,
/// interrupts off, SSE on.
pub fn long(ram: &GuestRam, entry: u64) -> Result<CpuState, Reason> {
    if entry >= MAPPED_BYTES {
        return Err(Reason::LongModeEntry(entry));
    }
    let mut state = flat_state(ram, entry, FLAT_CODE_64)?;
    state.control.cr3 = write_page_tables(ram)?;
    state.control.cr4 =
        Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    state.control.efer = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::PAGING;
    Ok(state)
}

/// Lets `state`, in protected mode, begin like a C function: a stack, and one argument.
pub fn call_32(ram: &GuestRam, state: &mut CpuState, argument: u64) -> Result<(), Reason> {
    // The argument is aligned to 16 bytes, as the i386 ABI has it; below it is a null return address.
    let argument_at = layout::BOOT_STACK.end - 16;
    ram.write(argument_at, &(argument as u32).to_le_bytes())?;
    state.gpr[Register::Rsp] = argument_at - 4;
    Ok(())
}

/// Lets `state`, in long mode, begin like a C function: a stack, and one argument.
pub fn call_64(state: &mut CpuState, argument: u64) {
    // A null return address, with the stack 16-byte aligned above it.
    state.gpr[Register::Rsp] = layout::BOOT_STACK.end - 8;
    state.gpr[Register::Rdi] = argument;
}

fn flat_state(ram: &GuestRam, entry: u64, code: u64) -> Result<CpuState, Reason> {
    let table = [0, FLAT_CODE_32, code, FLAT_DATA].map(u64::to_le_bytes).concat();
    ram.write(layout::BOOT_GDT.start, &table)?;
    let mut state = CpuState::reset(0);
    state.rip = entry;
    state.gpr[Register::Rdx] = 0;
    state.gdtr = DescriptorTable { base: layout::BOOT_GDT.start, limit: (table.len() - 1) as u16 };
    // No table: an exception before the guest has its own is a triple fault, not a jump through
    // whatever is at address 0.
    state.idtr = DescriptorTable { base: 0, limit: 0 };
    state.segments[SegmentRegister::Cs] = segment(CODE, code);
    for register in [
        SegmentRegister::Ds,
        SegmentRegister::Es,
        SegmentRegister::Fs,
        SegmentRegister::Gs,
        SegmentRegister::Ss,
    ] {
        state.segments[register] = segment(DATA, FLAT_DATA);
    }
    // As PVH asks; in long mode the same bits are a busy 64-bit TSS.
    state.segments[SegmentRegister::Tr].limit = 0x67;
    Ok(state)
}

fn segment(selector: u16, descriptor: u64) -> Segment {
    let access = Access::from_descriptor_high((descriptor >> 32) as u32);
    Segment { base: 0, limit: u32::MAX, access, selector }
}

/// Maps the first 4 GiB to themselves and returns what CR3 must hold.
fn write_page_tables(ram: &GuestRam) -> Result<u64, Reason> {
    let table = (PageTableFlags::PRESENT | PageTableFlags::WRITABLE).bits();
    let page = table | PageTableFlags::HUGE_PAGE.bits();
    let root = layout::BOOT_PAGE_TABLES.start;
    let (pointers, directories) = (root + TABLE_BYTES, root + 2 * TABLE_BYTES);
    let write = |address, entries: &mut dyn Iterator<Item = u64>| {
        let bytes: Vec<u8> = entries.flat_map(u64::to_le_bytes).collect();
        ram.write(address, &bytes)
    };
    let count = MAPPED_BYTES >> 30;
    write(root, &mut std::iter::once(pointers | table))?;
    write(pointers, &mut (0..count).map(|index| (directories + index * TABLE_BYTES) | table))?;
    write(
        directories,
        &mut (0..MAPPED_BYTES / LARGE_PAGE).map(|index| (index * LARGE_PAGE) | page),
    )?;
    Ok(root)
}

const _: () = assert!(
    layout::BOOT_PAGE_TABLES.start + (2 + (MAPPED_BYTES >> 30)) * TABLE_BYTES
        <= layout::BOOT_PAGE_TABLES.end
);
