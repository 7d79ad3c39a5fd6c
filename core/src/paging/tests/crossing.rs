//! Accesses that touch two pages, and addresses at the ends of the address space.

use super::*;
use crate::state::Access;
use AccessKind::{Read, Write};

fn two_pages(second: u64) -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x9000 | P | W | U);
    guest.map(0x6000, second);
    guest
}

#[test]
fn the_parts_go_to_their_own_pages() {
    let mut guest = two_pages(0x7000 | P | W);
    assert_eq!(guest.write(0x5ffd, 0x0807_0605_0403_0201u64), Ok(()));
    assert_eq!(guest.peek(0x9ff8) >> 40, 0x03_0201);
    assert_eq!(guest.peek(0x7000), 0x08_0706_0504);
    assert_eq!(guest.read::<u64>(0x5ffd), Ok(0x0807_0605_0403_0201));
    assert_eq!(guest.read::<u16>(0x5fff), Ok(0x0403));
    assert_eq!(guest.write(0x5ff8, u128::MAX / 3), Ok(()));
    assert_eq!(guest.read(0x5ff8), Ok(u128::MAX / 3));
    let old = guest.mmu.modify(&guest.state, 0x5fff, true, |old: u16| old.wrapping_add(1));
    assert_eq!(old, Ok(0x5555));
    assert_eq!(guest.read::<u16>(0x5fff), Ok(0x5556));
}

#[test]
fn a_fault_of_either_page_comes_before_any_effect() {
    for (second, code) in [(0, 2), (0x7000 | P, 3), (0x7000 | P | W | 1 << 48, 0xb)] {
        let mut guest = two_pages(second);
        let before = guest.dump();
        assert_eq!(guest.write(0x5ffd, u64::MAX), Err(page_fault(0x6000, code)));
        let modified = guest.mmu.modify(&guest.state, 0x5ffd, false, |old: u32| !old);
        assert_eq!(modified, Err(page_fault(0x6000, code)));
        let probed = guest.mmu.probe(&guest.state, 0x5ffd, 4, Write, Privilege::Current);
        assert_eq!(probed, Err(page_fault(0x6000, code)));
        assert!(guest.dump() == before, "dirty and accessed flags included");
    }
}

#[test]
fn accesses_of_32_bit_code_wrap_at_4_gib() {
    // The last page of 4 GiB is the one at 0x5000, the first one at 0x6000.
    let mut guest = two_pages(0);
    let upper = PDPT + 3 * 8;
    guest.poke(upper, PD | P | W | U);
    guest.poke(PD + 511 * 8, PT | P | W | U);
    guest.poke(PT + 511 * 8, 0x9000 | P | W | U);
    guest.poke(PT, 0x7000 | P | W | U);
    assert!(!guest.state.mode_64bit(), "compatibility mode");
    assert_eq!(guest.write(0xffff_fffe, 0x4433_2211_u32), Ok(()));
    assert_eq!((guest.peek(0x9ff8) >> 48, guest.peek(0x7000) & 0xffff), (0x2211, 0x4433));
    let probed = guest.mmu.probe(&guest.state, 0xffff_fffe, 4, Write, Privilege::Current);
    assert_eq!(probed, Ok(()));
    // In 64-bit mode the next page is the one behind.
    guest.state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    assert_eq!(guest.read::<u32>(0xffff_fffe), Err(page_fault(0x1_0000_0000, 0)));
}

#[test]
fn the_first_page_is_named_first() {
    let mut guest = two_pages(0);
    guest.map(0x5000, 0);
    assert_eq!(guest.read::<u64>(0x5ffd), Err(page_fault(0x5ffd, 0)));
    assert_eq!(guest.write(0x5ffd, 0u64), Err(page_fault(0x5ffd, 2)));
}

#[test]
fn a_probe_covers_every_page_and_no_other() {
    let mut guest = two_pages(0x7000 | P | W);
    let probe = |guest: &mut Guest, linear, length| {
        guest.mmu.probe(&guest.state, linear, length, Write, Privilege::Current)
    };
    assert_eq!(probe(&mut guest, 0x5000, 0x2000), Ok(()));
    assert_eq!(probe(&mut guest, 0x5000, 0x2001), Err(page_fault(0x7000, 2)));
    assert_eq!(probe(&mut guest, 0x5fff, 0x1002), Err(page_fault(0x7000, 2)));
    assert_eq!(guest.entry(0x6000) & (A | D), A | D);
}

