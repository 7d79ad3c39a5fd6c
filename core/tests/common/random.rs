//! Machines made of any bytes, and what must hold for each: what a run executes, single steps
//! execute too. Shared by the engine's tests and the fuzz targets of `core/fuzz`.
//!
//! A machine has 1 MiB of RAM with tables for its mode, handlers that skip the instruction that
//! faulted, code, data and a stack; linear addresses of the second MiB lead to devices, and to the
//! code once more. Devices answer with numbers that depend on nothing but their order.

#![allow(dead_code, reason = "each user has a part of it")]

use std::sync::Arc;

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, EferFlags, RFlags, Register, SegmentRegister, XCr0Flags,
};
use monovisor_core::{CpuState, Engine, Exit, InstructionClock, Ram, Vcpu};

const RAM_BYTES: usize = 1 << 20;
const TABLES: u64 = 0x1000;
const PAGE_TABLE: u64 = 0x4000;
const GDT: u64 = 0x5000;
const IDT: u64 = 0x6000;
const TSS: u64 = 0x7000;
const HANDLERS: u64 = 0x8000;
const INNER_STACK: u64 = 0x9800;
const INTERRUPT_STACK: u64 = 0xa800;
const CODE: u64 = 0x1_0000;
const DATA: u64 = 0x2_0000;
const STACK: u64 = 0x3_0800;
/// Linear pages from here on lead to the code's.
const ALIAS: u64 = 0x18_0000;
/// Linear addresses from here to `ALIAS` lead to devices.
const DEVICES: u64 = 0x10_0000;
/// More steps without an instruction that retires than a run makes: for each iteration of a string
/// instruction on a device it leaves twice.
const MOST_STEPS: u32 = 1 << 14;
/// No block has more instructions.
pub const LONGEST_BLOCK: u64 = 64;

/// Bytes, one after the other; zeros when they are used up.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The modes that machines start in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Long,
    User,
    Compatibility,
    Protected,
    Paged32,
    Real,
    Virtual8086,
}

impl Mode {
    pub const ALL: [Self; 7] = [
        Self::Long,
        Self::User,
        Self::Compatibility,
        Self::Protected,
        Self::Paged32,
        Self::Real,
        Self::Virtual8086,
    ];

    /// Whether selectors are sixteenths of bases.
    fn has_paragraphs(self) -> bool {
        matches!(self, Self::Real | Self::Virtual8086)
    }

    fn ia32e(self) -> bool {
        matches!(self, Self::Long | Self::User | Self::Compatibility)
    }
}

/// A machine and its devices.
pub struct Machine {
    pub ram: Arc<Ram>,
    pub vcpu: Vcpu,
    /// What the devices were told.
    pub writes: Vec<(monovisor_core::Access, u64)>,
    reads: u64,
}

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Budget,
    Halted,
    Dead,
}

impl Machine {
    /// A machine in `mode`: registers from `source`, then code from what is left of it.
    pub fn new(mode: Mode, source: Source) -> Self {
        let (state, code) = start(mode, source);
        Self::with(mode, &state, code)
    }

    /// A machine with the tables of `mode` in any state.
    pub fn with(mode: Mode, state: &CpuState, code: &[u8]) -> Self {
        let ram = Arc::new(Ram::new(RAM_BYTES).expect("memory"));
        tables(&ram, mode);
        ram.write(CODE, &code[..code.len().min(0x4000)]);
        let mut vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
        vcpu.set_state(state);
        Self { ram, vcpu, writes: Vec::new(), reads: 0 }
    }

    /// Does what an exit asks for; how the machine stands if that ends the run.
    pub fn serve(&mut self, exit: Exit) -> Option<Stop> {
        match exit {
            Exit::Read(access) => {
                self.reads += 1;
                let data = self.reads.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ access.address;
                self.vcpu.answer(data);
                None
            }
            Exit::Write(access, data) => {
                self.writes.push((access, data));
                None
            }
            Exit::Budget => Some(Stop::Budget),
            Exit::Halted => Some(Stop::Halted),
            Exit::TripleFault => Some(Stop::Dead),
            _ => None,
        }
    }

