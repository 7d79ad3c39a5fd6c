//! A list that any thread appends to and one takes as a whole, in one atomic word: null if nothing
//! waits. It has no storage of its own; each item comes in its own box.
//!
//! Invariant: a node belongs to the list from the exchange that links it until the exchange that
//! takes the list. Nothing in between is freed, so the exchanges need no count of generations.

use alloc::boxed::Box;
use core::ptr;

use crate::sync::{AtomicPtr, Ordering};

/// One item, and those that were appended before it.
struct Node<T> {
    earlier: *mut Node<T>,
    item: T,
}

pub(super) struct Queue<T> {
    last: AtomicPtr<Node<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { last: AtomicPtr::new(ptr::null_mut()) }
    }
}

// SAFETY: items go from one thread to another, and none is ever shared.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above; the list's word is atomic.
unsafe impl<T: Send> Sync for Queue<T> {}

/// In place of a list to which nothing may be appended any more. No node has so odd an address.
fn closed<T>() -> *mut Node<T> {
    ptr::without_provenance_mut(usize::MAX)
}

impl<T> Queue<T> {
    /// Whether items wait: one load.
    pub fn is_waiting(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        !last.is_null() && last != closed()
    }

    /// Appends, or gives the item back if the list is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        let node = Box::into_raw(Box::new(Node { earlier: ptr::null_mut(), item }));
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            if last == closed() {
                // SAFETY: the node was made above and is not linked.
                return Err(unsafe { Box::from_raw(node) }.item);
            }
            // SAFETY: as above, nobody else has seen the node.
            unsafe { (*node).earlier = last };
            let linked =
                self.last.compare_exchange_weak(last, node, Ordering::AcqRel, Ordering::Relaxed);
            match linked {
                Ok(_) => return Ok(()),
                Err(found) => last = found,
            }
        }
    }

    /// Takes all items, in the order in which they were appended. The one thread that takes is also
    /// the one that closes.
    pub fn take(&self) -> Taken<T> {
        match self.is_waiting() {
            true => Taken::new(self.last.swap(ptr::null_mut(), Ordering::AcqRel)),
            false => Taken { first: ptr::null_mut() },
        }
    }

    /// Takes all items, and lets none be appended any more.
    pub fn close(&self) -> Taken<T> {
        let last = self.last.swap(closed(), Ordering::AcqRel);
        Taken::new(if last == closed() { ptr::null_mut() } else { last })
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Items that were taken.
pub(super) struct Taken<T> {
    first: *mut Node<T>,
}

impl<T> Taken<T> {
    /// A list that was taken, in the order of arrival.
    fn new(mut last: *mut Node<T>) -> Self {
        let mut first = ptr::null_mut();
        while !last.is_null() {
            // SAFETY: the exchange that took the list has made all its nodes this thread's.
            let earlier = unsafe { core::mem::replace(&mut (*last).earlier, first) };
            first = core::mem::replace(&mut last, earlier);
        }
        Self { first }
    }
}

impl<T> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: the nodes were made by `push` and belong to this list alone.
        let node = unsafe { Box::from_raw(self.first) };
        self.first = node.earlier;
        Some(node.item)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
