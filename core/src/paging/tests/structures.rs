//! The paging-structure cache: it must not be seen but where the architecture lets it.

use super::super::structures::{PageTable, StructureCache};
use super::super::walk::Accumulated;
use super::*;
use AccessKind::{Read, Write};

fn warm() -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | U);
    assert_eq!(guest.read::<u8>(0x5000), Ok(0));
    guest
}

#[test]
fn a_new_entry_in_a_known_table_is_seen_without_a_flush() {
    let mut guest = warm();
    assert_eq!(guest.read::<u8>(0x6000), Err(page_fault(0x6000, 0)));
    guest.map(0x6000, 0x9000 | P | W | U);
    assert_eq!(guest.read::<u8>(0x6000), Ok(0));
    assert_eq!(guest.entry(0x6000) & (A | D), A);
    assert_eq!(guest.write(0x6000, 5u8), Ok(()));
    assert_eq!(guest.entry(0x6000) & (A | D), A | D);
}

#[test]
fn rights_of_the_levels_above_hold() {
    let mut guest = Guest::new();
    guest.poke(PD, PT | P | NX);
    guest.map(0x5000, 0x8000 | P | W | U);
    guest.map(0x6000, 0x9000 | P | W | U | A | D);
    assert_eq!(guest.read::<u8>(0x5000), Ok(0));
    assert_eq!(guest.read::<u8>(0x6000), Ok(0));
    assert!(!guest.hits(0x6000, Write));
    assert_eq!(guest.write(0x6000, 0u8), Err(page_fault(0x6000, 3)));
    assert_eq!(guest.access(0x6000, AccessKind::Execute), Err(page_fault(0x6000, 0x11)));
    guest.set_cpl(3);
    assert_eq!(guest.access(0x6000, Read), Err(page_fault(0x6000, 5)));
}

#[test]
fn more_rights_above_are_seen_without_a_flush_and_fewer_after_one() {
    let mut guest = Guest::new();
    guest.poke(PD, PT | P);
    guest.map(0x5000, 0x8000 | P | W);
    assert_eq!(guest.write(0x5000, 1u8), Err(page_fault(0x5000, 3)));
    assert_eq!(guest.read::<u8>(0x5000), Ok(0));
    guest.poke(PD, PT | P | W);
    assert_eq!(guest.write(0x5000, 1u8), Ok(()));
    guest.poke(PD, PT | P);
    guest.mmu.flush_page(0x5000);
    assert_eq!(guest.write(0x5000, 1u8), Err(page_fault(0x5000, 3)));
    // INVLPG invalidates the cached structures of all addresses.
    let mut guest = warm();
    guest.poke(PD, 0);
    guest.mmu.flush_page(0x1234_5000);
    assert_eq!(guest.read::<u8>(0x7000), Err(page_fault(0x7000, 0)));
}

#[test]
fn a_switch_of_address_spaces_forgets_the_tables() {
    let mut guest = warm();
    guest.poke(0xa000, 0xb000 | P | W); // Another PML4, ...
    guest.poke(0xb000, 0xc000 | P | W);
    guest.poke(0xc000, 0xd000 | P | W);
    guest.poke(0xd000 + 5 * 8, 0xe000 | P | W);
    guest.poke(0xe000, 0x77);
    guest.state.control.cr3 = 0xa000;
    guest.mmu.flush_non_global();
    assert_eq!(guest.read::<u8>(0x5000), Ok(0x77));
}

#[test]
fn generations_that_come_around_meet_no_old_entry() {
    let mut cache = StructureCache::new();
    cache.insert(0x20_0000, PageTable { host: 1, above: Accumulated::NOTHING });
    assert!(cache.get(0x3f_ffff).is_some());
    assert!(cache.get(0x40_0000).is_none());
    for _ in 0..1 << 21 {
        cache.flush();
        assert!(cache.get(0x20_0000).is_none());
    }
    cache.insert(0xffff_ffff_ffe0_0000, PageTable { host: 1, above: Accumulated::NOTHING });
    assert!(cache.get(u64::MAX).is_some());
}
