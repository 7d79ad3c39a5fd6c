//! The PIT counts down, its latch holds a value, channel 2 follows its gate, and its output can be read at
//! port 0x61; the TSC counts meanwhile (8254).

#![no_std]
#![no_main]

use guest_tests::cpu::rdtsc;
use guest_tests::device::{pit, port};

guest_tests::entry!(main);

fn main() {
    pit::start(pit::RATE, 0xffff);
    let first = pit::count();
    pit::wait(1000);
    let second = pit::count();
    // Both counters tick alike: the first may have wrapped once.
    let passed = first.wrapping_sub(second);
    assert!((900..60_000).contains(&passed), "channel 0 went {passed} while channel 2 went 1000");

    let start = rdtsc();
    // 50 ms.
    for _ in 0..5 {
        pit::wait(11_932);
    }
    let cycles = rdtsc() - start;
    assert!(cycles > 1_000_000, "{cycles} cycles in 50 ms");

    let speaker: u8 = port::read(0x61);
    assert!(speaker & 1 << 5 != 0, "channel 2 has counted to its end");
}
