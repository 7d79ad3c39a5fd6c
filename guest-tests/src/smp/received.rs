//! Which processors have received how many interrupts: for tests that send them.

use super::{count, number, wait_until};
use crate::device::{apic, halt_until};
use crate::interrupt::{Frame, vector};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const MOST: usize = 256;
/// How long to wait for interrupts that should not come.
const GRACE: u32 = 20_000;

static COUNTS: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];
static ASLEEP: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

/// A handler that counts, and ends the service of what is no NMI.
pub fn note(frame: &mut Frame) {
    COUNTS[number()].fetch_add(1, Ordering::AcqRel);
    if frame.vector != u64::from(vector::NMI) {
        apic::end_of_interrupt();
    }
}

/// What a processor does that is to receive: sleeps, with interrupts on, until [`finish`].
pub fn receive(_number: usize) {
    ASLEEP.fetch_add(1, Ordering::AcqRel);
    halt_until(|| DONE.load(Ordering::Acquire));
    ASLEEP.fetch_sub(1, Ordering::AcqRel);
}

/// Waits until all processors that were started are about to receive.
pub fn wait_for_receivers() {
    wait_until(|| ASLEEP.load(Ordering::Acquire) as usize == count() - 1);
}

/// Lets all receivers return; each has to be sent one more interrupt, whatever its vector.
pub fn finish() {
    DONE.store(true, Ordering::Release);
}

/// Waits until each processor has received as many as `expected` says, by number, and no more;
/// then all counts begin anew.
#[track_caller]
pub fn check(expected: &[u32], what: &str) {
    let all = || COUNTS[..expected.len()].iter().map(|count| count.load(Ordering::Acquire));
    wait_until(|| all().sum::<u32>() >= expected.iter().sum());
    (0..GRACE).for_each(|_| core::hint::spin_loop());
    assert!(
        all().eq(expected.iter().copied()),
        "{what}: received {:?}, expected {expected:?}",
        COUNTS[..expected.len()]
            .iter()
            .map(|c| c.load(Ordering::Relaxed))
            .collect::<alloc::vec::Vec<_>>()
    );
    COUNTS.iter().for_each(|count| count.store(0, Ordering::Release));
}

/// How many all processors have received together; waits until it is at least one, and begins anew.
pub fn take_any() -> u32 {
    let all = || COUNTS.iter().map(|count| count.load(Ordering::Acquire)).sum::<u32>();
    wait_until(|| all() > 0);
    (0..GRACE).for_each(|_| core::hint::spin_loop());
    COUNTS.iter().map(|count| count.swap(0, Ordering::AcqRel)).sum()
}
