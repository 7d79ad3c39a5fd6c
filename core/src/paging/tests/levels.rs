//! 5-level paging: addresses of 57 bits, one more structure, large pages below it.

use super::*;
use crate::paging::{Level, Outcome, explain};

const PML5: u64 = 0xa000;
/// Beyond what 4-level paging can name, in both halves.
const LOW: u64 = 0x00ff_8000_0000_0000;
const HIGH: u64 = 0xff00_0000_0000_0000;

/// The guest's own tables under every entry that is used of the top one.
fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.state.control.cr3 = PML5;
    guest.poke(PML5, PML4 | P | W | U);
    guest.poke(PML5 + 0xff * 8, PML4 | P | W | U);
    guest.poke(PML5 + 0x100 * 8, PML4 | P | W | U);
    guest.poke(PML4 + 0x100 * 8, PDPT | P | W | U);
    guest.set_cr4(Cr4Flags::L5_PAGING, true);
    guest
}

#[test]
fn five_structures() {
    let mut guest = guest();
    guest.map(0x5000, 0x8000 | P | W | U);
    guest.poke(0x8010, 0x1234);
    for half in [0, LOW, HIGH] {
        assert_eq!(guest.read(half | 0x5010), Ok(0x1234u16), "{half:#x}");
    }
    assert_eq!(guest.peek(PML5) & A, A);
    assert_eq!(guest.peek(PML5 + 0x100 * 8) & A, A);
    guest.poke(PML5 + 8, PML4 | P | PS);
    assert_eq!(guest.read::<u8>(1 << 48), Err(page_fault(1 << 48, 9)), "no pages that large");
    assert_eq!(guest.read::<u8>(2 << 48), Err(page_fault(2 << 48, 0)));
}

#[test]
fn canonical_addresses_have_57_bits() {
    let mut guest = guest();
    for linear in [1 << 56, 0xfe00_0000_0000_0000, 1 << 63, 0x00ff_ffff_ffff_ffff] {
        assert_eq!(guest.read::<u16>(linear), Err(AccessError::NonCanonical), "{linear:#x}");
    }
    guest.set_cr4(Cr4Flags::L5_PAGING, false);
    guest.state.control.cr3 = PML4;
    guest.sync();
    assert_eq!(guest.read::<u8>(LOW), Err(AccessError::NonCanonical));
}

#[test]
fn a_page_leaves_the_tlb_by_all_of_its_address() {
    let mut guest = guest();
    guest.map(0x5000, 0x8000 | P | W | U | D);
    assert_eq!(guest.read::<u8>(LOW | 0x5000), Ok(0));
    guest.mmu.flush_page(HIGH | 0x5000);
    assert!(guest.hits(LOW | 0x5000, AccessKind::Read));
    assert!(!guest.hits(0x5000, AccessKind::Read));
    guest.mmu.flush_page(LOW | 0x5000);
    assert!(!guest.hits(LOW | 0x5000, AccessKind::Read));
}

#[test]
fn a_walk_is_told_from_its_top() {
    let guest = guest();
    let walk = explain(&guest.state, &*guest.memory, LOW | 0x5000);
    let levels: std::vec::Vec<_> = walk.entries.iter().map(|entry| entry.level).collect();
    assert_eq!(levels.first(), Some(&Level::Pml5));
    assert_eq!((levels.len(), walk.outcome), (5, Outcome::NotPresent(Level::PageTable)));
}
