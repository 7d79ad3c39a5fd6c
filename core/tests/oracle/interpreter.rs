//! The interpreter as it stands beside the processor: a guest in user mode with the child's pages and
//! segments, which executes one instruction at a time.

use std::sync::Arc;

use monovisor_core::state::{
    Access, Activity, Cr0Flags, Cr4Flags, DescriptorTable, EferFlags, RFlags, Register, Segment,
    SegmentRegister, XCr0Flags,
};
use monovisor_core::{CpuState, Exit, InstructionClock, Ram, Vcpu};

use crate::case::{Case, Outcome, PAGE_FAULT, Raised, State, X87};
use crate::layout::{ARENA, ARENA_SIZE, CODE, Mode, PAGE, WRITABLE};

const MEMORY_BYTES: usize = 1 << 20;
/// Page-table entries: present, writable, user, no execute.
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
const NO_EXECUTE: u64 = 1 << 63;
/// Where the pages are in physical memory.
const TOP: u64 = 0x1000;
const POINTERS: u64 = 0x2000;
const DIRECTORY: u64 = 0x3000;
const TABLES: u64 = 0x4000;
const CODE_FRAME: u64 = 0x1_0000;
const ARENA_FRAME: u64 = 0x2_0000;
/// The kernel's page tables and pages: descriptor tables, task state and stack. They are where Linux
/// does not tell programs what there is.
const KERNEL: u64 = 0xffff_9000_0000_0000;
const KERNEL_TABLES: u64 = 0x8000;
const KERNEL_FRAME: u64 = 0x3_0000;
const IDT: u64 = 0;
const GDT: u64 = PAGE;
const TSS: u64 = 2 * PAGE;
const STACK: u64 = 4 * PAGE;
/// Where the gates lead, 16 bytes apart. Nothing is there: a step ends when an exception is delivered.
const HANDLERS: u64 = KERNEL + 8 * PAGE;
const KERNEL_CODE: u16 = 8;
/// What is where a branch may lead.
const INT3: u8 = 0xcc;
/// Parts of a repeated string instruction, whose operands have few pages.
const MOST_STEPS: u32 = 1 << 15;

pub struct Interpreter {
    ram: Arc<Ram>,
    vcpu: Vcpu,
    state: CpuState,
    mode: Option<Mode>,
    code: Vec<u8>,
}

impl Interpreter {
    pub fn new() -> Self {
        let ram = Arc::new(Ram::new(MEMORY_BYTES).expect("memory"));
        let entry = |table: u64, index: u64, value: u64| {
            assert!(ram.write(table + index * 8, &value.to_le_bytes()));
        };
        let inner = PRESENT | WRITE | USER;
        entry(TOP, 0, POINTERS | inner);
        entry(POINTERS, 0, DIRECTORY | inner);
        let map = |linear: u64, frame: u64, rights: u64, table: u64| {
            entry(DIRECTORY, linear >> 21, table | inner);
            entry(table, linear >> 12 & 0x1ff, frame | PRESENT | USER | rights);
        };
        map(CODE, CODE_FRAME, 0, TABLES);
        for page in 0..ARENA_SIZE / PAGE {
            let write = if page < WRITABLE / PAGE { WRITE } else { 0 };
            let offset = page * PAGE;
            let rights = write | NO_EXECUTE;
            map(ARENA + offset, ARENA_FRAME + offset, rights, TABLES + PAGE);
        }
        assert!(ram.write(CODE_FRAME, &[INT3; PAGE as usize]));
        set_up_kernel(&ram);
        let vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        Self { ram, vcpu, state: long_mode(), mode: None, code: Vec::new() }
    }

    /// Executes one case.
    pub fn execute(&mut self, image: &[u8; ARENA_SIZE as usize], case: &Case, out: &mut Outcome) {
        self.ram.write(ARENA_FRAME, image);
        self.ram.write(ARENA_FRAME + u64::from(case.poke_at), &case.poke);
        self.put_code(case.code());
        self.enter(case.mode);
        put(&mut self.state, &case.state);
        self.vcpu.set_state(&self.state);
        let mut exit = self.vcpu.step();
        for _ in 0..MOST_STEPS {
            if exit != Exit::Budget || self.vcpu.state().rip != case.start() {
                break;
            }
            exit = self.vcpu.step();
        }
        get(self.vcpu.state(), &mut out.state);
        out.raised = self.raised(exit, &mut out.state);
        self.ram.read(ARENA_FRAME, &mut out.memory);
    }

    /// Puts the instruction at the end of its page, unless it is there.
    fn put_code(&mut self, code: &[u8]) {
        if self.code != code {
            let old = self.code.len();
            let end = CODE_FRAME + PAGE;
            self.ram.write(end - old as u64, &[INT3; 16][..old]);
            self.ram.write(end - code.len() as u64, code);
            self.vcpu.memory_written(end - 16, 16);
            self.code = code.to_vec();
        }
    }

