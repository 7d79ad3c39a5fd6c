//! Whom messages reach, in what order they are taken, and that none is lost between threads.

extern crate std;

use std::sync::atomic::AtomicBool;
use std::thread;
use std::vec::Vec;

use super::*;

fn message(destination: Destination, mode: DeliveryMode, vector: u8) -> Message {
    Message { destination, mode, vector, trigger: Trigger::Edge }
}

fn fixed(destination: Destination, vector: u8) -> Message {
    message(destination, DeliveryMode::Fixed, vector)
}

fn send(interconnect: &Interconnect, message: Message, sender: Option<u32>) -> Vec<usize> {
    let mut told = Vec::new();
    interconnect.send(message, sender, |processor| told.push(processor));
    told
}

fn taken(interconnect: &Interconnect, processor: usize) -> Vec<(DeliveryMode, u8, Trigger)> {
    let mut taken = Vec::new();
    interconnect.take(processor, |message| {
        taken.push((message.mode, message.vector, message.trigger));
    });
    assert!(interconnect.is_empty(processor));
    taken
}

/// Shows an APIC that is switched on, with this priority and logical ID.
fn switch_on(interconnect: &Interconnect, processor: usize, priority: u32, logical: u32) {
    let mut apic = LocalApic::new(processor as u32);
    for (register, value) in [(0xf0, 0x1ff), (0x80, priority), (0xd0, logical << 24)] {
        let _ = apic.write(register, value, 0);
    }
    interconnect.show(processor, apic.address());
}

#[test]
fn messages_reach_those_they_are_for() {
    let interconnect = Interconnect::new(4);
    for processor in 0..4 {
        switch_on(&interconnect, processor, 0, 1 << processor);
    }
    let rows = [
        (Destination::Physical(2), None, &[2][..]),
        (Destination::Physical(4), None, &[]),
        (Destination::Physical(u32::MAX), Some(0), &[1, 2, 3]),
        (Destination::All, None, &[0, 1, 2, 3]),
        (Destination::Logical(0b1010), Some(1), &[3]),
        (Destination::All, Some(1), &[0, 2, 3]),
        (Destination::Others, Some(1), &[0, 2, 3]),
    ];
    for (destination, sender, expected) in rows {
        assert_eq!(send(&interconnect, fixed(destination, 0x40), sender), expected);
        for &processor in expected {
            let requests = [(DeliveryMode::Fixed, 0x40, Trigger::Edge)];
            assert_eq!(taken(&interconnect, processor), requests);
        }
        assert!((0..4).all(|processor| interconnect.is_empty(processor)));
    }
}

#[test]
fn the_lowest_priority_receives_among_those_switched_on() {
    let interconnect = Interconnect::new(4);
    let lowest = message(Destination::All, DeliveryMode::LowestPriority, 0x40);
    assert_eq!(send(&interconnect, lowest, None), [], "none is switched on");
    for (processor, priority) in [(1, 0x50), (2, 0x30), (3, 0x30)] {
        switch_on(&interconnect, processor, priority, 1 << processor);
    }
    assert_eq!(send(&interconnect, lowest, None), [2]);
    switch_on(&interconnect, 3, 0x20, 8);
    assert_eq!(send(&interconnect, lowest, Some(3)), [3], "the sender itself, too");
    let two = Message { destination: Destination::Logical(0b0110), ..lowest };
    assert_eq!(send(&interconnect, two, None), [2]);
}

#[test]
fn start_up_follows_init_and_init_undoes_what_was_before() {
    let one = Destination::Physical(1);
    let interconnect = Interconnect::new(2);
    let init = message(one, DeliveryMode::Init, 0);
    let start = |vector| message(one, DeliveryMode::StartUp, vector);
    for message in [start(7), message(one, DeliveryMode::Nmi, 0), init, start(8), start(9)] {
        send(&interconnect, message, Some(0));
    }
    let modes: Vec<_> = taken(&interconnect, 1).into_iter().map(|(mode, ..)| mode).collect();
    assert_eq!(modes, [DeliveryMode::Init, DeliveryMode::StartUp]);
    for message in [init, start(8), init] {
        send(&interconnect, message, Some(0));
    }
    assert_eq!(taken(&interconnect, 1).len(), 1, "it waits again");
    send(&interconnect, start(9), Some(0));
    assert_eq!(taken(&interconnect, 1), [(DeliveryMode::StartUp, 9, Trigger::Edge)]);
}

#[test]
fn level_and_edge_stay_apart_and_smi_finds_nobody() {
    let interconnect = Interconnect::new(1);
    let level = Message { trigger: Trigger::Level, ..fixed(Destination::All, 0xfe) };
    for message in [level, fixed(Destination::All, 0x3f), fixed(Destination::All, 0x3f)] {
        send(&interconnect, message, None);
    }
    send(&interconnect, message(Destination::All, DeliveryMode::Smi, 0), None);
    let expected =
        [(DeliveryMode::Fixed, 0x3f, Trigger::Edge), (DeliveryMode::Fixed, 0xfe, Trigger::Level)];
    assert_eq!(taken(&interconnect, 0), expected);
}

#[test]
fn the_pic_reaches_those_that_let_it_through() {
    let interconnect = Interconnect::new(3);
    let mut told = Vec::new();
    interconnect.raise_pic(|processor| told.push(processor));
    assert_eq!(told, [0], "virtual-wire mode");
    assert_eq!(taken(&interconnect, 0), [(DeliveryMode::ExtInt, 0, Trigger::Edge)]);
}

/// Each vector is posted once; all must arrive, however posting and taking interleave.
#[test]
fn nothing_is_lost_between_threads() {
    let interconnect = Interconnect::new(2);
    let done = AtomicBool::new(false);
    let mut seen = [0u32; 256];
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for vector in 16..=255 {
                interconnect.send(fixed(Destination::Physical(1), vector), Some(0), |_| {});
            }
            done.store(true, Ordering::Release);
        });
        loop {
            let last = done.load(Ordering::Acquire);
            interconnect.take(1, |message| seen[usize::from(message.vector)] += 1);
            if last {
                break;
            }
        }
        sender.join().expect("no panic");
    });
    assert!(seen[16..].iter().all(|&count| count == 1), "{seen:?}");
}
