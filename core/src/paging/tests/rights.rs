//! Access rights: tables of entry flags, control bits and accesses against error codes (SDM,
//! "Determination of Access Rights" and "Page-Fault Exceptions").

use std::format;

use super::*;
use AccessKind::{Execute, Read, Write};

const SMEP: Cr4Flags = Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION;
const SMAP: Cr4Flags = Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION;
const NONE: Cr4Flags = Cr4Flags::empty();

/// A page for which CR4 has `cr4` set beside PAE and PGE.
struct Case {
    entry: u64,
    cr4: Cr4Flags,
    write_protect: bool,
    ac: bool,
    no_execute: bool,
}

const PLAIN: Case = Case { entry: P, cr4: NONE, write_protect: true, ac: false, no_execute: true };

/// The error code that each access gives: CPL 0 read, write, fetch, then CPL 3's. `None`: permitted.
type Codes = [Option<u32>; 6];

const OK: Option<u32> = None;

fn check(case: &Case, expected: Codes) {
    let accesses = [(0, Read), (0, Write), (0, Execute), (3, Read), (3, Write), (3, Execute)];
    for ((cpl, kind), code) in accesses.into_iter().zip(expected) {
        let mut guest = Guest::new();
        guest.map(0x5000, case.entry | (0x8000 * (case.entry & P)));
        guest.state.control.cr0.set(Cr0Flags::WRITE_PROTECT, case.write_protect);
        guest.state.control.efer.set(EferFlags::NO_EXECUTE_ENABLE, case.no_execute);
        guest.set_cr4(case.cr4, true);
        guest.set_ac(case.ac);
        guest.set_cpl(cpl);
        let expected = code.map_or(Ok(()), |code| Err(page_fault(0x5123, code)));
        let what = format!(
            "entry {:#x} cr4 {:?} wp {} ac {} nxe {} cpl {cpl} {kind:?}",
            case.entry, case.cr4, case.write_protect, case.ac, case.no_execute
        );
        assert_eq!(guest.access(0x5123, kind), expected, "{what}");
        // The TLB agrees: after a permitted access it hits, after a refused one it does not.
        assert_eq!(guest.hits(0x5123, kind), expected.is_ok(), "{what}");
        if kind == Execute {
            let fetched = guest.mmu.fetch(&guest.state, 0x5123).map(|page| page.physical);
            assert_eq!(fetched, expected.map(|()| 0x8000), "{what}");
        }
    }
}

#[test]
fn not_present() {
    let codes = [Some(0), Some(2), Some(0x10), Some(4), Some(6), Some(0x14)];
    check(&Case { entry: 0, ..PLAIN }, codes);
    // I/D is only reported where execution can be denied.
    let codes = [Some(0), Some(2), Some(0), Some(4), Some(6), Some(4)];
    check(&Case { entry: 0, no_execute: false, ..PLAIN }, codes);
    let codes = [Some(0), Some(2), Some(0x10), Some(4), Some(6), Some(0x14)];
    check(&Case { entry: 0, no_execute: false, cr4: SMEP, ..PLAIN }, codes);
}

#[test]
fn supervisor_pages() {
    let user = [Some(5), Some(7), Some(0x15)];
    let with = |supervisor: [Option<u32>; 3]| {
        [supervisor[0], supervisor[1], supervisor[2], user[0], user[1], user[2]]
    };
    check(&PLAIN, with([OK, Some(3), OK]));
    check(&Case { write_protect: false, ..PLAIN }, with([OK, OK, OK]));
    check(&Case { entry: P | W, ..PLAIN }, with([OK, OK, OK]));
    check(&Case { entry: P | W | NX, ..PLAIN }, with([OK, OK, Some(0x11)]));
    check(&Case { entry: P | W, cr4: SMEP | SMAP, ..PLAIN }, with([OK, OK, OK]));
}

#[test]
fn user_pages() {
    check(&Case { entry: P | U, ..PLAIN }, [OK, Some(3), OK, OK, Some(7), OK]);
    check(&Case { entry: P | U | W, ..PLAIN }, [OK, OK, OK, OK, OK, OK]);
    let read_only = Case { entry: P | U, write_protect: false, ..PLAIN };
    check(&read_only, [OK, OK, OK, OK, Some(7), OK]);
    let data = Case { entry: P | U | W | NX, ..PLAIN };
    check(&data, [OK, OK, Some(0x11), OK, OK, Some(0x15)]);
}