#[test]
fn addresses_must_be_canonical() {
    let mut guest = Guest::new();
    for linear in [1 << 47, 0xffff_7fff_ffff_ffff, 0x8000_0000_0000_0000, 1 << 63 | 0x5000] {
        assert_eq!(guest.read::<u8>(linear), Err(AccessError::NonCanonical));
        assert_eq!(guest.access(linear, Read), Err(AccessError::NonCanonical));
        assert_eq!(guest.mmu.fetch(&guest.state, linear), Err(AccessError::NonCanonical));
        assert_eq!(guest.mmu.run(&guest.state, linear, Read, 1), Err(AccessError::NonCanonical));
    }
    assert_eq!(guest.read::<u8>(0xffff_8000_0000_0000), Err(page_fault(0xffff_8000_0000_0000, 0)));
    assert_eq!(guest.read::<u8>(0x7fff_ffff_ffff), Err(page_fault(0x7fff_ffff_ffff, 0)));
}

#[test]
fn a_part_beyond_the_canonical_half_is_not_canonical() {
    let mut guest = Guest::new();
    // The last page of the lower half, through the last entry of each level.
    guest.poke(PML4 + 255 * 8, PDPT | P | W);
    guest.poke(PDPT + 511 * 8, PD | P | W);
    guest.poke(PD + 511 * 8, PT | P | W);
    guest.poke(PT + 511 * 8, 0x8000 | P | W);
    assert_eq!(guest.read::<u8>(0x7fff_ffff_ffff), Ok(0));
    assert_eq!(guest.read::<u16>(0x7fff_ffff_ffff), Err(AccessError::NonCanonical));
    assert_eq!(guest.write(0x7fff_ffff_fffd, 1u32), Err(AccessError::NonCanonical));
    assert_eq!(guest.peek(0x8ff8), 0);
}

#[test]
fn the_address_space_wraps_at_its_end() {
    let mut guest = Guest::new();
    guest.poke(PML4 + 511 * 8, PDPT | P | W);
    guest.poke(PDPT + 511 * 8, PD | P | W);
    guest.poke(PD + 511 * 8, PT | P | W);
    guest.poke(PT + 511 * 8, 0x8000 | P | W);
    guest.map(0, 0x9000 | P | W);
    assert_eq!(guest.write(u64::MAX, 0x1234u16), Ok(()));
    assert_eq!(guest.peek(0x8ff8) >> 56, 0x34);
    assert_eq!(guest.peek(0x9000), 0x12);
}

#[test]
fn without_paging_addresses_wrap_at_32_bits() {
    let mut guest = Guest::new();
    guest.state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE;
    guest.state.control.efer = EferFlags::empty();
    guest.sync();
    guest.poke(0x8000, 0x1122_3344_5566_7788);
    assert_eq!(guest.read(0x8000), Ok(0x1122_3344_5566_7788u64));
    assert_eq!(guest.read(0x1_0000_8000), Ok(0x5566_7788u32));
    guest.poke(0, 0xab);
    // Above RAM is open bus, and the access goes on at 0.
    guest.mmu.devices.answer(0xcd);
    assert_eq!(guest.read(0xffff_ffff), Ok(0xabcdu16));
    assert_eq!(guest.read(0x8000), Ok(0x7788u16), "served by the TLB as well");
    assert!(guest.hits(0x8000, Write) && guest.hits(0x8000, AccessKind::Execute));
}

#[test]
fn runs_end_with_their_page() {
    let mut guest = two_pages(0x7000 | P);
    let mut run = |linear, kind, length| {
        let run = guest.mmu.run(&guest.state, linear, kind, length);
        run.map(|run| run.map(|run| run.length))
    };
    assert_eq!(run(0x5ff0, Read, 100), Ok(Some(16)));
    assert_eq!(run(0x5000, Write, 100), Ok(Some(100)));
    assert_eq!(run(0x6000, Read, u64::MAX), Ok(Some(4096)));
    assert_eq!(run(0x6008, Write, 1), Err(page_fault(0x6008, 3)));
}