    /// Runs `budget` instructions or a little more.
    pub fn run(&mut self, budget: u64) -> Stop {
        let end = self.vcpu.retired() + budget;
        // Each exit but a few belongs to an instruction or an event.
        for _ in 0..4 * budget + 64 {
            let retired = self.vcpu.retired();
            if retired >= end {
                return Stop::Budget;
            }
            let exit = self.vcpu.run(end - retired);
            let overshoot = self.vcpu.retired().saturating_sub(end);
            assert!(overshoot < LONGEST_BLOCK, "{overshoot} instructions too many");
            if let Some(stop) = self.serve(exit) {
                return stop;
            }
        }
        Stop::Budget
    }

    /// Steps until another instruction has retired: a repetition may be left where `step` does not
    /// leave it.
    fn finish_instruction(&mut self) -> Stop {
        let retired = self.vcpu.retired();
        for _ in 0..MOST_STEPS {
            let exit = self.vcpu.step();
            if let Some(stop @ (Stop::Halted | Stop::Dead)) = self.serve(exit) {
                return stop;
            }
            if self.vcpu.retired() != retired {
                break;
            }
        }
        Stop::Budget
    }

    /// Steps until as many instructions have retired as on `other`, and the state is the same if it
    /// comes to be so.
    fn follow(&mut self, other: &mut Self) -> Stop {
        let goal = other.vcpu.retired();
        let mut idle = 0;
        let mut told = String::new();
        loop {
            let retired = self.vcpu.retired();
            assert!(retired <= goal, "not the same after {goal} instructions:\n{told}");
            if retired == goal {
                let same = self.vcpu.state() == other.vcpu.state()
                    && self.writes.len() == other.writes.len()
                    && self.reads == other.reads;
                // What retires nothing may be still to come, up to what `run` and
                // `finish_instruction` do of it: a step does one access at least.
                if same || idle > 4 * MOST_STEPS {
                    return Stop::Budget;
                }
                if told.is_empty() {
                    told = differences(other.vcpu.state(), self.vcpu.state());
                }
            }
            let exit = self.vcpu.step();
            let one = self.vcpu.retired() - retired;
            assert!(one <= 1, "a step of {one} instructions");
            idle = if one == 0 { idle + 1 } else { 0 };
            if let Some(stop @ (Stop::Halted | Stop::Dead)) = self.serve(exit) {
                return stop;
            }
        }
    }

    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM_BYTES];
        self.ram.read(0, &mut bytes);
        bytes
    }

    /// Fails unless both machines are in the same state.
    fn compare(&mut self, other: &mut Self) {
        assert_eq!(self.vcpu.retired(), other.vcpu.retired(), "retired: run, steps");
        if self.vcpu.state() != other.vcpu.state() {
            panic!("{}", differences(self.vcpu.state(), other.vcpu.state()));
        }
        assert_eq!(self.writes, other.writes, "device writes: run, steps");
    }

    /// Fails unless both machines have the same in memory.
    fn compare_memory(&self, other: &Self) {
        let (left, right) = (self.memory(), other.memory());
        if left == right {
            return;
        }
        let different = left.iter().zip(&right).position(|(left, right)| left != right);
        let address = different.expect("they are not equal");
        panic!("{address:#x} is {:#x} after run, {:#x} after steps", left[address], right[address]);
    }
}

/// Runs the machine that `bytes` describe, and steps its twin.
pub fn run_and_steps_agree(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mode = Mode::ALL[usize::from(source.byte()) % Mode::ALL.len()];
    let budgets: [u64; 4] = std::array::from_fn(|_| u64::from(source.byte()));
    let events = source.byte();
    let (state, code) = start(mode, source);
    let (mut runs, mut steps) =
        (Machine::with(mode, &state, code), Machine::with(mode, &state, code));
    for (index, budget) in budgets.into_iter().enumerate() {
        let mut stop = runs.run(budget * 4 + 1);
        if stop == Stop::Budget {
            stop = runs.finish_instruction();
        }
        steps.follow(&mut runs);
        runs.compare(&mut steps);
        if stop == Stop::Dead {
            break;
        }
        for vcpu in [&mut runs.vcpu, &mut steps.vcpu] {
            match events >> (2 * index) & 3 {
                1 => vcpu.inject_nmi(),
                2 if vcpu.interruptible() => vcpu.inject(0x40 + index as u8),
                _ => {}
            }
        }
    }
    runs.compare_memory(&steps);
}

