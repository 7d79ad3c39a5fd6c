//! The MC146818 against its data sheet, and the memory against a PC's BIOS.

use super::{RamSizes, Rtc};
use crate::device::test_bench::Bench;
use crate::device::{Device, Line};

const LINE: Line = Line(8);
const SECOND: u64 = 1_000_000_000;
/// Tuesday, 29 February 2000, 12:34:56 UTC.
const LEAP_DAY: u128 = 951_827_696;

fn bench() -> Bench<Rtc> {
    Bench::new(Rtc::new(LINE, LEAP_DAY * u128::from(SECOND), RamSizes::default()))
}

impl Bench<Rtc> {
    fn get(&mut self, index: u8) -> u8 {
        self.write(0, index);
        self.read(1)
    }

    fn set(&mut self, index: u8, value: u8) {
        self.write(0, index);
        self.write(1, value);
    }

    /// Century, year, month, day, weekday, hour, minute, second.
    fn time(&mut self) -> [u8; 8] {
        [0x32, 9, 8, 7, 6, 4, 2, 0].map(|index| self.get(index))
    }

    /// Runs until `limit_ns`; the times at which an interrupt came, each acknowledged.
    fn interrupts(&mut self, limit_ns: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while self.advance_to_deadline(limit_ns) {
            if self.take_interrupt(LINE) {
                found.push(self.now_ns);
            }
            self.get(0x0c);
        }
        found
    }
}

#[test]
fn the_time_is_shown_in_every_format() {
    let table = [
        (0x02, [0x20, 0x00, 0x02, 0x29, 3, 0x12, 0x34, 0x56]),
        (0x06, [20, 0, 2, 29, 3, 12, 34, 56]),
        (0x00, [0x20, 0x00, 0x02, 0x29, 3, 0x92, 0x34, 0x56]),
        (0x04, [20, 0, 2, 29, 3, 0x8c, 34, 56]),
    ];
    for (format, time) in table {
        let mut bench = bench();
        bench.set(0x0b, format);
        assert_eq!(bench.time(), time, "register B {format:#x}");
    }
}

#[test]
fn the_time_moves_each_second_and_carries() {
    let mut bench = bench();
    bench.now_ns = SECOND - 1;
    assert_eq!(bench.get(0), 0x56);
    bench.now_ns = SECOND;
    assert_eq!(bench.get(0), 0x57);
    bench.now_ns = SECOND * 86_400;
    assert_eq!(bench.time(), [0x20, 0x00, 0x03, 0x01, 4, 0x12, 0x34, 0x56]);
}

#[test]
fn a_start_within_a_second_updates_at_its_end() {
    let unix_ns = LEAP_DAY * u128::from(SECOND) + 700_000_000;
    let mut bench = Bench::new(Rtc::new(LINE, unix_ns, RamSizes::default()));
    bench.now_ns = 299_999_999;
    assert_eq!(bench.get(0), 0x56);
    bench.now_ns = 300_000_000;
    assert_eq!(bench.get(0), 0x57);
}

#[test]
fn update_in_progress_warns_of_the_update() {
    let mut bench = bench();
    for (now_ns, updating) in
        [(0, 0), (SECOND - 244_001, 0), (SECOND - 244_000, 0x80), (SECOND - 1, 0x80), (SECOND, 0)]
    {
        bench.now_ns = now_ns;
        assert_eq!(bench.get(0x0a) & 0x80, updating, "at {now_ns}");
    }
}

#[test]
fn the_time_can_be_set_while_updates_are_held_back() {
    let mut bench = bench();
    bench.set(0x0b, 0x82);
    bench.now_ns = 5 * SECOND;
    assert_eq!(bench.get(0), 0x56, "held");
    for (index, value) in
        [(0x32, 0x19), (9, 0x99), (8, 0x12), (7, 0x31), (4, 0x23), (2, 0x59), (0, 0x59)]
    {
        bench.set(index, value);
    }
    assert_eq!(bench.get(0x0a) & 0x80, 0);
    bench.set(0x0b, 0x02);
    assert_eq!(bench.time(), [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59]);
    bench.now_ns += SECOND / 2;
    assert_eq!(bench.time(), [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00]);
}

