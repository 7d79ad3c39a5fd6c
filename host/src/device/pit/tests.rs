//! The 8254 against its data sheet.

use proptest::prelude::*;

use super::{Pit, nanoseconds, ticks};
use crate::device::test_bench::Bench;
use crate::device::{Device, Line};

const LINE: Line = Line(0);

fn bench() -> Bench<Pit> {
    Bench::new(Pit::new(LINE))
}

impl Bench<Pit> {
    fn at(&mut self, tick: u64) -> &mut Self {
        self.now_ns = nanoseconds(tick);
        self
    }

    fn program(&mut self, channel: u8, mode: u8, count: u16) {
        self.write(3, channel << 6 | 0x30 | mode << 1);
        self.write(channel.into(), count as u8);
        self.write(channel.into(), (count >> 8) as u8);
    }

    fn count(&mut self, channel: u8) -> u16 {
        self.write(3, channel << 6);
        let low = self.read(channel.into());
        u16::from_le_bytes([low, self.read(channel.into())])
    }

    fn output_2(&mut self) -> bool {
        self.read(4) & 0x20 != 0
    }

    /// The ticks of the first four interrupts before `limit`.
    fn interrupts(&mut self, limit: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while found.len() < 4 && self.advance_to_deadline(nanoseconds(limit)) {
            if self.take_interrupt(LINE) {
                found.push(ticks(self.now_ns));
            }
        }
        found
    }
}

#[test]
fn ticks_and_nanoseconds_are_inverse() {
    for tick in [0, 1, 2, 1_193_182, 1 << 40] {
        assert_eq!(ticks(nanoseconds(tick)), tick);
    }
    assert_eq!(nanoseconds(1_193_182), 1_000_000_000);
}

#[test]
fn channel_0_interrupts_as_its_mode_says() {
    // The count is loaded one tick after it was written at tick 0.
    let table: &[(u8, u16, &[u64])] = &[
        (0, 100, &[101]),
        (1, 100, &[]), // the gate of channel 0 never rises
        (2, 100, &[101, 201, 301, 401]),
        (3, 100, &[101, 201, 301, 401]),
        (3, 5, &[6, 11, 16, 21]),
        (4, 100, &[102]),
        (5, 100, &[]),
        (2, 0, &[65_537, 131_073, 196_609, 262_145]),
        (6, 100, &[101, 201, 301, 401]),
    ];
    for &(mode, count, expected) in table {
        let mut bench = bench();
        bench.program(0, mode, count);
        bench.take_interrupt(LINE);
        assert_eq!(bench.interrupts(300_000), expected, "mode {mode}, count {count}");
    }
}

#[test]
fn late_calls_merge_interrupts_and_keep_the_rhythm() {
    let mut bench = bench();
    bench.program(0, 2, 1000);
    bench.take_interrupt(LINE);
    bench.at(5500);
    bench.with(Device::advance);
    assert!(bench.take_interrupt(LINE));
    assert!(!bench.take_interrupt(LINE));
    assert_eq!(bench.interrupts(7000), [6001]);
}

#[test]
fn the_counting_element_can_be_read() {
    // (mode, BCD, count, tick, value)
    let table = [
        (0, 0, 1000, 1, 1000),
        (0, 0, 1000, 401, 600),
        (0, 0, 1000, 1001, 0),
        (0, 0, 1000, 1003, 0xfffe), // it goes on counting
        (2, 0, 1000, 401, 600),
        (2, 0, 1000, 1001, 1000),
        (3, 0, 1000, 101, 800),
        (3, 0, 1000, 501, 1000),
        (3, 0, 0, 1, 0),
        (4, 0, 1000, 11, 990),
        (0, 1, 0x1000, 2, 0x0999),
        (2, 1, 0x0100, 51, 0x0050),
        (0, 1, 0x0000, 2, 0x9999),
    ];
    for (mode, bcd, count, tick, value) in table {
        let mut bench = bench();
        bench.write(3, 0x30 | mode << 1 | bcd);
        bench.write(0, count as u8);
        bench.write(0, (u16::to_le_bytes(count))[1]);
        assert_eq!(bench.at(tick).count(0), value, "mode {mode} count {count:#x} tick {tick}");
    }
}

#[test]
fn a_latch_holds_until_it_is_read() {
    let mut bench = bench();
    bench.program(0, 2, 1000);
    bench.at(101).write(3, 0);
    bench.at(201).write(3, 0);
    assert_eq!(
        (bench.read(0), bench.read(0)),
        (900_u16.to_le_bytes()[0], 900_u16.to_le_bytes()[1])
    );
    assert_eq!(bench.read(0), 800_u16.to_le_bytes()[0], "unlatched: the count itself");
}

