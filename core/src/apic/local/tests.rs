//! Tables from the SDM's chapter on the local APIC, by its headings.

use super::*;
use crate::apic::Destination;

const ID: u32 = 0x20;
const VERSION: u32 = 0x30;
const TPR: u32 = 0x80;
const PPR: u32 = 0xa0;
const EOI: u32 = 0xb0;
const LDR: u32 = 0xd0;
const DFR: u32 = 0xe0;
const SVR: u32 = 0xf0;
const ISR: u32 = 0x100;
const TMR: u32 = 0x180;
const IRR: u32 = 0x200;
const ESR: u32 = 0x280;
const ICR_LOW: u32 = 0x300;
const ICR_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

const X2APIC_BASE: u64 = 0xfee0_0c00;
const XAPIC_BASE: u64 = 0xfee0_0800;
const DISABLED_BASE: u64 = 0xfee0_0000;

const PERIODIC: u32 = 1 << 17;
const TSC_DEADLINE: u32 = 2 << 17;

fn enabled(id: u32) -> LocalApic {
    let mut apic = LocalApic::new(id);
    assert_eq!(apic.write(SVR, 0x1ff, 0), Effect::None);
    apic
}

fn x2apic(id: u32) -> LocalApic {
    let mut apic = enabled(id);
    apic.set_base(X2APIC_BASE).unwrap();
    apic
}

fn set(apic: &mut LocalApic, offset: u32, value: u32) {
    assert_eq!(apic.write(offset, value, 0), Effect::None);
}

fn message(mode: DeliveryMode, vector: u8, trigger: Trigger) -> Message {
    Message { destination: Destination::All, mode, vector, trigger }
}

fn fixed(vector: u8) -> Message {
    message(DeliveryMode::Fixed, vector, Trigger::Edge)
}

fn to(destination: Destination, vector: u8) -> Message {
    Message { destination, ..fixed(vector) }
}

