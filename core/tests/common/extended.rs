//! Operands at which x87 arithmetic goes wrong: in its own format, and in those that it reads.

use super::numbers::Numbers;

const INTEGER: u64 = 1 << 63;

/// A significand: often a boundary of some precision.
fn significand(numbers: &mut Numbers) -> u64 {
    let value = numbers.next();
    let cut = numbers.next() % 64;
    match numbers.next() % 12 {
        0 | 1 => INTEGER,
        2 => u64::MAX,
        3 => INTEGER | 1,
        4 => INTEGER | 1 << cut,
        5 => u64::MAX << cut,
        6 => (INTEGER | value) & u64::MAX << cut,
        // Around the halves of single and double precision.
        7 => INTEGER | (value & !0xff_ffff_ffff) | 0x80_0000_0000 & value << 7 | value & 1,
        8 => INTEGER | (value & !0xfff) | 0x400,
        _ => INTEGER | value,
    }
}

/// A number in the 80-bit format: any encoding, with a taste for neighbours.
pub fn float(numbers: &mut Numbers) -> u128 {
    let value = numbers.next();
    let near = (value % 80) as u16;
    let mut significand = significand(numbers);
    let exponent = match numbers.next() % 20 {
        0 => {
            // Zero, denormal, pseudo-denormal.
            significand = match value % 4 {
                0 | 1 => 0,
                2 => significand >> (value >> 8 & 63),
                _ => significand,
            };
            0
        }
        1 => (value % 70) as u16,
        2 => 0x7ffe - (value % 70) as u16,
        3 => {
            // Infinity, NaNs.
            significand = match value % 4 {
                0 | 1 => INTEGER,
                2 => significand | 1 << 62,
                _ => significand & !(1 << 62),
            };
            0x7fff
        }
        // Around the ends of the single and double range.
        4 => 0x3fff - 126 - 30 + near,
        5 => 0x3fff + 127 - 40 + near,
        6 => 0x3fff - 1022 - 60 + near,
        7 => 0x3fff + 1023 - 40 + near,
        8 => (value & 0x7fff) as u16,
        _ => 0x3fff - 10 + near,
    };
    if numbers.next().is_multiple_of(64) {
        // An encoding that is not taken any more.
        significand &= !INTEGER;
    }
    let sign = (numbers.next() & 1) as u16;
    u128::from(sign << 15 | exponent) << 64 | u128::from(significand)
}

/// A control word; with all exceptions masked more often than not.
pub fn control_word(numbers: &mut Numbers) -> u16 {
    let value = numbers.next();
    let masks = if value.is_multiple_of(4) { (value >> 8 & 0x3f) as u16 } else { 0x3f };
    let precision = [0x000, 0x100, 0x200, 0x300][(value >> 16 & 3) as usize];
    let rounding = (value >> 20 & 3) as u16;
    0x40 | masks | precision | rounding << 10
}

/// Sixteen bytes for a memory operand of any kind.
pub fn memory(numbers: &mut Numbers) -> u128 {
    let value = float(numbers);
    let (sign, exponent) = ((value >> 79) as u64, (value >> 64) as i64 & 0x7fff);
    let fraction = value as u64 & (INTEGER - 1);
    // The same number in a narrower format, as near as that goes.
    let narrow = |bias: i64, bits: u32, width: u32| {
        let largest = (1 << bits) - 1;
        let field =
            if exponent == 0x7fff { largest } else { (exponent - 0x3fff + bias).clamp(0, largest) };
        (sign << (width - 1)
            | (field as u64) << (width - 1 - bits)
            | fraction >> (64 - width + bits))
            .into()
    };
    match numbers.next() % 6 {
        0 => value,
        1 => narrow(127, 8, 32),
        2 => narrow(1023, 11, 64),
        3 => u128::from(numbers.operand()),
        4 => {
            // A packed decimal.
            let digits = (0..18).fold(0, |bits, _| bits << 4 | u128::from(numbers.next() % 10));
            digits | u128::from(sign) << 79
        }
        _ => u128::from(numbers.next()) << 64 | u128::from(numbers.next()),
    }
}