#[test]
fn smep_and_smap() {
    let page = Case { entry: P | U | W, ..PLAIN };
    check(&Case { cr4: SMEP, ..page }, [OK, OK, Some(0x11), OK, OK, OK]);
    check(&Case { cr4: SMEP, no_execute: false, ..page }, [OK, OK, Some(0x11), OK, OK, OK]);
    check(&Case { cr4: SMAP, ..page }, [Some(1), Some(3), OK, OK, OK, OK]);
    check(&Case { cr4: SMAP, ac: true, ..page }, [OK, OK, OK, OK, OK, OK]);
    // SMAP holds with CR0.WP = 0 too, and AC does not make a page writable.
    let unprotected = Case { cr4: SMAP, write_protect: false, ..page };
    check(&unprotected, [Some(1), Some(3), OK, OK, OK, OK]);
    let read_only = Case { entry: P | U, cr4: SMAP, ac: true, ..PLAIN };
    check(&read_only, [OK, Some(3), OK, OK, Some(7), OK]);
}

#[test]
fn reserved_bits() {
    let all = [Some(9), Some(0xb), Some(0x19), Some(0xd), Some(0xf), Some(0x1d)];
    for bit in 46..52 {
        check(&Case { entry: P | W | U | 1 << bit, ..PLAIN }, all);
    }
    // Bits 62:52 are the software's, and bit 7 is PAT in a page-table entry.
    check(&Case { entry: P | W | U | 0x7ff << 52 | PS, ..PLAIN }, [OK; 6]);
    // Without NXE, NX is reserved, and without SMEP no fault tells a fetch.
    let without_nxe = [Some(9), Some(0xb), Some(9), Some(0xd), Some(0xf), Some(0xd)];
    check(&Case { entry: P | W | U | NX, no_execute: false, ..PLAIN }, without_nxe);
    // An entry that is not present has no reserved bits.
    let absent = [Some(0), Some(2), Some(0x10), Some(4), Some(6), Some(0x14)];
    check(&Case { entry: 1 << 50, ..PLAIN }, absent);
}

#[test]
fn every_level_restricts() {
    for address in [PML4, PDPT, PD, PT + 5 * 8] {
        for (removed, added, accesses) in [
            (W, 0, [(0, Write, 3), (3, Write, 7)]),
            (U, 0, [(3, Read, 5), (3, Execute, 0x15)]),
            (0, NX, [(0, Execute, 0x11), (3, Execute, 0x15)]),
            (P, 0, [(0, Read, 0), (3, Write, 6)]),
            (0, 1 << 47, [(0, Read, 9), (3, Write, 0xf)]),
        ] {
            for (cpl, kind, code) in accesses {
                let mut guest = Guest::new();
                guest.map(0x5000, 0x8000 | P | W | U);
                guest.poke(address, guest.peek(address) & !removed | added);
                guest.set_cpl(cpl);
                assert_eq!(guest.access(0x5000, kind), Err(page_fault(0x5000, code)));
            }
        }
    }
}

#[test]
fn implicit_accesses_are_the_supervisors_whatever_cpl_and_ac_say() {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W);
    guest.map(0x6000, 0x9000 | P | W | U);
    guest.set_cr4(SMAP, true);
    guest.set_cpl(3);
    let system =
        |guest: &mut Guest, linear| guest.mmu.read::<u8>(&guest.state, linear, Privilege::System);
    assert_eq!(system(&mut guest, 0x5000), Ok(0));
    // U/S is 0: the access is a supervisor's.
    assert_eq!(system(&mut guest, 0x6000), Err(page_fault(0x6000, 1)));
    guest.set_ac(true);
    assert_eq!(system(&mut guest, 0x6000), Err(page_fault(0x6000, 1)));
    // A push onto the kernel's stack from CPL 3 is an explicit access of CPL 0.
    let push =
        |guest: &mut Guest, linear| guest.mmu.write(&guest.state, linear, 1u64, Privilege::At(0));
    assert_eq!(push(&mut guest, 0x5000), Ok(()));
    assert_eq!(push(&mut guest, 0x6000), Ok(()));
    guest.set_ac(false);
    assert_eq!(push(&mut guest, 0x6000), Err(page_fault(0x6000, 3)));
}

#[test]
fn alignment_is_checked_for_user_mode_alone() {
    let aligned = |cpl, mask, ac| {
        let mut guest = Guest::new();
        guest.map(0x5000, 0x8000 | P | W | U);
        guest.state.control.cr0.set(Cr0Flags::ALIGNMENT_MASK, mask);
        guest.set_ac(ac);
        guest.set_cpl(cpl);
        assert_eq!(guest.read::<u32>(0x5004), Ok(0));
        assert_eq!(guest.read::<u8>(0x5001), Ok(0));
        let results = [
            guest.read::<u16>(0x5001).map(|_| ()),
            guest.write(0x5002, 0u32),
            guest.read::<u64>(0x5004).map(|_| ()),
            guest.mmu.modify(&guest.state, 0x5002, true, |old: u32| old).map(|_| ()),
        ];
        results.into_iter().all(|result| {
            assert!(matches!(result, Ok(()) | Err(AccessError::ALIGNMENT)));
            result.is_ok()
        })
    };
    assert!(!aligned(3, true, true));
    assert!(aligned(3, false, true));
    assert!(aligned(3, true, false));
    assert!(aligned(0, true, true));
}
