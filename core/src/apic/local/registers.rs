//! The registers as software sees them: as 32-bit words, 16 bytes apart, in xAPIC mode, and as MSRs
//! in x2APIC mode. A register has the same number in both: its offset divided by 16, or its MSR
//! less 0x800.

use super::{Effect, LVT_ENTRIES, LocalApic, Mode, SUPPRESS_EOI_BROADCAST, error};
use crate::state::Exception;

/// Numbers of the registers (SDM, "Local APIC Register Address Map").
mod register {
    pub(super) const ID: u32 = 0x02;
    pub(super) const VERSION: u32 = 0x03;
    pub(super) const TASK_PRIORITY: u32 = 0x08;
    pub(super) const PROCESSOR_PRIORITY: u32 = 0x0a;
    pub(super) const END_OF_INTERRUPT: u32 = 0x0b;
    pub(super) const LOGICAL_DESTINATION: u32 = 0x0d;
    pub(super) const DESTINATION_FORMAT: u32 = 0x0e;
    pub(super) const SPURIOUS: u32 = 0x0f;
    pub(super) const IN_SERVICE: u32 = 0x10;
    pub(super) const TRIGGER_MODE: u32 = 0x18;
    pub(super) const INTERRUPT_REQUEST: u32 = 0x20;
    pub(super) const INTERRUPT_REQUEST_END: u32 = 0x27;
    pub(super) const ERROR_STATUS: u32 = 0x28;
    pub(super) const COMMAND_LOW: u32 = 0x30;
    pub(super) const COMMAND_HIGH: u32 = 0x31;
    pub(super) const LVT: u32 = 0x32;
    pub(super) const LVT_END: u32 = 0x37;
    pub(super) const INITIAL_COUNT: u32 = 0x38;
    pub(super) const CURRENT_COUNT: u32 = 0x39;
    pub(super) const DIVIDE_CONFIGURATION: u32 = 0x3e;
    pub(super) const SELF_IPI: u32 = 0x3f;
}

/// The MSR of register 0.
pub(crate) const X2APIC_MSRS: u32 = 0x800;

/// Version 0x14, an integrated APIC, the number of the last LVT entry, and that the broadcast of ends of
/// interrupts can be suppressed.
const VERSION: u32 = 1 << 24 | (LVT_ENTRIES as u32 - 1) << 16 | 0x14;

/// Writable bits of the LVT entries: timer, thermal sensor, performance counters, LINT0, LINT1,
/// error.
const LVT_WRITABLE: [u32; LVT_ENTRIES] =
    [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];
/// Bits of the LVT entries that only the APIC sets: delivery status, and the remote IRR of the pins.
/// Software writes back what it has read.
const LVT_READ_ONLY: [u32; LVT_ENTRIES] = [0x1000, 0x1000, 0x1000, 0x5000, 0x5000, 0x1000];

/// Writable bits of the spurious-interrupt vector register: vector, enable, focus checking, suppression of
/// broadcasts.
const SPURIOUS_WRITABLE: u32 = 0x3ff | SUPPRESS_EOI_BROADCAST;
/// Writable bits of the divide configuration register.
const DIVIDE_WRITABLE: u32 = 0b1011;
/// Bits of the interrupt command register that software chooses; delivery status is not of them.
const COMMAND_WRITABLE: u32 = 0x000c_cfff;
/// Delivery status, which always reads as idle.
const COMMAND_READ_ONLY: u32 = 1 << 12;

impl LocalApic {
    /// Reads the 32-bit register at `offset` in the APIC's page. Offsets between registers read as
    /// 0; reserved registers too, and log an error.
    pub fn read(&mut self, offset: u32, now_ns: u64) -> u32 {
        if self.mode != Mode::XApic || offset & 0xf != 0 {
            return 0;
        }
        self.advance(now_ns);
        let value = match offset >> 4 {
            register::ID => Some(self.id << 24),
            register::END_OF_INTERRUPT => Some(0),
            register::DESTINATION_FORMAT => Some(self.destination_format),
            register::COMMAND_LOW => Some(self.interrupt_command as u32),
            register::COMMAND_HIGH => Some((self.interrupt_command >> 32) as u32),
            number => self.common(number, now_ns),
        };
        value.unwrap_or_else(|| {
            self.report(error::ILLEGAL_REGISTER);
            0
        })
    }

    /// Writes the 32-bit register at `offset` in the APIC's page. Reserved bits and read-only
    /// registers keep their values; reserved registers log an error.
    pub fn write(&mut self, offset: u32, value: u32, now_ns: u64) -> Effect {
        if self.mode != Mode::XApic || offset & 0xf != 0 {
            return Effect::None;
        }
        self.advance(now_ns);
        match offset >> 4 {
            register::LOGICAL_DESTINATION => self.logical_destination = value & 0xff00_0000,
            register::DESTINATION_FORMAT => self.destination_format = value | 0x0fff_ffff,
            register::COMMAND_HIGH => {
                let high = u64::from(value & 0xff00_0000) << 32;
                self.interrupt_command = high | self.interrupt_command & 0xffff_ffff;
            }
            register::COMMAND_LOW => {
                let low = u64::from(value & COMMAND_WRITABLE);
                self.interrupt_command = self.interrupt_command & !0xffff_ffff | low;
                return self.send(self.interrupt_command);
            }
            number => match Self::writable(number) {
                Some((writable, _)) => return self.set_common(number, value & writable, now_ns),
                None if number == register::ID || self.common(number, now_ns).is_some() => {}
                None => self.report(error::ILLEGAL_REGISTER),
            },
        }
        Effect::None
    }

