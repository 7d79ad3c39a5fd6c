//! What random machines start from: a mode, what the system has switched on, registers, and the
//! tables that belong to them. Tables are made for a state, so that a test can change it first.
//!
//! Everything lies in the first MiB: tables, handlers that skip a byte of the code that faulted, code,
//! data and a stack. Linear addresses of the second MiB lead to devices, and to the code once more.

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, EferFlags, RFlags, Register, SegmentRegister, XCr0Flags,
};
use monovisor_core::{CpuState, Ram};

use super::Source;

/// The top structure of 4-level paging; of 32-bit and PAE paging, too.
const TABLES: u64 = 0x1000;
const PAGE_TABLE: u64 = 0x4000;
const GDT: u64 = 0x5000;
const IDT: u64 = 0x6000;
const TSS: u64 = 0x7000;
/// Another task, where there are any.
const OTHER_TSS: u64 = 0x7200;
const LDT: u64 = 0x7400;
const HANDLERS: u64 = 0x8000;
/// Where the call gate leads.
const GATE_TARGET: u64 = HANDLERS + 0xa0;
const INNER_STACK: u64 = 0x9800;
const INTERRUPT_STACK: u64 = 0xa800;
/// The top structure of 5-level paging.
const TOP_TABLE: u64 = 0xc000;
pub const CODE: u64 = 0x1_0000;
const DATA: u64 = 0x2_0000;
/// The first page behind those that have protection keys.
const DATA_END: u64 = 0x3_0000;
const STACK: u64 = 0x3_0800;
/// Linear addresses from here to `ALIAS` lead to devices.
const DEVICES: u64 = 0x10_0000;
/// Linear pages from here on lead to the code's.
const ALIAS: u64 = 0x18_0000;
const TSS_LIMIT: u32 = 0xff;
const IO_MAP: u64 = 0x88;
const LDT_LIMIT: u32 = 0x1f;

/// What the GDT holds. In IA-32e mode a descriptor of the system has two places.
const DESCRIPTORS: [u64; 19] = [
    0,
    // 0x08, 0x10, 0x18: 64-bit code, data, 32-bit code; 0x20, 0x28: the user's data and 64-bit code.
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_9b00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
    // 0x30: the task that runs.
    0x0000_8b00_0000_0000 | TSS << 16 | TSS_LIMIT as u64,
    0,
    // 0x40: another task.
    0x0000_e900_0000_0000 | OTHER_TSS << 16 | TSS_LIMIT as u64,
    0,
    // 0x50: a call gate, to 64-bit code if that is what there is.
    0x0000_ec00_0018_0000 | GATE_TARGET,
    0,
    // 0x60: a task gate.
    0x0000_e500_0040_0000,
    // 0x68, 0x70: 16-bit code and data; 0x78: the LDT; 0x80: the user's 32-bit code.
    0x0000_9b00_0000_ffff | CODE << 16,
    0x0000_9300_0000_ffff | CODE << 16,
    0x0000_8200_0000_0000 | LDT << 16 | LDT_LIMIT as u64,
    0x00cf_fb00_0000_ffff,
    // 0x88, 0x90: the user's 16-bit code and data.
    0x0000_fb00_0000_ffff | CODE << 16,
    0x0000_f300_0000_ffff | CODE << 16,
];

/// The modes that machines start in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Long,
    User,
    Compatibility,
    UserCompatibility,
    Compatibility16,
    UserCompatibility16,
    Protected,
    Paged,
    UserPaged,
    Protected16,
    Real,
    Virtual8086,
}

impl Mode {
    pub const ALL: [Self; 12] = [
        Self::Long,
        Self::User,
        Self::Compatibility,
        Self::UserCompatibility,
        Self::Compatibility16,
        Self::UserCompatibility16,
        Self::Protected,
        Self::Paged,
        Self::UserPaged,
        Self::Protected16,
        Self::Real,
        Self::Virtual8086,
    ];

    /// Whether segments start at the code.
    fn has_16bit_segments(self) -> bool {
        matches!(self, Self::Real | Self::Virtual8086) || self.has_16bit_descriptors()
    }

    fn has_16bit_descriptors(self) -> bool {
        matches!(self, Self::Protected16 | Self::Compatibility16 | Self::UserCompatibility16)
    }

    fn ia32e(self) -> bool {
        matches!(self, Self::Long | Self::User | Self::Compatibility | Self::UserCompatibility)
            || matches!(self, Self::Compatibility16 | Self::UserCompatibility16)
    }

