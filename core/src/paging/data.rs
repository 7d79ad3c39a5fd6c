//! Reads and writes of guest memory at any alignment: host RAM, read-only memory, devices, across
//! pages. Read-modify-write operations are in `locked`.
//!
//! Invariant: all pages of an access are checked before anything of it is written or any dirty flag
//! is set.

use core::ptr::{self, NonNull};

use super::devices::pieces;
use super::regions::Located;
use super::rights::View;
use super::{AccessError, AccessKind, Mmu, Privilege};
use crate::memory::{PAGE_SIZE, Width, access};
use crate::{Access, CpuState, Space};

/// Bytes of RAM that may be accessed at host speed, within one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostRun {
    pub(crate) pointer: NonNull<u8>,
    pub(crate) length: u64,
}

/// The bytes of an access that are in one page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) physical: u64,
    /// The host address of the first byte, in `host`.
    pub(super) located: Option<Located>,
    pub(super) length: usize,
}

/// An access as one part, or two where it crosses into another page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts {
    One(Part),
    Two(Part, Part),
}

impl Mmu {
    /// Reads at `linear`.
    ///
    /// # Errors
    /// See [`AccessError`].
    #[inline]
    pub(crate) fn read<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        privilege: Privilege,
    ) -> Result<W, AccessError> {
        let view = View::of(state, privilege);
        match self.tlbs[view as usize].lookup(linear, W::BYTES, AccessKind::Read) {
            // SAFETY: a read tag is there for RAM alone, and the access is within its page.
            Some(host) => Ok(unsafe { W::load(ptr::with_exposed_provenance(host)) }),
            None => self.read_slow(state, linear, view),
        }
    }

    #[inline(never)]
    fn read_slow<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        view: View,
    ) -> Result<W, AccessError> {
        let parts = self.locate::<W>(state, linear, AccessKind::Read, view)?;
        self.load(parts)
    }

    /// Writes `value` at `linear`.
    ///
    /// # Errors
    /// See [`AccessError`]; nothing is written then.
    #[inline]
    pub(crate) fn write<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        value: W,
        privilege: Privilege,
    ) -> Result<(), AccessError> {
        let view = View::of(state, privilege);
        match self.tlbs[view as usize].lookup(linear, W::BYTES, AccessKind::Write) {
            Some(host) => {
                // SAFETY: a write tag is there for writable RAM alone, and the access is within its page.
                unsafe { W::store(ptr::with_exposed_provenance_mut(host), value) };
                Ok(())
            }
            None => self.write_slow(state, linear, value, view),
        }
    }

    #[inline(never)]
    fn write_slow<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        value: W,
        view: View,
    ) -> Result<(), AccessError> {
        let parts = self.locate::<W>(state, linear, AccessKind::Write, view)?;
        self.store(parts, value);
        Ok(())
    }

    /// Whether an access to `length` bytes would fault; sets accessed and dirty flags if not.
    ///
    /// # Errors
    /// As the access itself, but for devices and alignment.
    pub(crate) fn probe(
        &mut self,
        state: &CpuState,
        linear: u64,
        length: u32,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Result<(), AccessError> {
        let view = View::of(state, privilege);
        let in_first = (PAGE_SIZE - linear % PAGE_SIZE).min(u64::from(length));
        let starts = || {
            let further = (in_first..u64::from(length)).step_by(PAGE_SIZE as usize);
            core::iter::once(0).chain(further).map(|offset| following(state, linear, offset))
        };
        if in_first < u64::from(length) {
            starts().try_for_each(|start| self.check_canonical(start))?;
            for start in starts() {
                self.inspect(state, start, kind, view)?;
            }
        }
        for start in starts() {
            if self.tlbs[view as usize].lookup(start, 1, kind).is_none() {
                self.translate(state, start, kind, view)?;
            }
        }
        Ok(())
    }

    /// Whether an access of `bytes` bytes is aligned, where that is checked: what `probe` does not
    /// look at.
    ///
    /// # Errors
    /// #AC, or what comes before it.
    pub(crate) fn check_alignment(
        &mut self,
        state: &CpuState,
        linear: u64,
        bytes: usize,
        kind: AccessKind,
    ) -> Result<(), AccessError> {
        self.check_alignment_as(state, linear, bytes, kind, View::of(state, Privilege::Current))
    }

    #[inline]
    fn check_alignment_as(
        &mut self,
        state: &CpuState,
        linear: u64,
        bytes: usize,
        kind: AccessKind,
        view: View,
    ) -> Result<(), AccessError> {
        // The manual's table of alignments ends at eight bytes; MOVUPS and its like are checked to 16.
        if view == View::UserAligned && !linear.is_multiple_of(bytes as u64) {
            return Err(self.misaligned(state, linear, bytes, kind, view));
        }
        Ok(())
    }

    /// What a misaligned access raises: addresses that are not canonical and pages that it can't have
    /// come before #AC (SDM, "Priority Among Concurrent Events"), as CPUID's vendor has it; AMD's
    /// processors look at the alignment before they look at pages.
    #[cold]
    fn misaligned(
        &mut self,
        state: &CpuState,
        linear: u64,
        bytes: usize,
        kind: AccessKind,
        view: View,
    ) -> AccessError {
        let in_first = PAGE_SIZE - linear % PAGE_SIZE;
        let second = (in_first < bytes as u64).then(|| following(state, linear, in_first));
        let places = [Some(linear), second];
        let mut places = places.into_iter().flatten();
        places
            .clone()
            .try_for_each(|place| self.check_canonical(place))
            .and_then(|()| places.try_for_each(|place| self.inspect(state, place, kind, view)))
            .err()
            .unwrap_or(AccessError::ALIGNMENT)
    }

    /// The longest run of RAM bytes from `linear` on, within its page and `length`, that may be
    /// accessed at host speed as the current privilege level. `None` where each access needs a look:
    /// devices, writes to read-only memory or to pages with translated code, alignment checking, data
    /// breakpoints.
    ///
    /// # Errors
    /// As an access to the first byte.
    pub(crate) fn run(
        &mut self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
        length: u64,
    ) -> Result<Option<HostRun>, AccessError> {
        let view = View::of(state, Privilege::Current);
        let slot = view as usize;
        let mut hit = self.tlbs[slot].lookup(linear, 1, kind);
        if hit.is_none() && self.fill(state, linear, kind)? {
            hit = self.tlbs[slot].lookup(linear, 1, kind);
        }
        let pointer = hit.and_then(|host| NonNull::new(ptr::with_exposed_provenance_mut(host)));
        let length = length.min(PAGE_SIZE - linear % PAGE_SIZE);
        Ok(pointer.map(|pointer| HostRun { pointer, length }))
    }

    /// Where `length` bytes at `linear`, 4096 at most, are if the TLB serves such an access to them.
    #[inline(always)]
    fn hit(
        &self,
        state: &CpuState,
        linear: u64,
        length: usize,
        kind: AccessKind,
        privilege: Privilege,
    ) -> Option<usize> {
        self.tlbs[View::of(state, privilege) as usize].lookup(linear, length, kind)
    }

    /// Reads the quadwords from `linear` on if the TLB serves all of them, so that none can fault.
    #[inline]
    pub(crate) fn read_quadwords<const COUNT: usize>(
        &self,
        state: &CpuState,
        linear: u64,
        privilege: Privilege,
    ) -> Option<[u64; COUNT]> {
        let host = self.hit(state, linear, 8 * COUNT, AccessKind::Read, privilege)?;
        let pointer: *const u8 = ptr::with_exposed_provenance(host);
        // SAFETY: a read tag is there for RAM alone, and the access is within its page.
        Some(core::array::from_fn(|index| unsafe { u64::load(pointer.add(8 * index)) }))
    }

    /// Writes the quadwords, the first to the highest address and the last to `linear`, if the TLB
    /// serves all of them; gives whether it did.
    #[inline]
    pub(crate) fn push_quadwords(
        &self,
        state: &CpuState,
        linear: u64,
        quadwords: &[u64],
        privilege: Privilege,
    ) -> bool {
        let length = 8 * quadwords.len();
        let Some(host) = self.hit(state, linear, length, AccessKind::Write, privilege) else {
            return false;
        };
        let pointer: *mut u8 = ptr::with_exposed_provenance_mut(host);
        for (index, &quadword) in quadwords.iter().rev().enumerate() {
            // SAFETY: a write tag is there for writable RAM alone, and the access is within its page.
            unsafe { u64::store(pointer.add(8 * index), quadword) };
        }
        true
    }

    /// Whether the TLB serves an access to all of `length` bytes, 4096 at most.
    #[inline]
    pub(crate) fn serves(
        &self,
        state: &CpuState,
        linear: u64,
        length: u32,
        kind: AccessKind,
        privilege: Privilege,
    ) -> bool {
        self.hit(state, linear, length as usize, kind, privilege).is_some()
    }

    /// Translates all pages of an access, and notes the data breakpoints that it hits.
    pub(super) fn locate<W: Width>(
        &mut self,
        state: &CpuState,
        linear: u64,
        kind: AccessKind,
        view: View,
    ) -> Result<Parts, AccessError> {
        self.check_alignment_as(state, linear, W::BYTES, kind, view)?;
        let in_first = (PAGE_SIZE - linear % PAGE_SIZE) as usize;
        let parts = if in_first >= W::BYTES {
            Parts::One(self.part(state, linear, W::BYTES, kind, view)?)
        } else {
            let second = following(state, linear, in_first as u64);
            // An address that is not canonical is looked at before any page.
            self.check_canonical(second)?;
            self.inspect(state, linear, kind, view)?;
            self.inspect(state, second, kind, view)?;
            Parts::Two(
                self.part(state, linear, in_first, kind, view)?,
                self.part(state, second, W::BYTES - in_first, kind, view)?,
            )
        };
        if self.watchpoints.note(linear, W::BYTES, kind) {
            self.attention = true;
        }
        Ok(parts)
    }

    fn part(
        &mut self,
        state: &CpuState,
        linear: u64,
        length: usize,
        kind: AccessKind,
        view: View,
    ) -> Result<Part, AccessError> {
        let page = self.translate(state, linear, kind, view)?;
        let offset = linear % PAGE_SIZE;
        let located =
            page.located.map(|located| Located { host: located.host + offset as usize, ..located });
        Ok(Part { physical: page.physical + offset, located, length })
    }

    /// Reads what `locate` has found.
    pub(super) fn load<W: Width>(&mut self, parts: Parts) -> Result<W, AccessError> {
        if let Parts::One(Part { located: Some(Located { host, .. }), .. }) = parts {
            // SAFETY: `locate` found the access within this page of RAM.
            return Ok(unsafe { W::load(ptr::with_exposed_provenance(host)) });
        }
        let mut bytes = [0; 16];
        match parts {
            Parts::One(part) => self.load_part(part, &mut bytes)?,
            Parts::Two(first, second) => {
                let (low, high) = bytes.split_at_mut(first.length);
                self.load_part(first, low)?;
                self.load_part(second, high)?;
            }
        }
        Ok(W::narrow(u128::from_le_bytes(bytes)))
    }

    fn load_part(&mut self, part: Part, bytes: &mut [u8]) -> Result<(), AccessError> {
        let Some(Located { host, .. }) = part.located else {
            for (offset, size) in pieces(part.length) {
                let address = part.physical + offset as u64;
                let access = Access { space: Space::Memory, address, size: size as u8 };
                let data = self.device_read(access).map_err(AccessError::Device)?.to_le_bytes();
                bytes[offset..][..size].copy_from_slice(&data[..size]);
            }
            return Ok(());
        };
        if let Some(pointer) = NonNull::new(ptr::with_exposed_provenance_mut(host)) {
            // SAFETY: `locate` found the part within this page of RAM.
            unsafe { access::copy_out(pointer, &mut bytes[..part.length]) };
        }
        Ok(())
    }

    /// Writes where `locate` has found that it may.
    pub(super) fn store<W: Width>(&mut self, parts: Parts, value: W) {
        if let Parts::One(part) = parts
            && let Some(Located { host, writable: true }) = part.located
        {
            // SAFETY: `locate` found the access within this writable page of RAM.
            unsafe { W::store(ptr::with_exposed_provenance_mut(host), value) };
            return self.note_code(part.physical, part.length as u32);
        }
        let bytes = value.widen().to_le_bytes();
        match parts {
            Parts::One(part) => self.store_part(part, &bytes),
            Parts::Two(first, second) => {
                self.store_part(first, &bytes);
                self.store_part(second, &bytes[first.length..]);
            }
        }
    }

    fn store_part(&mut self, part: Part, bytes: &[u8]) {
        match part.located {
            None => {
                for (offset, size) in pieces(part.length) {
                    let address = part.physical + offset as u64;
                    let access = Access { space: Space::Memory, address, size: size as u8 };
                    let mut data = [0; 8];
                    data[..size].copy_from_slice(&bytes[offset..][..size]);
                    self.device_write(access, u64::from_le_bytes(data));
                }
            }
            Some(Located { writable: false, .. }) => {}
            Some(Located { host, writable: true }) => {
                if let Some(pointer) = NonNull::new(ptr::with_exposed_provenance_mut(host)) {
                    // SAFETY: `locate` found the part within this writable page of RAM.
                    unsafe { access::copy_in(pointer, &bytes[..part.length]) };
                }
                self.note_code(part.physical, part.length as u32);
            }
        }
    }
}

/// The address `bytes` behind another, as an access of the current code goes on: outside 64-bit mode
/// it wraps at 4 GiB, in IA-32e mode too. Only descriptor tables can be beyond.
fn following(state: &CpuState, linear: u64, bytes: u64) -> u64 {
    let next = linear.wrapping_add(bytes);
    let wraps = linear >> 32 == 0 && !state.mode_64bit();
    if wraps { next & 0xffff_ffff } else { next }
}
