//! Read-modify-write operations, atomic where the instruction is locked.
//!
//! A locked operation is the host's own compare-exchange where that is direct, or one that tells the old
//! value ([`Update`]) where the operand is aligned. Any other whose bytes are within one aligned window
//! of eight bytes, or of sixteen where the host has CMPXCHG16B, is one compare-exchange of that window.
//! A wider split is the host's own bus lock where that is allowed, and is refused with
//! [`AccessError::Split`] otherwise: then the instruction has to be executed while no other vCPU does.
//! Only what goes to a device is not atomic. What needs none of this file, `execute` does by itself.

use core::ptr;

use super::data::{Part, Parts};
use super::regions::Located;
use super::rights::View;
use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::CpuState;
use crate::memory::Width;
use crate::memory::access::fetch_update;
use crate::memory::lock::{has_bus_lock, is_direct, update_directly, widest_window};

impl Mmu {
    /// Whether the host can exchange so many bytes at once where they are aligned.
    #[inline(always)]
    pub(crate) fn exchanges(&self, bytes: usize) -> bool {
        bytes <= self.locking.window
    }

    /// Replaces the value at `linear` by `update` of it and returns the old one. The read needs the
    /// permission to write. `update` may be called more than once when `locked`.
    ///
    /// # Errors
    /// See [`AccessError`]; nothing is written then.
    #[inline]
    pub(crate) fn modify<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        locked: bool,
        update: impl FnMut(W) -> W,
    ) -> Result<W, AccessError> {
        self.modify_as(state, linear, locked, Privilege::Current, update)
    }

    /// As [`modify`](Self::modify) with another privilege: descriptor tables are written as the
    /// system.
    ///
    /// # Errors
    /// See [`AccessError`]; nothing is written then.
    #[inline]
    pub(crate) fn modify_as<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        locked: bool,
        privilege: Privilege,
        mut update: impl FnMut(W) -> W,
    ) -> Result<W, AccessError> {
        let view = View::of(state, privilege);
        if let Some(host) = self.tlbs[view as usize].lookup(linear, W::BYTES, AccessKind::Write) {
            // SAFETY: a write tag is there for writable RAM alone, and the access is within its page.
            return unsafe { self.modify_ram(host, locked, update) };
        }
        let parts = self.locate::<W>(state, linear, AccessKind::Write, view)?;
        if let Parts::One(part) = parts
            && let Some(Located { host, writable: true }) = part.located
        {
            // SAFETY: `locate` found the access within this writable page of RAM.
            let old = unsafe { self.modify_ram(host, locked, update) }?;
            let Part { physical, length, .. } = part;
            self.note_code(physical, length as u32);
            return Ok(old);
        }
        if let Parts::Two(first, second) = parts
            && locked
            && !self.locking.exclusive
            && let Some(Located { host, writable: true }) = first.located
            && let Some(Located { host: behind, writable: true }) = second.located
        {
            if behind != host + first.length || !self.takes_bus_lock(W::BYTES) {
                return Err(AccessError::Split);
            }
            let pointer = ptr::with_exposed_provenance_mut(host);
            // SAFETY: `locate` found both parts in writable RAM, one right behind the other.
            let old = unsafe { update_directly(pointer, update) };
            for Part { physical, length, .. } in [first, second] {
                self.note_code(physical, length as u32);
            }
            return Ok(old);
        }
        let old = self.load(parts)?;
        self.store(parts, update(old));
        Ok(old)
    }

    /// # Safety
    /// `W::BYTES` bytes at `host` are guest RAM that is mapped writable, and in one page.
    #[inline(always)]
    unsafe fn modify_ram<W: Width>(
        &mut self,
        host: usize,
        locked: bool,
        mut update: impl FnMut(W) -> W,
    ) -> Result<W, AccessError> {
        let locking = locked.then_some(self.locking);
        // SAFETY: the caller vouches for the bytes.
        if let Some(old) = unsafe { modify_at_once(host, locking, &mut update) } {
            return Ok(old);
        }
        if !self.takes_bus_lock(W::BYTES) {
            return Err(AccessError::Split);
        }
        let pointer = ptr::with_exposed_provenance_mut(host);
        // SAFETY: the caller vouches for the bytes, and the host has a bus lock for them.
        Ok(unsafe { update_directly(pointer, update) })
    }

    /// Whether a split of so many bytes is to have the host's bus lock: one of those that remain.
    fn takes_bus_lock(&mut self, bytes: usize) -> bool {
        let left = &mut self.locking.bus_locks;
        if *left == 0 || !has_bus_lock(bytes) {
            return false;
        }
        if *left != u32::MAX {
            *left -= 1;
        }
        true
    }

    /// As [`modify`](Self::modify) with an update that hosts know.
    ///
    /// # Errors
    /// See [`AccessError`]; nothing is written then.
    #[inline]
    pub(crate) fn update<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        locked: bool,
        update: Update<W>,
    ) -> Result<W, AccessError> {
        if locked && linear.is_multiple_of(W::BYTES as u64) && W::BYTES <= self.locking.window {
            let view = View::of(state, Privilege::Current);
            let tlb = &mut self.tlbs[view as usize];
            if let Some(host) = tlb.lookup(linear, W::BYTES, AccessKind::Write) {
                // SAFETY: a write tag is there for writable RAM alone, and the access is within its page.
                return Ok(unsafe { update.apply(ptr::with_exposed_provenance_mut(host)) });
            }
        }
        self.modify(state, linear, locked, |old| update.of(old))
    }
}