    /// The selectors of code and of data.
    fn selectors(self) -> (u16, u16) {
        match self {
            Self::Real | Self::Virtual8086 => ((CODE >> 4) as u16, (CODE >> 4) as u16),
            Self::Long => (0x08, 0x10),
            Self::User => (0x2b, 0x23),
            Self::UserCompatibility | Self::UserPaged => (0x83, 0x23),
            Self::Protected16 | Self::Compatibility16 => (0x68, 0x70),
            Self::UserCompatibility16 => (0x8b, 0x93),
            Self::Compatibility | Self::Protected | Self::Paged => (0x18, 0x10),
        }
    }
}

/// What the system has switched on, a bit each.
#[derive(Clone, Copy)]
struct Options(u8);

impl Options {
    /// 5-level paging in IA-32e mode, PAE paging outside.
    const WIDE: u8 = 1;
    const AVX: u8 = 1 << 1;
    const KEYS: u8 = 1 << 2;
    /// The user's pages are no supervisor's.
    const SEPARATE: u8 = 1 << 3;
    const FSGSBASE: u8 = 1 << 4;
    const UMIP: u8 = 1 << 5;
    const ALIGNMENT: u8 = 1 << 6;
    const BREAKPOINTS: u8 = 1 << 7;

    fn has(self, option: u8) -> bool {
        self.0 & option != 0
    }
}

/// The initial state in `mode`, and the code.
pub fn start(mode: Mode, mut source: Source<'_>) -> (CpuState, &[u8]) {
    let mut state = CpuState::reset(0);
    segments(&mut state, mode);
    let options = Options(source.byte());
    control(&mut state, mode, options);
    if options.has(Options::KEYS) {
        // Key 0, which most pages have, denies nothing.
        let denied = source.word() & !0x3_0000_0003;
        (state.control.pkru, state.control.pkrs) = (denied as u32, (denied >> 32) as u32);
    }
    if options.has(Options::BREAKPOINTS) {
        let what = source.byte();
        state.debug.address = [CODE + u64::from(what & 15), DATA, DATA + 0xff8, DEVICES];
        // Instruction, writes, accesses of 8 bytes, I/O or what that is without CR4.DE.
        state.debug.dr7 = 0x2b91_0400 | u64::from(what) | u64::from(what & 1) << 13;
    }
    state.msr.star = 0x001b_0008_0000_0000;
    state.msr.lstar = HANDLERS + 0x40;
    state.msr.fmask = 0x4700;
    (state.msr.sysenter_cs, state.msr.sysenter_esp) = (8, INNER_STACK);
    state.msr.sysenter_eip = HANDLERS + 0x60;

    let flags = RFlags::from_bits_retain(source.word() & 0x002c_7cd5);
    state.rflags = flags | RFlags::from_bits_retain(0x202);
    // TF in a quarter of them.
    if source.byte() & 3 == 3 {
        state.rflags |= RFlags::TRAP_FLAG;
    }
    if mode == Mode::Virtual8086 {
        state.rflags |= RFlags::VIRTUAL_8086_MODE;
    }
    let base = if mode.has_16bit_segments() { CODE } else { 0 };
    for register in Register::ALL {
        state.gpr[register] = value(&mut source).wrapping_sub(base);
    }
    state.gpr[Register::Rsp] = if base == 0 { STACK } else { STACK & 0xffff };
    state.rip = CODE - base + u64::from(source.byte() & 0x1f);
    (state, source.rest())
}

/// What a register holds: most often an address that leads somewhere.
fn value(source: &mut Source<'_>) -> u64 {
    let kind = source.byte();
    let near = u64::from(source.byte()) << 4 | u64::from(kind & 15);
    match kind >> 4 {
        0..3 => DATA + near,
        // Each page there has a key of its own.
        3 => DATA + (near << 4),
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
    }
}

fn control(state: &mut CpuState, mode: Mode, options: Options) {
    let control = &mut state.control;
    control.cr3 = TABLES;
    let mut switch = |option, flags| {
        if options.has(option) {
            control.cr4 |= flags;
        }
    };
    switch(Options::FSGSBASE, Cr4Flags::FSGSBASE);
    switch(Options::UMIP, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION);
    if mode == Mode::Real {
        switch(Options::WIDE, Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS);
        return;
    }
    control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::NUMERIC_ERROR;
    control.cr4 |= Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE | Cr4Flags::OSXSAVE;
    control.cr4 |= match options.has(Options::UMIP) {
        true => Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS | Cr4Flags::DEBUGGING_EXTENSIONS,
        false => Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS,
    };
    control.xcr0 = XCr0Flags::X87 | XCr0Flags::SSE;
    if options.has(Options::AVX) {
        control.xcr0 |= XCr0Flags::AVX;
    }
    if options.has(Options::ALIGNMENT) {
        control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
    }
    let paged = mode.ia32e()
        || matches!(mode, Mode::Paged | Mode::UserPaged)
        || mode == Mode::Virtual8086 && options.has(Options::WIDE);
    if !paged {
        return;
    }
    control.cr0 |= Cr0Flags::PAGING | Cr0Flags::WRITE_PROTECT;
    if options.has(Options::SEPARATE) {
        control.cr4 |= Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION
            | Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION;
    }
    if mode.ia32e() || options.has(Options::WIDE) {
        control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::PAGE_GLOBAL;
        control.efer = EferFlags::NO_EXECUTE_ENABLE | EferFlags::SYSTEM_CALL_EXTENSIONS;
    }
    if mode.ia32e() {
        control.efer |= EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
        if options.has(Options::WIDE) {
            control.cr4 |= Cr4Flags::L5_PAGING;
            control.cr3 = TOP_TABLE;
        }
        if options.has(Options::KEYS) {
            control.xcr0 |= XCr0Flags::MPK;
            control.cr4 |= Cr4Flags::PROTECTION_KEY_USER | Cr4Flags::PROTECTION_KEY_SUPERVISOR;
        }
    }
}

