//! Segment registers with their hidden parts, and the descriptor-table registers.

use core::ops::{Index, IndexMut};

/// A segment register. The first six have the numbers that instructions encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the manuals name them")]
pub enum SegmentRegister {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

impl SegmentRegister {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Es, Self::Cs, Self::Ss, Self::Ds, Self::Fs, Self::Gs, Self::Ldtr, Self::Tr];

    /// The manual's name in lower case.
    pub fn name(self) -> &'static str {
        ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"][self as usize]
    }
}

/// A segment register: what software sees of it, and the hidden part that was loaded with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// Base linear address.
    pub base: u64,
    /// Last valid offset in bytes (granularity applied); for expand-down segments, the last invalid one.
    pub limit: u32,
    /// Access rights.
    pub access: Access,
    /// The visible part.
    pub selector: u16,
}

/// Access rights of a segment in the layout of a descriptor's second doubleword, bits 8 to 23
/// (type, S, DPL, P, –, AVL, L, D/B, G), with one more bit that marks a register as unusable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Access(pub u32);

impl Access {
    /// The bit that marks a register which holds no valid segment.
    pub const UNUSABLE: u32 = 1 << 16;

    /// From the second doubleword of a descriptor.
    pub const fn from_descriptor_high(high: u32) -> Self {
        Self((high >> 8) & 0xf0ff)
    }
    /// The four type bits.
    #[inline]
    pub const fn kind(self) -> u8 {
        (self.0 & 0xf) as u8
    }
    /// S: a code or data segment, not a system one.
    #[inline]
    pub const fn code_or_data(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// A code segment.
    #[inline]
    pub const fn code(self) -> bool {
        self.0 & 0x18 == 0x18
    }
    /// Code segments: readable; data segments: writable.
    #[inline]
    pub const fn readable_or_writable(self) -> bool {
        self.0 & 2 != 0
    }
    /// Code segments: conforming; data segments: expand-down.
    #[inline]
    pub const fn conforming_or_expand_down(self) -> bool {
        self.0 & 4 != 0
    }
    /// Descriptor privilege level.
    #[inline]
    pub const fn dpl(self) -> u8 {
        ((self.0 >> 5) & 3) as u8
    }
    /// The same rights with another DPL.
    #[inline]
    pub const fn with_dpl(self, dpl: u8) -> Self {
        Self(self.0 & !0x60 | ((dpl as u32 & 3) << 5))
    }
    /// P: present.
    #[inline]
    pub const fn present(self) -> bool {
        self.0 & 0x80 != 0
    }
    /// L: 64-bit code.
    #[inline]
    pub const fn long(self) -> bool {
        self.0 & 0x2000 != 0
    }
    /// D/B: 32-bit default operand size, stack pointer or upper bound.
    #[inline]
    pub const fn default_big(self) -> bool {
        self.0 & 0x4000 != 0
    }
    /// G: the limit counts 4 KiB pages.
    #[inline]
    pub const fn granular(self) -> bool {
        self.0 & 0x8000 != 0
    }
    /// The register holds no valid segment.
    #[inline]
    pub const fn unusable(self) -> bool {
        self.0 & Self::UNUSABLE != 0
    }
}

/// The eight segment registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segments([Segment; 8]);

impl Index<SegmentRegister> for Segments {
    type Output = Segment;

    #[inline]
    fn index(&self, register: SegmentRegister) -> &Segment {
        &self.0[register as usize]
    }
}

impl IndexMut<SegmentRegister> for Segments {
    #[inline]
    fn index_mut(&mut self, register: SegmentRegister) -> &mut Segment {
        &mut self.0[register as usize]
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorTable {
    /// Linear base address.
    pub base: u64,
    /// Last valid offset in bytes.
    pub limit: u16,
}
