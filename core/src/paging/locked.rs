//! Read-modify-write operations, atomic where the instruction is locked.
//!
//! What is atomic towards other processors and the host: a locked operation whose bytes are within
//! one aligned window of eight bytes, or of sixteen on x86-64 hosts. A wider split, and anything on
//! a device, is atomic only as long as a single vCPU runs.

use core::ptr;

use super::data::{Part, Parts};
use super::regions::Located;
use super::rights::View;
use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::CpuState;
use crate::memory::Width;

impl Mmu {
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
            return Ok(unsafe { modify_ram(host, locked, update) });
        }
        let parts = self.locate::<W>(state, linear, AccessKind::Write, view)?;
        if let Parts::One(part) = parts
            && let Some(Located { host, writable: true }) = part.located
        {
            // SAFETY: `locate` found the access within this writable page of RAM.
            let old = unsafe { modify_ram(host, locked, update) };
            let Part { physical, length, .. } = part;
            self.note_code(physical, length as u32);
            return Ok(old);
        }
        let old = self.load(parts)?;
        self.store(parts, update(old));
        Ok(old)
    }

    /// Writes `new` at `linear` if `expected` is there, and what is there otherwise, as CMPXCHG
    /// does; returns what was there.
    ///
    /// # Errors
    /// See [`AccessError`]; nothing is written then.
    #[inline]
    pub(crate) fn compare_exchange<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        expected: W,
        new: W,
        locked: bool,
    ) -> Result<W, AccessError> {
        self.modify(state, linear, locked, |old| if old == expected { new } else { old })
    }
}

/// # Safety
/// `W::BYTES` bytes at `host` are guest RAM that is mapped writable, and in one page.
#[inline(always)]
unsafe fn modify_ram<W: Width>(host: usize, locked: bool, mut update: impl FnMut(W) -> W) -> W {
    let pointer = ptr::with_exposed_provenance_mut::<u8>(host);
    let fits = |window: usize| host % window + W::BYTES <= window;
    // SAFETY: each window below is aligned to its size, which divides the page's.
    unsafe {
        if !locked || !fits(16) {
            let old = W::load(pointer);
            W::store(pointer, update(old));
            old
        } else if host.is_multiple_of(W::BYTES) {
            exchange(pointer, update)
        } else if fits(8) {
            let shift = host % 8 * 8;
            let window = exchange(pointer.sub(host % 8), |window: u64| {
                within::<W>(window.widen(), shift, &mut update) as u64
            });
            W::truncate(window >> shift)
        } else {
            let shift = host % 16 * 8;
            let window = exchange(pointer.sub(host % 16), |window: u128| {
                within::<W>(window, shift, &mut update)
            });
            W::narrow(window >> shift)
        }
    }
}

/// `window` with the W that is `shift` bits up in it updated.
fn within<W: Width>(window: u128, shift: usize, update: &mut impl FnMut(W) -> W) -> u128 {
    let mask = W::narrow(u128::MAX).widen() << shift;
    let new = update(W::narrow(window >> shift));
    window & !mask | new.widen() << shift
}

/// Updates atomically; returns the old value.
///
/// # Safety
/// As [`Width::compare_exchange`].
#[inline(always)]
unsafe fn exchange<W: Width>(pointer: *mut u8, mut update: impl FnMut(W) -> W) -> W {
    // SAFETY: the caller vouches for the bytes.
    let mut old = unsafe { W::load(pointer) };
    loop {
        // SAFETY: the caller vouches for the bytes and the alignment.
        match unsafe { W::compare_exchange(pointer, old, update(old)) } {
            Ok(old) => return old,
            Err(found) => old = found,
        }
    }
}
