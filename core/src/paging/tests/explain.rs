//! The page walk as the failure report shows it.

use super::super::{Denial, Level, Outcome, explain};
use super::*;
use std::string::ToString;
use x86_64::structures::idt::PageFaultErrorCode;

fn denial(guest: &Guest, linear: u64, code: u64) -> Option<Denial> {
    let walk = explain(&guest.state, &*guest.memory, linear);
    walk.denial(PageFaultErrorCode::from_bits_truncate(code))
}

#[test]
fn a_walk_reads_like_this_and_changes_nothing() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | NX);
    let before = guest.dump();
    let walk = explain(&guest.state, &*guest.memory, 0x5123);
    assert_eq!(
        walk.to_string(),
        "PML4E at 0x0000001000 = 0x0000000000002007: P W U\n\
         PDPTE at 0x0000002000 = 0x0000000000003007: P W U\n\
         PDE   at 0x0000003000 = 0x0000000000004007: P W U\n\
         PTE   at 0x0000004028 = 0x8000000000008003: P W NX\n\
         physical 0x8123 in a 4 KiB page: supervisor, writable, no-execute"
    );
    assert!(guest.dump() == before);
}

#[test]
fn outcomes() {
    let mut guest = Guest::new();
    let outcome = |guest: &Guest, linear| explain(&guest.state, &*guest.memory, linear).outcome;
    assert_eq!(outcome(&guest, 1 << 47), Outcome::NonCanonical);
    assert_eq!(outcome(&guest, 0x5000), Outcome::NotPresent(Level::PageTable));
    assert_eq!(outcome(&guest, 1 << 40), Outcome::NotPresent(Level::Pml4));
    guest.poke(PD + 8, P | PS | 1 << 50 | 1 << 13);
    let reserved = Outcome::Reserved(Level::PageDirectory, 1 << 50 | 1 << 13);
    assert_eq!(outcome(&guest, 0x20_0000), reserved);
    guest.poke(PDPT + 8, P | PS);
    let huge = outcome(&guest, 0x4000_0000 + 0x123_4567).to_string();
    assert_eq!(huge, "physical 0x1234567 in a 1 GiB page: supervisor, read-only, executable");
    guest.state.control.cr0.remove(Cr0Flags::PAGING);
    guest.state.control.efer = EferFlags::empty();
    guest.sync();
    assert_eq!(outcome(&guest, 0x1_0000_5000).to_string(), "paging is off: physical 0x5000");
}

#[test]
fn denials_name_the_level() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W | U);
    assert_eq!(denial(&guest, 0x5000, 7), None, "it would be permitted now");
    guest.poke(PDPT, PD | P | U | NX);
    assert_eq!(denial(&guest, 0x5000, 7), Some(Denial::ReadOnly(Level::PageDirectoryPointer)));
    assert_eq!(denial(&guest, 0x5000, 0x15), Some(Denial::NoExecute(Level::PageDirectoryPointer)));
    guest.map(0x5000, 0x8000 | P);
    let denied = denial(&guest, 0x5000, 5);
    assert_eq!(denied, Some(Denial::SupervisorOnly(Level::PageTable)));
    assert_eq!(
        denied.map(|denied| denied.to_string()).as_deref(),
        Some("the PTE forbids user mode")
    );
    guest.map(0x5000, 0x8000 | P | U);
    guest.poke(PDPT, PD | P | W | U);
    assert_eq!(denial(&guest, 0x5000, 1), Some(Denial::Smap));
    assert_eq!(denial(&guest, 0x5000, 0x11), Some(Denial::Smep));
    guest.map(0x5000, 0);
    let ends = Denial::Ends(Outcome::NotPresent(Level::PageTable));
    assert_eq!(denial(&guest, 0x5000, 2), Some(ends));
}
