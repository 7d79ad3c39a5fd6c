//! The PC's interrupt controller: two 8259A, the second on input 2 of the first, and the edge/level
//! control registers that chipsets add.
//!
//! Registers: 0–1 the first chip, 2–3 the second, 4–5 their edge/level control.

mod chip;

#[cfg(test)]
mod tests;

use chip::Chip;

use super::{Context, Device};

/// Input of the first chip that the second one drives.
const CASCADE: u8 = 2;
/// What a chip puts on the bus when the request has gone before it was acknowledged (8259A data
/// sheet, "Interrupt Sequence").
const SPURIOUS: u8 = 7;

/// Inputs whose trigger mode can be chosen: not the timer's, the keyboard's and the cascade; nor,
/// on the second chip, those of the clock and the coprocessor (82371AB data sheet, ELCR1 and ELCR2).
const LEVEL_CAPABLE: [u8; 2] = [0xf8, 0xde];

/// The two cascaded controllers.
#[derive(Clone, Debug)]
pub struct Pic {
    first: Chip,
    second: Chip,
}

impl Default for Pic {
    fn default() -> Self {
        Self { first: Chip::new(1 << CASCADE), second: Chip::new(0) }
    }
}

impl Pic {
    /// A device drives input `line` (0 to 15) to `level`.
    pub fn set_line(&mut self, line: u8, level: bool) {
        match line {
            0..8 => self.first.set_input(line, level),
            8..16 => {
                self.second.set_input(line - 8, level);
                self.update_cascade();
            }
            _ => {}
        }
    }

    /// Whether the processor's INTR pin is driven.
    pub fn interrupt_requested(&self) -> bool {
        self.first.request().is_some()
    }

    /// The processor acknowledges: returns the vector.
    pub fn acknowledge(&mut self) -> u8 {
        let Some(input) = self.first.request() else { return self.first.vector(SPURIOUS) };
        self.first.acknowledge(input);
        if input != CASCADE {
            return self.first.vector(input);
        }
        let vector = match self.second.request() {
            Some(input) => {
                self.second.acknowledge(input);
                self.second.vector(input)
            }
            None => self.second.vector(SPURIOUS),
        };
        // A chip's output falls while it is acknowledged, so what else waits there is a new edge.
        self.first.set_input(CASCADE, false);
        self.update_cascade();
        vector
    }

    /// Reads a register.
    pub fn read(&mut self, register: u16) -> u8 {
        let value = match register {
            0 | 1 => self.first.read(register == 1),
            2 | 3 => self.second.read(register == 3),
            4 => self.first.level_triggered(),
            5 => self.second.level_triggered(),
            _ => 0xff,
        };
        self.update_cascade();
        value
    }

    /// Writes a register.
    pub fn write(&mut self, register: u16, value: u8) {
        match register {
            0 | 1 => self.first.write(register == 1, value),
            2 | 3 => self.second.write(register == 3, value),
            4 => self.first.set_level_triggered(value & LEVEL_CAPABLE[0]),
            5 => self.second.set_level_triggered(value & LEVEL_CAPABLE[1]),
            _ => {}
        }
        self.update_cascade();
    }

    fn update_cascade(&mut self) {
        self.first.set_input(CASCADE, self.second.request().is_some());
    }
}

/// The PIC's registers on the bus; the state is the bus's own, where every device's line ends.
pub struct PicRegisters;

impl Device for PicRegisters {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        context.interrupts.pic_changed();
        context.interrupts.pic.read(register).into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        context.interrupts.pic_changed();
        context.interrupts.pic.write(register, value as u8);
    }
}
