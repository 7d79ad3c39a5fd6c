//! Accesses to physical memory that is not RAM.

use super::*;
use crate::{Access, Space};
use AccessKind::{Read, Write};

const MMIO: u64 = 0xfee0_0000;

fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, MMIO | P | W);
    guest.map(0x6000, 0x8000 | P | W);
    guest.map(0x4000, 0x9000 | P | W);
    guest
}

fn at(offset: u64, size: u8) -> Access {
    Access { space: Space::Memory, address: MMIO + offset, size }
}

/// Executes `instruction` until it has all answers, as a vCPU does; returns what it asked for.
fn execute<T>(
    guest: &mut Guest,
    answers: &[u64],
    mut instruction: impl FnMut(&mut Guest) -> Result<T, AccessError>,
) -> (T, std::vec::Vec<Access>) {
    let mut answers = answers.iter();
    let mut asked = std::vec::Vec::new();
    loop {
        match instruction(guest) {
            Ok(value) => return (value, asked),
            Err(AccessError::Device(access)) => {
                asked.push(access);
                guest.mmu.devices.restart();
                guest.mmu.devices.answer(*answers.next().expect("an answer"));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_read_asks_once_and_is_replayed() {
    let mut guest = guest();
    assert!(!guest.mmu.attention);
    let (value, asked) = execute(&mut guest, &[0x1_2345_6789], |guest| guest.read::<u32>(0x5020));
    assert_eq!((value, asked.as_slice()), (0x2345_6789, [at(0x20, 4)].as_slice()));
    assert!(guest.mmu.attention, "the answer is to be forgotten");
    guest.mmu.devices.retire();
    assert_eq!(guest.read::<u32>(0x5020), Err(AccessError::Device(at(0x20, 4))));
}

#[test]
fn several_reads_are_answered_in_their_order() {
    let mut guest = guest();
    let (values, asked) = execute(&mut guest, &[1, 2, 3], |guest| {
        Ok((guest.read::<u8>(0x5000)?, guest.read::<u16>(0x5010)?, guest.read::<u64>(0x5020)?))
    });
    assert_eq!(values, (1, 2, 3));
    assert_eq!(asked, [at(0, 1), at(0x10, 2), at(0x20, 8)]);
}

#[test]
fn writes_wait_and_are_dropped_by_a_restart() {
    let mut guest = guest();
    let ((), asked) = execute(&mut guest, &[9], |guest| {
        guest.write(0x5004, 0x1234u16)?;
        guest.read::<u8>(0x5000)?;
        guest.write(0x5008, 0x55u8)
    });
    assert_eq!(asked, [at(0, 1)]);
    assert_eq!(guest.mmu.devices.writes(), [(at(4, 2), 0x1234), (at(8, 1), 0x55)]);
    guest.mmu.devices.retire();
    assert_eq!(guest.mmu.devices.writes(), []);
}

#[test]
fn a_modification_reads_then_writes() {
    let mut guest = guest();
    let (old, asked) = execute(&mut guest, &[0xf0], |guest| {
        guest.mmu.modify(&guest.state, 0x5030, true, |old: u32| old | 0xf)
    });
    assert_eq!((old, asked.as_slice()), (0xf0, [at(0x30, 4)].as_slice()));
    assert_eq!(guest.mmu.devices.writes(), [(at(0x30, 4), 0xff)]);
}

#[test]
fn wide_and_split_accesses_go_in_pieces() {
    let mut guest = guest();
    let (value, asked) = execute(&mut guest, &[1, 2], |guest| guest.read::<u128>(0x5010));
    assert_eq!((value, asked.as_slice()), (2 << 64 | 1, [at(0x10, 8), at(0x18, 8)].as_slice()));
    guest.mmu.devices.retire();

    // Three bytes in the device's page, the others in RAM before it.
    guest.poke(0x9ff8, 0x0807_0605_0403_0201);
    let (value, asked) = execute(&mut guest, &[0xbbaa, 0xcc], |guest| guest.read::<u64>(0x4ffb));
    assert_eq!(asked, [at(0, 2), at(2, 1)]);
    assert_eq!(value, 0xccbb_aa08_0706_0504);
    guest.mmu.devices.retire();
    assert_eq!(guest.write(0x4fff, 0x4433_2211u32), Ok(()));
    assert_eq!(guest.peek(0x9ff8) >> 56, 0x11);
    assert_eq!(guest.mmu.devices.writes(), [(at(0, 2), 0x3322), (at(2, 1), 0x44)]);
}

#[test]
fn no_instruction_can_overflow_the_queues() {
    let mut guest = guest();
    for index in 0..1000u32 {
        assert_eq!(guest.write(0x5000, index), Ok(()));
        guest.mmu.devices.answer(u64::from(index));
    }
    for _ in 0..1000 {
        assert!(guest.read::<u16>(0x5000).is_ok());
    }
    assert_eq!(guest.read::<u16>(0x5000), Ok(0xffff), "open bus");
}

#[test]
fn no_tlb_serves_a_device() {
    let mut guest = guest();
    for kind in [Read, Write] {
        assert_eq!(guest.mmu.fill(&guest.state, 0x5000, kind), Ok(false));
        assert_eq!(guest.mmu.run(&guest.state, 0x5000, kind, 8), Ok(None));
        assert!(!guest.hits(0x5000, kind));
    }
    let page = guest.mmu.fetch(&guest.state, 0x5000).expect("permitted");
    assert_eq!((page.physical, page.bytes), (MMIO, None));
}