#[test]
fn read_back_latches_status_and_counts_of_several_channels() {
    let mut bench = bench();
    bench.program(0, 3, 1000);
    bench.program(1, 0, 1000);
    bench.at(11).write(3, 0xc0 | 0b0110);
    let count = |bench: &mut Bench<Pit>, channel| {
        let low = bench.read(channel);
        u16::from_le_bytes([low, bench.read(channel)])
    };
    assert_eq!(bench.read(0), 0x80 | 0x36, "output high, count loaded, control word");
    assert_eq!(count(&mut bench, 0), 980);
    assert_eq!(bench.read(1), 0x30, "output low");
    assert_eq!(count(&mut bench, 1), 990);

    bench.write(0, 0x10);
    bench.write(0, 0x00);
    bench.write(3, 0xe2);
    assert_eq!(bench.read(0), 0xc0 | 0x36, "null count: the new one waits for the period's end");
}

#[test]
fn one_byte_counts_take_one_write() {
    let mut bench = bench();
    bench.write(3, 0x10 | 2 << 1);
    bench.write(0, 200);
    assert_eq!(bench.at(101).read(0), 100);
    bench.write(3, 0x20 | 2 << 1);
    bench.write(0, 2);
    assert_eq!(bench.at(102).read(0), 2, "the high byte of 512");
}

#[test]
fn a_new_count_waits_for_the_end_of_the_period() {
    let mut bench = bench();
    bench.program(0, 2, 1000);
    bench.take_interrupt(LINE);
    bench.at(500);
    bench.write(0, 100);
    bench.write(0, 0);
    assert_eq!(bench.interrupts(1250), [1001, 1101, 1201]);
}

#[test]
fn channel_2_is_gated_and_watched_through_port_0x61() {
    let mut bench = bench();
    bench.program(2, 0, 100);
    bench.at(50);
    assert_eq!(bench.count(2), 100, "the gate is low: nothing counts");
    bench.write(4, 1);
    assert_eq!(bench.read(4) & 3, 1);
    bench.at(100);
    assert_eq!(bench.count(2), 50);
    bench.write(4, 0);
    bench.at(500);
    assert_eq!(bench.count(2), 50, "stopped");
    bench.write(4, 1);
    assert!(!bench.at(549).output_2());
    assert!(bench.at(550).output_2());
}

#[test]
fn one_shot_and_hardware_strobe_start_with_the_gate() {
    for (mode, before, during, at_end) in [(1, true, false, true), (5, true, true, false)] {
        let mut bench = bench();
        bench.program(2, mode, 100);
        assert_eq!(bench.at(10).output_2(), before, "mode {mode}");
        bench.write(4, 1);
        assert_eq!(bench.at(60).output_2(), during, "mode {mode}");
        assert_eq!(bench.at(111).output_2(), at_end, "mode {mode}");
        bench.at(200).write(4, 0);
        bench.write(4, 1);
        assert_eq!(bench.at(250).output_2(), during, "mode {mode} retriggers");
    }
}

#[test]
fn periodic_modes_give_their_wave_forms() {
    for (mode, count, wave) in [(2, 4, "1110111"), (3, 4, "1100110"), (3, 5, "1110011")] {
        let mut bench = bench();
        bench.write(4, 1);
        bench.program(2, mode, count);
        let seen: String =
            (1..8).map(|tick| if bench.at(tick).output_2() { '1' } else { '0' }).collect();
        assert_eq!(seen, wave, "mode {mode}, count {count}");
        bench.write(4, 0);
        assert!(bench.output_2(), "a low gate forces the output high");
    }
}

#[test]
fn the_refresh_bit_toggles_with_time() {
    let mut bench = bench();
    let toggles = (0..180).map(|tick| bench.at(tick).read(4) & 0x10).collect::<Vec<_>>();
    assert_eq!(toggles.windows(2).filter(|pair| pair[0] != pair[1]).count(), 9);
}

proptest! {
    #[test]
    fn the_deadline_is_in_the_future_after_every_access(
        accesses in prop::collection::vec((0_u16..6, any::<u8>(), any::<bool>(), 0_u64..200_000), 1..200)
    ) {
        let mut bench = bench();
        for (register, value, write, pause_ns) in accesses {
            bench.now_ns += pause_ns;
            if write { bench.write(register, value) } else { bench.read(register); }
            bench.with(Device::advance);
            let deadline = bench.device.next_deadline_ns();
            prop_assert!(deadline.is_none_or(|deadline| deadline > bench.now_ns));
        }
    }
}
