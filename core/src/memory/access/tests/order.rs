//! Outcomes of two processors' accesses that x86 forbids (SDM, "Memory Ordering in P6 and More Recent
//! Processor Families"). Under Miri this is the language's own memory model, which gives stale values
//! wherever it may.

use std::thread;

use super::*;

/// How often each pair of programs runs.
const ROUNDS: u32 = if cfg!(miri) { 150 } else { 500 };

/// Places in one page, on cache lines of their own.
const X: usize = 0;
const Y: usize = 64;
const Z: usize = 128;

/// Runs two programs beside each other on zeroed RAM, again and again.
fn litmus<A: Send, B: Send>(
    first: impl Fn(&Ram) -> A + Sync,
    second: impl Fn(&Ram) -> B + Sync,
    allowed: impl Fn(A, B) -> bool,
) {
    for round in 0..ROUNDS {
        let ram = ram();
        let (a, b) = thread::scope(|scope| {
            let first = scope.spawn(|| first(&ram));
            let b = second(&ram);
            (first.join().expect("no panic"), b)
        });
        assert!(allowed(a, b), "a forbidden outcome in round {round}");
    }
}

/// "Stores Are Not Reordered with Other Stores" and "Loads Are Not Reordered with Other Loads".
fn passes_messages<W: Width>(flag: usize) {
    litmus(
        |ram| {
            store(ram, X, 1u64);
            store(ram, flag, pattern::<W>());
        },
        |ram| (load::<W>(ram, flag) != W::default(), load::<u64>(ram, X)),
        |(), (told, data)| !told || data == 1,
    );
}

#[test]
fn a_message_is_not_ahead_of_its_data() {
    passes_messages::<u8>(Y);
    passes_messages::<u64>(Y);
    passes_messages::<u128>(Y);
    passes_messages::<u16>(Y + 1);
    passes_messages::<u32>(Y + 3);
    passes_messages::<u64>(Y + 5);
}

/// As bytes across two pages are moved.
#[test]
fn a_message_of_single_bytes_is_not_ahead_of_its_data() {
    litmus(
        |ram| {
            store(ram, X, 1u64);
            // SAFETY: in the page.
            unsafe { copy_in(NonNull::new_unchecked(at(ram, Y)), &[1, 1, 1]) };
        },
        |ram| {
            let mut told = [0; 3];
            // SAFETY: in the page.
            unsafe { copy_out(NonNull::new_unchecked(at(ram, Y)), &mut told) };
            (told != [0; 3], load::<u64>(ram, X))
        },
        |(), (told, data)| !told || data == 1,
    );
}

/// "Loads and Stores Are Not Reordered with Locked Instructions".
fn bars(update: impl Fn(*mut u8) + Sync) {
    let side = |own, other| {
        let update = &update;
        move |ram: &Ram| {
            store(ram, own, 1u32);
            // Each a place of its own.
            update(at(ram, Z + own));
            load::<u32>(ram, other)
        }
    };
    litmus(side(X, Y), side(Y, X), |x, y| x == 1 || y == 1);
}

#[test]
fn a_locked_update_is_a_full_barrier() {
    // SAFETY: aligned, and in the page.
    bars(|place| unsafe {
        u32::fetch_add(place, 1);
    });
    // SAFETY: as above.
    bars(|place| unsafe {
        u64::swap(place, 1);
    });
    // SAFETY: as above.
    bars(|place| unsafe {
        let _ = u16::compare_exchange(place, 0, 1);
    });
    // One that fails is one all the same.
    // SAFETY: as above.
    bars(|place| unsafe {
        let _ = u8::compare_exchange(place, 1, 2);
    });
}

#[test]
fn no_update_is_lost() {
    const ADDITIONS: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let ram = ram();
    let add = || {
        for _ in 0..ADDITIONS {
            // SAFETY: aligned, and in the page.
            unsafe { u32::fetch_add(at(&ram, X), 1) };
            // SAFETY: as above.
            unsafe { fetch_update(at(&ram, Y), |old: u64| old + 1) };
        }
    };
    thread::scope(|scope| {
        scope.spawn(add);
        add();
    });
    let sums = (load::<u32>(&ram, X), load::<u64>(&ram, Y));
    assert_eq!(sums, (2 * ADDITIONS, 2 * u64::from(ADDITIONS)));
}
