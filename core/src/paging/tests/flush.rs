//! What invalidations remove and what they keep.

use super::*;
use AccessKind::{Execute, Read, Write};

/// Global and other pages, large ones and small ones, all in the TLB.
fn filled() -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | D);
    guest.map(0x6000, 0x9000 | P | W | D | G);
    guest.poke(PD + 8, P | W | D | PS); // 2 MiB at 2 MiB
    guest.poke(PDPT + 8, P | W | D | PS); // 1 GiB at 1 GiB
    for linear in PAGES {
        assert_eq!(guest.read::<u8>(linear), Ok(0));
    }
    guest
}

const PAGES: [u64; 6] = [0x5000, 0x6000, 0x20_a000, 0x20_b000, 0x4000_c000, 0x4000_d000];

fn present(guest: &Guest) -> [bool; 6] {
    PAGES.map(|linear| {
        let hit = guest.hits(linear, Read);
        assert_eq!(guest.hits(linear, Write), hit);
        assert_eq!(guest.hits(linear, Execute), hit);
        hit
    })
}

#[test]
fn all_and_all_but_global() {
    let mut guest = filled();
    assert_eq!(present(&guest), [true; 6]);
    guest.mmu.flush_non_global();
    assert_eq!(present(&guest), [false, true, false, false, false, false]);
    guest.mmu.flush_non_global();
    assert!(guest.hits(0x6000, Read));
    guest.mmu.flush_all();
    assert_eq!(present(&guest), [false; 6]);
}

#[test]
fn without_pge_no_page_is_global() {
    let mut guest = Guest::new();
    guest.set_cr4(Cr4Flags::PAGE_GLOBAL, false);
    guest.map(0x6000, 0x9000 | P | W | D | G);
    assert_eq!(guest.read::<u8>(0x6000), Ok(0));
    guest.mmu.flush_non_global();
    assert!(!guest.hits(0x6000, Read));
}

#[test]
fn a_page_of_any_size_and_global_ones_too() {
    let after = |linear| {
        let mut guest = filled();
        guest.mmu.flush_page(linear);
        present(&guest)
    };
    assert_eq!(after(0x5fff), [false, true, true, true, true, true]);
    assert_eq!(after(0x6000), [true, false, true, true, true, true]);
    assert_eq!(after(0x3f_f000), [true, true, false, false, true, true]);
    assert_eq!(after(0x7fff_ffff), [true, true, true, true, false, false]);
    assert_eq!(after(0x10_5000), [true; 6], "same index, another page");
}

#[test]
fn an_entry_that_took_anothers_place_is_known_by_its_own_properties() {
    let mut guest = filled();
    // Takes the places of a global page, and of a piece of the 1 GiB page.
    guest.map(0x10_6000, 0x8000 | P);
    guest.map(0x10_c000, 0x8000 | P | G);
    assert_eq!(guest.read::<u8>(0x10_6000), Ok(0));
    assert_eq!(guest.read::<u8>(0x10_c000), Ok(0));
    guest.mmu.flush_page(0x4000_0000);
    assert!(guest.hits(0x10_c000, Read) && !guest.hits(0x4000_d000, Read));
    guest.mmu.flush_non_global();
    assert!(guest.hits(0x10_c000, Read) && !guest.hits(0x10_6000, Read));
}

#[test]
fn a_large_global_page_that_a_flush_has_kept_goes_whole() {
    let mut guest = Guest::new();
    guest.poke(PD + 8, P | W | D | PS | G);
    assert_eq!(guest.read::<u8>(0x20_a000), Ok(0));
    guest.mmu.flush_non_global();
    assert!(guest.hits(0x20_a000, Read));
    guest.mmu.flush_page(0x20_0000);
    assert!(!guest.hits(0x20_a000, Read));
}

#[test]
fn all_views_are_flushed() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | U | D);
    guest.set_cr4(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, true);
    for flush in [Mmu::flush_all, Mmu::flush_non_global, |mmu: &mut Mmu| mmu.flush_page(0x5000)] {
        for (cpl, ac) in [(3, false), (0, true)] {
            guest.set_cpl(cpl);
            guest.set_ac(ac);
            assert_eq!(guest.read::<u8>(0x5000), Ok(0));
            assert!(guest.hits(0x5000, Read));
        }
        guest.set_ac(false);
        assert!(!guest.hits(0x5000, Read), "SMAP has a TLB of its own");
        flush(&mut guest.mmu);
        for (cpl, ac) in [(3, false), (0, true)] {
            guest.set_cpl(cpl);
            guest.set_ac(ac);
            assert!(!guest.hits(0x5000, Read));
        }
    }
}

#[test]
fn changes_of_control_bits_flush() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | D | G);
    guest.state.control.cr0.remove(Cr0Flags::WRITE_PROTECT);
    guest.sync();
    assert_eq!(guest.write(0x5000, 1u8), Ok(()));
    guest.state.control.cr0.insert(Cr0Flags::WRITE_PROTECT);
    guest.sync();
    assert_eq!(guest.write(0x5000, 1u8), Err(page_fault(0x5000, 3)));
}