/// A read-modify-write for which hosts have one instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Update<W> {
    /// Adds this.
    Add(W),
    /// Writes this.
    Replace(W),
    /// Writes `new` if `expected` is there, and what is there otherwise, as CMPXCHG does.
    ReplaceIf { expected: W, new: W },
}

impl<W: Width> Update<W> {
    /// What becomes of `old`.
    #[inline(always)]
    fn of(self, old: W) -> W {
        match self {
            Self::Add(addend) => W::narrow(old.widen().wrapping_add(addend.widen())),
            Self::Replace(new) => new,
            Self::ReplaceIf { expected, new } => {
                if old == expected {
                    new
                } else {
                    old
                }
            }
        }
    }

    /// Updates in one atomic step; returns the old value.
    ///
    /// # Safety
    /// As [`Width::compare_exchange`].
    #[inline(always)]
    unsafe fn apply(self, pointer: *mut u8) -> W {
        // SAFETY: the caller vouches for the bytes and the alignment.
        unsafe {
            match self {
                Self::Add(addend) => W::fetch_add(pointer, addend),
                Self::Replace(new) => W::swap(pointer, new),
                Self::ReplaceIf { expected, new } => {
                    W::compare_exchange(pointer, expected, new).unwrap_or_else(|found| found)
                }
            }
        }
    }
}

/// What locked operations may use to be atomic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locking {
    /// Bytes of the widest window that the host can exchange.
    window: usize,
    /// How many splits the host's bus lock serves before one is refused; all if `u32::MAX`.
    pub(super) bus_locks: u32,
    /// No other vCPU executes, so that any way will do.
    pub(super) exclusive: bool,
}

impl Locking {
    /// Those of a vCPU that is alone.
    pub(super) fn alone() -> Self {
        Self { window: widest_window(), bus_locks: 0, exclusive: true }
    }
}

/// Replaces the value at `host` without the bus lock; `None` if it has to be locked, and can't so.
///
/// # Safety
/// As for [`Mmu::modify_ram`].
#[inline(always)]
unsafe fn modify_at_once<W: Width>(
    host: usize,
    locking: Option<Locking>,
    mut update: impl FnMut(W) -> W,
) -> Option<W> {
    let pointer = ptr::with_exposed_provenance_mut::<u8>(host);
    let fits = |window: usize| host % window + W::BYTES <= window;
    // SAFETY: each window below is aligned to its size, which divides the page's.
    let old = unsafe {
        if locking.is_some() && W::BYTES <= 8 && is_direct::<W>(pointer) {
            update_directly(pointer, update)
        } else if let Some(locking) = locking.filter(|locking| !fits(locking.window))
            && !locking.exclusive
        {
            return None;
        } else if locking.is_none_or(|locking| !fits(locking.window)) {
            let old = W::load(pointer);
            W::store(pointer, update(old));
            old
        } else if host.is_multiple_of(W::BYTES) {
            // Sixteen bytes.
            fetch_update(pointer, update)
        } else if fits(8) {
            let shift = host % 8 * 8;
            let window = fetch_update(pointer.sub(host % 8), |window: u64| {
                within::<W>(u128::from(window), shift, &mut update) as u64
            });
            W::truncate(window >> shift)
        } else {
            let shift = host % 16 * 8;
            let window = fetch_update(pointer.sub(host % 16), |window: u128| {
                within::<W>(window, shift, &mut update)
            });
            W::narrow(window >> shift)
        }
    };
    Some(old)
}

/// `window` with the W that is `shift` bits up in it updated.
fn within<W: Width>(window: u128, shift: usize, update: &mut impl FnMut(W) -> W) -> u128 {
    let mask = W::narrow(u128::MAX).widen() << shift;
    let new = update(W::narrow(window >> shift));
    window & !mask | new.widen() << shift
}
