//! Legacy protected mode, for tests of what 64-bit mode has not: segments with limits, call gates with
//! parameters, task switches, virtual-8086 mode.
//!
//! A test writes descriptors, then [`Legacy::run`]s a snippet in a [`Context`]. The processor leaves
//! IA-32e mode, executes until an event comes through the interrupt descriptor table, and comes back;
//! what the handler found is a [`Caught`]. Everything is below 1 MiB, where virtual-8086 mode reaches
//! it, and each run has tables of its own: nothing is left over from the one before.
//!
//! Here are the tables and their contents; the way there and back is in `switch`.

mod real;
pub mod step;
mod switch;
pub mod task;

use core::ptr;

use crate::segment::task_descriptor;

pub use real::{Found, Real};
pub use switch::{Caught, Context};

/// The global descriptor table.
pub const GDT: u32 = 0x3_0000;
/// A local descriptor table.
pub const LDT: u32 = 0x3_0800;
/// The interrupt descriptor table.
pub const IDT: u32 = 0x3_1000;
/// Code that the gates of that table lead to.
const STUBS: u32 = 0x3_2000;
/// The task-state segment of [`TASK`], with an I/O permission bitmap up to its limit.
pub const TSS: u32 = 0x3_4000;
/// That of [`OTHER_TASK`].
pub const OTHER_TSS: u32 = 0x3_5000;
/// Where stacks begin: of privilege level 0 for events from others, of the other task, of level 3, of
/// levels 0 to 2 for the code of a test.
pub const STACK_0: u32 = 0x3_7000;
/// See [`STACK_0`].
pub const OTHER_STACK: u32 = 0x3_8000;
/// See [`STACK_0`].
pub const STACK_3: u32 = 0x3_9000;
/// See [`STACK_0`].
pub const STACK: u32 = 0x3_a000;
/// Where the code of a test is.
pub const CODE: u32 = 0x4_0000;
/// Its segment in virtual-8086 mode.
pub const CODE_PARAGRAPH: u16 = (CODE >> 4) as u16;
/// Room for a test's data.
pub const DATA: u32 = 0x5_0000;
/// Bytes of all this.
const SIZE: usize = 0x3_0000;

/// 64-bit code, for the way back.
pub(crate) const CODE_64: u16 = 0x08;
/// Flat data of privilege level 0.
pub const DATA_0: u16 = 0x10;
/// Flat 32-bit code of privilege level 0.
pub const CODE_0: u16 = 0x18;
/// Flat data of privilege level 3.
pub const DATA_3: u16 = 0x20 | 3;
/// Flat 32-bit code of privilege level 3.
pub const CODE_3: u16 = 0x28 | 3;
/// The current task.
pub const TASK: u16 = 0x30;
/// Another task.
pub const OTHER_TASK: u16 = 0x38;
/// The task that the way back is in.
pub(crate) const SPARE_TASK: u16 = 0x40;
/// The local descriptor table, with room for 16 descriptors.
pub const LOCAL_TABLE: u16 = 0x48;
/// The first selector that is free for tests, up to [`BEYOND`].
pub const FREE: u16 = 0x80;
/// A selector beyond the limit of the table.
pub const BEYOND: u16 = 0x400;

/// The vector that code ends with where it may use INT.
pub const END: u8 = 0x80;

/// Type bytes of segments: present, of privilege level 0.
pub mod kind {
    /// Data, writable.
    pub const DATA: u8 = 0x93;
    /// Data, read-only.
    pub const READ_ONLY: u8 = 0x91;
    /// Data, writable, expand-down.
    pub const EXPAND_DOWN: u8 = 0x97;
    /// Code, readable.
    pub const CODE: u8 = 0x9b;
    /// Code, execute-only.
    pub const EXECUTE_ONLY: u8 = 0x99;
    /// Code, readable, conforming.
    pub const CONFORMING: u8 = 0x9f;
    /// Privilege level 3, beside one of them.
    pub const LEVEL_3: u8 = 0x60;
    /// Not present: what is left of one of them.
    pub const ABSENT: u8 = 0x7f;
    /// Gates and system segments.
    pub const TASK_16: u8 = 0x81;
    /// Local descriptor table.
    pub const LOCAL: u8 = 0x82;
    /// 16-bit call gate.
    pub const CALL_16: u8 = 0x84;
    /// Task gate.
    pub const TASK_GATE: u8 = 0x85;
    /// 32-bit task, available.
    pub const TASK: u8 = 0x89;
    /// 32-bit task, busy.
    pub const TASK_BUSY: u8 = 0x8b;
    /// 32-bit call gate.
    pub const CALL: u8 = 0x8c;
    /// 32-bit interrupt gate.
    pub const INTERRUPT: u8 = 0x8e;
    /// 16-bit interrupt gate.
    pub const INTERRUPT_16: u8 = 0x86;
    /// 32-bit trap gate.
    pub const TRAP: u8 = 0x8f;
}

