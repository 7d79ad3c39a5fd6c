//! RFLAGS. The type is the `x86_64` crate's; here is what the processor does with groups of bits.

pub use x86_64::registers::rflags::RFlags;

/// The six status flags that arithmetic instructions write.
pub const ARITHMETIC: RFlags = RFlags::from_bits_retain(
    RFlags::CARRY_FLAG.bits()
        | RFlags::PARITY_FLAG.bits()
        | RFlags::AUXILIARY_CARRY_FLAG.bits()
        | RFlags::ZERO_FLAG.bits()
        | RFlags::SIGN_FLAG.bits()
        | RFlags::OVERFLOW_FLAG.bits(),
);
