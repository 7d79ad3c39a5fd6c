//! The interval timer: an 8254, whose channel 0 drives interrupt line 0 and whose channel 2 can be
//! gated and watched through the system control port.
//!
//! Registers: 0–2 the channels, 3 the control word, 4 system control port B (0x61).

mod channel;

#[cfg(test)]
mod tests;

use channel::Channel;

use super::{Context, Device, Line};

/// The clock of all three channels.
const FREQUENCY_HZ: u128 = 1_193_182;
const NS_PER_SECOND: u128 = 1_000_000_000;

const CONTROL: u16 = 3;
const SYSTEM_CONTROL: u16 = 4;
const READ_BACK: u8 = 3;
const READ_BACK_NO_COUNT: u8 = 1 << 5;
const READ_BACK_NO_STATUS: u8 = 1 << 4;

const GATE_2: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;
const REFRESH: u8 = 1 << 4;
const OUTPUT_2: u8 = 1 << 5;
/// Memory refresh toggles its bit every 15.1 µs; delay loops count on it.
const REFRESH_TICKS: u64 = 18;

/// The interval timer.
pub struct Pit {
    channels: [Channel; 3],
    speaker: bool,
    line: Line,
    deadline_ns: Option<u64>,
    synced_tick: u64,
}

/// The PIT's clock edges until `now_ns`.
fn ticks(now_ns: u64) -> u64 {
    (u128::from(now_ns) * FREQUENCY_HZ / NS_PER_SECOND) as u64
}

/// The first nanosecond at which `ticks` clock edges have passed.
fn nanoseconds(ticks: u64) -> u64 {
    let ns = (u128::from(ticks) * NS_PER_SECOND).div_ceil(FREQUENCY_HZ);
    u64::try_from(ns).unwrap_or(u64::MAX)
}

impl Pit {
    /// A timer whose channel 0 drives `line`.
    pub fn new(line: Line) -> Self {
        let mut channels: [Channel; 3] = Default::default();
        channels[2].set_gate(false, 0);
        Self { channels, speaker: false, line, deadline_ns: None, synced_tick: 0 }
    }

    /// Brings the interrupt line to where channel 0's output is now. Edges since the last time
    /// merge into one: an interrupt controller could not tell them apart either.
    fn sync_line(&mut self, now: u64, context: &mut Context<'_>) {
        let channel = &mut self.channels[0];
        let rose = channel.next_rise(self.synced_tick).is_some_and(|tick| tick <= now);
        channel.settle(now);
        self.synced_tick = now;
        let output = channel.output(now);
        if rose {
            context.interrupts.pulse_line(self.line, output);
        } else {
            context.interrupts.set_line(self.line, output);
        }
        self.deadline_ns = channel.next_rise(now).map(nanoseconds);
    }

    fn write_control(&mut self, value: u8, now: u64) {
        let select = value >> 6;
        if select != READ_BACK {
            self.channels[usize::from(select)].write_control(value, now);
            return;
        }
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if value & 2 << index == 0 {
                continue;
            }
            if value & READ_BACK_NO_COUNT == 0 {
                channel.latch_count(now);
            }
            if value & READ_BACK_NO_STATUS == 0 {
                channel.latch_status(now);
            }
        }
    }

    fn read_system_control(&mut self, now: u64) -> u8 {
        let channel = &self.channels[2];
        let mut value = 0;
        for (bit, set) in [
            (GATE_2, channel.gate()),
            (SPEAKER, self.speaker),
            (REFRESH, now / REFRESH_TICKS % 2 == 1),
            (OUTPUT_2, channel.output(now)),
        ] {
            value |= if set { bit } else { 0 };
        }
        value
    }
}

impl Device for Pit {
    fn read(&mut self, register: u16, _size: u8, context: &mut Context<'_>) -> u64 {
        let now = ticks(context.now_ns());
        for channel in &mut self.channels[1..] {
            channel.settle(now);
        }
        let value = match register {
            0..=2 => {
                if register == 0 {
                    self.sync_line(now, context);
                }
                self.channels[usize::from(register)].read(now)
            }
            SYSTEM_CONTROL => self.read_system_control(now),
            _ => 0xff,
        };
        value.into()
    }

    fn write(&mut self, register: u16, _size: u8, value: u64, context: &mut Context<'_>) {
        let now = ticks(context.now_ns());
        let value = value as u8;
        self.sync_line(now, context);
        for channel in &mut self.channels[1..] {
            channel.settle(now);
        }
        match register {
            0..=2 => self.channels[usize::from(register)].write(value, now),
            CONTROL => self.write_control(value, now),
            SYSTEM_CONTROL => {
                self.channels[2].set_gate(value & GATE_2 != 0, now);
                self.speaker = value & SPEAKER != 0;
            }
            _ => {}
        }
        self.sync_line(now, context);
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        self.deadline_ns
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        self.sync_line(ticks(context.now_ns()), context);
    }
}
