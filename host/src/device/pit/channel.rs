//! One counter of an 8254, after its data sheet. Time comes in as ticks of its clock; the count and
//! the output are computed from it, so nothing runs between accesses.

/// What counts and how (data sheet, "Mode Definitions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// 0: the output rises at the terminal count.
    InterruptOnTerminalCount,
    /// 1: a rising gate starts a low pulse of the count's length.
    OneShot,
    /// 2: low for one tick of every period.
    RateGenerator,
    /// 3: high for the first half of every period.
    SquareWave,
    /// 4: one low tick after the count, started by the count's write.
    SoftwareStrobe,
    /// 5: one low tick after the count, started by a rising gate.
    HardwareStrobe,
}

/// Which bytes of a count are transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Low,
    High,
    LowThenHigh,
}

/// A counter.
#[derive(Clone, Debug)]
pub struct Channel {
    control: u8,
    mode: Mode,
    bytes: Bytes,
    bcd: bool,
    gate: bool,
    /// The period, 1 to 65536; a written 0 is the largest.
    count: u32,
    /// Written, and loaded at the end of the period or at the next trigger.
    next_count: Option<u32>,
    /// The tick at which the count was loaded; `None` while nothing counts.
    start: Option<u64>,
    /// Ticks counted when a low gate stopped the counter.
    stopped_at: Option<u64>,
    low_byte: Option<u8>,
    read_high: bool,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            control: 0,
            mode: Mode::InterruptOnTerminalCount,
            bytes: Bytes::LowThenHigh,
            bcd: false,
            gate: true,
            count: 0x1_0000,
            next_count: None,
            start: None,
            stopped_at: None,
            low_byte: None,
            read_high: false,
            latched_count: None,
            latched_status: None,
        }
    }
}

impl Channel {
    /// A control word that selects this channel: a latch command, or a mode.
    pub fn write_control(&mut self, control: u8, now: u64) {
        let bytes = match control >> 4 & 3 {
            0 => return self.latch_count(now),
            1 => Bytes::Low,
            2 => Bytes::High,
            _ => Bytes::LowThenHigh,
        };
        let mode = match control >> 1 & 7 {
            0 => Mode::InterruptOnTerminalCount,
            1 => Mode::OneShot,
            2 | 6 => Mode::RateGenerator,
            3 | 7 => Mode::SquareWave,
            4 => Mode::SoftwareStrobe,
            _ => Mode::HardwareStrobe,
        };
        let bcd = control & 1 != 0;
        *self = Self {
            control: control & 0x3f,
            mode,
            bytes,
            bcd,
            gate: self.gate,
            count: self.count,
            ..Self::default()
        };
    }

    pub fn write(&mut self, value: u8, now: u64) {
        let written = match (self.bytes, self.low_byte.take()) {
            (Bytes::Low, _) => value.into(),
            (Bytes::High, _) => u16::from(value) << 8,
            (Bytes::LowThenHigh, None) => {
                self.low_byte = Some(value);
                // The first byte of a count stops mode 0 until the second.
                if self.mode == Mode::InterruptOnTerminalCount {
                    self.start = None;
                }
                return;
            }
            (Bytes::LowThenHigh, Some(low)) => u16::from_le_bytes([low, value]),
        };
        let count = match (written, self.bcd) {
            (0, true) => 10_000,
            (0, false) => 0x1_0000,
            (_, true) => from_bcd(written),
            (_, false) => written.into(),
        };
        match self.mode {
            Mode::InterruptOnTerminalCount | Mode::SoftwareStrobe => self.load(count, now),
            Mode::RateGenerator | Mode::SquareWave if self.start.is_none() => {
                self.load(count.max(2), now);
            }
            // A count of 1 is illegal here; it counts as the least legal one.
            Mode::RateGenerator | Mode::SquareWave => self.next_count = Some(count.max(2)),
            Mode::OneShot | Mode::HardwareStrobe => self.next_count = Some(count),
        }
    }

    pub fn read(&mut self, now: u64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let count = self.latched_count.unwrap_or_else(|| self.counter(now));
        let [low, high] = count.to_le_bytes();
        let (value, last) = match self.bytes {
            Bytes::Low => (low, true),
            Bytes::High => (high, true),
            Bytes::LowThenHigh => {
                self.read_high = !self.read_high;
                if self.read_high { (low, false) } else { (high, true) }
            }
        };
        if last {
            self.latched_count = None;
        }
        value
    }

    /// Keeps the count for reading; a second latch before the read is ignored.
    pub fn latch_count(&mut self, now: u64) {
        if self.latched_count.is_none() {
            self.latched_count = Some(self.counter(now));
        }
    }

