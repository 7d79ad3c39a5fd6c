//! Watching pages with translated code.

use super::super::chunks;
use super::super::watch::CodeWatch;
use super::*;
use AccessKind::{Execute, Read, Write};
use std::collections::HashMap;

fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W);
    guest.map(0x6000, 0x8000 | P | W); // the same page again
    guest.map(0x7000, 0x9000 | P | W);
    for linear in [0x5000, 0x6000, 0x7000] {
        assert_eq!(guest.write(linear, 0u8), Ok(()));
        assert!(guest.hits(linear, Write));
    }
    guest
}

#[test]
fn watching_removes_the_write_tags_of_all_aliases() {
    let mut guest = guest();
    assert!(guest.mmu.watch(0x8000, 1));
    for (linear, writable) in [(0x5000, false), (0x6000, false), (0x7000, true)] {
        assert_eq!(guest.hits(linear, Write), writable);
        assert!(guest.hits(linear, Read) && guest.hits(linear, Execute));
        assert_eq!(guest.mmu.fill(&guest.state, linear, Write), Ok(writable));
        let run = guest.mmu.run(&guest.state, linear, Write, 1);
        assert_eq!(run.map(|run| run.is_some()), Ok(writable));
    }
    guest.mmu.watch_only(0x8000, 0);
    assert_eq!(guest.mmu.fill(&guest.state, 0x5000, Write), Ok(true));
}

#[test]
fn writes_to_watched_chunks_are_done_and_recorded() {
    let mut guest = guest();
    assert!(guest.mmu.watch(0x8000, chunks(0x8100, 64)));
    assert_eq!(guest.write(0x50fc, 1u32), Ok(()));
    assert_eq!(guest.write(0x5140, 1u8), Ok(()));
    assert!(!guest.mmu.attention, "beside the chunk");
    assert_eq!(guest.write(0x60fd, 0x0403_0201u32), Ok(()));
    assert!(guest.mmu.attention);
    assert_eq!(guest.mmu.code.written, [(0x8000, 1 << 4)]);
    assert_eq!(guest.peek(0x8100) as u8, 4);
    guest.mmu.code.written.clear();
    let _ = guest.mmu.modify(&guest.state, 0x5138, true, |old: u64| old);
    assert_eq!(guest.mmu.code.written, [(0x8000, 1 << 4)]);
    // Another page is another entry, another chunk is not.
    assert!(guest.mmu.watch(0x9000, 2));
    assert!(guest.mmu.watch(0x8000, 1 << 63));
    assert_eq!(guest.write(0x7040, 1u8), Ok(()));
    assert_eq!(guest.write(0x5fff, 1u8), Ok(()));
    assert_eq!(guest.mmu.code.written, [(0x8000, 1 << 63 | 1 << 4), (0x9000, 2)]);
}

#[test]
fn a_crossing_write_is_recorded_for_the_page_that_is_watched() {
    let mut guest = guest();
    assert!(guest.mmu.watch(0x9000, u64::MAX));
    assert_eq!(guest.write(0x6ffe, 0u64), Ok(()));
    assert_eq!(guest.mmu.code.written, [(0x9000, 1)]);
}

#[test]
fn too_many_written_pages_are_everything() {
    let mut guest = guest();
    for page in (0..17).map(|index| 0x1_0000 + index * 0x1000) {
        guest.map(page, page | P | W);
        assert!(guest.mmu.watch(page, u64::MAX));
        assert!(!guest.mmu.code.everything);
        assert_eq!(guest.write(page, 0u8), Ok(()));
    }
    assert!(guest.mmu.code.everything);
}

#[test]
fn marking_an_entry_is_a_write() {
    let mut guest = guest();
    guest.map(0xa000, 0xb000 | P);
    assert!(guest.mmu.watch(PT, chunks(PT + 0xa * 8, 8)));
    assert_eq!(guest.access(0xa000, Read), Ok(()));
    assert_eq!(guest.mmu.code.written, [(PT, 1 << 1)]);
}

#[test]
fn chunk_masks() {
    assert_eq!(chunks(0, 1), 1);
    assert_eq!(chunks(0x3f, 1), 1);
    assert_eq!(chunks(0x3f, 2), 3);
    assert_eq!(chunks(0x1_2fc0, 64), 1 << 63);
    assert_eq!(chunks(0x2000, 4096), u64::MAX);
    assert_eq!(chunks(0x2fff, 100), 1 << 63, "clipped to the page");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(40))]

    /// The table against a map, full and with colliding pages.
    #[test]
    fn the_table_is_a_map(
        operations in proptest::collection::vec((0u64..5000, 0u64..4, 0u8..8), 1..9000)
    ) {
        let mut watch = CodeWatch::new();
        let mut model = HashMap::new();
        for (page, mask, operation) in operations {
            let page = page << 12;
            if operation == 0 {
                watch.unwatch(page);
                model.remove(&page);
            } else if watch.add(page, mask) {
                if mask != 0 {
                    *model.entry(page).or_insert(0) |= mask;
                }
            } else {
                assert_eq!(model.len(), 3072);
            }
            assert_eq!(watch.mask(page), model.get(&page).copied().unwrap_or(0));
        }
        for page in (0..5000).map(|page| page << 12) {
            assert_eq!(watch.mask(page), model.get(&page).copied().unwrap_or(0));
        }
        watch.unwatch_all();
        assert!(model.keys().all(|&page| watch.mask(page) == 0));
    }
}