    /// RDMSR of 0x800 to 0x8ff.
    ///
    /// # Errors
    /// #GP outside x2APIC mode, for reserved and for write-only registers.
    pub fn read_msr(&mut self, msr: u32, now_ns: u64) -> Result<u64, Exception> {
        let number = self.msr_register(msr)?;
        self.advance(now_ns);
        match number {
            register::ID => Ok(u64::from(self.id)),
            register::COMMAND_LOW => Ok(self.interrupt_command),
            number => self.common(number, now_ns).map(u64::from).ok_or(Exception::GP0),
        }
    }

    /// WRMSR of 0x800 to 0x8ff.
    ///
    /// # Errors
    /// #GP outside x2APIC mode, for reserved and for read-only registers, and for reserved bits.
    pub fn write_msr(&mut self, msr: u32, value: u64, now_ns: u64) -> Result<Effect, Exception> {
        let number = self.msr_register(msr)?;
        let low = value as u32;
        let (writable, read_only) = match number {
            register::COMMAND_LOW => (COMMAND_WRITABLE, COMMAND_READ_ONLY),
            register::SELF_IPI => (0xff, 0),
            // SDM, "x2APIC Register Address Space": WRMSR of anything but 0 is #GP.
            register::END_OF_INTERRUPT | register::ERROR_STATUS => (0, 0),
            number => Self::writable(number).ok_or(Exception::GP0)?,
        };
        let wide = number == register::COMMAND_LOW;
        if low & !(writable | read_only) != 0 || !wide && value >> 32 != 0 {
            return Err(Exception::GP0);
        }
        self.advance(now_ns);
        Ok(match number {
            register::COMMAND_LOW => {
                self.interrupt_command = value & !u64::from(COMMAND_READ_ONLY);
                self.send(self.interrupt_command)
            }
            // A fixed interrupt with the shorthand "self".
            register::SELF_IPI => self.send(1 << 18 | value),
            number => self.set_common(number, low & writable, now_ns),
        })
    }

    fn msr_register(&self, msr: u32) -> Result<u32, Exception> {
        match self.mode {
            Mode::X2Apic => msr.checked_sub(X2APIC_MSRS).ok_or(Exception::GP0),
            _ => Err(Exception::GP0),
        }
    }

    /// Reads a register that is the same in both modes.
    fn common(&self, number: u32, now_ns: u64) -> Option<u32> {
        Some(match number {
            register::VERSION => VERSION,
            register::TASK_PRIORITY => u32::from(self.task_priority),
            register::PROCESSOR_PRIORITY => u32::from(self.processor_priority()),
            register::LOGICAL_DESTINATION => self.logical_id(),
            register::SPURIOUS => self.spurious,
            register::IN_SERVICE..register::TRIGGER_MODE => self.in_service.register(number & 7),
            register::TRIGGER_MODE..register::INTERRUPT_REQUEST => {
                self.level_triggered.register(number & 7)
            }
            register::INTERRUPT_REQUEST..=register::INTERRUPT_REQUEST_END => {
                self.requested.register(number & 7)
            }
            register::ERROR_STATUS => self.error_status,
            register::LVT..=register::LVT_END => self.shown_lvt((number - register::LVT) as usize),
            register::INITIAL_COUNT => self.timer.initial_count(),
            register::CURRENT_COUNT => self.timer.current_count(now_ns),
            register::DIVIDE_CONFIGURATION => self.timer.divide_configuration(),
            _ => return None,
        })
    }

    /// The writable bits of a register that is the same in both modes, and those that only the
    /// APIC writes; none for other registers.
    fn writable(number: u32) -> Option<(u32, u32)> {
        Some(match number {
            register::TASK_PRIORITY => (0xff, 0),
            register::SPURIOUS => (SPURIOUS_WRITABLE, 0),
            register::END_OF_INTERRUPT | register::ERROR_STATUS | register::INITIAL_COUNT => {
                (u32::MAX, 0)
            }
            register::LVT..=register::LVT_END => {
                let index = (number - register::LVT) as usize;
                (LVT_WRITABLE[index], LVT_READ_ONLY[index])
            }
            register::DIVIDE_CONFIGURATION => (DIVIDE_WRITABLE, 0),
            _ => return None,
        })
    }

    fn set_common(&mut self, number: u32, value: u32, now_ns: u64) -> Effect {
        match number {
            register::TASK_PRIORITY => self.task_priority = value as u8,
            register::END_OF_INTERRUPT => return self.end_of_interrupt(),
            register::SPURIOUS => self.set_spurious(value),
            register::ERROR_STATUS => {
                self.error_status = core::mem::take(&mut self.error_detected);
            }
            register::LVT..=register::LVT_END => {
                self.set_lvt((number - register::LVT) as usize, value);
            }
            register::INITIAL_COUNT => self.timer.set_initial_count(value, now_ns),
            register::DIVIDE_CONFIGURATION => self.timer.set_divide_configuration(value, now_ns),
            _ => {}
        }
        Effect::None
    }
}
