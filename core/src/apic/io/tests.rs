//! Lines, entries and messages, from the 82093AA data sheet.

use super::*;

const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;
const LOGICAL: u32 = 1 << 11;
const REMOTE_IRR: u32 = 1 << 14;

fn write(io_apic: &mut IoApic, register: u8, value: u32) -> Messages {
    assert!(io_apic.write(0x00, u32::from(register)).is_empty());
    io_apic.write(0x10, value)
}

fn read(io_apic: &mut IoApic, register: u8) -> u32 {
    assert!(io_apic.write(0x00, u32::from(register)).is_empty());
    io_apic.read(0x10)
}

fn route(line: u8, low: u32, destination: u8) -> IoApic {
    let mut io_apic = IoApic::new(0);
    assert!(write(&mut io_apic, 0x11 + 2 * line, u32::from(destination) << 24).is_empty());
    assert!(write(&mut io_apic, 0x10 + 2 * line, low).is_empty());
    io_apic
}

fn level(vector: u8) -> Message {
    let destination = Destination::Physical(0);
    Message { destination, mode: DeliveryMode::Fixed, vector, trigger: Trigger::Level }
}

/// (register, after reset, after writing all ones)
#[test]
fn registers() {
    let rows = [
        (0x00, 0x0900_0000, 0x0f00_0000),
        (0x01, 0x0017_0020, 0x0017_0020),
        (0x02, 0x0900_0000, 0x0900_0000),
        (0x03, 0, 0),
        (0x0f, 0, 0),
        (0x10, 0x0001_0000, 0x0001_afff),
        (0x11, 0, 0xff00_0000),
        (0x3e, 0x0001_0000, 0x0001_afff),
        (0x3f, 0, 0xff00_0000),
        (0x40, 0, 0),
        (0xff, 0, 0),
    ];
    for (register, reset, written) in rows {
        let mut io_apic = IoApic::new(9);
        assert_eq!(read(&mut io_apic, register), reset, "{register:#x}");
        assert!(write(&mut io_apic, register, u32::MAX).is_empty());
        assert_eq!(read(&mut io_apic, register), written, "{register:#x}");
        assert_eq!(io_apic.read(0x00), u32::from(register));
    }
    assert_eq!(IoApic::new(0).read(0x20), 0);
    assert!(IoApic::new(0).write(0x24, 1).is_empty());
}

/// (low half, destination, message)
#[test]
fn entries_make_messages() {
    let edge = Trigger::Edge;
    let make =
        |destination, mode, vector, trigger| Some(Message { destination, mode, vector, trigger });
    let rows = [
        (0x031, 2, make(Destination::Physical(2), DeliveryMode::Fixed, 0x31, edge)),
        (
            0x131 | LOGICAL,
            3,
            make(Destination::Logical(3), DeliveryMode::LowestPriority, 0x31, edge),
        ),
        (0x031, 0xff, make(Destination::Physical(u32::MAX), DeliveryMode::Fixed, 0x31, edge)),
        (0x031 | LEVEL, 0, Some(level(0x31))),
        (0x031 | LEVEL | 1 << 13, 0, Some(level(0x31))),
        (0x400, 0, make(Destination::Physical(0), DeliveryMode::Nmi, 0, edge)),
        (0x400 | LEVEL, 0, make(Destination::Physical(0), DeliveryMode::Nmi, 0, edge)),
        (0x500, 1, make(Destination::Physical(1), DeliveryMode::Init, 0, edge)),
        (0x700, 0, make(Destination::Physical(0), DeliveryMode::ExtInt, 0, edge)),
        (0x331, 0, None),
        (0x631, 0, None),
        (0x031 | MASKED, 0, None),
        (0x031 | MASKED | LEVEL, 0, None),
    ];
    for (low, destination, message) in rows {
        assert_eq!(route(5, low, destination).set_line(5, true), message, "{low:#x}");
        assert_eq!(route(5, low, destination).set_line(6, true), None, "another line is masked");
    }
}