fn segments(state: &mut CpuState, mode: Mode) {
    use SegmentRegister as S;
    let (code, data) = mode.selectors();
    for register in [S::Es, S::Cs, S::Ss, S::Ds, S::Fs, S::Gs] {
        let selector = if register == S::Cs { code } else { data };
        let segment = &mut state.segments[register];
        segment.selector = selector;
        if matches!(mode, Mode::Real | Mode::Virtual8086) {
            segment.base = CODE;
            if mode == Mode::Virtual8086 {
                segment.access = Access(0xf3);
            }
            continue;
        }
        // Bits 40 to 55 of the descriptor.
        let rights = (DESCRIPTORS[usize::from(selector / 8)] >> 40 & 0xf0ff) as u32;
        segment.access = Access(rights);
        if mode.has_16bit_descriptors() {
            (segment.base, segment.limit) = (CODE, 0xffff);
            continue;
        }
        segment.limit = u32::MAX;
        segment.base = match register {
            S::Fs => 0x40,
            S::Gs => DATA,
            _ => 0,
        };
    }
    if mode == Mode::Real {
        return;
    }
    (state.gdtr.base, state.gdtr.limit) = (GDT, 8 * DESCRIPTORS.len() as u16 - 1);
    (state.idtr.base, state.idtr.limit) = (IDT, 0xfff);
    let tr = &mut state.segments[S::Tr];
    (tr.base, tr.limit, tr.selector) = (TSS, TSS_LIMIT, 0x30);
    tr.access = Access(0x8b);
}

/// Puts in place what the registers of `state` lead to.
pub fn tables(ram: &Ram, state: &CpuState) {
    if !state.protected() {
        // push bp; mov bp, sp; inc word [bp + 2]; pop bp; iret
        ram.write(HANDLERS, &[0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf]);
        for vector in 0..256_u64 {
            ram.write(vector * 4, &(HANDLERS as u32).to_le_bytes());
        }
        return;
    }
    for (index, descriptor) in DESCRIPTORS.into_iter().enumerate() {
        put(ram, GDT + 8 * index as u64, descriptor);
    }
    // Conforming 32-bit code, data that expands down, and a 16-bit call gate.
    put(ram, LDT + 8, 0x00cf_9f00_0000_ffff);
    put(ram, LDT + 16, 0x00c0_f700_0000_0001);
    put(ram, LDT + 24, 0x0000_e400_0068_0000);
    tasks(ram, state);
    if state.paging() {
        pages(ram, state);
    }
    match state.long_mode() {
        true => interrupts_of_long_mode(ram),
        false => interrupts(ram),
    }
}

fn put(ram: &Ram, address: u64, value: u64) {
    assert!(ram.write(address, &value.to_le_bytes()));
}

fn put_word(ram: &Ram, address: u64, value: u64) {
    assert!(ram.write(address, &(value as u32).to_le_bytes()));
}

fn tasks(ram: &Ram, state: &CpuState) {
    for tss in [TSS, OTHER_TSS] {
        put_word(ram, tss + 0x64, IO_MAP << 16);
        // Every other interrupt is virtual-8086 mode's own, every other eight ports are anybody's.
        ram.write(tss + IO_MAP - 32, &[0x55; 32]);
        ram.write(tss + IO_MAP, &[0, 0xff].repeat(32));
    }
    put(ram, TSS + 4, INNER_STACK);
    if state.long_mode() {
        put(ram, TSS + 0x24, INTERRUPT_STACK);
        return;
    }
    // SS0 and CR3.
    put_word(ram, TSS + 8, 0x10);
    put_word(ram, TSS + 0x1c, state.control.cr3);
    // CR3, EIP and EFLAGS; ESP; ES, CS, SS and DS.
    let other = [
        (0x1c, state.control.cr3),
        (0x20, HANDLERS + 0x80),
        (0x24, 2),
        (0x38, INTERRUPT_STACK),
        (0x48, 0x10),
        (0x4c, 0x18),
        (0x50, 0x10),
        (0x54, 0x10),
    ];
    for (offset, value) in other {
        put_word(ram, OTHER_TSS + offset, value);
    }
}

