//! The real-time clock and its battery-backed memory: an MC146818, with what a PC's BIOS leaves in
//! the memory. Time is UTC.
//!
//! Registers: 0 the index, 1 the data. The flags of register C are brought up to date when somebody
//! looks; only interrupts that are enabled make a deadline.

mod calendar;
mod cmos;

#[cfg(test)]
mod tests;

use calendar::DateTime;
pub use cmos::RamSizes;

use super::{Context, Device, Line};

const SECONDS: usize = 0x00;
const SECONDS_ALARM: usize = 0x01;
const MINUTES: usize = 0x02;
const MINUTES_ALARM: usize = 0x03;
const HOURS: usize = 0x04;
const HOURS_ALARM: usize = 0x05;
const WEEKDAY: usize = 0x06;
const DAY: usize = 0x07;
const MONTH: usize = 0x08;
const YEAR: usize = 0x09;
const CENTURY: usize = 0x32;
const A: usize = 0x0a;
const B: usize = 0x0b;
const C: usize = 0x0c;
const D: usize = 0x0d;

const A_RATE: u8 = 0x0f;
const A_DIVIDER: u8 = 0x70;
/// The 32,768 Hz time base; values from 0x60 on hold the divider in reset.
const A_DIVIDER_32KHZ: u8 = 0x20;
const A_DIVIDER_RESET: u8 = 0x60;
const A_UPDATE_IN_PROGRESS: u8 = 0x80;
const B_24_HOURS: u8 = 1 << 1;
const B_BINARY: u8 = 1 << 2;
const B_UPDATE_INTERRUPT: u8 = 1 << 4;
const B_ALARM_INTERRUPT: u8 = 1 << 5;
const B_PERIODIC_INTERRUPT: u8 = 1 << 6;
const B_SET: u8 = 1 << 7;
const C_UPDATE: u8 = 1 << 4;
const C_ALARM: u8 = 1 << 5;
const C_PERIODIC: u8 = 1 << 6;
const C_INTERRUPT: u8 = 1 << 7;
const D_VALID_RAM: u8 = 1 << 7;
const PM: u8 = 1 << 7;
/// Alarm bytes from here on match anything.
const ANY: u8 = 0xc0;

const NS_PER_SECOND: u64 = 1_000_000_000;
/// How long before an update the update-in-progress bit warns (data sheet, t_BUC).
const UPDATE_WARNING_NS: u64 = 244_000;
/// After the divider leaves reset, the first update comes half a second later.
const FIRST_UPDATE_NS: u64 = NS_PER_SECOND / 2;
/// An alarm names a time of the day, so looking further back finds nothing new.
const DAY_SECONDS: u64 = 86_400;

/// The clock.
pub struct Rtc {
    memory: [u8; 128],
    index: u8,
    line: Line,
    /// Seconds since 1970 at `origin_ns`, while the clock runs.
    origin_seconds: i64,
    /// The machine's time of an update of the clock; updates follow every second from here.
    origin_ns: u64,
    /// Up to when register C has been brought up to date.
    settled_ns: u64,
}

impl Rtc {
    /// A clock that shows `unix_ns` nanoseconds since 1970 when the machine's time is 0.
    pub fn new(line: Line, unix_ns: u128, ram: RamSizes) -> Self {
        let mut memory = [0; 128];
        memory[A] = A_DIVIDER_32KHZ | 6;
        memory[B] = B_24_HOURS;
        memory[D] = D_VALID_RAM;
        cmos::fill(&mut memory, ram);
        let second = u128::from(NS_PER_SECOND);
        let to_next = (second - unix_ns % second) as u64;
        Self {
            memory,
            index: 0,
            line,
            origin_seconds: i64::try_from(unix_ns / second).unwrap_or(0) + 1,
            origin_ns: to_next,
            settled_ns: 0,
        }
    }

    fn runs(&self) -> bool {
        self.memory[B] & B_SET == 0 && self.memory[A] & A_DIVIDER < A_DIVIDER_RESET
    }

    /// Updates of the clock since its origin, which may be one second ahead.
    fn updates(&self, now_ns: u64) -> i64 {
        let since = i128::from(now_ns) - i128::from(self.origin_ns);
        since.div_euclid(i128::from(NS_PER_SECOND)) as i64
    }

    fn unix_seconds(&self, now_ns: u64) -> i64 {
        self.origin_seconds.saturating_add(self.updates(now_ns))
    }

    fn next_update_ns(&self, now_ns: u64) -> u64 {
        let next = i128::from(self.updates(now_ns) + 1) * i128::from(NS_PER_SECOND);
        u64::try_from(next + i128::from(self.origin_ns)).unwrap_or(u64::MAX)
    }

    /// The period that register A chooses; 0 is none.
    fn period_ns(&self) -> u64 {
        match self.memory[A] & A_RATE {
            0 => 0,
            // The two fastest rates of the slower time bases stand for 256 and 128 Hz here.
            rate @ (1 | 2) => NS_PER_SECOND << (rate + 6) >> 15,
            rate => NS_PER_SECOND << (rate - 1) >> 15,
        }
    }

    /// Brings register C up to date and drives the line.
    fn settle(&mut self, now_ns: u64, context: &mut Context<'_>) {
        let mut flags = 0;
        let period = self.period_ns();
        if period != 0 && now_ns / period != self.settled_ns / period {
            flags |= C_PERIODIC;
        }
        if self.runs() {
            let updates = self.updates(now_ns) - self.updates(self.settled_ns);
            if updates > 0 {
                flags |= C_UPDATE;
                let last = self.unix_seconds(now_ns);
                let window = updates.min(DAY_SECONDS as i64);
                if (0..window).any(|back| self.alarm_matches(last - back)) {
                    flags |= C_ALARM;
                }
            }
        }
        self.settled_ns = now_ns;
        self.memory[C] |= flags;
        self.drive_line(context);
    }