    /// Keeps the status for reading: output, null count, and the control word.
    pub fn latch_status(&mut self, now: u64) {
        if self.latched_status.is_none() {
            let null_count = self.next_count.is_some() || self.low_byte.is_some();
            let output = u8::from(self.output(now)) << 7;
            self.latched_status = Some(output | u8::from(null_count) << 6 | self.control);
        }
    }

    pub fn gate(&self) -> bool {
        self.gate
    }

    pub fn set_gate(&mut self, level: bool, now: u64) {
        let rises = level && !self.gate;
        let falls = !level && self.gate;
        self.gate = level;
        match self.mode {
            Mode::OneShot | Mode::HardwareStrobe if rises => {
                let count = self.next_count.unwrap_or(self.count);
                self.load(count, now);
            }
            Mode::RateGenerator | Mode::SquareWave if rises && self.start.is_some() => {
                let count = self.next_count.unwrap_or(self.count);
                self.load(count, now);
            }
            Mode::OneShot | Mode::HardwareStrobe => {}
            _ if falls => self.stopped_at = self.start.map(|start| now.saturating_sub(start)),
            _ if rises => {
                if let Some(elapsed) = self.stopped_at.take() {
                    self.start = Some(now.saturating_sub(elapsed));
                }
            }
            _ => {}
        }
    }

    /// Loads a count that has waited for the end of a period.
    pub fn settle(&mut self, now: u64) {
        if !matches!(self.mode, Mode::RateGenerator | Mode::SquareWave) || self.is_stopped() {
            return;
        }
        if let (Some(start), Some(next)) = (self.start, self.next_count)
            && now.saturating_sub(start) >= self.count.into()
        {
            // Which period it was written in is not recorded, so it starts with the last whole one.
            let periods = (now - start) / u64::from(self.count);
            self.start = Some(start + periods * u64::from(self.count));
            self.count = next;
            self.next_count = None;
        }
    }

    /// The level of the output.
    pub fn output(&self, now: u64) -> bool {
        let Some(elapsed) = self.elapsed(now) else {
            return self.mode != Mode::InterruptOnTerminalCount;
        };
        let count = u64::from(self.count);
        match self.mode {
            Mode::InterruptOnTerminalCount | Mode::OneShot => elapsed >= count,
            Mode::RateGenerator => self.is_stopped() || elapsed % count != count - 1,
            Mode::SquareWave => self.is_stopped() || elapsed % count < count.div_ceil(2),
            Mode::SoftwareStrobe | Mode::HardwareStrobe => elapsed != count,
        }
    }

    /// The first tick after `now` at which the output rises.
    pub fn next_rise(&self, now: u64) -> Option<u64> {
        let start = self.start?;
        if self.is_stopped() {
            return None;
        }
        let count = u64::from(self.count);
        let rise = match self.mode {
            Mode::InterruptOnTerminalCount | Mode::OneShot => start + count,
            Mode::SoftwareStrobe | Mode::HardwareStrobe => start + count + 1,
            Mode::RateGenerator | Mode::SquareWave => {
                start + (now.saturating_sub(start) / count + 1) * count
            }
        };
        (rise > now).then_some(rise)
    }

    /// The counting element, as software reads it.
    fn counter(&self, now: u64) -> u16 {
        let count = u64::from(self.count);
        let elapsed = self.elapsed(now).unwrap_or(0);
        let modulus = if self.bcd { 10_000 } else { 0x1_0000 };
        let left = match self.mode {
            Mode::RateGenerator => count - elapsed % count,
            // Counts in steps of two, twice per period, from the even part of the count.
            Mode::SquareWave => {
                let high = count.div_ceil(2);
                let position = elapsed % count;
                let half = if position < high { position } else { position - high };
                (count & !1) - 2 * half.min(count / 2)
            }
            _ => count + modulus - elapsed % modulus,
        } % modulus;
        if self.bcd { to_bcd(left as u16) } else { left as u16 }
    }

    fn is_stopped(&self) -> bool {
        !self.gate && !matches!(self.mode, Mode::OneShot | Mode::HardwareStrobe)
    }

    /// Ticks since the count was loaded.
    fn elapsed(&self, now: u64) -> Option<u64> {
        let start = self.start?;
        Some(match self.stopped_at {
            Some(elapsed) if self.is_stopped() => elapsed,
            _ => now.saturating_sub(start),
        })
    }

    /// The count enters the counter with the clock's next pulse.
    fn load(&mut self, count: u32, now: u64) {
        self.count = count;
        self.next_count = None;
        self.start = Some(now.saturating_add(1));
        self.stopped_at = (!self.gate).then_some(0);
    }
}

fn from_bcd(value: u16) -> u32 {
    (0..4).map(|digit| u32::from(value >> (4 * digit) & 15) * 10_u32.pow(digit)).sum()
}

fn to_bcd(value: u16) -> u16 {
    (0..4).map(|digit| (value / 10_u16.pow(digit) % 10) << (4 * digit)).sum()
}
