//! Where an instruction finds its code, its operands and its segments: the same in the child process
//! and in the guest.

use monovisor_core::state::SegmentRegister;

/// The only executable page. An instruction ends where the page ends, so whatever it does, the next
/// fetch faults: the processor stops behind one instruction without a single-step trap.
pub const CODE: u64 = 0x1000_0000;
pub const PAGE: u64 = 0x1000;
/// Operands: two writable pages and a read-only one, with nothing before and behind.
pub const ARENA: u64 = 0x2000_0000;
pub const WRITABLE: u64 = 2 * PAGE;
pub const ARENA_SIZE: u64 = 3 * PAGE;

/// How instructions are decoded and addresses are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Mode {
    /// 64-bit mode.
    Long,
    /// Compatibility mode with a flat 32-bit code segment.
    Compatibility32,
    /// Compatibility mode with 16-bit code and stack segments.
    Compatibility16,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Long, Self::Compatibility32, Self::Compatibility16];

    pub fn bitness(self) -> u32 {
        match self {
            Self::Long => 64,
            Self::Compatibility32 => 32,
            Self::Compatibility16 => 16,
        }
    }

    /// What a segment register holds.
    pub fn segment(self, register: SegmentRegister) -> Descriptor {
        use SegmentRegister::{Cs, Fs, Gs};
        match (register, self) {
            (Fs, _) => FS,
            (Gs, _) => GS,
            (Cs, Self::Long) => Descriptor { selector: 0x33, access: 0xa0fb, ..FLAT },
            (Cs, Self::Compatibility32) => Descriptor { selector: 0x23, access: 0xc0fb, ..FLAT },
            (Cs, Self::Compatibility16) => CODE16,
            (_, Self::Compatibility16) => DATA16,
            _ => FLAT,
        }
    }
}

/// A segment: its selector, and what its descriptor says.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    pub selector: u16,
    pub base: u32,
    /// The last valid offset.
    pub limit: u32,
    /// Rights as in [`monovisor_core::state::Access`].
    pub access: u32,
}

/// Linux's data segment for programs.
pub const FLAT: Descriptor =
    Descriptor { selector: 0x2b, base: 0, limit: u32::MAX, access: 0xc0f3 };
/// An odd base.
const FS: Descriptor = Descriptor { selector: 0x07, base: 0x1234_5679, ..FLAT };
/// A limit within the arena, which 64-bit mode ignores.
const GS: Descriptor =
    Descriptor { selector: 0x0f, base: ARENA as u32 - 0x10, limit: 0x180f, access: 0x40f3 };
const CODE16: Descriptor =
    Descriptor { selector: 0x17, base: CODE as u32, limit: 0xffff, access: 0x00fb };
const DATA16: Descriptor =
    Descriptor { selector: 0x1f, base: ARENA as u32 - 0x4000, limit: 0xffff, access: 0x00f3 };

/// The local descriptor table that the child asks Linux for.
pub const LOCAL_DESCRIPTORS: [Descriptor; 4] = [FS, GS, CODE16, DATA16];