#[test]
fn the_time_can_be_set_while_the_clock_runs() {
    let mut bench = bench();
    bench.now_ns = 10 * SECOND + 5;
    bench.set(0, 0x30);
    bench.set(4, 0x01);
    assert_eq!(bench.time()[5..], [0x01, 0x35, 0x30]);
    bench.now_ns += SECOND;
    assert_eq!(bench.get(0), 0x31);
}

#[test]
fn the_periodic_interrupt_has_the_chosen_rate() {
    for (rate, period_ns) in
        [(1, 3_906_250), (2, 7_812_500), (3, 122_070), (6, 976_562), (15, SECOND / 2)]
    {
        let mut bench = bench();
        bench.set(0x0a, 0x20 | rate);
        bench.set(0x0b, 0x42);
        let times = bench.interrupts(4 * period_ns);
        assert_eq!(times, [1, 2, 3, 4].map(|n| n * period_ns), "rate {rate}");
    }
}

#[test]
fn interrupts_stay_until_register_c_is_read() {
    let mut bench = bench();
    bench.set(0x0b, 0x12);
    assert!(bench.advance_to_deadline(2 * SECOND));
    assert!(bench.take_interrupt(LINE));
    assert!(bench.device.next_deadline_ns().is_none(), "nothing new can happen before the read");
    assert_eq!(bench.get(0x0c) & 0x90, 0x90);
    assert_eq!(bench.get(0x0c), 0);
    assert_eq!(bench.device.next_deadline_ns(), Some(2 * SECOND));
}

#[test]
fn flags_show_without_interrupts() {
    let mut bench = bench();
    bench.now_ns = SECOND;
    assert_eq!(bench.get(0x0c), 0x50, "periodic and update, but no interrupt");
    assert!(!bench.take_interrupt(LINE));
}

#[test]
fn an_alarm_rings_once_a_day_or_at_every_match() {
    let mut bench = bench();
    for (index, value) in [(1, 0x00), (3, 0x35), (5, 0x12)] {
        bench.set(index, value);
    }
    bench.set(0x0b, 0x22);
    assert_eq!(bench.interrupts(100 * SECOND), [4 * SECOND]);

    let mut every_minute = self::bench();
    for (index, value) in [(1, 0x10), (3, 0xff), (5, 0xc0)] {
        every_minute.set(index, value);
    }
    every_minute.set(0x0b, 0x22);
    assert_eq!(every_minute.interrupts(150 * SECOND), [14 * SECOND, 74 * SECOND, 134 * SECOND]);
}

#[test]
fn a_clock_in_reset_stands_still() {
    let mut bench = bench();
    bench.set(0x0a, 0x60);
    bench.now_ns = 100 * SECOND;
    assert_eq!(bench.get(0), 0x56);
    bench.set(0x0a, 0x26);
    bench.now_ns += SECOND / 2;
    assert_eq!(bench.get(0), 0x57);
}

#[test]
fn memory_sizes_are_where_a_bios_leaves_them() {
    let ram = RamSizes { low_bytes: 3 << 30, high_bytes: 5 << 30 };
    let mut bench = Bench::new(Rtc::new(LINE, 0, ram));
    let mut word = |index| u16::from_le_bytes([bench.get(index), bench.get(index + 1)]);
    assert_eq!(word(0x15), 640);
    assert_eq!(word(0x17), 0xffff);
    assert_eq!(word(0x30), 0xffff);
    assert_eq!(word(0x34), (((3_u32 << 30) - (16 << 20)) >> 16) as u16);
    assert_eq!(word(0x5b), 0x4000);
    assert_eq!(bench.get(0x5d), 1);
    bench.set(0x60, 0xa5);
    assert_eq!(bench.get(0xe0), 0xa5, "free memory; bit 7 of the index is not part of it");
}
