//! What a task-state segment of 16 or of 32 bits holds of a processor (SDM, "Task-State Segment
//! (TSS)", "16-Bit Task-State Segment (TSS)"). Both are rows of items in the same order, from the
//! instruction pointer on; in one they have two bytes each, in the other four.

use super::super::access::{read_system, table_address, write_system};
use super::Resumption;
use crate::paging::Mmu;
use crate::state::{CpuState, Exception, RFlags, Register, SegmentRegister};

/// How a task-state segment is laid out.
pub(super) struct Layout {
    /// The last offset that its limit must cover.
    pub last: u32,
    /// Bytes of an item.
    item: u32,
    /// Offset of the first one, the instruction pointer.
    first: u32,
    /// How many segment registers it has.
    segments: usize,
    /// Whether it has CR3 and the T flag.
    complete: bool,
}

/// The 16-bit one.
pub(super) const NARROW: Layout =
    Layout { last: 0x2b, item: 2, first: 0x0e, segments: 4, complete: false };
/// The 32-bit one.
pub(super) const WIDE: Layout =
    Layout { last: 0x67, item: 4, first: 0x20, segments: 6, complete: true };

const CR3: u32 = 0x1c;
const TRAP: u32 = 0x64;

/// Items before the segment registers: EIP, EFLAGS, eight general registers.
const REGISTERS: usize = 8;
const BEFORE_SEGMENTS: usize = 2 + REGISTERS;

/// The segment registers in their order.
pub(super) const SEGMENTS: [SegmentRegister; 6] = {
    use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
    [Es, Cs, Ss, Ds, Fs, Gs]
};

/// A processor's registers, as a task keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// A 16-bit task has the one that it finds.
    pub cr3: Option<u64>,
    pub rip: u64,
    pub rflags: u64,
    /// In the order of their numbers, which is the one that they are stored in.
    pub registers: [u64; REGISTERS],
    /// In the order of [`SEGMENTS`].
    pub selectors: [u16; 6],
    /// LDTR.
    pub local: u16,
    /// T: a debug exception follows the switch.
    pub traps: bool,
}

impl Layout {
    /// Width of an item.
    pub fn bits(&self) -> u32 {
        self.item * 8
    }

    /// Offset and length of what a switch stores.
    pub fn saved(&self) -> (u32, u32) {
        (self.first, (BEFORE_SEGMENTS + self.segments) as u32 * self.item)
    }

    /// Reads the registers of a task.
    pub fn load(&self, state: &CpuState, mmu: &mut Mmu, base: u64) -> Result<Image, Exception> {
        let mut read = |offset: u32, bytes: u32| -> Result<u64, Exception> {
            let linear = table_address(state, base, offset.into());
            Ok(match bytes {
                2 => read_system::<u16>(state, mmu, linear, false)?.into(),
                _ => read_system::<u32>(state, mmu, linear, false)?.into(),
            })
        };
        let at = |index: usize| self.first + index as u32 * self.item;
        let mut image = Image {
            cr3: None,
            rip: read(at(0), self.item)?,
            rflags: read(at(1), self.item)?,
            registers: [0; REGISTERS],
            selectors: [0; 6],
            local: read(at(BEFORE_SEGMENTS + self.segments), 2)? as u16,
            traps: false,
        };
        for (index, register) in image.registers.iter_mut().enumerate() {
            *register = read(at(2 + index), self.item)?;
        }
        for (index, selector) in image.selectors[..self.segments].iter_mut().enumerate() {
            *selector = read(at(BEFORE_SEGMENTS + index), 2)? as u16;
        }
        if self.complete {
            image.cr3 = Some(read(CR3, 4)?);
            image.traps = read(TRAP, 2)? & 1 != 0;
        }
        Ok(image)
    }

    /// Stores what a switch stores: neither CR3 nor LDTR.
    pub fn save(
        &self,
        state: &CpuState,
        mmu: &mut Mmu,
        base: u64,
        image: &Image,
    ) -> Result<(), Exception> {
        let mut write = |index: usize, value: u64, bytes: u32| {
            let offset = self.first + index as u32 * self.item;
            let linear = table_address(state, base, offset.into());
            match bytes {
                2 => write_system(state, mmu, linear, value as u16),
                _ => write_system(state, mmu, linear, value as u32),
            }
        };
        write(0, image.rip, self.item)?;
        write(1, image.rflags, self.item)?;
        for (index, &register) in image.registers.iter().enumerate() {
            write(2 + index, register, self.item)?;
        }
        for (index, &selector) in image.selectors[..self.segments].iter().enumerate() {
            write(BEFORE_SEGMENTS + index, selector.into(), 2)?;
        }
        Ok(())
    }
}

impl Image {
    /// The registers of the current task.
    pub fn of(state: &CpuState, resumption: Resumption) -> Self {
        Self {
            cr3: Some(state.control.cr3),
            rip: resumption.rip,
            rflags: resumption.rflags.bits(),
            registers: core::array::from_fn(|number| state.gpr[Register::ALL[number]]),
            selectors: SEGMENTS.map(|register| state.segments[register].selector),
            local: state.segments[SegmentRegister::Ldtr].selector,
            traps: false,
        }
    }

    /// Loads all but CR3 and the segment registers. What a 16-bit task has no room for becomes zero,
    /// which the manuals leave open.
    pub fn restore(&self, state: &mut CpuState) {
        /// Flags that exist.
        const DEFINED: u64 = 0x3f_7fd5;
        state.rip = self.rip;
        state.rflags = RFlags::from_bits_retain(self.rflags & DEFINED | 2);
        for (register, value) in Register::ALL.into_iter().zip(self.registers) {
            state.gpr[register] = value;
        }
    }
}
