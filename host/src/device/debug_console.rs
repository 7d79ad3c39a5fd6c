//! The debug console of Bochs and QEMU: every byte written goes to the host, here to standard
//! error. It reads as its own port number, by which software finds it.

use std::io::Write;

use super::output::Output;
use super::{Context, Device};

/// What the port reads.
const PRESENT: u64 = 0xe9;

/// The port.
pub struct DebugConsole {
    output: Output,
    flush_ns: Option<u64>,
}

impl DebugConsole {
    /// A console that writes to `output`.
    pub fn new(output: Output) -> Self {
        Self { output, flush_ns: None }
    }

    /// A debug console that nobody reads is no reason to end a run, so errors are dropped.
    fn flush(&mut self) {
        self.flush_ns = None;
        let _ = self.output.drain();
    }
}

impl Device for DebugConsole {
    fn read(&mut self, _register: u16, _size: u8, _context: &mut Context<'_>) -> u64 {
        PRESENT
    }

    fn write(&mut self, _register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        let _ = self.output.write_all(&[value as u8]);
        if self.flush_ns.is_none() && !self.output.is_empty() {
            self.flush_ns = Some(context.now_ns().saturating_add(Output::DELAY_NS));
        }
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        self.flush_ns
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        if self.flush_ns.is_some_and(|flush_ns| flush_ns <= context.now_ns()) {
            self.flush();
        }
    }

    fn idle(&mut self, _context: &mut Context<'_>) -> bool {
        self.flush();
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::device::test_bench::Bench;

    #[test]
    fn it_is_found_and_writes_after_a_delay() {
        let file = tempfile::tempfile().expect("a temporary file");
        let output = Output::new(Some(Arc::new(file.try_clone().expect("a descriptor"))));
        let mut bench = Bench::new(DebugConsole::new(output));
        assert_eq!(bench.read(0), 0xe9);
        bench.write(0, b'x');
        assert_eq!(bench.device.next_deadline_ns(), Some(Output::DELAY_NS));
        assert!(bench.advance_to_deadline(Output::DELAY_NS));
        assert_eq!(file.metadata().expect("metadata").len(), 1);
        assert_eq!(bench.device.next_deadline_ns(), None);
    }
}