#[test]
fn lines_that_do_not_exist_are_silent() {
    let mut io_apic = route(23, 0x31, 0);
    for line in [24, 31, 32, 64, usize::MAX] {
        assert_eq!(io_apic.set_line(line, true), None);
    }
    assert!(io_apic.set_line(23, true).is_some());
}

#[test]
fn an_edge_counts_once_and_is_lost_while_masked() {
    let mut io_apic = route(4, 0x40, 0);
    assert!(io_apic.set_line(4, true).is_some());
    assert_eq!(io_apic.set_line(4, true), None);
    assert_eq!(io_apic.set_line(4, false), None);
    assert!(io_apic.set_line(4, true).is_some());
    assert_eq!(io_apic.set_line(4, false), None);
    assert!(write(&mut io_apic, 0x18, 0x40 | MASKED).is_empty());
    assert_eq!(io_apic.set_line(4, true), None);
    assert!(write(&mut io_apic, 0x18, 0x40).is_empty());
}

#[test]
fn a_level_is_sent_again_after_each_end_while_it_lasts() {
    let mut io_apic = route(9, LEVEL | 0x50, 0);
    assert_eq!(io_apic.set_line(9, true), Some(level(0x50)));
    assert_eq!(read(&mut io_apic, 0x22), LEVEL | REMOTE_IRR | 0x50);
    assert_eq!(io_apic.set_line(9, false), None);
    assert_eq!(io_apic.set_line(9, true), None, "the first is still being handled");
    assert!(io_apic.end_of_interrupt(0x51).is_empty());
    assert_eq!(io_apic.end_of_interrupt(0x50)[..], [level(0x50)]);
    assert_eq!(io_apic.set_line(9, false), None);
    assert!(io_apic.end_of_interrupt(0x50).is_empty());
    assert_eq!(read(&mut io_apic, 0x22), LEVEL | 0x50);
    assert_eq!(io_apic.set_line(9, true), Some(level(0x50)));
    assert_eq!(io_apic.write(0x40, 0x50)[..], [level(0x50)], "the register does the same");
}

#[test]
fn an_asserted_level_is_sent_when_its_mask_falls() {
    let mut io_apic = route(9, LEVEL | MASKED | 0x50, 0);
    assert_eq!(io_apic.set_line(9, true), None);
    assert_eq!(write(&mut io_apic, 0x22, LEVEL | 0x50)[..], [level(0x50)]);
    assert!(write(&mut io_apic, 0x22, LEVEL | 0x50).is_empty(), "it is being handled");
    assert!(write(&mut io_apic, 0x22, LEVEL | MASKED | 0x50).is_empty());
    assert!(io_apic.end_of_interrupt(0x50).is_empty(), "masked");
    assert_eq!(write(&mut io_apic, 0x22, LEVEL | 0x50)[..], [level(0x50)]);
}

#[test]
fn edge_and_back_ends_a_stuck_interrupt() {
    let mut io_apic = route(9, LEVEL | 0x50, 0);
    assert!(io_apic.set_line(9, true).is_some());
    assert!(write(&mut io_apic, 0x22, MASKED | 0x50).is_empty());
    assert_eq!(read(&mut io_apic, 0x22), MASKED | 0x50);
    assert_eq!(write(&mut io_apic, 0x22, LEVEL | 0x50)[..], [level(0x50)]);
}

#[test]
fn every_line_can_share_one_vector() {
    let mut io_apic = IoApic::new(0);
    for line in 0..LINES {
        assert!(write(&mut io_apic, 0x10 + 2 * line as u8, LEVEL | 0x60).is_empty());
        assert_eq!(io_apic.set_line(line, true), Some(level(0x60)));
    }
    assert_eq!(io_apic.end_of_interrupt(0x60).len(), LINES);
}
