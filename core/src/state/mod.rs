//! Architectural state: everything of a processor that software can see, and nothing of how an
//! engine executes it. Both engines read and write this one [`CpuState`], so it can be moved from
//! one to the other, compared, dumped and saved.
//!
//! Invariant: these are plain data. What a write to a register *does* (faults, flushes) is the
//! business of the floors above.

mod control;
mod debug;
mod exception;
mod fpu;
mod gpr;
mod msr;
mod reset;
mod rflags;
mod segment;

pub use control::{Control, Cr0Flags, Cr4Flags, EferFlags, XCr0Flags};
pub use debug::{BRANCH_TRAP, Debug, Dr6Flags, Dr7Flags};
pub use exception::{Exception, Vector};
pub use fpu::{Fpu, MxCsr};
pub use gpr::{Gpr, Register};
pub use msr::Msrs;
pub use reset::SIGNATURE;
pub use rflags::{ARITHMETIC, RFlags};
pub use segment::{Access, DescriptorTable, Segment, SegmentRegister, Segments};

/// The state of one logical processor.
#[derive(Clone, Debug, PartialEq)]
#[repr(C)]
pub struct CpuState {
    /// General registers. First, because the interpreter's operations name them by offset.
    pub gpr: Gpr,
    /// The instruction pointer: an offset into the code segment.
    pub rip: u64,
    /// RFLAGS, with bit 1 always set.
    pub rflags: RFlags,
    /// Segment registers with their hidden parts, LDTR and TR among them.
    pub segments: Segments,
    /// Global descriptor table register.
    pub gdtr: DescriptorTable,
    /// Interrupt descriptor table register.
    pub idtr: DescriptorTable,
    /// Control registers, EFER and XCR0.
    pub control: Control,
    /// Debug registers.
    pub debug: Debug,
    /// Model-specific registers that belong to no other part.
    pub msr: Msrs,
    /// x87, SSE and AVX state.
    pub fpu: Fpu,
    /// Whether the processor executes, and if not, what it waits for.
    pub activity: Activity,
    /// What holds back interrupts and debug traps for the next instruction.
    pub shadow: Shadow,
    /// An event that is to be delivered before the next instruction.
    pub pending: Pending,
}

/// What a processor is doing between instructions (SDM, "Guest Non-Register State").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// Executing instructions.
    #[default]
    Active,
    /// Stopped by HLT until an interrupt.
    Halted,
    /// Stopped by a triple fault until reset.
    Shutdown,
    /// Stopped by INIT until a start-up IPI.
    WaitForSipi,
}

/// Blocking by STI, by a load of SS, and by NMI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// The previous instruction was an STI that set IF: no maskable interrupt before the next one.
    pub sti: bool,
    /// The previous instruction loaded SS: no interrupt and no debug trap before the next one.
    pub mov_ss: bool,
    /// An NMI is being handled: none other before IRET.
    pub nmi: bool,
}

/// Events that have occurred and are not yet delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// A debug trap of the instruction that has just ended; the value is what DR6 will show.
    pub debug: Option<Dr6Flags>,
    /// A non-maskable interrupt waits.
    pub nmi: bool,
    /// A maskable interrupt, already acknowledged, waits for delivery.
    pub interrupt: Option<u8>,
    /// A fault that a task switch has raised behind its point of no return: it is the new task's. Or a benign
    /// one that the delivery of another exception has raised.
    pub fault: Option<Exception>,
}

impl CpuState {
    /// The current privilege level: SS.DPL (SDM, "Current Privilege Level").
    #[inline]
    pub fn cpl(&self) -> u8 {
        self.segments[SegmentRegister::Ss].access.dpl()
    }

    /// Whether paging is on.
    #[inline]
    pub fn paging(&self) -> bool {
        self.control.cr0.contains(Cr0Flags::PAGING)
    }

    /// Whether the processor is in protected mode (long mode included).
    #[inline]
    pub fn protected(&self) -> bool {
        self.control.cr0.contains(Cr0Flags::PROTECTED_MODE_ENABLE)
    }

    /// Whether the processor is in virtual-8086 mode.
    #[inline]
    pub fn virtual_8086(&self) -> bool {
        self.rflags.contains(RFlags::VIRTUAL_8086_MODE) && self.protected() && !self.long_mode()
    }

    /// Whether selectors name descriptors. In real-address and virtual-8086 mode they are sixteenths
    /// of base addresses.
    #[inline]
    pub fn has_descriptors(&self) -> bool {
        self.protected() && !self.virtual_8086()
    }

    /// The I/O privilege level.
    #[inline]
    pub fn iopl(&self) -> u8 {
        (self.rflags.bits() >> 12 & 3) as u8
    }

    /// Whether IA-32e mode is active: 64-bit or compatibility mode.
    #[inline]
    pub fn long_mode(&self) -> bool {
        self.control.efer.contains(EferFlags::LONG_MODE_ACTIVE)
    }

    /// Whether the code segment is a 64-bit one and IA-32e mode is active.
    #[inline]
    pub fn mode_64bit(&self) -> bool {
        self.long_mode() && self.segments[SegmentRegister::Cs].access.long()
    }

    /// The width of addresses and of most operands in the current code segment: 16, 32 or 64.
    pub fn bitness(&self) -> u32 {
        let cs = &self.segments[SegmentRegister::Cs];
        match (self.mode_64bit(), cs.access.default_big()) {
            (true, _) => 64,
            (false, true) => 32,
            (false, false) => 16,
        }
    }

    /// `rip` as the current code segment wraps it.
    pub(crate) fn wrap_rip(&self, rip: u64) -> u64 {
        if self.mode_64bit() { rip } else { rip & 0xffff_ffff }
    }

    /// The width of stack addresses: 16, 32 or 64 (SDM, "Address-Size Attributes for Stack").
    pub fn stack_bitness(&self) -> u32 {
        let ss = &self.segments[SegmentRegister::Ss];
        match (self.mode_64bit(), ss.access.default_big()) {
            (true, _) => 64,
            (false, true) => 32,
            (false, false) => 16,
        }
    }
}
