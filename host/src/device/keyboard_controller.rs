//! The i8042 keyboard controller, with nothing plugged in: software finds it, tests it, and resets
//! the machine through it. Address line 20 is always open, as on processors of today.
//!
//! Registers: 0 data, 1 status and command.

use super::{Context, Device, Line, Signal};

const STATUS_OUTPUT_FULL: u8 = 1 << 0;
const STATUS_SYSTEM: u8 = 1 << 2;
const STATUS_COMMAND: u8 = 1 << 3;
const STATUS_NOT_LOCKED: u8 = 1 << 4;
const STATUS_TIMEOUT: u8 = 1 << 6;

/// The configuration byte: interrupt of the keyboard, system flag.
const CONFIGURATION_INTERRUPT: u8 = 1 << 0;
const CONFIGURATION_SYSTEM: u8 = 1 << 2;

/// The output port: reset is active low; address line 20.
const OUTPUT_NO_RESET: u8 = 1 << 0;
const OUTPUT_A20: u8 = 1 << 1;

const SELF_TEST_PASSED: u8 = 0x55;
const NO_ERROR: u8 = 0;
/// What the controller hands to software when a device does not answer.
const RESEND: u8 = 0xfe;

/// Of which command the next data byte is the parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Parameter {
    /// None: the byte is for the keyboard.
    #[default]
    Keyboard,
    Configuration,
    OutputPort,
    /// For the auxiliary device, or as if it or the keyboard had sent it.
    Ignored,
}

/// The controller.
pub struct KeyboardController {
    line: Line,
    configuration: u8,
    output: Option<u8>,
    timeout: bool,
    last_was_command: bool,
    parameter: Parameter,
}

impl KeyboardController {
    /// A controller that drives `line`.
    pub fn new(line: Line) -> Self {
        Self {
            line,
            configuration: CONFIGURATION_SYSTEM,
            output: None,
            timeout: false,
            last_was_command: false,
            parameter: Parameter::default(),
        }
    }

    fn status(&self) -> u8 {
        let mut status = STATUS_NOT_LOCKED;
        for (bit, set) in [
            (STATUS_OUTPUT_FULL, self.output.is_some()),
            (STATUS_SYSTEM, self.configuration & CONFIGURATION_SYSTEM != 0),
            (STATUS_COMMAND, self.last_was_command),
            (STATUS_TIMEOUT, self.timeout),
        ] {
            status |= if set { bit } else { 0 };
        }
        status
    }

    fn command(&mut self, command: u8, context: &mut Context<'_>) {
        self.parameter = Parameter::Keyboard;
        match command {
            0x20 => self.output = Some(self.configuration),
            0x60 => self.parameter = Parameter::Configuration,
            0xaa => self.output = Some(SELF_TEST_PASSED),
            0xa9 | 0xab => self.output = Some(NO_ERROR),
            0xd0 => self.output = Some(OUTPUT_NO_RESET | OUTPUT_A20),
            0xd1 => self.parameter = Parameter::OutputPort,
            0xd2..=0xd4 => self.parameter = Parameter::Ignored,
            // Pulses the output lines whose bits are 0: bit 0 is the reset line.
            0xf0..=0xff if command & 1 == 0 => reset(context),
            // Enabling and disabling devices that are not there, and address line 20.
            _ => {}
        }
    }

    fn data(&mut self, value: u8, context: &mut Context<'_>) {
        match std::mem::take(&mut self.parameter) {
            Parameter::Configuration => self.configuration = value,
            Parameter::OutputPort if value & OUTPUT_NO_RESET == 0 => reset(context),
            Parameter::OutputPort | Parameter::Ignored => {}
            Parameter::Keyboard => {
                self.timeout = true;
                self.output = Some(RESEND);
            }
        }
    }

    fn drive_line(&self, context: &mut Context<'_>) {
        let enabled = self.configuration & CONFIGURATION_INTERRUPT != 0;
        context.interrupts.set_line(self.line, enabled && self.output.is_some());
    }
}

fn reset(context: &mut Context<'_>) {
    context.signal(Signal::Reset("the keyboard controller"));
}

impl Device for KeyboardController {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        if register != 0 {
            return self.status().into();
        }
        self.timeout = false;
        let value = self.output.take().unwrap_or(0);
        self.drive_line(context);
        value.into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        self.last_was_command = register != 0;
        self.timeout = false;
        if self.last_was_command {
            self.command(value as u8, context);
        } else {
            self.data(value as u8, context);
        }
        self.drive_line(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_bench::Bench;

    fn bench() -> Bench<KeyboardController> {
        Bench::new(KeyboardController::new(Line(1)))
    }

    #[test]
    fn commands_answer() {
        for (command, answer) in [(0xaa, 0x55), (0xab, 0), (0xa9, 0), (0x20, 0x04), (0xd0, 0x03)] {
            let mut bench = bench();
            assert_eq!(bench.read(1) & 1, 0);
            bench.write(1, command);
            assert_eq!(bench.read(1), 0x1d, "output full, system, command, not locked");
            assert_eq!(bench.read(0), answer, "command {command:#x}");
            assert_eq!(bench.read(1) & 1, 0);
        }
    }

    #[test]
    fn resets_by_pulse_and_by_output_port() {
        for (accesses, resets) in [
            (&[(1, 0xfe)][..], true),
            (&[(1, 0xf0)], true),
            (&[(1, 0xff)], false),
            (&[(1, 0xd1), (0, 0xfe)], true),
            (&[(1, 0xd1), (0, 0xdf)], false),
            (&[(0, 0xfe)], false),
        ] {
            let mut bench = bench();
            for &(register, value) in accesses {
                bench.write(register, value);
            }
            let expected = resets.then_some(Signal::Reset("the keyboard controller"));
            assert_eq!(bench.signal, expected, "{accesses:x?}");
        }
    }

    #[test]
    fn the_configuration_can_be_changed() {
        let mut bench = bench();
        bench.write(1, 0x60);
        bench.write(0, 0x61);
        bench.write(1, 0x20);
        assert!(bench.take_interrupt(Line(1)));
        assert_eq!(bench.read(0), 0x61);
    }

    #[test]
    fn an_absent_keyboard_times_out() {
        let mut bench = bench();
        bench.write(0, 0xff);
        assert_eq!(bench.read(1), 0x55, "timeout, output full, system, not locked");
        assert_eq!(bench.read(0), 0xfe);
        assert_eq!(bench.read(1), 0x14);
        assert!(!bench.take_interrupt(Line(1)));
    }
}
