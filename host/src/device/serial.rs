//! The serial port, a 16550A: `vm-superio`'s registers and receive buffer, and around them what it
//! leaves out: the FIFO control register, interrupts as a level with the data sheet's priorities,
//! and output that is handed over in batches.
//!
//! The line has no speed: a byte is sent as soon as it is written.

use std::convert::Infallible;

use vm_superio::serial::{Error, NoEvents};
use vm_superio::{Serial as Uart, Trigger};

use super::output::Output;
use super::{Context, Device, Input, Line, Signal};

const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const INTERRUPT_IDENTIFICATION: u8 = 2;
const FIFO_CONTROL: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;

const ENABLE_RECEIVED: u8 = 1 << 0;
const ENABLE_TRANSMITTED: u8 = 1 << 1;
const IDENTIFY_NONE: u8 = 1;
const IDENTIFY_TRANSMITTED: u8 = 2;
const IDENTIFY_RECEIVED: u8 = 4;
const IDENTIFY_FIFO: u8 = 0xc0;
const FIFO_ENABLE: u8 = 1 << 0;
const FIFO_CLEAR_RECEIVER: u8 = 1 << 1;
const DIVISOR_LATCH: u8 = 1 << 7;
const LOOPBACK: u8 = 1 << 4;
const DATA_READY: u8 = 1 << 0;

/// Bytes that a 16550A's receiver holds; the model's buffer has room for more.
const FIFO_BYTES: usize = 16;
const MODEL_FIFO_BYTES: usize = 64;

/// The model's own interrupt logic is not used: it is not a level.
struct Unused;

impl Trigger for Unused {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The port.
pub struct Serial {
    uart: Uart<Unused, NoEvents, Output>,
    input: Option<Input>,
    line: Line,
    /// The interrupt enable register, which the divisor latch does not cover from here.
    interrupt_enable: u8,
    fifo: bool,
    /// The transmitter has become empty, and software has not been told or has not looked.
    transmitted: bool,
    flush_ns: Option<u64>,
}

impl Serial {
    /// A port that drives `line`, writes to `output` and, if there is one, reads from `input`.
    pub fn new(line: Line, output: Output, input: Option<Input>) -> Self {
        let uart = Uart::new(Unused, output);
        Self {
            uart,
            input,
            line,
            interrupt_enable: 0,
            fifo: false,
            transmitted: false,
            flush_ns: None,
        }
    }

    fn received(&mut self) -> bool {
        self.uart.read(LINE_STATUS) & DATA_READY != 0
    }

    fn enabled(&self, interrupt: u8) -> bool {
        self.interrupt_enable & interrupt != 0
    }

    /// The divisor latch covers the first two registers; the port itself sees behind it.
    fn with_divisor_latch_closed<R>(
        &mut self,
        access: impl FnOnce(&mut Uart<Unused, NoEvents, Output>) -> R,
    ) -> R {
        let control = self.uart.read(LINE_CONTROL);
        if control & DIVISOR_LATCH == 0 {
            return access(&mut self.uart);
        }
        // Writes to the line control register can't fail.
        let _ = self.uart.write(LINE_CONTROL, control & !DIVISOR_LATCH);
        let result = access(&mut self.uart);
        let _ = self.uart.write(LINE_CONTROL, control);
        result
    }

    /// Moves input into the receiver as far as a 16550A has room.
    fn receive(&mut self) {
        let Some(input) = self.input.as_ref().filter(|input| input.is_available()) else { return };
        if self.uart.read(MODEM_CONTROL) & LOOPBACK != 0 {
            return;
        }
        let held = MODEL_FIFO_BYTES - self.uart.fifo_capacity();
        let mut bytes = [0; FIFO_BYTES];
        let count = input.take(&mut bytes[..FIFO_BYTES.saturating_sub(held)]);
        // There is room, as just computed.
        let _ = self.uart.enqueue_raw_bytes(&bytes[..count]);
    }

    fn identification(&mut self) -> u8 {
        let source = if self.enabled(ENABLE_RECEIVED) && self.received() {
            IDENTIFY_RECEIVED
        } else if self.enabled(ENABLE_TRANSMITTED) && self.transmitted {
            IDENTIFY_TRANSMITTED
        } else {
            IDENTIFY_NONE
        };
        source | if self.fifo { IDENTIFY_FIFO } else { 0 }
    }

    /// A PC gates the line with OUT2; QEMU does not, and kernels that only ever ran there rely on it.
    fn drive_line(&mut self, context: &mut Context<'_>) {
        let active = self.identification() & IDENTIFY_NONE == 0;
        context.interrupts.set_line(self.line, active);
    }

    #[inline(never)]
    fn write_fifo_control(&mut self, value: u8, context: &mut Context<'_>) {
        let enable = value & FIFO_ENABLE != 0;
        if value & FIFO_CLEAR_RECEIVER != 0 || enable != self.fifo {
            self.with_divisor_latch_closed(|uart| {
                while uart.read(LINE_STATUS) & DATA_READY != 0 {
                    uart.read(DATA);
                }
            });
        }
        self.fifo = enable;
        self.drive_line(context);
    }

