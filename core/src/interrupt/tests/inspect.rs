//! LAR, LSL, VERR and VERW against tables of descriptors.

use super::fixture::*;
use crate::interrupt::{access_rights, readable, segment_limit, writable};

/// Each row: IA-32e mode, privilege level, selector, type, then whether LAR, LSL, VERR and VERW
/// succeed.
#[test]
fn which_descriptors_are_visible() {
    const USER: u16 = FREE | 3;
    let rows: [(bool, u8, u16, u8, [bool; 4]); 16] = [
        (false, 0, FREE, WRITABLE, [true, true, true, true]),
        (false, 0, USER, WRITABLE, [false; 4]),
        (false, 3, FREE, WRITABLE, [false; 4]),
        (false, 3, FREE, WRITABLE | DPL_3, [true, true, true, true]),
        (false, 0, FREE, 0x91, [true, true, true, false]),
        (false, 0, FREE, 0x99, [true, true, false, false]),
        (false, 3, FREE, CONFORMING, [true, true, true, false]),
        (false, 0, FREE, 0x13, [true, true, true, true]),
        (false, 0, FREE, 0x81, [true, true, false, false]),
        (true, 0, FREE, 0x81, [false; 4]),
        (true, 0, FREE, 0x82, [true, true, false, false]),
        (true, 0, FREE, 0x8b, [true, true, false, false]),
        (true, 0, FREE, 0x8c, [true, false, false, false]),
        (true, 0, FREE, 0x8e, [false; 4]),
        (false, 0, FREE, 0x85, [true, false, false, false]),
        (true, 0, FREE, 0x85, [false; 4]),
    ];
    for (long, cpl, selector, kind, expected) in rows {
        let mut machine = if long { Machine::long(cpl) } else { Machine::protected(cpl) };
        machine.free(descriptor(0x1200_0034, 0x5678, kind, 0x9), 0);
        let Machine { state, mmu, .. } = &mut machine;
        let rights = access_rights(state, mmu, selector).unwrap();
        let limit = segment_limit(state, mmu, selector).unwrap();
        let read = readable(state, mmu, selector).unwrap();
        let write = writable(state, mmu, selector).unwrap();
        let row = [rights.is_some(), limit.is_some(), read, write];
        assert_eq!(row, expected, "type {kind:#x} at level {cpl}");
        assert!(rights.is_none_or(|rights| rights == 0x90_0000 | u32::from(kind) << 8));
        assert!(limit.is_none_or(|limit| limit == 0x567_8fff));
    }
}

#[test]
fn null_and_distant_selectors_are_invisible() {
    let mut machine = Machine::protected(0);
    let Machine { state, mmu, .. } = &mut machine;
    for selector in [0, 3, BEYOND, LOCAL | 16] {
        assert_eq!(access_rights(state, mmu, selector), Ok(None));
        assert_eq!(readable(state, mmu, selector), Ok(false));
    }
}
