//! States to start from.

use super::common::extended::{control_word, float};
use super::common::numbers::Numbers;
use super::harness::Image;

/// A state with random registers, of which a few are empty.
pub fn image(numbers: &mut Numbers) -> Image {
    let value = numbers.next();
    let control = control_word(numbers);
    let flags = if value & 7 == 0 { (value >> 8) as u16 & 0x7f } else { 0 };
    // No exception is pending.
    let flags = flags & (control | 0x40);
    let status = (value >> 16) as u16 & 0x7f00 | flags;
    let mut tags = 0;
    if (value >> 32).is_multiple_of(8) {
        for place in 0..8 {
            if numbers.next().is_multiple_of(2) {
                tags |= 3 << (2 * place);
            }
        }
    } else if value >> 35 & 1 != 0 {
        // Room for a result or two.
        let top = u32::from(status >> 11 & 7);
        tags |= 3 << (2 * ((top + 7) & 7)) | 3 << (2 * ((top + 6) & 7));
    }
    let mut registers = [0; 8];
    for register in &mut registers {
        *register = float(numbers);
    }
    // Operands that are close to one another, or the same.
    match numbers.next() % 8 {
        0 => registers[1] = registers[0],
        1 => registers[1] = registers[0] ^ 1 << 79,
        2 => registers[1] = registers[0] ^ 1 << (value >> 40 & 63),
        3 => {
            registers[1] =
                registers[0] & u128::from(u64::MAX) << 64 | registers[1] & u128::from(u64::MAX)
        }
        _ => {}
    }
    Image { control, status, tags, registers, ..Image::default() }
}
