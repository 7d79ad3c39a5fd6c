//! Tables from the SDM's chapter on the local APIC, by its headings.

mod command;
mod registers;
mod timer;

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

#[test]
fn lint0_makes_of_its_line_what_its_entry_says() {
    let mut apic = LocalApic::new(0);
    set(&mut apic, SVR, 0x1ff);
    let all = |mode, vector, trigger| {
        Some(Message { destination: Destination::All, mode, vector, trigger })
    };
    let fixed = all(DeliveryMode::Fixed, 0x30, Trigger::Edge);
    let level = all(DeliveryMode::Fixed, 0x30, Trigger::Level);
    let nmi = all(DeliveryMode::Nmi, 0x30, Trigger::Edge);
    // What comes when the line rises, stays high, falls, stays low.
    for (entry, expected) in [
        (0x0030, [fixed, None, None, None]),
        (0x2030, [None, None, fixed, None]),
        (0x8030, [level, level, None, None]),
        (0xa030, [None, None, level, level]),
        (0x0430, [nmi, None, None, None]),
        (0x8430, [nmi, None, None, None]),
        (0x0730, [None; 4]),
        (0x1_0030, [None; 4]),
    ] {
        set(&mut apic, LVT_LINT0, entry);
        let found = [(false, true), (true, true), (true, false), (false, false)];
        let found = found.map(|(before, level)| apic.lint0(before, level));
        assert_eq!(found, expected, "{entry:#x}");
        assert_eq!(apic.address().hears_pic, entry != 0x1_0030);
    }
    // While it is requested or in service, which the remote IRR says, a level is no further request.
    const REMOTE_IRR: u32 = 1 << 14;
    set(&mut apic, LVT_LINT0, 0x8030);
    assert_eq!(apic.read(LVT_LINT0, 0), 0x8030);
    apic.accept(level.unwrap());
    assert_eq!(apic.lint0(true, true), None);
    assert_eq!(apic.read(LVT_LINT0, 0), 0x8030 | REMOTE_IRR);
    assert_eq!(apic.acknowledge(), 0x30);
    assert_eq!(apic.lint0(true, true), None);
    assert_eq!(apic.read(LVT_LINT0, 0), 0x8030 | REMOTE_IRR);
    set(&mut apic, LVT_LINT0, 0x8030 | REMOTE_IRR);
    assert_eq!(apic.write(0xb0, 0, 0), Effect::EndOfInterrupt(0x30));
    assert_eq!(apic.read(LVT_LINT0, 0), 0x8030, "whatever was written");
    assert_eq!(apic.lint0(true, true), level);
    apic.set_base(DISABLED_BASE).unwrap();
    assert_eq!(apic.lint0(false, true), None, "without an APIC, LINT0 is INTR");
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

/// "EOI-Broadcast Suppression": software tells the I/O APIC by itself; LINT0 has none.
#[test]
fn the_end_of_a_level_interrupt_can_be_kept_back() {
    let mut apic = enabled(0);
    set(&mut apic, SVR, u32::MAX);
    assert_eq!(apic.read(SVR, 0), 0x13ff);
    for (lint0, told) in [(0x8071, true), (0x8070, false), (0x0071, false)] {
        set(&mut apic, LVT_LINT0, lint0);
        apic.accept(message(DeliveryMode::Fixed, 0x71, Trigger::Level));
        apic.acknowledge();
        let effect = if told { Effect::EndOfInterrupt(0x71) } else { Effect::None };
        assert_eq!(apic.write(EOI, 0, 0), effect, "{lint0:#x}");
    }
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
