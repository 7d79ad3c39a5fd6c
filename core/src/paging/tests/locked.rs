//! Locked operations, against other threads that do the same.

use super::super::Update;
use super::*;
use std::sync::Barrier;
use std::thread;

fn guest() -> Guest {
    let mut guest = Guest::new();
    guest.map(0x5000, 0x8000 | P | W);
    guest.map(0x6000, 0x9000 | P | W);
    guest
}

#[test]
fn every_alignment_and_width() {
    let mut guest = guest();
    for locked in [false, true] {
        for linear in 0x5000..0x5040 {
            guest.poke(0x8000, 0);
            check::<u8>(&mut guest, linear, locked);
            check::<u16>(&mut guest, linear, locked);
            check::<u32>(&mut guest, linear, locked);
            check::<u64>(&mut guest, linear, locked);
            check::<u128>(&mut guest, linear, locked);
        }
        check::<u64>(&mut guest, 0x5ffd, locked);
    }
}

fn check<T: Width + core::fmt::Debug>(guest: &mut Guest, linear: u64, locked: bool) {
    let pattern = T::narrow(0x0123_4567_89ab_cdef_1122_3344_5566_7788);
    let [before, after] = [linear - 1, linear + T::BYTES as u64];
    assert_eq!((guest.write(linear, pattern), guest.write(after, 0xa5u8)), (Ok(()), Ok(())));
    if linear != 0x5000 {
        assert_eq!(guest.write(before, 0x5au8), Ok(()));
    }
    let not = |value: T| T::narrow(!value.widen());
    assert_eq!(guest.mmu.modify(&guest.state, linear, locked, not), Ok(pattern));
    assert_eq!(guest.read(linear), Ok(not(pattern)));
    let mut exchange = |expected, new| {
        guest.mmu.update(&guest.state, linear, locked, Update::ReplaceIf { expected, new })
    };
    assert_eq!(exchange(pattern, T::default()), Ok(not(pattern)));
    assert_eq!(exchange(not(pattern), pattern), Ok(not(pattern)));
    assert_eq!(guest.read(linear), Ok(pattern));
    assert_eq!(guest.read(after), Ok(0xa5u8));
    if linear != 0x5000 {
        assert_eq!(guest.read(before), Ok(0x5au8));
    }
}

/// Two processors add to the same place; nothing may be lost.
#[test]
fn no_addition_is_lost() {
    const ROUNDS: u64 = if cfg!(miri) { 50 } else { 200_000 };
    let count = |offset: u64, width: u32| {
        let guest = guest();
        let start = Barrier::new(2);
        let add = |memory: Arc<Memory>, state: CpuState| {
            let mut mmu = Mmu::new(memory);
            mmu.update_mode(&state);
            let linear = 0x5000 + offset;
            start.wait();
            for _ in 0..ROUNDS {
                let result = match width {
                    8 => mmu.modify(&state, linear, true, |old: u8| old.wrapping_add(1)).is_ok(),
                    16 => mmu.modify(&state, linear, true, |old: u16| old.wrapping_add(1)).is_ok(),
                    32 => mmu.modify(&state, linear, true, |old: u32| old.wrapping_add(1)).is_ok(),
                    64 => mmu.modify(&state, linear, true, |old: u64| old.wrapping_add(1)).is_ok(),
                    _ => mmu.modify(&state, linear, true, |old: u128| old.wrapping_add(1)).is_ok(),
                };
                assert!(result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                let (memory, state) = (guest.memory.clone(), guest.state.clone());
                let add = &add;
                scope.spawn(move || add(memory, state));
            }
        });
        let mut guest = guest;
        let mask = u64::MAX >> (64 - width.min(64));
        guest.read::<u64>(0x5000 + offset).map(|value| value & mask)
    };
    let places = [(0, 8), (2, 16), (3, 16), (4, 32), (1, 32), (8, 64), (16, 128)];
    // The portable path has no sixteen bytes at once.
    for (offset, width) in places.into_iter().filter(|(_, width)| !cfg!(miri) || *width <= 64) {
        let expected = (2 * ROUNDS) & (u64::MAX >> (64 - width.min(64)));
        assert_eq!(count(offset, width), Ok(expected), "offset {offset}, {width} bits");
    }
    // Across two words of eight bytes, within sixteen.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for (offset, width) in [(7, 16), (5, 32), (3, 64)] {
        let expected = (2 * ROUNDS) & (u64::MAX >> (64 - width));
        assert_eq!(count(offset, width), Ok(expected), "offset {offset}, {width} bits");
    }
}

/// Two processors set the accessed and dirty flags of the same entries while they are changed.
#[test]
fn marking_loses_no_concurrent_change() {
    const ROUNDS: u64 = if cfg!(miri) { 50 } else { 20_000 };
    let guest = guest();
    let (memory, state) = (guest.memory.clone(), guest.state.clone());
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut mmu = Mmu::new(memory);
            mmu.update_mode(&state);
            for _ in 0..ROUNDS {
                mmu.flush_all();
                assert_eq!(mmu.write(&state, 0x5000, 1u8, Privilege::Current), Ok(()));
            }
        });
        // The other processor clears A and D and counts in bits 62:52, by locked operations.
        let mut mmu = Mmu::new(guest.memory.clone());
        let mut state = guest.state.clone();
        state.control.cr0.remove(Cr0Flags::PAGING);
        state.control.efer = EferFlags::empty();
        mmu.update_mode(&state);
        for _ in 0..ROUNDS {
            let count = |old: u64| {
                old & !(A | D | 0x7ff << 52)
                    | (old & 0x7ff << 52).wrapping_add(1 << 52) & 0x7ff << 52
            };
            assert!(mmu.modify(&state, PT + 5 * 8, true, count).is_ok());
        }
    });
    assert_eq!(guest.entry(0x5000) >> 52, ROUNDS & 0x7ff);
}