    /// An interrupt that is enabled is due at once if the transmitter is empty.
    #[inline(never)]
    fn write_interrupt_enable(&mut self, value: u8, context: &mut Context<'_>) {
        let enabled = self.enabled(ENABLE_TRANSMITTED);
        // Only sending can fail.
        let _ = self.uart.write(INTERRUPT_ENABLE, value);
        self.interrupt_enable = self.with_divisor_latch_closed(|uart| uart.read(INTERRUPT_ENABLE));
        let now_enabled = self.enabled(ENABLE_TRANSMITTED);
        self.transmitted = now_enabled && (self.transmitted || !enabled);
        self.drive_line(context);
    }

    /// A byte is written to the transmitter, which sends it at once and asks for more; or the
    /// divisor's low half, behind the latch.
    #[inline(never)]
    fn write_data(&mut self, value: u8, context: &mut Context<'_>) {
        if self.uart.read(LINE_CONTROL) & DIVISOR_LATCH != 0 {
            let _ = self.uart.write(DATA, value);
            return;
        }
        if self.transmitted {
            self.transmitted = false;
            self.drive_line(context);
        }
        if let Err(Error::IOError(_)) = self.uart.write(DATA, value) {
            context.signal(Signal::OutputClosed);
        }
        self.transmitted = true;
        if self.flush_ns.is_none() && !self.uart.writer().is_empty() {
            self.flush_ns = Some(context.now_ns().saturating_add(Output::DELAY_NS));
        }
        self.drive_line(context);
    }

    fn flush(&mut self, context: &mut Context<'_>) {
        self.flush_ns = None;
        if self.uart.writer_mut().drain().is_err() {
            context.signal(Signal::OutputClosed);
        }
    }
}

impl Device for Serial {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        let register = register as u8;
        self.receive();
        if register == INTERRUPT_IDENTIFICATION {
            let value = self.identification();
            if value & IDENTIFY_TRANSMITTED != 0 {
                self.transmitted = false;
                self.drive_line(context);
            }
            return value.into();
        }
        let value = self.uart.read(register);
        if register == DATA {
            self.receive();
            self.drive_line(context);
        }
        value.into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        let (register, value) = (register as u8, value as u8);
        match register {
            DATA => self.write_data(value, context),
            INTERRUPT_ENABLE => self.write_interrupt_enable(value, context),
            FIFO_CONTROL => self.write_fifo_control(value, context),
            // Writes to the others can't fail, and no interrupt depends on them.
            _ => _ = self.uart.write(register, value),
        }
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        self.flush_ns
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        self.receive();
        self.drive_line(context);
        if self.flush_ns.is_some_and(|flush_ns| flush_ns <= context.now_ns()) {
            self.flush(context);
        }
    }