fn pages(ram: &Ram, state: &CpuState) {
    let control = &state.control;
    let has = |flags| control.cr4.intersects(flags);
    let wide = has(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    match (state.long_mode(), wide) {
        (true, _) => {
            put(ram, TOP_TABLE, TABLES | 7);
            put(ram, TABLES, 0x2000 | 7);
            put(ram, 0x2000, 0x3000 | 7);
            put(ram, 0x3000, PAGE_TABLE | 7);
        }
        // A PDPTE permits nothing, so nothing can be denied there.
        (false, true) => {
            put(ram, TABLES, 0x3000 | 1);
            put(ram, 0x3000, PAGE_TABLE | 7);
        }
        (false, false) => put_word(ram, TABLES, PAGE_TABLE | 7),
    }
    let separate = has(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION);
    let keys = has(Cr4Flags::PROTECTION_KEY_USER | Cr4Flags::PROTECTION_KEY_SUPERVISOR);
    for page in 0..512_u64 {
        let linear = page << 12;
        let user = match linear {
            _ if !separate => true,
            DATA..DATA_END => true,
            _ => state.cpl() == 3 && linear >= CODE,
        };
        let rights = 3 | u64::from(user) << 2;
        let entry = match linear {
            0..GDT => linear | 1,
            DATA..DATA_END if keys => linear | rights | (page & 15) << 59,
            ALIAS.. => (linear - ALIAS + CODE) | rights,
            _ => linear | rights,
        };
        match wide {
            true => put(ram, PAGE_TABLE + page * 8, entry),
            false => put_word(ram, PAGE_TABLE + page * 4, entry),
        }
    }
}

/// The vectors of exceptions that push an error code.
fn pushes_error(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

fn interrupts_of_long_mode(ram: &Ram) {
    // inc qword [rsp]; iretq, and with an error code: add rsp, 8; inc qword [rsp]; iretq
    ram.write(HANDLERS, &[0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]);
    ram.write(HANDLERS + 0x20, &[0x48, 0x83, 0xc4, 8, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]);
    // SYSCALL: sysretq; SYSENTER: sysexitq; the call gate, to 64-bit code: retfq
    ram.write(HANDLERS + 0x40, &[0x48, 0x0f, 0x07]);
    ram.write(HANDLERS + 0x60, &[0x48, 0x0f, 0x35]);
    ram.write(GATE_TARGET, &[0x48, 0xcb]);
    put_word(ram, GDT + 0x50, 0x0008_0000 | GATE_TARGET);
    for vector in 0..256_u64 {
        let handler = HANDLERS + if pushes_error(vector) { 0x20 } else { 0 };
        // Vectors from 64 on have a stack of their own.
        let stack = u64::from(vector >= 64 || vector == 8);
        let trap = vector & 7 == 1;
        let kind = 0xee00 | u64::from(trap) << 8;
        put(ram, IDT + vector * 16, handler | 0x08 << 16 | stack << 32 | kind << 32);
    }
}

fn interrupts(ram: &Ram) {
    // inc dword [esp]; iret, and with an error code: add esp, 4; inc dword [esp]; iret
    ram.write(HANDLERS, &[0xff, 0x04, 0x24, 0xcf]);
    ram.write(HANDLERS + 0x20, &[0x83, 0xc4, 4, 0xff, 0x04, 0x24, 0xcf]);
    // SYSENTER: sysexit; the other task: iret, again and again; the call gate: retf
    ram.write(HANDLERS + 0x60, &[0x0f, 0x35]);
    ram.write(HANDLERS + 0x80, &[0xcf, 0xeb, 0xfd]);
    ram.write(GATE_TARGET, &[0xcb]);
    // 16-bit gates: inc word [esp]; iretw
    ram.write(HANDLERS + 0xc0, &[0x66, 0xff, 0x04, 0x24, 0x66, 0xcf]);
    for vector in 0..256_u64 {
        let (handler, kind) = match vector {
            0x50..0x58 => (0, 0xe500),
            0x58..0x60 => (HANDLERS + 0xc0, 0xe600 | vector << 8 & 0x100),
            _ if pushes_error(vector) => (HANDLERS + 0x20, 0xee00),
            _ => (HANDLERS, 0xee00 | u64::from(vector & 7 == 1) << 8),
        };
        let selector = if kind == 0xe500 { 0x40 } else { 0x18 };
        put(ram, IDT + vector * 8, handler | selector << 16 | kind << 32);
    }
}
