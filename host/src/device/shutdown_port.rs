//! Bochs's power-off port: the word "Shutdown", byte by byte.

use super::{Context, Device, Signal};

/// The port.
pub struct ShutdownPort {
    word: &'static [u8],
    matched: usize,
}

impl ShutdownPort {
    /// A port that turns the power off when `word` has been written.
    pub fn new(word: &'static [u8]) -> Self {
        Self { word, matched: 0 }
    }
}

impl Device for ShutdownPort {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        u64::MAX
    }

    fn write(&mut self, _register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        let value = value as u8;
        if self.word.get(self.matched) == Some(&value) {
            self.matched += 1;
        } else {
            self.matched = usize::from(self.word.first() == Some(&value));
        }
        if self.matched == self.word.len() {
            self.matched = 0;
            context.signal(Signal::PowerOff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn only_the_whole_word_turns_the_power_off() {
        for (written, off) in [
            (&b"Shutdown"[..], true),
            (b"SShutdown", true),
            (b"ShutShutdown", true),
            (b"Shutdow", false),
            (b"shutdown", false),
        ] {
            let mut bench = Bench::new(ShutdownPort::new(b"Shutdown"));
            for &byte in written {
                bench.write(0, byte);
            }
            assert_eq!(bench.signal, off.then_some(Signal::PowerOff), "{written:?}");
        }
    }
}
