//! Operands for comparisons over many of them.

/// Numbers that look random and are the same in each run: SplitMix64, with a taste for the values
/// at which arithmetic goes wrong.
pub struct Numbers(pub u64);

impl Numbers {
    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// An operand: often zero, all ones, a power of two or next to one, in any width.
    pub fn operand(&mut self) -> u64 {
        let (value, bit) = (self.next(), 1_u64 << (self.next() % 64));
        match self.next() % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => bit,
            3 => bit - 1,
            4 => bit.wrapping_neg(),
            5 => value & 0xff,
            _ => value,
        }
    }
}