    fn enter(&mut self, mode: Mode) {
        if self.mode == Some(mode) {
            return;
        }
        self.mode = Some(mode);
        for register in SegmentRegister::ALL {
            if matches!(register, SegmentRegister::Ldtr | SegmentRegister::Tr) {
                continue;
            }
            let descriptor = mode.segment(register);
            let segment = &mut self.state.segments[register];
            segment.selector = descriptor.selector;
            segment.base = u64::from(descriptor.base);
            segment.limit = descriptor.limit;
            segment.access = Access(descriptor.access);
        }
    }

    /// What was delivered, if anything; then RIP, RFLAGS and RSP are those of the stack frame.
    fn raised(&mut self, exit: Exit, out: &mut State) -> Raised {
        if exit != Exit::Budget {
            return Raised::EXIT;
        }
        let state = self.vcpu.state();
        if state.cpl() == 3 {
            return Raised::NOTHING;
        }
        let vector = (state.rip.wrapping_sub(HANDLERS) / 16) as u32;
        let address = if vector == PAGE_FAULT { state.control.cr2 } else { 0 };
        let mut frame = state.gpr[Register::Rsp].wrapping_sub(KERNEL).wrapping_add(KERNEL_FRAME);
        let mut pop = || {
            let mut word = [0; 8];
            assert!(self.ram.read(frame, &mut word), "the stack is where the TSS says");
            frame += 8;
            u64::from_le_bytes(word)
        };
        let error_code = if WITH_ERROR_CODE.contains(&vector) { pop() as u32 } else { 0 };
        (out.rip, _, out.rflags) = (pop(), pop(), pop());
        out.gpr[Register::Rsp as usize] = pop();
        Raised { vector, error_code, address }
    }
}

/// Exceptions that push an error code.
const WITH_ERROR_CODE: [u32; 7] = [8, 10, 11, 12, 13, 14, 17];

/// Fills the kernel's pages, and maps them for supervisor mode.
fn set_up_kernel(ram: &Ram) {
    let write = |address: u64, bytes: &[u8]| assert!(ram.write(address, bytes));
    let word = |address: u64, value: u64| write(address, &value.to_le_bytes());
    let tables = [KERNEL_TABLES, KERNEL_TABLES + PAGE, KERNEL_TABLES + 2 * PAGE];
    word(TOP + (KERNEL >> 39 & 0x1ff) * 8, tables[0] | PRESENT | WRITE);
    word(tables[0], tables[1] | PRESENT | WRITE);
    word(tables[1], tables[2] | PRESENT | WRITE);
    for page in 0..STACK / PAGE {
        word(tables[2] + page * 8, (KERNEL_FRAME + page * PAGE) | PRESENT | WRITE);
    }
    // 64-bit code of privilege level 0.
    word(KERNEL_FRAME + GDT + u64::from(KERNEL_CODE), 0x00af_9b00_0000_ffff);
    // RSP0, and no I/O permission bitmap.
    word(KERNEL_FRAME + TSS + 4, KERNEL + STACK);
    write(KERNEL_FRAME + TSS + 0x66, &[0xff, 0xff]);
    for vector in 0..256_u64 {
        let handler = HANDLERS + vector * 16;
        // INT3 and INTO are for programs.
        let rights = if matches!(vector, 3 | 4) { 0xee00 } else { 0x8e00 };
        let low = handler & 0xffff | u64::from(KERNEL_CODE) << 16 | rights << 32;
        let gate = KERNEL_FRAME + IDT + vector * 16;
        word(gate, low | (handler >> 16 & 0xffff) << 48);
        word(gate + 8, handler >> 32);
    }
}

/// User mode as Linux sets it up.
fn long_mode() -> CpuState {
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
    state.gdtr = DescriptorTable { base: KERNEL + GDT, limit: 0xf };
    state.segments[SegmentRegister::Tr] =
        Segment { base: KERNEL + TSS, limit: 0x67, access: Access(0x8b), selector: 0x40 };
    state
}

/// The case's registers into the guest's.
fn put(state: &mut CpuState, from: &State) {
    for register in Register::ALL {
        state.gpr[register] = from.gpr[register as usize];
    }
    state.rip = from.rip;
    state.rflags = RFlags::from_bits_retain(from.rflags);
    state.activity = Activity::Active;
    for (number, [low, high]) in from.ymm.into_iter().enumerate() {
        state.fpu.xmm[number] = low;
        state.fpu.ymm_high[number] = high;
    }
    state.fpu.mxcsr = from.mxcsr;
    state.fpu.control_word = from.x87.control;
    state.fpu.status_word = from.x87.status;
    state.fpu.tag_word = from.x87.tags;
    state.fpu.st = from.x87.st;
}

/// The guest's registers as an outcome.
fn get(state: &CpuState, into: &mut State) {
    into.gpr = *state.gpr.as_array();
    into.rip = state.rip;
    into.rflags = state.rflags.bits();
    into.ymm = std::array::from_fn(|number| [state.fpu.xmm[number], state.fpu.ymm_high[number]]);
    into.mxcsr = state.fpu.mxcsr;
    into.x87 = X87 {
        control: state.fpu.control_word,
        status: state.fpu.status_word,
        tags: state.fpu.tag_word,
        st: state.fpu.st,
    };
}