    fn drive_line(&mut self, context: &mut Context<'_>) {
        let enabled = B_UPDATE_INTERRUPT | B_ALARM_INTERRUPT | B_PERIODIC_INTERRUPT;
        let active = self.memory[B] & self.memory[C] & enabled != 0;
        self.memory[C] = self.memory[C] & !C_INTERRUPT | if active { C_INTERRUPT } else { 0 };
        context.interrupts.set_line(self.line, active);
    }

    fn alarm_matches(&self, unix_seconds: i64) -> bool {
        let date = DateTime::from_unix(unix_seconds);
        let fields = [
            (SECONDS_ALARM, self.encode(date.second)),
            (MINUTES_ALARM, self.encode(date.minute)),
            (HOURS_ALARM, self.encode_hour(date.hour)),
        ];
        fields.iter().all(|&(register, now)| {
            let alarm = self.memory[register];
            alarm >= ANY || alarm == now
        })
    }

    /// Puts the time of day into the registers.
    fn show(&mut self, now_ns: u64) {
        if !self.runs() {
            return;
        }
        let date = DateTime::from_unix(self.unix_seconds(now_ns));
        self.memory[SECONDS] = self.encode(date.second);
        self.memory[MINUTES] = self.encode(date.minute);
        self.memory[HOURS] = self.encode_hour(date.hour);
        self.memory[WEEKDAY] = self.encode(date.weekday);
        self.memory[DAY] = self.encode(date.day);
        self.memory[MONTH] = self.encode(date.month);
        self.memory[YEAR] = self.encode((date.year % 100) as u8);
        self.memory[CENTURY] = self.encode((date.year / 100) as u8);
    }

    /// Takes the time of day from the registers.
    fn take_registers(&mut self) {
        let field = |register: usize| self.decode(self.memory[register]);
        let date = DateTime {
            second: field(SECONDS),
            minute: field(MINUTES),
            hour: self.decode_hour(self.memory[HOURS]),
            weekday: 0,
            day: field(DAY),
            month: field(MONTH),
            year: u16::from(field(CENTURY)) * 100 + u16::from(field(YEAR)),
        };
        self.origin_seconds = date.to_unix();
    }

    fn encode(&self, value: u8) -> u8 {
        if self.memory[B] & B_BINARY != 0 { value } else { ((value / 10 % 10) << 4) | (value % 10) }
    }

    fn decode(&self, value: u8) -> u8 {
        if self.memory[B] & B_BINARY != 0 { value } else { (value >> 4) * 10 + (value & 15) }
    }

    fn encode_hour(&self, hour: u8) -> u8 {
        if self.memory[B] & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let twelve = (hour + 11) % 12 + 1;
        self.encode(twelve) | if hour >= 12 { PM } else { 0 }
    }

    fn decode_hour(&self, value: u8) -> u8 {
        if self.memory[B] & B_24_HOURS != 0 {
            return self.decode(value);
        }
        self.decode(value & !PM) % 12 + if value & PM != 0 { 12 } else { 0 }
    }

    fn write_register(&mut self, register: usize, value: u8, now_ns: u64) {
        match register {
            A | B => {
                let ran = self.runs();
                self.show(now_ns);
                let keep = if register == A { A_UPDATE_IN_PROGRESS } else { 0 };
                self.memory[register] = value & !keep;
                if !ran && self.runs() {
                    self.origin_ns = now_ns.saturating_add(FIRST_UPDATE_NS);
                    self.take_registers();
                    // The origin is the next update: until then the registers show the time set.
                    self.origin_seconds = self.origin_seconds.saturating_add(1);
                }
            }
            C | D => {}
            SECONDS | MINUTES | HOURS | WEEKDAY | DAY | MONTH | YEAR | CENTURY => {
                self.show(now_ns);
                self.memory[register] = value;
                if self.runs() {
                    let updates = self.updates(now_ns);
                    self.take_registers();
                    self.origin_seconds = self.origin_seconds.saturating_sub(updates);
                }
            }
            _ => self.memory[register] = value,
        }
    }
}

impl Device for Rtc {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        if register == 0 {
            return 0xff;
        }
        let now_ns = context.now_ns();
        let index = usize::from(self.index);
        let value = match index {
            A => {
                let near = self.next_update_ns(now_ns) - now_ns <= UPDATE_WARNING_NS;
                let updating = if self.runs() && near { A_UPDATE_IN_PROGRESS } else { 0 };
                self.memory[A] | updating
            }
            C => {
                self.settle(now_ns, context);
                let flags = std::mem::take(&mut self.memory[C]);
                self.drive_line(context);
                flags
            }
            _ => {
                self.show(now_ns);
                self.memory[index]
            }
        };
        value.into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        // Bit 7 of the index masks NMIs on a PC; there are none from the platform.
        if register == 0 {
            self.index = value as u8 & 0x7f;
            return;
        }
        let now_ns = context.now_ns();
        self.settle(now_ns, context);
        self.write_register(self.index.into(), value as u8, now_ns);
        self.drive_line(context);
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        let enabled = self.memory[B] & !self.memory[C];
        let period = self.period_ns();
        let periodic = (enabled & B_PERIODIC_INTERRUPT != 0 && period != 0)
            .then(|| (self.settled_ns / period + 1).saturating_mul(period));
        let each_second = (enabled & (B_UPDATE_INTERRUPT | B_ALARM_INTERRUPT) != 0 && self.runs())
            .then(|| self.next_update_ns(self.settled_ns));
        periodic.into_iter().chain(each_second).min()
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        self.settle(context.now_ns(), context);
    }
}
