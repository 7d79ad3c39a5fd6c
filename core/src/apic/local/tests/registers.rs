//! The registers in xAPIC and in x2APIC mode.

use super::*;

/// "Local APIC State After Power-Up or Reset", for a processor that firmware has not touched.
#[test]
fn reset() {
    let mut apic = LocalApic::new(3);
    let rows = [
        (ID, 3 << 24),
        (VERSION, 0x0105_0014),
        (TPR, 0),
        (PPR, 0),
        (LDR, 0),
        (DFR, u32::MAX),
        (SVR, 0xff),
        (ESR, 0),
        (ICR_LOW, 0),
        (ICR_HIGH, 0),
        (LVT_TIMER, 0x1_0000),
        (LVT_LINT0, 0x1_0000),
        (LVT_LINT1, 0x1_0000),
        (LVT_ERROR, 0x1_0000),
        (INITIAL_COUNT, 0),
        (CURRENT_COUNT, 0),
        (DIVIDE, 0),
    ];
    for (offset, value) in rows {
        assert_eq!(apic.read(offset, 0), value, "{offset:#x}");
    }
    for offset in (ISR..ESR).step_by(16) {
        assert_eq!(apic.read(offset, 0), 0, "{offset:#x}");
    }
    assert_eq!(apic.read(ESR, 0), 0);
    assert_eq!(apic, LocalApic::new(3), "reading changes nothing");
}

/// "Local APIC Register Address Map": (offset, written, read).
#[test]
fn only_writable_bits_are_written() {
    let rows = [
        (ID, u32::MAX, 0),
        (VERSION, u32::MAX, 0x0105_0014),
        (TPR, u32::MAX, 0xff),
        (LDR, u32::MAX, 0xff00_0000),
        (DFR, 0, 0x0fff_ffff),
        (ISR, u32::MAX, 0),
        (LVT_TIMER, !TSC_DEADLINE, 0x0003_00ff),
        (LVT_LINT0, u32::MAX, 0x0001_a7ff),
        (LVT_LINT1, u32::MAX, 0x0001_a7ff),
        (LVT_ERROR, u32::MAX, 0x0001_00ff),
        (0x330, u32::MAX, 0x0001_07ff),
        (0x340, u32::MAX, 0x0001_07ff),
        (DIVIDE, u32::MAX, 0b1011),
        (CURRENT_COUNT, u32::MAX, 0),
        (ICR_HIGH, u32::MAX, 0xff00_0000),
    ];
    for (offset, written, read) in rows {
        let mut apic = enabled(0);
        set(&mut apic, offset, written);
        assert_eq!(apic.read(offset, 0), read, "{offset:#x}");
        set(&mut apic, ESR, 0);
        assert_eq!(apic.read(ESR, 0), 0, "{offset:#x}");
    }
}

#[test]
fn no_offset_and_no_msr_panics() {
    let mut xapic = enabled(0);
    let mut x2apic = x2apic(0);
    for value in [0, 1, 0x0fff_ffff, u32::MAX] {
        for offset in 0..0x1010 {
            let _ = xapic.write(offset, value, 5);
            xapic.read(offset, u64::MAX);
        }
        for msr in 0x7ff..0x910 {
            let _ = x2apic.write_msr(msr, u64::from(value), u64::MAX);
            let _ = x2apic.read_msr(msr, 7);
        }
    }
    assert_eq!(LocalApic::new(0).read(!0xf, 0), 0);
}

#[test]
fn the_way_into_x2apic_mode_keeps_state_and_the_way_out_resets_it() {
    let mut apic = enabled(0x25);
    set(&mut apic, TPR, 0x30);
    set(&mut apic, ICR_HIGH, 0x1200_0000);
    apic.accept(fixed(0x41));
    apic.set_base(X2APIC_BASE).unwrap();
    let rows = [
        (0x802, 0x25),
        (0x803, 0x0105_0014),
        (0x808, 0x30),
        (0x80d, 2 << 16 | 1 << 5),
        (0x80f, 0x1ff),
        (0x822, 2),
        (0x830, 0),
    ];
    for (msr, value) in rows {
        assert_eq!(apic.read_msr(msr, 0), Ok(value), "{msr:#x}");
    }
    assert_eq!(apic.read(TPR, 0), 0, "the page is not there");
    apic.set_base(DISABLED_BASE).unwrap();
    assert_eq!(apic.accept(fixed(0x42)), Accepted::Ignored);
    apic.set_base(XAPIC_BASE).unwrap();
    assert_eq!(apic, LocalApic::new(0x25));
}

/// "x2APIC Register Address Space": (MSR, value, legal).
#[test]
fn x2apic_writes_check_reserved_bits() {
    let rows = [
        (0x802, 0, false),
        (0x803, 0, false),
        (0x808, 0xff, true),
        (0x808, 0x100, false),
        (0x80a, 0, false),
        (0x80b, 0, true),
        (0x80b, 1, false),
        (0x80d, 0, false),
        (0x80e, 0, false),
        (0x80f, 0x1ff, true),
        (0x80f, 0x1000, true), // suppression of broadcasts
        (0x80f, 0x2000, false),
        (0x810, 0, false),
        (0x828, 0, true),
        (0x828, 1, false),
        (0x82f, 0x1_0000, false),
        (0x831, 0, false),
        (0x832, 0x3_00ff, true),
        (0x832, 0x8_0000, false),
        (0x832, 0x1000, true),  // delivery status
        (0x832, 0x4000, false), // remote IRR is the pins' alone
        (0x834, 0x4000, false),
        (0x837, 0x4000, false),
        (0x832, 1 << 32, false),
        (0x835, 0x1_a7ff, true),
        (0x835, 0x5000, true),
        (0x837, 0x100, false),
        (0x838, 0xffff_ffff, true),
        (0x838, 1 << 32, false),
        (0x839, 0, false),
        (0x83e, 0b1011, true),
        (0x83e, 0b100, false),
        (0x83f, 0x100, false),
        (0x830, 1 << 13, false),
        (0x830, 1 << 16, false),
        (0x830, 1 << 20, false),
        (0x840, 0, false),
        (0x8ff, 0, false),
    ];
    for (msr, value, legal) in rows {
        let mut apic = x2apic(0);
        assert_eq!(apic.write_msr(msr, value, 0).is_ok(), legal, "{msr:#x} <- {value:#x}");
        assert_eq!(enabled(0).write_msr(msr, value, 0), Err(Exception::GP0));
    }
    for msr in [0x80b, 0x80e, 0x82f, 0x831, 0x83f, 0x840, 0x800] {
        assert_eq!(x2apic(0).read_msr(msr, 0), Err(Exception::GP0), "{msr:#x}");
    }
}
