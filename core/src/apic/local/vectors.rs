//! A set of interrupt vectors, as IRR, ISR and TMR are.

/// One bit for each of the 256 vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vectors([u64; 4]);

impl Vectors {
    pub(super) fn insert(&mut self, vector: u8) {
        self.0[usize::from(vector >> 6)] |= 1 << (vector & 63);
    }

    pub(super) fn remove(&mut self, vector: u8) {
        self.0[usize::from(vector >> 6)] &= !(1 << (vector & 63));
    }

    pub(super) fn contains(&self, vector: u8) -> bool {
        self.0[usize::from(vector >> 6)] >> (vector & 63) & 1 != 0
    }

    /// The vector of the highest priority.
    #[inline]
    pub(super) fn highest(&self) -> Option<u8> {
        let word = self.0.iter().rposition(|&word| word != 0)?;
        Some((word as u8) << 6 | self.0[word].ilog2() as u8)
    }

    /// The register that shows vectors `32 * index` and the 31 after it.
    pub(super) fn register(&self, index: u32) -> u32 {
        let word = self.0[(index >> 1 & 3) as usize];
        (word >> (32 * (index & 1))) as u32
    }
}
