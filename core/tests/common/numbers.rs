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

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Sixteen bytes for a vector register or for memory: integers of each width, single- and
    /// double-precision numbers with their edges, or anything.
    pub fn lane(&mut self) -> u128 {
        let mut lane = 0;
        match self.below(4) {
            0 => (0..4).for_each(|_| lane = lane << 32 | u128::from(self.single())),
            1 => (0..2).for_each(|_| lane = lane << 64 | u128::from(self.double())),
            2 => (0..2).for_each(|_| lane = lane << 64 | u128::from(self.operand())),
            _ => (0..4).for_each(|_| lane = lane << 32 | u128::from(self.operand() as u32)),
        }
        lane
    }

    /// A single-precision number: often zero, infinite, denormal, not a number, or near another.
    fn single(&mut self) -> u32 {
        let any = self.next();
        let (sign, mantissa) = ((any >> 32) as u32 & 1 << 31, any as u32 & 0x7f_ffff);
        let exponent = match self.below(12) {
            0 => return sign,
            1 => 0,
            2 => return sign | 0x7f80_0000,
            3 => 0xff,
            4 => 1,
            5 => 0xfe,
            6 => 158 - (any >> 40) as u32 % 3,
            7..10 => 120 + (any >> 40) as u32 % 16,
            10 => return ((any as i32 % 100) as f32).to_bits(),
            _ => (any >> 40) as u32 & 0xff,
        };
        sign | exponent << 23 | mantissa
    }

    /// A double-precision number of that kind.
    fn double(&mut self) -> u64 {
        let any = self.next();
        let (sign, mantissa) = (any & 1 << 63, self.next() & 0xf_ffff_ffff_ffff);
        let exponent = match self.below(12) {
            0 => return sign,
            1 => 0,
            2 => return sign | 0x7ff << 52,
            3 => 0x7ff,
            4 => 1,
            5 => 0x7fe,
            // Near the edges of integers, and of single precision.
            6 => [1053, 1054, 1055, 1085, 1086, 1087][(any % 6) as usize],
            7 => [873, 874, 896, 897, 1150, 1151][(any % 6) as usize],
            8..10 => 1016 + any % 16,
            10 => return ((any % 2000) as f64 / 2.0 - 500.0).to_bits(),
            _ => any & 0x7ff,
        };
        sign | exponent << 52 | mantissa
    }
}
