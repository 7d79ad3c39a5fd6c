//! Which gibibytes of linear addresses a cache may hold something of. No page is larger, so that an
//! invalidation elsewhere concerns nothing in the cache.
//!
//! Invariant: what was added is there; what was not may seem to be.

/// A set of gibibytes; 64 bits, of which each stands for some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gibibytes(u64);

impl Gibibytes {
    /// The empty set.
    pub(crate) const NONE: Self = Self(0);

    /// Neighbours have different bits, and so have most of what is far apart.
    #[inline(always)]
    fn bit(linear: u64) -> u64 {
        let gibibyte = linear >> 30;
        1 << ((gibibyte ^ gibibyte >> 9).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }

    /// Adds the one that contains `linear`.
    #[inline(always)]
    pub(crate) fn add(&mut self, linear: u64) {
        self.0 |= Self::bit(linear);
    }

    /// Whether the one that contains `linear` may have been added.
    #[inline(always)]
    pub(crate) fn may_contain(self, linear: u64) -> bool {
        self.0 & Self::bit(linear) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::Gibibytes;

    #[test]
    fn what_was_added_is_there() {
        let mut set = Gibibytes::NONE;
        assert!((0..1000).all(|gibibyte| !set.may_contain(gibibyte << 30)));
        set.add(0x80_4000_1234);
        assert!(set.may_contain(0x80_4000_0000) && set.may_contain(0x80_7fff_ffff));
        assert!(!set.may_contain(0) && !set.may_contain(0x80_0000_0000));
    }
}
