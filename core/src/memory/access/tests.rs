//! Accesses of each width, at every alignment. What Miri runs here is the portable path. In what order
//! they take effect is looked at in `order`.

extern crate std;

mod order;

use core::fmt::Debug;

use super::*;
use crate::memory::{GuestMemory, Ram};

fn ram() -> Ram {
    Ram::new(4096).expect("room")
}

/// The host's address of guest-physical `offset`.
fn at(ram: &Ram, offset: usize) -> *mut u8 {
    ram.page(0).expect("the first page").pointer.as_ptr().wrapping_add(offset)
}

fn load<W: Width>(ram: &Ram, offset: usize) -> W {
    // SAFETY: tests stay in the page.
    unsafe { W::load(at(ram, offset)) }
}

fn store<W: Width>(ram: &Ram, offset: usize, value: W) {
    // SAFETY: as above.
    unsafe { W::store(at(ram, offset), value) }
}

/// Bytes that tell their place and the width.
fn pattern<W: Width>() -> W {
    W::narrow(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff01)
}

fn moves_whole_values<W: Width + Debug>() {
    let ram = ram();
    for offset in 16..48 {
        for address in 0..64 {
            store(&ram, address, 0x5au8);
        }
        store(&ram, offset, pattern::<W>());
        assert_eq!(load::<W>(&ram, offset), pattern());
        let bytes = pattern::<W>().widen().to_le_bytes();
        for (index, &byte) in bytes[..W::BYTES].iter().enumerate() {
            assert_eq!(load::<u8>(&ram, offset + index), byte);
        }
        assert_eq!(load::<u8>(&ram, offset - 1), 0x5a);
        assert_eq!(load::<u8>(&ram, offset + W::BYTES), 0x5a);
    }
}

fn updates_whole_values<W: Width + Debug>() {
    let ram = ram();
    for offset in (16..48).step_by(W::BYTES) {
        let (pointer, one) = (at(&ram, offset), W::truncate(1));
        store(&ram, offset + W::BYTES, 0x5au8);
        let ones = W::narrow(u128::MAX);
        // SAFETY: aligned, and in the page.
        unsafe {
            assert_eq!(W::swap(pointer, ones), W::default());
            assert_eq!(W::fetch_add(pointer, one), ones);
            assert_eq!(W::compare_exchange(pointer, one, ones), Err(W::default()));
            assert_eq!(W::compare_exchange(pointer, W::default(), pattern()), Ok(W::default()));
            assert_eq!(fetch_update(pointer, |old: W| W::narrow(!old.widen())), pattern());
        }
        assert_eq!(load::<W>(&ram, offset), W::narrow(!pattern::<W>().widen()));
        assert_eq!(load::<u8>(&ram, offset + W::BYTES), 0x5a, "a carry stays within");
        store(&ram, offset, W::default());
        store(&ram, offset + W::BYTES, 0u8);
    }
}

#[test]
fn values_of_each_width_at_each_alignment() {
    moves_whole_values::<u8>();
    moves_whole_values::<u16>();
    moves_whole_values::<u32>();
    moves_whole_values::<u64>();
    moves_whole_values::<u128>();
}

#[test]
fn updates_of_each_width() {
    updates_whole_values::<u8>();
    updates_whole_values::<u16>();
    updates_whole_values::<u32>();
    updates_whole_values::<u64>();
    updates_whole_values::<u128>();
}

/// "Guaranteed Atomic Operations": sixteen aligned bytes, on processors with AVX. Two halves would show
/// where a writer's thread has to stop between them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[test]
fn sixteen_bytes_are_in_one_piece() {
    if !std::is_x86_feature_detected!("avx") {
        return;
    }
    let ram = ram();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store(&ram, 0, u128::MAX);
                store(&ram, 0, 0u128);
            }
        });
        let mut values = (0..20_000_000).map(|_| load::<u128>(&ram, 0));
        let torn = values.find(|&value| value != 0 && value != u128::MAX);
        done.store(true, Ordering::Relaxed);
        assert_eq!(torn, None);
    });
}
