//! Accessed and dirty flags.

use super::*;
use AccessKind::{Execute, Read, Write};

#[test]
fn a_read_sets_accessed_in_every_level() {
    for kind in [Read, Execute] {
        let mut guest = Guest::new();
        guest.map(0x5000, 0x8000 | P | W);
        assert_eq!(guest.access(0x5000, kind), Ok(()));
        for address in [PML4, PDPT, PD, PT + 5 * 8] {
            assert_eq!(guest.peek(address) & (A | D), A, "{address:#x}");
        }
    }
}

#[test]
fn a_write_sets_dirty_in_the_last_level_alone_even_after_a_read() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W);
    assert_eq!(guest.access(0x5000, Read), Ok(()));
    assert!(!guest.hits(0x5000, Write), "the first write must come to the slow path");
    assert_eq!(guest.write(0x5000, 1u8), Ok(()));
    assert!(guest.hits(0x5000, Write));
    assert_eq!(guest.entry(0x5000) & (A | D), A | D);
    for address in [PML4, PDPT, PD] {
        assert_eq!(guest.peek(address) & (A | D), A, "{address:#x}");
    }
}

#[test]
fn a_dirty_page_is_writable_at_once() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | D);
    assert_eq!(guest.access(0x5000, Read), Ok(()));
    assert!(guest.hits(0x5000, Write));
}

#[test]
fn a_refused_access_sets_nothing() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P);
    guest.map(0x6000, 0x8000 | P | W | 1 << 50);
    let before = guest.dump();
    assert_eq!(guest.write(0x5000, 1u8), Err(page_fault(0x5000, 3)));
    assert_eq!(guest.write(0x6000, 1u8), Err(page_fault(0x6000, 0xb)));
    assert!(guest.dump() == before);
}

#[test]
fn read_only_memory_keeps_its_flags() {
    let mut guest = Guest::with_memory(RAM_BYTES, 0x10000);
    guest.poke(PD, 0x10000 | P | W);
    guest.poke(0x10000 + 5 * 8, 0x8000 | P | W);
    assert_eq!(guest.write(0x5000, 7u8), Ok(()));
    assert_eq!(guest.peek(0x10000 + 5 * 8), 0x8000 | P | W);
    assert_eq!(guest.peek(0x8000), 7);
}

#[test]
fn writes_to_read_only_memory_vanish() {
    let mut guest = Guest::with_memory(RAM_BYTES, 0x10000);
    guest.map(0x5000, 0x10000 | P | W);
    guest.poke(0x10000, 0x1234);
    assert_eq!(guest.write(0x5000, 7u64), Ok(()));
    assert_eq!(guest.mmu.modify(&guest.state, 0x5000, true, |old: u64| old + 1), Ok(0x1234));
    assert_eq!(guest.read::<u64>(0x5000), Ok(0x1234));
    assert!(!guest.hits(0x5000, Write));
    assert_eq!(guest.mmu.fill(&guest.state, 0x5000, Write), Ok(false));
    assert_eq!(guest.mmu.fill(&guest.state, 0x5000, Read), Ok(true));
}
