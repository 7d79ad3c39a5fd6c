//! The port of power-on self-test codes (0x80). Writes to it do nothing, so systems use them as a
//! short delay.

use super::{Context, Device};

/// The port.
pub struct Post;

impl Device for Post {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        u64::MAX
    }

    fn write(&mut self, _register: u16, _size: u8, _value: u64, _context: &mut Context<'_>) {}
}
