//! The guest around an instruction, for the interpreter and for KVM: user mode with the pages and the
//! segments that the child process has under Linux, and a kernel that does nothing but stop.

use monovisor_core::CpuState;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, DescriptorTable, EferFlags, Register, Segment, SegmentRegister,
    XCr0Flags,
};

use crate::case::{PAGE_FAULT, Raised, State};
use crate::layout::{ARENA, ARENA_SIZE, CODE, Descriptor, FLAT, Mode, PAGE, WRITABLE};

/// Physical memory, and where the pages of `layout` are in it.
pub const MEMORY_BYTES: usize = 1 << 20;
pub const CODE_FRAME: u64 = 0x1_0000;
pub const ARENA_FRAME: u64 = 0x2_0000;
/// Page-table entries: present, writable, user, no execute.
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
const NO_EXECUTE: u64 = 1 << 63;
/// The page tables.
const TOP: u64 = 0x1000;
const POINTERS: u64 = 0x2000;
const DIRECTORY: u64 = 0x3000;
const TABLES: u64 = 0x4000;
/// The kernel's page tables and pages: descriptor tables, task state, stack and handlers. They are
/// where Linux does not tell programs what there is.
const KERNEL: u64 = 0xffff_9000_0000_0000;
const KERNEL_TABLES: u64 = 0x8000;
const KERNEL_FRAME: u64 = 0x3_0000;
const KERNEL_SIZE: u64 = 9 * PAGE;
const IDT: u64 = 0;
const GDT: u64 = PAGE;
const LDT: u64 = PAGE + PAGE / 2;
const TSS: u64 = 2 * PAGE;
const STACK: u64 = 4 * PAGE;
/// Where the gates lead, so many bytes apart.
const HANDLERS: u64 = 8 * PAGE;
const HANDLER_BYTES: u64 = 16;
const HLT: u8 = 0xf4;
/// Behind the last handler: how the kernel leaves for user mode.
const IRETQ: [u8; 2] = [0x48, 0xcf];
const LEAVE: u64 = HANDLERS + 255 * HANDLER_BYTES + 8;
/// The kernel's own segments.
const KERNEL_CODE: Descriptor = Descriptor { selector: 8, access: 0xa09b, ..FLAT };
const KERNEL_DATA: Descriptor = Descriptor { selector: 0x10, access: 0xc093, ..FLAT };
const LDT_SELECTOR: u16 = 0x48;
const TSS_SELECTOR: u16 = 0x40;
/// What is where a branch may lead.
pub const INT3: u8 = 0xcc;
/// Exceptions that push an error code.
const WITH_ERROR_CODE: [u32; 7] = [8, 10, 11, 12, 13, 14, 17];

/// Physical memory that is being filled.
struct Memory(Vec<u8>);