/// A segment descriptor: `big` is D/B and G.
pub fn segment(base: u32, limit: u32, kind: u8, big: (bool, bool)) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    limit & 0xffff
        | (base & 0xff_ffff) << 16
        | u64::from(kind) << 40
        | (limit >> 16 & 0xf) << 48
        | u64::from(big.0) << 54
        | u64::from(big.1) << 55
        | (base >> 24) << 56
}

/// A flat 32-bit segment.
pub fn flat(kind: u8) -> u64 {
    segment(0, 0xf_ffff, kind, (true, true))
}

/// A gate; `parameters` are a call gate's.
pub fn gate(selector: u16, offset: u32, kind: u8, parameters: u8) -> u64 {
    let offset = u64::from(offset);
    offset & 0xffff
        | u64::from(selector) << 16
        | u64::from(parameters) << 32
        | u64::from(kind) << 40
        | offset >> 16 << 48
}

/// The tables of one run.
pub struct Legacy(());

impl Default for Legacy {
    fn default() -> Self {
        Self::new()
    }
}

impl Legacy {
    /// Tables in which each gate leads to a handler that ends the run.
    pub fn new() -> Self {
        // SAFETY: nothing else uses this memory below 1 MiB.
        unsafe { ptr::write_bytes(GDT as *mut u8, 0, SIZE) };
        let mut legacy = Self(());
        let task = |base: u32, limit: u64| task_descriptor(base.into(), limit).0;
        for (selector, descriptor) in [
            (CODE_64, 0x00af_9b00_0000_ffff),
            (DATA_0, flat(kind::DATA)),
            (CODE_0, flat(kind::CODE)),
            (DATA_3, flat(kind::DATA | kind::LEVEL_3)),
            (CODE_3, flat(kind::CODE | kind::LEVEL_3)),
            (TASK, task(TSS, 0xfff)),
            (OTHER_TASK, task(OTHER_TSS, 0x67)),
            (SPARE_TASK, task(OTHER_TSS + 0x800, 0x67)),
            (LOCAL_TABLE, segment(LDT, 0x7f, kind::LOCAL, (false, false))),
        ] {
            legacy.describe(selector, descriptor);
        }
        for vector in 0..=255 {
            legacy.stub(vector);
            legacy.set_gate(vector, gate(CODE_0, stub(vector), kind::INTERRUPT, 0));
        }
        let end = gate(CODE_0, stub(END), kind::INTERRUPT | kind::LEVEL_3, 0);
        legacy.set_gate(END, end);
        legacy.write(TSS + 4, STACK_0);
        legacy.write(TSS + 8, DATA_0);
        legacy.write(TSS + 0x66, 0x88_u16);
        legacy.write_task(OTHER_TSS, stub(END), OTHER_STACK);
        legacy
    }

    /// Writes a descriptor of the GDT, or of the LDT if the selector says so.
    pub fn describe(&mut self, selector: u16, descriptor: u64) {
        let table = if selector & 4 != 0 { LDT } else { GDT };
        self.write(table + u32::from(selector & !7), descriptor);
    }

    /// The descriptor of the GDT.
    pub fn descriptor(&self, selector: u16) -> u64 {
        self.read(GDT + u32::from(selector & !7))
    }

    /// Writes a gate of the IDT.
    pub fn set_gate(&mut self, vector: u8, gate: u64) {
        self.write(IDT + u32::from(vector) * 8, gate);
    }

    /// Writes to low memory.
    pub fn write<T>(&mut self, address: u32, value: T) {
        // SAFETY: tests name addresses of the tables and of their own code and data.
        unsafe { ptr::write_unaligned(address as *mut T, value) };
    }

    /// Reads from low memory.
    pub fn read<T>(&self, address: u32) -> T {
        // SAFETY: as above; tests read integers.
        unsafe { ptr::read_volatile(address as *const T) }
    }

    /// Runs `code`, which is copied to [`CODE`], until an event ends it.
    pub fn run(&mut self, context: &Context, code: &[u8]) -> Caught {
        // A run leaves the tasks busy that it has been in.
        for task in [TASK, SPARE_TASK] {
            self.write(GDT + u32::from(task) + 5, kind::TASK);
        }
        self.copy(CODE, code);
        switch::run(self, context)
    }

    /// Copies to low memory.
    pub fn copy(&mut self, address: u32, bytes: &[u8]) {
        // SAFETY: tests name places with room for it, up to `DATA` for code.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    }

    /// The code of one gate: `push 0` where the processor pushes no error code; `push vector`; a jump.
    fn stub(&mut self, vector: u8) {
        const HAS_ERROR_CODE: u32 = 0x2_7d00;
        let pushes = vector < 32 && HAS_ERROR_CODE >> vector & 1 != 0;
        let at = stub(vector);
        let first: [u8; 2] = if pushes { [0x90, 0x90] } else { [0x6a, 0x00] };
        self.write(at, first);
        self.write(at + 2, 0x68_u8);
        self.write(at + 3, u32::from(vector));
        self.write(at + 7, 0xe9_u8);
        self.write(at + 8, switch::handler().wrapping_sub(at + 12));
    }
}

/// Where the gate of a vector leads to; other code that is to end the run can go there, too.
pub fn stub(vector: u8) -> u32 {
    STUBS + u32::from(vector) * 16
}