/// The initial state in `mode`, and the code.
pub fn start(mode: Mode, mut source: Source<'_>) -> (CpuState, &[u8]) {
    let mut state = CpuState::reset(0);
    segments(&mut state, mode);
    let control = &mut state.control;
    if mode != Mode::Real {
        control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::NUMERIC_ERROR;
        control.cr4 = Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE | Cr4Flags::OSXSAVE;
        control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE;
    }
    if mode.ia32e() {
        control.cr0 |= Cr0Flags::PAGING | Cr0Flags::WRITE_PROTECT;
        control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::PAGE_GLOBAL;
        control.efer = EferFlags::LONG_MODE_ENABLE
            | EferFlags::LONG_MODE_ACTIVE
            | EferFlags::NO_EXECUTE_ENABLE
            | EferFlags::SYSTEM_CALL_EXTENSIONS;
    }
    if mode == Mode::Paged32 {
        control.cr0 |= Cr0Flags::PAGING | Cr0Flags::WRITE_PROTECT;
    }
    control.cr3 = TABLES;
    if source.byte() & 1 != 0 {
        state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
    }
    state.msr.star = 0x0013_0008_0000_0000;
    state.msr.lstar = HANDLERS + 0x40;
    state.msr.fmask = 0x4700;

    let flags = RFlags::from_bits_retain(source.word() & 0x0004_0fd5);
    state.rflags = flags | RFlags::from_bits_retain(0x202);
    // TF in a quarter of them.
    if source.byte() & 3 == 3 {
        state.rflags |= RFlags::TRAP_FLAG;
    }
    if mode == Mode::Virtual8086 {
        state.rflags |= RFlags::VIRTUAL_8086_MODE;
        state.control.cr4 |= Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS;
    }
    let base = if mode.has_paragraphs() { CODE } else { 0 };
    for register in Register::ALL {
        let kind = source.byte();
        let near = u64::from(source.byte()) << 4 | u64::from(kind & 15);
        let value = match kind >> 4 {
            0..4 => DATA + near,
            4 => CODE + near,
            5 => ALIAS + near,
            6 => DEVICES + near,
            7 => DATA + 0xff0 + (near & 0x1f),
            8 => near,
            9 => near.wrapping_neg(),
            10 => u64::from(near as u8) << (near >> 6),
            11 => PAGE_TABLE + near,
            12 => 1 << (near & 63),
            13 => HANDLERS + near,
            _ => source.word(),
        };
        state.gpr[register] = value.wrapping_sub(base);
    }
    state.gpr[Register::Rsp] = STACK - base;
    state.rip = CODE - base + u64::from(source.byte() & 0x1f);
    (state, source.rest())
}

fn segments(state: &mut CpuState, mode: Mode) {
    use SegmentRegister as S;
    let cpl = if mode == Mode::User { 3 } else { 0 };
    for register in [S::Es, S::Cs, S::Ss, S::Ds, S::Fs, S::Gs] {
        let code = register == S::Cs;
        let segment = &mut state.segments[register];
        if mode.has_paragraphs() {
            (segment.base, segment.selector) = (CODE, (CODE >> 4) as u16);
            if mode == Mode::Virtual8086 {
                segment.access = Access(0xf3);
            }
            continue;
        }
        let rights = match (mode, code) {
            (Mode::Long | Mode::User, true) => 0xa09b,
            (_, true) => 0xc09b,
            _ => 0xc093,
        };
        segment.base = match register {
            S::Fs => 0x40,
            S::Gs => DATA,
            _ => 0,
        };
        segment.limit = u32::MAX;
        segment.access = Access(rights).with_dpl(cpl);
        let selector = match (mode, code) {
            (Mode::User, true) => 0x2b,
            (Mode::User, false) => 0x23,
            (Mode::Long, true) => 0x08,
            (_, true) => 0x18,
            _ => 0x10,
        };
        segment.selector = selector;
    }
    if mode == Mode::Real {
        return;
    }
    (state.gdtr.base, state.gdtr.limit) = (GDT, 0x3f);
    (state.idtr.base, state.idtr.limit) = (IDT, 0xfff);
    if mode.ia32e() || mode == Mode::Virtual8086 {
        let tr = &mut state.segments[S::Tr];
        (tr.base, tr.limit, tr.selector) = (TSS, 0x67, 0x30);
    }
}

