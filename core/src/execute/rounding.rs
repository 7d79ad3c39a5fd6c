//! Rounding in integers, for every floating-point format: the modes, exact sums, and cutting a number
//! off below a place. What becomes of overflow, underflow and flags is the formats' own.
//!
//! A number is `significand` times two to `exponent`. Invariant: a summand has 64 bits at most.

/// The rounding modes, as the control registers encode them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    NearestEven,
    Down,
    Up,
    TowardZero,
}

/// A finite magnitude with its sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finite {
    pub negative: bool,
    pub significand: u128,
    pub exponent: i32,
}

/// A number that has been cut off: what is left, its place, and what became of the rest.
pub(super) struct Cut {
    pub kept: u128,
    pub place: i32,
    pub inexact: bool,
    /// The magnitude went up.
    pub up: bool,
}

impl Cut {
    /// The place of the highest bit; something must be left.
    pub fn top(&self) -> i32 {
        self.place + self.kept.ilog2() as i32
    }
}

impl Rounding {
    /// The mode that the low two bits name.
    pub fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::NearestEven,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::TowardZero,
        }
    }

    /// Whether the magnitude goes up, given whether what is cut off is more, equal or less than
    /// half.
    fn away(self, negative: bool, odd: bool, cut: u128, half: u128) -> bool {
        match self {
            Self::NearestEven => cut > half || cut == half && odd,
            Self::Down => negative && cut != 0,
            Self::Up => !negative && cut != 0,
            Self::TowardZero => false,
        }
    }

    /// Whether a number beyond the largest becomes infinite.
    pub fn overflows_to_infinity(self, negative: bool) -> bool {
        match self {
            Self::NearestEven => true,
            Self::Down => negative,
            Self::Up => !negative,
            Self::TowardZero => false,
        }
    }

    /// Cuts a number, which is not zero, off below the place that `lowest` gives for the place of its
    /// highest bit.
    pub fn cut(
        self,
        negative: bool,
        significand: u128,
        exponent: i32,
        lowest: impl Fn(i32) -> i32,
    ) -> Cut {
        let place = lowest(exponent + significand.ilog2() as i32);
        let lost = match u32::try_from(place - exponent) {
            Ok(lost) if lost > 0 => lost,
            _ => return Cut { kept: significand, place: exponent, inexact: false, up: false },
        };
        // A number far below the place is less than half of it.
        let (kept, cut, half) = match lost {
            1..128 => (significand >> lost, significand & ((1 << lost) - 1), 1_u128 << (lost - 1)),
            128 => (0, significand, 1 << 127),
            _ => (0, 1, 2),
        };
        let up = self.away(negative, kept & 1 != 0, cut, half);
        Cut { kept: kept + u128::from(up), place, inexact: cut != 0, up }
    }
}

/// A sum, as exact as rounding can tell: the lowest bit may stand for all below it.
pub(super) fn exact_sum(left: Finite, right: Finite) -> Finite {
    /// Bits that the larger summand is moved up at most: both have room then, and what the smaller
    /// one loses is too low for rounding to tell.
    const ROOM: u32 = 63;
    let (high, low) = if left.exponent >= right.exponent { (left, right) } else { (right, left) };
    let distance = (high.exponent - low.exponent) as u32;
    let up = distance.min(ROOM);
    let large = high.significand << up;
    let small = shift_sticky(low.significand, distance - up);
    let exponent = high.exponent - up as i32;
    let (negative, significand) = match high.negative == low.negative {
        true => (high.negative, large + small),
        false if large >= small => (high.negative, large - small),
        false => (low.negative, small - large),
    };
    Finite { negative, significand, exponent }
}

/// Shifts right; the lowest bit stands for all that are lost.
pub(super) fn shift_sticky(value: u128, bits: u32) -> u128 {
    match bits {
        0..128 => value >> bits | u128::from(value & ((1 << bits) - 1) != 0),
        _ => u128::from(value != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (mode, negative, significand, expected without the low two bits)
    #[test]
    fn each_mode_rounds_its_way() {
        use Rounding::{Down, NearestEven, TowardZero, Up};
        for (rounding, negative, significand, expected) in [
            (NearestEven, false, 0b1010, 0b10),
            (NearestEven, false, 0b1110, 0b100),
            (NearestEven, true, 0b1011, 0b11),
            (Down, false, 0b1011, 0b10),
            (Down, true, 0b1001, 0b11),
            (Up, false, 0b1001, 0b11),
            (Up, true, 0b1011, 0b10),
            (TowardZero, false, 0b1011, 0b10),
        ] {
            let cut = rounding.cut(negative, significand, -2, |_| 0);
            assert_eq!((cut.kept, cut.place, cut.inexact), (expected, 0, true), "{significand:b}");
            assert_eq!(cut.up, expected > significand >> 2);
            let exact = rounding.cut(negative, significand << 2, -2, |_| 0);
            assert_eq!((exact.kept, exact.inexact, exact.up), (significand, false, false));
        }
    }

    #[test]
    fn a_number_below_the_place_may_be_half_of_it() {
        for (distance, significand, expected) in [
            (128, u128::MAX, 1),
            (128, 1 << 127 | 1, 1),
            (128, 1 << 127, 0),
            (128, u128::MAX >> 1, 0),
            (129, u128::MAX, 0),
        ] {
            let cut = Rounding::NearestEven.cut(false, significand, -distance, |_| 0);
            assert_eq!((cut.kept, cut.place, cut.inexact), (expected, 0, true), "{significand:x}");
        }
    }

    #[test]
    fn what_a_distant_summand_loses_is_sticky() {
        let one = Finite { negative: false, significand: 1 << 63, exponent: -63 };
        let tiny = Finite { negative: true, significand: 1, exponent: -1000 };
        let below = exact_sum(one, tiny);
        assert!(!below.negative && below.significand & 1 == 1);
        let cut = Rounding::Down.cut(false, below.significand, below.exponent, |top| top - 52);
        assert_eq!((cut.kept, cut.top(), cut.inexact), ((1 << 53) - 1, -1, true));
        let cut =
            Rounding::NearestEven.cut(false, below.significand, below.exponent, |top| top - 52);
        assert_eq!((cut.top(), cut.inexact), (0, true));
        assert_eq!(shift_sticky(0b1000, 3), 1);
        assert_eq!(shift_sticky(0b1001, 3), 0b1);
        assert_eq!(shift_sticky(1, 500), 1);
    }
}
