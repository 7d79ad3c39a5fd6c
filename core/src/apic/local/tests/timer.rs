//! Divide values, one-shot, periodic and TSC-deadline mode (SDM, "APIC Timer").

use super::*;

/// "Divide Configuration Register".
#[test]
fn divide_values() {
    let rows = [
        (0b0000, 2),
        (0b0001, 4),
        (0b0010, 8),
        (0b0011, 16),
        (0b1000, 32),
        (0b1001, 64),
        (0b1010, 128),
        (0b1011, 1),
    ];
    for (configuration, divisor) in rows {
        let mut apic = enabled(0);
        set(&mut apic, DIVIDE, configuration);
        assert_eq!(apic.write(INITIAL_COUNT, 1000, 50), Effect::None);
        assert_eq!(apic.next_timer_ns(), Some(50 + 1000 * divisor), "{configuration:#b}");
        assert_eq!(apic.read(CURRENT_COUNT, 50), 1000);
        assert_eq!(apic.read(CURRENT_COUNT, 50 + 10 * divisor), 990);
    }
}

#[test]
fn one_shot_fires_once() {
    let mut apic = enabled(0);
    set(&mut apic, DIVIDE, 0b1011);
    set(&mut apic, LVT_TIMER, 0x40);
    set(&mut apic, INITIAL_COUNT, 100);
    apic.advance(99);
    assert_eq!((apic.pending(), apic.read(CURRENT_COUNT, 99)), (None, 1));
    apic.advance(100);
    assert_eq!((apic.pending(), apic.next_timer_ns()), (Some(0x40), None));
    assert_eq!(apic.read(CURRENT_COUNT, 100), 0);
    assert_eq!(apic.read(INITIAL_COUNT, 100), 100);
    apic.acknowledge();
    apic.advance(u64::MAX);
    assert_eq!(apic.read(IRR + 0x20, u64::MAX), 0);
}

#[test]
fn periodic_keeps_its_phase() {
    let mut apic = enabled(0);
    set(&mut apic, DIVIDE, 0b1011);
    set(&mut apic, LVT_TIMER, PERIODIC | 0x40);
    set(&mut apic, INITIAL_COUNT, 100);
    for (now_ns, next_ns, count) in [(100, 200, 100), (250, 300, 50), (1030, 1100, 70)] {
        apic.advance(now_ns);
        assert_eq!(apic.acknowledge(), 0x40, "at {now_ns}");
        assert_eq!(apic.pending(), None);
        assert_eq!(apic.next_timer_ns(), Some(next_ns));
        assert_eq!(apic.read(CURRENT_COUNT, now_ns), count);
        set(&mut apic, EOI, 0);
    }
    assert_eq!(apic.write(INITIAL_COUNT, 0, 1030), Effect::None);
    assert_eq!(apic.next_timer_ns(), None, "a count of 0 stops the timer");
}

#[test]
fn a_masked_timer_counts_and_does_not_interrupt() {
    let mut apic = enabled(0);
    set(&mut apic, LVT_TIMER, 0x1_0040);
    set(&mut apic, INITIAL_COUNT, 100);
    assert_eq!(apic.read(CURRENT_COUNT, 20), 90);
    apic.advance(1000);
    set(&mut apic, LVT_TIMER, 0x40);
    assert_eq!(apic.pending(), None);
}

#[test]
fn a_new_divider_goes_on_from_the_count() {
    let mut apic = enabled(0);
    set(&mut apic, DIVIDE, 0b1011);
    set(&mut apic, INITIAL_COUNT, 100);
    assert_eq!(apic.write(DIVIDE, 0b0001, 40), Effect::None);
    assert_eq!(apic.read(CURRENT_COUNT, 40), 60);
    assert_eq!(apic.next_timer_ns(), Some(40 + 60 * 4));
}

/// "TSC-Deadline Mode".
#[test]
fn tsc_deadline() {
    let mut apic = enabled(0);
    apic.set_tsc_deadline(500, 0, 0);
    assert_eq!((apic.tsc_deadline(), apic.next_timer_ns()), (0, None), "ignored in other modes");
    set(&mut apic, LVT_TIMER, TSC_DEADLINE | 0x40);
    set(&mut apic, INITIAL_COUNT, 100);
    assert_eq!(apic.read(INITIAL_COUNT, 0), 0, "ignored in this mode");
    // The counter is 1000 ahead of the clock.
    apic.set_tsc_deadline(1500, 1100, 100);
    assert_eq!((apic.tsc_deadline(), apic.next_timer_ns()), (1500, Some(500)));
    assert_eq!(apic.read(CURRENT_COUNT, 100), 0);
    apic.tsc_changed(200, 200);
    assert_eq!((apic.tsc_deadline(), apic.next_timer_ns()), (1500, Some(1500)));
    apic.advance(1500);
    assert_eq!((apic.tsc_deadline(), apic.next_timer_ns()), (0, None), "disarmed by firing");
    assert_eq!(apic.acknowledge(), 0x40);
    set(&mut apic, EOI, 0);
    apic.set_tsc_deadline(1, 1600, 1600);
    assert_eq!(apic.acknowledge(), 0x40, "a deadline in the past fires at once");
    set(&mut apic, EOI, 0);
    apic.set_tsc_deadline(u64::MAX, 1600, 1600);
    assert_eq!(apic.tsc_deadline(), u64::MAX);
    apic.set_tsc_deadline(0, 1700, 1700);
    assert_eq!(apic.next_timer_ns(), None, "0 disarms");
    apic.set_tsc_deadline(5000, 1700, 1700);
    set(&mut apic, LVT_TIMER, 0x40);
    assert_eq!((apic.tsc_deadline(), apic.next_timer_ns()), (0, None), "so does another mode");
}
