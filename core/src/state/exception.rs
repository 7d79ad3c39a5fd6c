//! What an instruction can raise instead of completing.

use super::Dr6Flags;

/// Exception vectors (SDM, "Protected-Mode Exceptions and Interrupts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Vector {
    /// #DE
    DivideError = 0,
    /// #DB
    Debug = 1,
    /// NMI
    NonMaskableInterrupt = 2,
    /// #BP
    Breakpoint = 3,
    /// #OF
    Overflow = 4,
    /// #BR
    BoundRange = 5,
    /// #UD
    InvalidOpcode = 6,
    /// #NM
    DeviceNotAvailable = 7,
    /// #DF
    DoubleFault = 8,
    /// #TS
    InvalidTss = 10,
    /// #NP
    SegmentNotPresent = 11,
    /// #SS
    StackFault = 12,
    /// #GP
    GeneralProtection = 13,
    /// #PF
    PageFault = 14,
    /// #MF
    X87FloatingPoint = 16,
    /// #AC
    AlignmentCheck = 17,
    /// #MC
    MachineCheck = 18,
    /// #XM
    SimdFloatingPoint = 19,
}

impl Vector {
    /// The manual's short name, such as `#PF`.
    pub fn mnemonic(self) -> &'static str {
        match self {
            Self::DivideError => "#DE",
            Self::Debug => "#DB",
            Self::NonMaskableInterrupt => "NMI",
            Self::Breakpoint => "#BP",
            Self::Overflow => "#OF",
            Self::BoundRange => "#BR",
            Self::InvalidOpcode => "#UD",
            Self::DeviceNotAvailable => "#NM",
            Self::DoubleFault => "#DF",
            Self::InvalidTss => "#TS",
            Self::SegmentNotPresent => "#NP",
            Self::StackFault => "#SS",
            Self::GeneralProtection => "#GP",
            Self::PageFault => "#PF",
            Self::X87FloatingPoint => "#MF",
            Self::AlignmentCheck => "#AC",
            Self::MachineCheck => "#MC",
            Self::SimdFloatingPoint => "#XM",
        }
    }
}

/// An exception with what is delivered beside its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Which one.
    pub vector: Vector,
    /// The error code, for the vectors that push one.
    pub error_code: Option<u32>,
    /// For a page fault, the linear address that goes to CR2; for a debug exception, the bits that
    /// go to DR6; 0 otherwise.
    pub payload: u64,
}

impl Exception {
    /// #UD.
    pub const UD: Self = Self::plain(Vector::InvalidOpcode);
    /// #NM.
    pub const NM: Self = Self::plain(Vector::DeviceNotAvailable);
    /// #DE.
    pub const DE: Self = Self::plain(Vector::DivideError);
    /// #GP with error code 0.
    pub const GP0: Self = Self::with_code(Vector::GeneralProtection, 0);
    /// #SS with error code 0.
    pub const SS0: Self = Self::with_code(Vector::StackFault, 0);

    /// An exception without error code.
    pub const fn plain(vector: Vector) -> Self {
        Self { vector, error_code: None, payload: 0 }
    }

    /// An exception with an error code.
    pub const fn with_code(vector: Vector, error_code: u32) -> Self {
        Self { vector, error_code: Some(error_code), payload: 0 }
    }

    /// #GP with a selector's error code (RPL cleared).
    pub const fn gp(selector: u16) -> Self {
        Self::with_code(Vector::GeneralProtection, (selector & !3) as u32)
    }

    /// #DB, with what it adds to DR6.
    pub const fn debug(hit: Dr6Flags) -> Self {
        Self { vector: Vector::Debug, error_code: None, payload: hit.bits() }
    }

    /// #PF at `linear`.
    pub const fn page_fault(linear: u64, error_code: u32) -> Self {
        Self { vector: Vector::PageFault, error_code: Some(error_code), payload: linear }
    }
}