/// "Local APIC State After Power-Up or Reset", for a processor that firmware has not touched.
#[test]
fn reset() {
    let mut apic = LocalApic::new(3);
    let rows = [
        (ID, 3 << 24),
        (VERSION, 0x0005_0014),
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

#[test]
fn virtual_wire_passes_the_pic_to_the_bootstrap_processor_alone() {
    let mut apic = LocalApic::new(0);
    assert!(apic.accepts_pic());
    assert!(!LocalApic::new(1).accepts_pic());
    set(&mut apic, SVR, 0x1ff);
    for (lint0, accepts) in [(0x700, true), (0x1_0700, false), (0x30, false), (0x400, false)] {
        set(&mut apic, LVT_LINT0, lint0);
        assert_eq!(apic.accepts_pic(), accepts, "{lint0:#x}");
    }
    apic.set_base(DISABLED_BASE).unwrap();
    assert!(apic.accepts_pic(), "without an APIC, LINT0 is INTR");
}

/// "Local APIC State After It Receives an INIT Reset": as power-up, but for the ID and the mode.
#[test]
fn init_keeps_id_and_mode() {
    let mut apic = x2apic(7);
    apic.accept(fixed(0x50));
    apic.set_task_priority_class(9);
    apic.init();
    assert_eq!((apic.id(), apic.mode()), (7, Mode::X2Apic));
    assert_eq!(apic.processor_priority(), 0);
    assert_eq!(apic.pending(), None);
    assert_eq!(apic.accept(fixed(0x50)), Accepted::Ignored, "software-disabled");
}

/// "Task and Processor Priorities": (TPR, vector in service, PPR).
#[test]
fn processor_priority() {
    let rows = [
        (0x00, None, 0x00),
        (0x2f, None, 0x2f),
        (0x00, Some(0x4f), 0x40),
        (0x3f, Some(0x4f), 0x40),
        (0x45, Some(0x4f), 0x45),
        (0x50, Some(0x4f), 0x50),
        (0xff, Some(0xfe), 0xff),
    ];
    for (task, in_service, expected) in rows {
        let mut apic = enabled(0);
        if let Some(vector) = in_service {
            apic.accept(fixed(vector));
            assert_eq!(apic.acknowledge(), vector);
        }
        set(&mut apic, TPR, task);
        assert_eq!(apic.read(PPR, 0), expected, "TPR {task:#x}, in service {in_service:x?}");
    }
}

/// "Interrupt, Task, and Processor Priority": only a class above the processor's is taken:
/// (TPR, request, taken).
#[test]
fn a_request_needs_a_higher_class() {
    let rows = [
        (0x00, 0x10, true),
        (0x0f, 0x1f, true),
        (0x10, 0x1f, false),
        (0x1f, 0x20, true),
        (0x20, 0x2f, false),
        (0xe0, 0xff, true),
        (0xf0, 0xff, false),
    ];
    for (task, vector, taken) in rows {
        let mut apic = enabled(0);
        set(&mut apic, TPR, task);
        assert_eq!(apic.accept(fixed(vector)), Accepted::Interrupt);
        assert_eq!(apic.pending(), taken.then_some(vector), "TPR {task:#x}, {vector:#x}");
    }
}

#[test]
fn cr8_is_the_class_of_the_task_priority() {
    let mut apic = enabled(0);
    set(&mut apic, TPR, 0x5a);
    assert_eq!(apic.task_priority_class(), 5);
    apic.set_task_priority_class(9);
    assert_eq!(apic.read(TPR, 0), 0x90);
}

/// "Signaling Interrupt Servicing Completion": EOI ends the highest in service, whatever came last.
#[test]
fn end_of_interrupt_goes_by_priority() {
    let mut apic = enabled(0);
    apic.accept(fixed(0x31));
    assert_eq!(apic.acknowledge(), 0x31);
    apic.accept(fixed(0x62));
    apic.accept(fixed(0x3f));
    apic.accept(fixed(0x63));
    assert_eq!(apic.acknowledge(), 0x63);
    assert_eq!(apic.pending(), None, "0x62 is of the same class");
    set(&mut apic, EOI, 0);
    assert_eq!(apic.acknowledge(), 0x62);
    set(&mut apic, EOI, 0);
    assert_eq!(apic.pending(), None, "0x3f is of the class of 0x31");
    assert_eq!(apic.read(ISR + 0x10, 0), 1 << 0x11);
    set(&mut apic, EOI, 0);
    assert_eq!(apic.pending(), Some(0x3f));
    set(&mut apic, EOI, 0);
    assert_eq!(apic.read(ISR + 0x10, 0), 0, "an EOI too many does nothing");
}

#[test]
fn one_vector_is_requested_and_in_service_at_once() {
    let mut apic = enabled(0);
    apic.accept(fixed(0x80));
    apic.acknowledge();
    apic.accept(fixed(0x80));
    assert_eq!(apic.read(IRR + 0x40, 0), 1);
    assert_eq!(apic.read(ISR + 0x40, 0), 1);
    assert_eq!(apic.pending(), None);
    set(&mut apic, EOI, 0);
    assert_eq!(apic.pending(), Some(0x80));
}

#[test]
fn the_end_of_a_level_interrupt_is_told() {
    let mut apic = enabled(0);
    apic.accept(message(DeliveryMode::Fixed, 0x71, Trigger::Level));
    assert_eq!(apic.read(TMR + 0x30, 0), 1 << 0x11);
    apic.acknowledge();
    assert_eq!(apic.write(EOI, 0, 0), Effect::EndOfInterrupt(0x71));
    apic.accept(fixed(0x71));
    assert_eq!(apic.read(TMR + 0x30, 0), 0);
    apic.acknowledge();
    assert_eq!(apic.write(EOI, 0, 0), Effect::None);
}

/// "Spurious Interrupt".
#[test]
fn nothing_pending_is_spurious() {
    let mut apic = enabled(0);
    set(&mut apic, SVR, 0x1ef);
    assert_eq!(apic.acknowledge(), 0xef);
    assert_eq!((ISR..TMR).step_by(16).map(|isr| apic.read(isr, 0)).max(), Some(0));
}

/// "Local APIC State After It Has Been Software Disabled".
#[test]
fn software_disable() {
    let mut apic = enabled(1);
    set(&mut apic, LVT_TIMER, 0x40);
    apic.accept(fixed(0x50));
    set(&mut apic, SVR, 0xff);
    assert_eq!(apic.pending(), Some(0x50), "what was accepted is held");
    assert_eq!(apic.accept(fixed(0x60)), Accepted::Ignored);
    for (mode, accepted) in [
        (DeliveryMode::Nmi, Accepted::Nmi),
        (DeliveryMode::Init, Accepted::Init),
        (DeliveryMode::StartUp, Accepted::StartUp(0x60)),
    ] {
        assert_eq!(apic.accept(message(mode, 0x60, Trigger::Edge)), accepted);
    }
    assert_eq!(apic.read(LVT_TIMER, 0), 0x1_0040);
    set(&mut apic, LVT_TIMER, 0x41);
    assert_eq!(apic.read(LVT_TIMER, 0), 0x1_0041, "the mask can't be cleared");
}

/// "Error Handling".
#[test]
fn errors_show_after_a_write_and_interrupt_once() {
    let mut apic = enabled(0);
    set(&mut apic, LVT_ERROR, 0xfe);
    assert_eq!(apic.accept(fixed(0x0f)), Accepted::Ignored);
    assert_eq!(apic.acknowledge(), 0xfe);
    set(&mut apic, EOI, 0);
    assert_eq!(apic.read(0x40, 0), 0, "a reserved register");
    assert_eq!(apic.pending(), None, "not before the status has been written");
    assert_eq!(apic.read(ESR, 0), 0);
    set(&mut apic, ESR, 0);
    assert_eq!(apic.read(ESR, 0), 1 << 6 | 1 << 7);
    set(&mut apic, ESR, 0);
    assert_eq!(apic.read(ESR, 0), 0);
    set(&mut apic, ICR_LOW, 0x0f);
    set(&mut apic, ESR, 0);
    assert_eq!(apic.read(ESR, 0), 1 << 5);
    assert_eq!(apic.pending(), Some(0xfe));
}

#[test]
fn an_illegal_vector_for_errors_does_not_recur() {
    let mut apic = enabled(0);
    set(&mut apic, LVT_ERROR, 0x05);
    set(&mut apic, 0x3f0, 0);
    set(&mut apic, ESR, 0);
    assert_eq!(apic.read(ESR, 0), 1 << 6 | 1 << 7);
}

/// "Local APIC Register Address Map": (offset, written, read).
#[test]
fn only_writable_bits_are_written() {
    let rows = [
        (ID, u32::MAX, 0),
        (VERSION, u32::MAX, 0x0005_0014),
        (TPR, u32::MAX, 0xff),
        (LDR, u32::MAX, 0xff00_0000),
        (DFR, 0, 0x0fff_ffff),
        (ISR, u32::MAX, 0),
        (LVT_TIMER, u32::MAX & !TSC_DEADLINE, 0x0003_00ff),
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
    assert_eq!(LocalApic::new(0).read(u32::MAX & !0xf, 0), 0);
}

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

/// "x2APIC State Transitions": (from, to, legal).
#[test]
fn mode_transitions() {
    const INVALID_BASE: u64 = 0xfee0_0400;
    let rows = [
        (DISABLED_BASE, DISABLED_BASE, true),
        (DISABLED_BASE, XAPIC_BASE, true),
        (DISABLED_BASE, X2APIC_BASE, false),
        (DISABLED_BASE, INVALID_BASE, false),
        (XAPIC_BASE, DISABLED_BASE, true),
        (XAPIC_BASE, XAPIC_BASE, true),
        (XAPIC_BASE, X2APIC_BASE, true),
        (XAPIC_BASE, INVALID_BASE, false),
        (X2APIC_BASE, DISABLED_BASE, true),
        (X2APIC_BASE, XAPIC_BASE, false),
        (X2APIC_BASE, X2APIC_BASE, true),
        (X2APIC_BASE, INVALID_BASE, false),
    ];
    for (from, to, legal) in rows {
        let mut apic = LocalApic::new(0);
        apic.restore_base(from);
        let before = apic.clone();
        let result = apic.set_base(to);
        assert_eq!(result.is_ok(), legal, "{from:#x} -> {to:#x}");
        if legal {
            assert_eq!(Some(apic.mode()), Mode::from_base(to));
        } else {
            assert_eq!((result, apic), (Err(Exception::GP0), before));
        }
    }
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
        (0x803, 0x0005_0014),
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
        (0x80f, 0x1000, false),
        (0x810, 0, false),
        (0x828, 0, true),
        (0x828, 1, false),
        (0x82f, 0x1_0000, false),
        (0x831, 0, false),
        (0x832, 0x3_00ff, true),
        (0x832, 0x8_0000, false),
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

/// "Interrupt Command Register (ICR)": (high, low, message).
#[test]
fn xapic_commands() {
    let send = |destination, mode, vector| {
        let trigger = Trigger::Edge;
        Effect::SendIpi(Message { destination, mode, vector, trigger })
    };
    let rows = [
        (0x0500_0000, 0x0_0040, send(Destination::Physical(5), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_0840, send(Destination::Logical(5), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_0940, send(Destination::Logical(5), DeliveryMode::LowestPriority, 0x40)),
        (0xff00_0000, 0x0_0440, send(Destination::Physical(u32::MAX), DeliveryMode::Nmi, 0x40)),
        (0xff00_0000, 0x0_0840, send(Destination::Logical(u32::MAX), DeliveryMode::Fixed, 0x40)),
        (0x0500_0000, 0x0_4500, send(Destination::Physical(5), DeliveryMode::Init, 0)),
        (0x0500_0000, 0x0_c500, send(Destination::Physical(5), DeliveryMode::Init, 0)),
        (0x0500_0000, 0x0_8500, Effect::None), // level de-assert
        (0x0500_0000, 0x0_0608, send(Destination::Physical(5), DeliveryMode::StartUp, 8)),
        (0x0000_0000, 0x8_0040, send(Destination::All, DeliveryMode::Fixed, 0x40)),
        (0x0000_0000, 0xc_4500, send(Destination::Others, DeliveryMode::Init, 0)),
        (0x0000_0000, 0x4_0040, Effect::Accepted(Accepted::Interrupt)),
        (0x0000_0000, 0x4_0400, Effect::None), // NMI to oneself by shorthand
        (0x0000_0000, 0x0_0400, Effect::Accepted(Accepted::Nmi)),
        (0x0500_0000, 0x0_0240, Effect::None), // SMI
        (0x0500_0000, 0x0_0340, Effect::None), // reserved
        (0x0500_0000, 0x0_0740, Effect::None), // reserved
        (0x0500_0000, 0x0_000f, Effect::None), // illegal vector
    ];
    for (high, low, effect) in rows {
        let mut apic = enabled(0);
        set(&mut apic, ICR_HIGH, high);
        assert_eq!(apic.write(ICR_LOW, low, 0), effect, "{high:#x} {low:#x}");
        assert_eq!(apic.read(ICR_LOW, 0), low, "delivery status is idle");
        let to_itself = effect == Effect::Accepted(Accepted::Interrupt);
        assert_eq!(apic.pending(), to_itself.then_some(0x40));
    }
}

#[test]
fn x2apic_commands_have_32_bits_of_destination() {
    let mut apic = x2apic(3);
    let rows = [
        (0xff << 32 | 0x40, Effect::SendIpi(to(Destination::Physical(0xff), 0x40))),
        (0x2_0001 << 32 | 0x840, Effect::SendIpi(to(Destination::Logical(0x2_0001), 0x40))),
        (0xffff_ffff << 32 | 0x40, Effect::SendIpi(to(Destination::Physical(u32::MAX), 0x40))),
        (3 << 32 | 0x40, Effect::Accepted(Accepted::Interrupt)),
    ];
    for (command, effect) in rows {
        assert_eq!(apic.write_msr(0x830, command, 0), Ok(effect), "{command:#x}");
        assert_eq!(apic.read_msr(0x830, 0), Ok(command));
    }
    let accepted = Effect::Accepted(Accepted::Interrupt);
    assert_eq!(apic.write_msr(0x83f, 0x77, 0), Ok(accepted), "SELF IPI");
    assert_eq!(apic.pending(), Some(0x77));
}

/// "Determining IPI Destination".
#[test]
fn physical_destinations_and_shorthands() {
    let rows = [
        (Destination::Physical(2), Some(1), true),
        (Destination::Physical(3), Some(1), false),
        (Destination::Physical(u32::MAX), Some(2), true),
        (Destination::All, Some(2), true),
        (Destination::All, None, true),
        (Destination::Others, Some(2), false),
        (Destination::Others, Some(1), true),
        (Destination::Others, None, true),
        (Destination::Myself, Some(2), true),
        (Destination::Myself, Some(1), false),
        (Destination::Myself, None, false),
    ];
    for mut apic in [enabled(2), x2apic(2)] {
        for (destination, sender, expected) in rows {
            let matches = apic.matches(destination, sender);
            assert_eq!(matches, expected, "{destination:?} from {sender:?}");
        }
        apic.set_base(DISABLED_BASE).unwrap();
        assert!(!apic.matches(Destination::All, None));
    }
}

/// "Logical Destination Mode": (DFR, LDR, address, match).
#[test]
fn logical_destinations() {
    const FLAT: u32 = 0xffff_ffff;
    const CLUSTER: u32 = 0x0fff_ffff;
    let rows = [
        (FLAT, 0x04, 0x04, true),
        (FLAT, 0x04, 0xf4, true),
        (FLAT, 0x04, 0xfb, false),
        (FLAT, 0x04, 0x00, false),
        (FLAT, 0x00, 0x7f, false),
        (FLAT, 0x00, u32::MAX, true),
        (CLUSTER, 0x24, 0x24, true),
        (CLUSTER, 0x24, 0x2c, true),
        (CLUSTER, 0x24, 0x28, false),
        (CLUSTER, 0x24, 0x34, false),
        (CLUSTER, 0x24, 0xf4, true),
        (CLUSTER, 0x24, 0xf8, false),
        (CLUSTER, 0x24, u32::MAX, true),
    ];
    for (format, logical, address, expected) in rows {
        let mut apic = enabled(0);
        set(&mut apic, DFR, format);
        set(&mut apic, LDR, logical << 24);
        let matches = apic.matches(Destination::Logical(address), None);
        assert_eq!(matches, expected, "DFR {format:#x} LDR {logical:#x}: {address:#x}");
    }
}

/// "Logical Destination Mode in x2APIC Mode": (ID, address, match).
#[test]
fn x2apic_clusters() {
    let rows = [
        (0x00, 0x0000_0001, true),
        (0x00, 0x0000_0002, false),
        (0x2f, 0x0002_8000, true),
        (0x2f, 0x0002_ffff, true),
        (0x2f, 0x0003_8000, false),
        (0x2f, 0x0002_7fff, false),
        (0x123, 0x0012_0008, true),
        (0x2f, 0x00f2_8000, false),
        (0x2f, u32::MAX, true),
    ];
    for (id, address, expected) in rows {
        let matches = x2apic(id).matches(Destination::Logical(address), None);
        assert_eq!(matches, expected, "{id:#x}: {address:#x}");
    }
}

#[test]
fn vectors_are_found_from_the_top() {
    let mut vectors = Vectors::default();
    assert_eq!(vectors.highest(), None);
    for vector in [0, 31, 32, 63, 64, 127, 128, 200, 255] {
        vectors.insert(vector);
        assert_eq!(vectors.highest(), Some(vector));
        let word = vectors.register(u32::from(vector) / 32);
        assert_eq!(word >> (vector % 32) & 1, 1);
    }
    for vector in [255, 200, 128, 127, 64, 63, 32, 31, 0] {
        assert_eq!(vectors.highest(), Some(vector));
        vectors.remove(vector);
    }
    assert_eq!(vectors, Vectors::default());
}