    fn idle(&mut self, context: &mut Context<'_>) -> bool {
        self.flush(context);
        // In this order: bytes that came before the input's end are not overlooked.
        let open = self.input.as_ref().is_some_and(Input::is_open);
        self.receive();
        self.drive_line(context);
        open && self.enabled(ENABLE_RECEIVED)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::Arc;

    use super::*;
    use crate::device::InputReader;
    use crate::device::test_bench::Bench;

    const LINE: Line = Line(4);

    fn bench() -> (Bench<Serial>, InputReader) {
        let (reader, input) = Input::channel();
        (Bench::new(Serial::new(LINE, Output::new(None), Some(input))), reader)
    }

    impl Bench<Serial> {
        fn kick(&mut self) {
            self.with(|device, context| device.advance(context));
        }
    }

    #[test]
    fn registers_after_reset_are_the_data_sheets() {
        let (mut bench, _reader) = bench();
        let registers: Vec<u8> = (1..8).map(|register| bench.read(register)).collect();
        assert_eq!(registers, [0x00, 0x01, 0x03, 0x08, 0x60, 0xb0, 0x00]);
    }

    #[test]
    fn a_16550a_is_told_by_its_fifo_bits_and_scratch_register() {
        let (mut bench, _reader) = bench();
        bench.write(2, 0x01);
        assert_eq!(bench.read(2), 0xc1);
        bench.write(2, 0x00);
        assert_eq!(bench.read(2), 0x01);
        bench.write(7, 0x5a);
        assert_eq!(bench.read(7), 0x5a);
    }

    #[test]
    fn the_divisor_latch_covers_data_and_interrupt_enable() {
        let (mut bench, _reader) = bench();
        bench.write(1, 0x01);
        bench.write(3, 0x83);
        bench.write(0, 0x01);
        bench.write(1, 0x02);
        assert_eq!((bench.read(0), bench.read(1)), (0x01, 0x02));
        bench.write(3, 0x03);
        assert_eq!(bench.read(1), 0x01);
        assert!(bench.device.uart.writer().is_empty());
    }

    #[test]
    fn received_bytes_interrupt_until_the_last_is_read() {
        let (mut bench, reader) = bench();
        bench.write(1, 0x01);
        reader.push(b"ab");
        bench.kick();
        assert!(bench.take_interrupt(LINE));
        assert_eq!(bench.read(2) & 0x0f, 0x04);
        assert_eq!((bench.read(5) & 1, bench.read(0), bench.read(5) & 1), (1, b'a', 1));
        assert_eq!((bench.read(0), bench.read(5) & 1), (b'b', 0));
        assert_eq!(bench.read(2) & 0x0f, 0x01);
        reader.push(b"c");
        bench.kick();
        assert!(bench.take_interrupt(LINE), "a new edge");
    }

    #[test]
    fn enabling_with_data_waiting_interrupts_at_once() {
        let (mut bench, reader) = bench();
        reader.push(b"a");
        bench.kick();
        assert!(!bench.take_interrupt(LINE));
        bench.write(1, 0x01);
        assert!(bench.take_interrupt(LINE));
    }

    #[test]
    fn the_receiver_holds_16_bytes_and_the_rest_waits_outside() {
        let (mut bench, reader) = bench();
        reader.push(&[b'x'; 100]);
        bench.kick();
        assert_eq!(bench.device.uart.fifo_capacity(), MODEL_FIFO_BYTES - FIFO_BYTES);
        let mut received = 0;
        while bench.read(5) & 1 != 0 {
            assert_eq!(bench.read(0), b'x');
            received += 1;
        }
        assert_eq!(received, 100);
    }

    #[test]
    fn clearing_the_fifo_drops_what_was_received() {
        let (mut bench, reader) = bench();
        bench.write(2, 0x01);
        reader.push(b"abc");
        bench.kick();
        bench.write(3, 0x83);
        bench.write(2, 0x03);
        assert_eq!(bench.read(5) & 1, 0);
    }

    #[test]
    fn the_transmitter_interrupts_after_each_byte_and_when_enabled() {
        let (mut bench, _reader) = bench();
        bench.write(1, 0x02);
        for _ in 0..3 {
            assert!(bench.take_interrupt(LINE));
            assert_eq!(bench.read(2) & 0x0f, 0x02);
            assert_eq!(bench.read(2) & 0x0f, 0x01, "reading the identification clears it");
            assert!(!bench.take_interrupt(LINE));
            bench.write(0, b'x');
        }
        bench.write(0, b'y');
        assert!(bench.take_interrupt(LINE), "a write with an interrupt pending is a new edge");
        bench.write(1, 0x00);
        assert_eq!(bench.read(2) & 0x0f, 0x01);
    }

    #[test]
    fn received_data_comes_before_the_transmitter() {
        let (mut bench, reader) = bench();
        bench.write(1, 0x03);
        reader.push(b"a");
        bench.kick();
        assert_eq!(bench.read(2) & 0x0f, 0x04);
        bench.read(0);
        assert_eq!(bench.read(2) & 0x0f, 0x02);
    }

    #[test]
    fn loopback_returns_bytes_and_modem_lines() {
        let (mut bench, _reader) = bench();
        bench.write(4, 0x1e);
        assert_eq!(bench.read(6) & 0xf0, 0xd0);
        bench.write(0, 0xae);
        assert_eq!(bench.read(0), 0xae);
        for _ in 0..1000 {
            bench.write(0, 1);
        }
        assert_eq!(bench.device.uart.fifo_capacity(), 0, "bounded");
    }

    #[test]
    fn output_is_handed_over_after_a_delay_or_when_the_guest_waits() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let output = Output::new(Some(Arc::new(file.try_clone().expect("a descriptor"))));
        let mut bench = Bench::new(Serial::new(LINE, output, None));
        bench.now_ns = 1000;
        bench.write(0, b'a');
        bench.write(0, b'b');
        assert!(bench.advance_to_deadline(1000 + Output::DELAY_NS));
        assert_eq!(bench.device.next_deadline_ns(), None);
        bench.write(0, b'c');
        assert!(!bench.with(|device, context| device.idle(context)), "no input can come");
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("seekable");
        file.read_to_string(&mut text).expect("readable");
        assert_eq!(text, "abc");
    }

    #[test]
    fn a_closed_output_is_signalled() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
        let mut bench = Bench::new(Serial::new(LINE, Output::new(Some(Arc::new(file))), None));
        for _ in 0..100_000 {
            bench.write(0, b'x');
        }
        assert_eq!(bench.signal, Some(Signal::OutputClosed));
    }

    #[test]
    fn only_open_input_with_its_interrupt_enabled_can_wake_the_guest() {
        let (mut bench, reader) = bench();
        let wakes = |bench: &mut Bench<Serial>| bench.with(|device, context| device.idle(context));
        assert!(!wakes(&mut bench));
        bench.write(1, 0x01);
        assert!(wakes(&mut bench));
        drop(reader);
        assert!(!wakes(&mut bench));
    }
}