fn tables(ram: &Ram, mode: Mode) {
    let put = |address: u64, value: u64| assert!(ram.write(address, &value.to_le_bytes()));
    if mode == Mode::Real {
        // push bp; mov bp, sp; inc word [bp + 2]; pop bp; iret
        ram.write(HANDLERS, &[0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf]);
        for vector in 0..256_u64 {
            ram.write(vector * 4, &(HANDLERS as u32).to_le_bytes());
        }
        return;
    }
    // 64-bit code, data, 32-bit code, user data, user code, TSS.
    for (index, descriptor) in [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_9b00_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        0x0000_8b00_0000_0067 | TSS << 16,
    ]
    .into_iter()
    .enumerate()
    {
        put(GDT + 8 * index as u64, descriptor);
    }
    put(TSS + 4, INNER_STACK);
    put(TSS + 0x24, INTERRUPT_STACK);
    if mode == Mode::Virtual8086 {
        // SS0.
        put(TSS + 8, 0x10);
    }
    if mode == Mode::Paged32 {
        ram.write(TABLES, &((PAGE_TABLE | 7) as u32).to_le_bytes());
    } else {
        put(TABLES, 0x2000 | 7);
        put(0x2000, 0x3000 | 7);
        put(0x3000, PAGE_TABLE | 7);
    }
    for page in 0..512_u64 {
        let linear = page << 12;
        let entry = match linear {
            0..0x5000 => linear | 1,
            ALIAS.. => (linear - ALIAS + CODE) | 7,
            _ => linear | 7,
        };
        if mode == Mode::Paged32 {
            ram.write(PAGE_TABLE + page * 4, &(entry as u32).to_le_bytes());
        } else {
            put(PAGE_TABLE + page * 8, entry);
        }
    }
    if mode.ia32e() {
        // inc qword [rsp]; iretq, and with an error code: add rsp, 8; inc qword [rsp]; iretq
        ram.write(HANDLERS, &[0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]);
        ram.write(HANDLERS + 0x20, &[0x48, 0x83, 0xc4, 8, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]);
        // SYSCALL: sysretq
        ram.write(HANDLERS + 0x40, &[0x48, 0x0f, 0x07]);
    } else {
        ram.write(HANDLERS, &[0xff, 0x04, 0x24, 0xcf]);
        ram.write(HANDLERS + 0x20, &[0x83, 0xc4, 4, 0xff, 0x04, 0x24, 0xcf]);
    }
    for vector in 0..256_u64 {
        let error = matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30);
        let handler = HANDLERS + if error { 0x20 } else { 0 };
        if mode.ia32e() {
            // Vectors from 64 on have a stack of their own.
            let stack = u64::from(vector >= 64 || vector == 8);
            put(IDT + vector * 16, handler & 0xffff | 0x08 << 16 | stack << 32 | 0xee00 << 32);
        } else {
            put(IDT + vector * 8, handler & 0xffff | 0x18 << 16 | 0xee00 << 32);
        }
    }
}

/// What is not the same after run and steps, a line each.
fn differences(run: &CpuState, steps: &CpuState) -> String {
    let (run, steps) = (format!("{run:#x?}"), format!("{steps:#x?}"));
    let lines = run.lines().zip(steps.lines()).enumerate();
    let different = lines.filter(|(_, (run, steps))| run != steps);
    let told = different.map(|(line, (run, steps))| {
        format!("line {line} of the state: run {}, steps {}", run.trim(), steps.trim())
    });
    told.collect::<Vec<_>>().join("\n")
}
