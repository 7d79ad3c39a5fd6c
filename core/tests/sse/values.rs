//! Operands that find mistakes: special values of each element type between random ones.

/// A SplitMix64 generator: the same operands in every run.
pub struct Random(pub u64);

const SINGLES: [u32; 24] = [
    0,
    1,           // the smallest denormal
    0x0000_8000, // a denormal
    0x007f_ffff, // the largest denormal
    0x0080_0000, // the smallest normal
    0x0080_0001, // its neighbour
    0x3f80_0000, // 1
    0x3f80_0001, // its neighbour
    0x3f00_0000, // 0.5
    0x3fc0_0000, // 1.5
    0x4020_0000, // 2.5
    0x4040_0000, // 3
    0x4b00_0000, // 2^23
    0x4eff_ffff, // below 2^31
    0x4f00_0000, // 2^31
    0x5eff_ffff, // below 2^63
    0x5f00_0000, // 2^63
    0x7f7f_ffff, // the largest
    0x7f00_0000, // 2^127
    0x7f80_0000, // infinity
    0x7f80_0001, // a signalling NaN
    0x7fc0_0000, // a quiet NaN
    0x7fff_ffff, // another
    0x2000_0000, // small
];

const DOUBLES: [u64; 28] = [
    0,
    1,                     // the smallest denormal
    0x0000_0000_8000_0000, // a denormal
    0x000f_ffff_ffff_ffff, // the largest denormal
    0x0010_0000_0000_0000, // the smallest normal
    0x0010_0000_0000_0001, // its neighbour
    0x3ff0_0000_0000_0000, // 1
    0x3ff0_0000_0000_0001, // its neighbour
    0x3fe0_0000_0000_0000, // 0.5
    0x3ff8_0000_0000_0000, // 1.5
    0x4004_0000_0000_0000, // 2.5
    0x4008_0000_0000_0000, // 3
    0x4330_0000_0000_0000, // 2^52
    0x41df_ffff_ffc0_0000, // 2^31 - 1
    0x41df_ffff_ffe0_0000, // 2^31 - 0.5
    0x41e0_0000_0000_0000, // 2^31
    0x43df_ffff_ffff_ffff, // below 2^63
    0x43e0_0000_0000_0000, // 2^63
    0x47ef_ffff_e000_0000, // the largest single
    0x47ef_ffff_f000_0000, // halfway to infinity as a single
    0x36a0_0000_0000_0000, // the smallest single denormal
    0x380f_ffff_ffff_ffff, // below the smallest normal single
    0x7fef_ffff_ffff_ffff, // the largest
    0x7fe0_0000_0000_0000, // 2^1023
    0x7ff0_0000_0000_0000, // infinity
    0x7ff0_0000_0000_0001, // a signalling NaN
    0x7ff8_0000_0000_0000, // a quiet NaN
    0x7fff_ffff_ffff_ffff, // another
];

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.next() as usize % values.len()]
    }

    fn single(&mut self) -> u32 {
        let sign = (self.next() as u32 & 1) << 31;
        match self.next() % 4 {
            0 => self.next() as u32,
            // Exponents near each other, so that sums round.
            1 => ((self.next() as u32 & 0x07ff_ffff) + 0x3c00_0000) | sign,
            _ => self.pick(&SINGLES) | sign,
        }
    }

    fn double(&mut self) -> u64 {
        let sign = (self.next() & 1) << 63;
        match self.next() % 4 {
            0 => self.next(),
            1 => ((self.next() & 0x01ff_ffff_ffff_ffff) + 0x3f00_0000_0000_0000) | sign,
            _ => self.pick(&DOUBLES) | sign,
        }
    }

    /// Text of few letters, which ends somewhere or does not.
    fn text(&mut self) -> u128 {
        let letters = if self.next() & 1 == 0 { *b"ab\0\xff" } else { *b"abyz" };
        let length = self.next() % 20;
        (0..16).fold(0, |text, place| {
            let letter = if 15 - place < length { self.pick(&letters) } else { 0 };
            text << 8 | u128::from(letter)
        })
    }

    /// Two doubles, four singles, text, or anything.
    pub fn vector(&mut self) -> u128 {
        match self.next() % 6 {
            5 => self.text(),
            0 | 1 => u128::from(self.double()) | u128::from(self.double()) << 64,
            2 | 3 => (0..4).fold(0, |vector, _| vector << 32 | u128::from(self.single())),
            _ => u128::from(self.next()) | u128::from(self.next()) << 64,
        }
    }

    /// A general register's value.
    pub fn general(&mut self) -> u64 {
        match self.next() % 4 {
            0 => self.next(),
            3 => self.next() % 18,
            1 => self.next() as i8 as u64,
            _ => 1 << (self.next() & 63),
        }
    }

    /// An MXCSR with all exceptions masked: any rounding mode, denormal handling and flags.
    pub fn mxcsr(&mut self) -> u32 {
        let random = self.next() as u32;
        let flags = if random & 0x30_0000 == 0 { random & 0x3f } else { 0 };
        0x1f80 | random & 0xe000 | (random >> 16 & 0x40) & (random >> 17) | flags
    }

    /// An MXCSR with some exceptions unmasked.
    pub fn unmasked_mxcsr(&mut self) -> u32 {
        self.mxcsr() & !((1 << (7 + self.next() % 6)) | (1 << (7 + self.next() % 6)))
    }
}