impl Memory {
    fn write(&mut self, address: u64, bytes: &[u8]) {
        let address = address as usize;
        self.0[address..address + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, address: u64, value: u64) {
        self.write(address, &value.to_le_bytes());
    }

    /// An entry of a page table.
    fn entry(&mut self, table: u64, index: u64, value: u64) {
        self.word(table + (index & 0x1ff) * 8, value);
    }

    /// A page for programs, through the page table at `table`.
    fn map(&mut self, linear: u64, frame: u64, rights: u64, table: u64) {
        self.entry(DIRECTORY, linear >> 21, table | PRESENT | WRITE | USER);
        self.entry(table, linear >> 12, frame | PRESENT | USER | rights);
    }

    fn map_kernel(&mut self) {
        let tables = [KERNEL_TABLES, KERNEL_TABLES + PAGE, KERNEL_TABLES + 2 * PAGE];
        self.entry(TOP, KERNEL >> 39, tables[0] | PRESENT | WRITE);
        self.entry(tables[0], 0, tables[1] | PRESENT | WRITE);
        self.entry(tables[1], 0, tables[2] | PRESENT | WRITE);
        for offset in (0..KERNEL_SIZE).step_by(PAGE as usize) {
            self.entry(tables[2], offset / PAGE, (KERNEL_FRAME + offset) | PRESENT | WRITE);
        }
    }

    /// Puts a descriptor where its selector says.
    fn describe(&mut self, descriptor: Descriptor) {
        const LOCAL: u16 = 4;
        let Descriptor { selector, base, limit, access } = descriptor;
        let table = if selector & LOCAL != 0 { LDT } else { GDT };
        let granular = access >> 15 & 1 != 0;
        let limit = u64::from(if granular { limit >> 12 } else { limit });
        let (base, access) = (u64::from(base), u64::from(access));
        let low = limit & 0xffff | (base & 0xff_ffff) << 16 | (access & 0xff) << 40;
        let high = limit >> 16 << 48 | (access >> 12 & 0xf) << 52 | base >> 24 << 56;
        self.word(KERNEL_FRAME + table + u64::from(selector >> 3) * 8, low | high);
    }

    /// Descriptor tables and task state.
    fn set_up_tables(&mut self) {
        for descriptor in [KERNEL_CODE, KERNEL_DATA] {
            self.describe(descriptor);
        }
        for mode in Mode::ALL {
            for register in SEGMENTS {
                self.describe(mode.segment(register));
            }
        }
        // RSP0, and no I/O permission bitmap.
        self.word(KERNEL_FRAME + TSS + 4, KERNEL + STACK);
        self.write(KERNEL_FRAME + TSS + 0x66, &[0xff, 0xff]);
        for vector in 0..256_u64 {
            let handler = KERNEL + HANDLERS + vector * HANDLER_BYTES;
            // INT3 and INTO are for programs.
            let rights = if matches!(vector, 3 | 4) { 0xee00 } else { 0x8e00 };
            let low = handler & 0xffff | u64::from(KERNEL_CODE.selector) << 16 | rights << 32;
            let gate = KERNEL_FRAME + IDT + vector * 16;
            self.word(gate, low | (handler >> 16 & 0xffff) << 48);
            self.word(gate + 8, handler >> 32);
        }
    }
}

/// Physical memory before the first instruction.
pub fn memory() -> Vec<u8> {
    let mut memory = Memory(vec![0; MEMORY_BYTES]);
    memory.entry(TOP, 0, POINTERS | PRESENT | WRITE | USER);
    memory.entry(POINTERS, 0, DIRECTORY | PRESENT | WRITE | USER);
    memory.map(CODE, CODE_FRAME, 0, TABLES);
    for offset in (0..ARENA_SIZE).step_by(PAGE as usize) {
        let write = if offset < WRITABLE { WRITE } else { 0 };
        memory.map(ARENA + offset, ARENA_FRAME + offset, write | NO_EXECUTE, TABLES + PAGE);
    }
    memory.map_kernel();
    memory.set_up_tables();
    memory.write(CODE_FRAME, &[INT3; PAGE as usize]);
    memory.write(KERNEL_FRAME + HANDLERS, &[HLT; PAGE as usize]);
    memory.write(KERNEL_FRAME + LEAVE, &IRETQ);
    memory.0
}

/// User mode as Linux sets it up, with the segments of `mode`.
pub fn user_mode(mode: Mode) -> CpuState {
    let mut state = CpuState::reset(0);
    state.control.cr3 = TOP;
    state.control.cr0 = Cr0Flags::PAGING
        | Cr0Flags::WRITE_PROTECT
        | Cr0Flags::ALIGNMENT_MASK
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::PROTECTED_MODE_ENABLE;
    state.control.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE
        | Cr4Flags::FSGSBASE
        | Cr4Flags::OSXSAVE;
    state.control.efer = EferFlags::LONG_MODE_ENABLE
        | EferFlags::LONG_MODE_ACTIVE
        | EferFlags::NO_EXECUTE_ENABLE
        | EferFlags::SYSTEM_CALL_EXTENSIONS;
    state.control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX;
    state.idtr = DescriptorTable { base: KERNEL + IDT, limit: 0xfff };
    state.gdtr = DescriptorTable { base: KERNEL + GDT, limit: 0x3f };
    state.segments[SegmentRegister::Tr] =
        Segment { base: KERNEL + TSS, limit: 0x67, access: Access(0x8b), selector: TSS_SELECTOR };
    state.segments[SegmentRegister::Ldtr] =
        Segment { base: KERNEL + LDT, limit: 0x1f, access: Access(0x82), selector: LDT_SELECTOR };
    for register in SEGMENTS {
        state.segments[register] = segment(mode.segment(register));
    }
    state
}

/// The kernel about to leave for user mode: `state` becomes its state. What is to be on its stack,
/// from this physical address on.
pub fn leave(state: &mut CpuState, mode: Mode, user: &State) -> (u64, [u64; 5]) {
    let selector = |register| u64::from(mode.segment(register).selector);
    let (cs, ss) = (selector(SegmentRegister::Cs), selector(SegmentRegister::Ss));
    let frame = [user.rip, cs, user.rflags, user.gpr[RSP], ss];
    let offset = STACK - size_of_val(&frame) as u64;
    state.segments[SegmentRegister::Cs] = segment(KERNEL_CODE);
    state.segments[SegmentRegister::Ss] = segment(KERNEL_DATA);
    state.gpr[Register::Rsp] = KERNEL + offset;
    state.rip = KERNEL + LEAVE;
    (KERNEL_FRAME + offset, frame)
}

fn segment(descriptor: Descriptor) -> Segment {
    let Descriptor { selector, base, limit, access } = descriptor;
    Segment { base: base.into(), limit, access: Access(access), selector }
}

/// Those of programs.
const SEGMENTS: [SegmentRegister; 6] = [
    SegmentRegister::Es,
    SegmentRegister::Cs,
    SegmentRegister::Ss,
    SegmentRegister::Ds,
    SegmentRegister::Fs,
    SegmentRegister::Gs,
];

/// What was delivered to the handler at or behind which RIP is; then RIP, RFLAGS and RSP become those
/// of the stack frame. `read` gives a word of physical memory.
pub fn raised(rip: u64, cr2: u64, read: impl Fn(u64) -> u64, state: &mut State) -> Raised {
    let vector = (rip.wrapping_sub(KERNEL + HANDLERS) / HANDLER_BYTES) as u32;
    let address = if vector == PAGE_FAULT { cr2 } else { 0 };
    let rsp = &mut state.gpr[RSP];
    let mut frame = rsp.wrapping_sub(KERNEL).wrapping_add(KERNEL_FRAME);
    let mut pop = || {
        let word = read(frame);
        frame += 8;
        word
    };
    let error_code = if WITH_ERROR_CODE.contains(&vector) { pop() as u32 } else { 0 };
    (state.rip, _, state.rflags, *rsp) = (pop(), pop(), pop(), pop());
    Raised { vector, error_code, address }
}

/// The number of RSP.
pub const RSP: usize = 4;
