//! Protection keys: which accesses they deny, what a page fault says of it, and that a change of a
//! register is seen at once.

use super::*;
use AccessKind::{Execute, Read, Write};

/// Pages of user and supervisor mode with keys 3 and 15.
const USER: u64 = 0x5000;
const SUPERVISOR: u64 = 0x6000;

/// Access disable for `key`.
const fn no_access(key: u32) -> u32 {
    1 << (2 * key)
}

/// Write disable for `key`.
const fn no_write(key: u32) -> u32 {
    2 << (2 * key)
}

fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.map(USER, 0x8000 | P | W | U | 3 << 59);
    guest.map(SUPERVISOR, 0x9000 | P | W | 15 << 59);
    guest.state.control.cr4 |= Cr4Flags::PROTECTION_KEY_USER | Cr4Flags::PROTECTION_KEY_SUPERVISOR;
    guest.sync();
    guest
}

fn set(guest: &mut Guest, pkru: u32, pkrs: u32) {
    (guest.state.control.pkru, guest.state.control.pkrs) = (pkru, pkrs);
    guest.sync();
}

/// The page fault's error code of a read, a write and a fetch, if any.
fn codes(guest: &mut Guest, linear: u64) -> [Option<u32>; 3] {
    [Read, Write, Execute].map(|kind| match guest.access(linear, kind) {
        Ok(()) => None,
        Err(AccessError::Exception(exception)) => exception.error_code,
        Err(other) => panic!("{other:?}"),
    })
}

/// SDM, "Protection Keys": (CPL, page, PKRU, IA32_PKRS, codes).
#[test]
fn what_is_denied() {
    let rows = [
        (3, USER, no_access(3), 0, [Some(0x25), Some(0x27), None]),
        (3, USER, no_write(3), 0, [None, Some(0x27), None]),
        (3, USER, !(3 << 6), u32::MAX, [None, None, None]),
        (0, USER, no_access(3), 0, [Some(0x21), Some(0x23), None]),
        (0, USER, no_write(3), 0, [None, Some(0x23), None]),
        (0, SUPERVISOR, u32::MAX, 0, [None, None, None]),
        (0, SUPERVISOR, 0, no_access(15), [Some(0x21), Some(0x23), None]),
        (0, SUPERVISOR, 0, no_write(15), [None, Some(0x23), None]),
        // That it has no access is not its key's doing.
        (3, SUPERVISOR, u32::MAX, u32::MAX, [Some(5), Some(7), Some(0x15)]),
    ];
    for (cpl, page, pkru, pkrs, expected) in rows {
        let mut guest = guest();
        guest.set_cpl(cpl);
        set(&mut guest, pkru, pkrs);
        assert_eq!(codes(&mut guest, page), expected, "{cpl} {page:#x} {pkru:#x} {pkrs:#x}");
    }
}

#[test]
fn supervisor_writes_need_write_protection_to_be_denied() {
    let mut guest = guest();
    guest.state.control.cr0.remove(Cr0Flags::WRITE_PROTECT);
    set(&mut guest, no_write(3), no_write(15));
    assert_eq!(codes(&mut guest, USER), [None; 3]);
    assert_eq!(codes(&mut guest, SUPERVISOR), [None; 3]);
    guest.set_cpl(3);
    assert_eq!(codes(&mut guest, USER), [None, Some(0x27), None]);
}

#[test]
fn registers_that_are_switched_off_deny_nothing() {
    let mut guest = guest();
    set(&mut guest, u32::MAX, u32::MAX);
    guest.set_cr4(Cr4Flags::PROTECTION_KEY_USER, false);
    assert_eq!(codes(&mut guest, USER), [None; 3]);
    assert_eq!(codes(&mut guest, SUPERVISOR), [Some(0x21), Some(0x23), None]);
    guest.set_cr4(Cr4Flags::PROTECTION_KEY_SUPERVISOR, false);
    assert_eq!(codes(&mut guest, SUPERVISOR), [None; 3]);
    guest.set_cr4(Cr4Flags::PROTECTION_KEY_USER, true);
    assert_eq!(codes(&mut guest, USER), [Some(0x21), Some(0x23), None]);
}

/// Only pages whose key means something else leave the TLB.
#[test]
fn a_change_is_seen_at_once() {
    let mut guest = guest();
    assert_eq!(guest.read::<u8>(USER), Ok(0));
    assert_eq!(guest.read::<u8>(SUPERVISOR), Ok(0));
    set(&mut guest, no_access(3), 0);
    assert!(!guest.hits(USER, Read) && guest.hits(SUPERVISOR, Read));
    assert_eq!(guest.read::<u8>(USER), Err(page_fault(USER, 0x21)));
    set(&mut guest, no_write(3), 0);
    assert_eq!(guest.read::<u8>(USER), Ok(0));
    assert_eq!(guest.write(USER, 1u8), Err(page_fault(USER, 0x23)));
    set(&mut guest, 0, 0);
    assert_eq!(guest.write(USER, 1u8), Ok(()));
    assert!(guest.hits(USER, Write));
}

/// Other faults tell of the key as well, if it denies the access.
#[test]
fn the_key_shows_beside_other_reasons() {
    let mut guest = guest();
    guest.map(USER, 0x8000 | P | U | 3 << 59);
    guest.set_cpl(3);
    assert_eq!(codes(&mut guest, USER), [None, Some(7), None]);
    set(&mut guest, no_write(3), 0);
    assert_eq!(codes(&mut guest, USER), [None, Some(0x27), None]);
    guest.map(USER, U | 3 << 59);
    guest.mmu.flush_all();
    assert_eq!(codes(&mut guest, USER), [Some(4), Some(6), Some(0x14)], "no page, no key");
}
