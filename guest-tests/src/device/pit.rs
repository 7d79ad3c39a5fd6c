//! The 8254 programmable interval timer: channel 0, which raises IRQ 0, and channel 2, whose output
//! can be read at port 0x61.

use super::port;

/// Ticks a second.
pub const FREQUENCY_HZ: u32 = 1_193_182;

const CHANNEL_0: u16 = 0x40;
const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
const SPEAKER: u16 = 0x61;

/// Mode 0: the output rises once, `count` ticks from now.
pub const ONE_SHOT: u8 = 0;
/// Mode 2: the output pulses every `count` ticks.
pub const RATE: u8 = 2;
/// Mode 3: the output is a square wave of `count` ticks.
pub const SQUARE: u8 = 3;

/// Starts channel 0 in `mode`.
pub fn start(mode: u8, count: u16) {
    program(0, CHANNEL_0, mode, count);
}

/// The count of channel 0, latched.
pub fn count() -> u16 {
    port::write::<u8>(COMMAND, 0);
    let low: u8 = port::read(CHANNEL_0);
    let high: u8 = port::read(CHANNEL_0);
    u16::from_le_bytes([low, high])
}

/// Waits until channel 2 has counted `ticks`.
pub fn wait(ticks: u16) {
    // Gate on, speaker off.
    port::write(SPEAKER, port::read::<u8>(SPEAKER) & !2 | 1);
    program(2, CHANNEL_2, ONE_SHOT, ticks);
    while port::read::<u8>(SPEAKER) & 1 << 5 == 0 {}
}

fn program(channel: u8, data: u16, mode: u8, count: u16) {
    let [low, high] = count.to_le_bytes();
    // Low byte, then high byte; binary.
    port::write(COMMAND, channel << 6 | 3 << 4 | mode << 1);
    port::write(data, low);
    port::write(data, high);
}
