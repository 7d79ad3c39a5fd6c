//! x87, SSE and AVX state.

pub use x86_64::registers::mxcsr::MxCsr;

/// The x87 registers in the form of the FXSAVE image, and the YMM registers in halves, as the XSAVE
/// image has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Fpu {
    /// XMM0 to XMM15: the lower halves of YMM0 to YMM15.
    pub xmm: [u128; 16],
    /// The upper halves of YMM0 to YMM15. Right behind the lower ones, where vector instructions of the
    /// interpreter look for them.
    pub ymm_high: [u128; 16],
    /// ST0 to ST7, 80 bits each in the low part.
    pub st: [u128; 8],
    /// SSE control and status.
    pub mxcsr: u32,
    /// x87 control word (FCW).
    pub control_word: u16,
    /// x87 status word (FSW).
    pub status_word: u16,
    /// Abridged tag word: a bit is set where the register is not empty.
    pub tag_word: u8,
    /// Last x87 opcode.
    pub opcode: u16,
    /// Last x87 instruction pointer.
    pub instruction_pointer: u64,
    /// Last x87 operand pointer.
    pub data_pointer: u64,
}
