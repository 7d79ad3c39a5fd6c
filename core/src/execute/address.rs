//! Memory operands: how an op computes its linear address, the TLB look-up in front of every
//! access, and what happens when that misses.
//!
//! The fast path is two loads and one compare, which covers presence, permission, privilege and
//! page crossing at once. Everything else (an empty TLB entry, a device, a page that holds
//! translated code, an access across pages) is served by [`miss`]: it fills the entry and executes
//! the op again, or lets the op work on a bounce buffer and moves the bytes itself. So no handler
//! has a second, slow body.
//!
//! Invariant: an op accesses memory at most once, and changes nothing before that access succeeds.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use super::dispatch::{Flow, Frame, LEFT, next};
use super::forward::{Place, Stored};
use super::op::{FarAddress, Op};
use super::{Cpu, Leave};
use crate::Access;
use crate::memory::Width;
use crate::memory::access::{copy_in, copy_out};
use crate::paging::{AccessError, AccessKind, Privilege, TlbEntry};
use crate::state::SegmentRegister;

/// How many bytes an operand in memory has.
pub(crate) trait Extent: 'static {
    /// Their number.
    const LENGTH: usize;
}

impl<W: Width> Extent for W {
    const LENGTH: usize = W::BYTES;
}

/// The 32 bytes of a YMM register, which no single access moves.
pub(crate) struct Bytes32;

impl Extent for Bytes32 {
    const LENGTH: usize = 32;
}

/// A form of memory operand.
pub(crate) trait Address {
    /// Slots of an op with this form: its own, and one more for what does not fit.
    const SLOTS: usize;
    /// Whether the second slot is a [`FarAddress`].
    const FAR: bool = false;

    /// The linear address.
    ///
    /// # Safety
    /// `op` is an op of this form.
    unsafe fn linear<W: Extent, const WRITE: bool>(
        cpu: &Cpu,
        op: *const Op,
        res: u64,
        src: u64,
    ) -> u64;
}

/// base + displacement; an absent base is the zero word.
pub(crate) struct Base<B = Stored>(PhantomData<B>);
/// base + (index << shift) + displacement.
pub(crate) struct Indexed<B = Stored, I = Stored>(PhantomData<(B, I)>);
/// Any other: with a segment base, a 64-bit displacement, or addresses of 16 or 32 bits.
pub(crate) struct Far;

impl<B: Place> Address for Base<B> {
    const SLOTS: usize = 1;

    #[inline(always)]
    unsafe fn linear<W: Extent, const WRITE: bool>(
        cpu: &Cpu,
        op: *const Op,
        res: u64,
        src: u64,
    ) -> u64 {
        // SAFETY: `op` is valid, as the caller promises.
        let op = unsafe { &*op };
        opaque(B::get::<u64>(cpu, op.b, res, src).wrapping_add(op.imm as u64))
    }
}

impl<B: Place, I: Place> Address for Indexed<B, I> {
    const SLOTS: usize = 1;

    #[inline(always)]
    unsafe fn linear<W: Extent, const WRITE: bool>(
        cpu: &Cpu,
        op: *const Op,
        res: u64,
        src: u64,
    ) -> u64 {
        // SAFETY: `op` is valid, as the caller promises.
        let op = unsafe { &*op };
        let base = B::get::<u64>(cpu, op.b, res, src);
        let index = I::get::<u64>(cpu, op.c, res, src).wrapping_shl(op.d.into());
        opaque(base.wrapping_add(index).wrapping_add(op.imm as u64))
    }
}

/// The same number, computed once: the compiler would otherwise derive the address of an operand's
/// last byte, or a flag, anew from where it comes from, and run out of registers.
#[inline(always)]
pub(crate) fn opaque(mut number: u64) -> u64 {
    #[cfg(all(target_pointer_width = "64", not(miri)))]
    // SAFETY: an empty statement.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags));
    }
    number
}

/// No TLB entry has this page, and it is not canonical: an address outside its segment becomes it.
const OUTSIDE_SEGMENT: u64 = 1 << 63;

impl Address for Far {
    const SLOTS: usize = 2;
    const FAR: bool = true;

    #[inline(always)]
    unsafe fn linear<W: Extent, const WRITE: bool>(
        cpu: &Cpu,
        op: *const Op,
        _res: u64,
        _src: u64,
    ) -> u64 {
        // SAFETY: the slot behind an op of this form is a `FarAddress`.
        let (op, far) = unsafe { (&*op, &*op.add(1).cast::<FarAddress>()) };
        let index = cpu.get::<u64>(op.c).wrapping_shl(op.d.into());
        let offset = cpu.get::<u64>(op.b).wrapping_add(index).wrapping_add(far.displacement);
        let segment = &cpu.segment_windows[usize::from(far.segment & 7)];
        let offset = offset & u64::MAX >> (64 - u32::from(far.bits & 127));
        let end = if WRITE { segment.write_end } else { segment.read_end };
        if end != u64::MAX && offset + W::LENGTH as u64 > end {
            return OUTSIDE_SEGMENT;
        }
        segment.base.wrapping_add(offset) & segment.linear_mask
    }
}

/// What the current mode lets an access do with a segment, worked out when dispatch starts.
#[derive(Clone, Copy, Default)]
pub(crate) struct SegmentWindow {
    pub base: u64,
    /// All ones in 64-bit mode, 32 bits elsewhere.
    pub linear_mask: u64,
    /// One past the last readable offset; `u64::MAX` where there is no limit.
    pub read_end: u64,
    /// One past the last writable offset.
    pub write_end: u64,
}

/// Reads only.
pub(crate) const READ: u8 = 1;
/// Writes only.
pub(crate) const WRITE: u8 = 2;
/// Reads, then writes: the read needs write permission.
pub(crate) const MODIFY: u8 = 3;

impl Cpu {
    #[inline(always)]
    fn entry(&self, linear: u64) -> &TlbEntry {
        // SAFETY: `tlb` points at the 256 entries of the active TLB since dispatch started.
        unsafe { &*self.tlb.add((linear >> 12) as usize & 255) }
    }

    /// Where the host has the `W` at `linear`, if the TLB lets it be read.
    #[inline(always)]
    pub(crate) fn read_hit<W: Extent>(&self, linear: u64) -> Option<*const u8> {
        self.read_hit_of(linear, W::LENGTH)
    }

    /// The same for `length` bytes, no more than a page.
    #[inline(always)]
    pub(crate) fn read_hit_of(&self, linear: u64, length: usize) -> Option<*const u8> {
        let entry = self.entry(linear);
        let page = linear.wrapping_add(length as u64 - 1) & !0xfff;
        (page == entry.read)
            .then(|| ptr::with_exposed_provenance(linear.wrapping_add(entry.addend) as usize))
    }

    /// Where the host has the `W` at `linear`, if the TLB lets it be written.
    #[inline(always)]
    pub(crate) fn write_hit<W: Extent>(&self, linear: u64) -> Option<*mut u8> {
        self.write_hit_of(linear, W::LENGTH)
    }

    /// The same for `length` bytes, no more than a page.
    #[inline(always)]
    pub(crate) fn write_hit_of(&self, linear: u64, length: usize) -> Option<*mut u8> {
        let entry = self.entry(linear);
        let page = linear.wrapping_add(length as u64 - 1) & !0xfff;
        (page == entry.write)
            .then(|| ptr::with_exposed_provenance_mut(linear.wrapping_add(entry.addend) as usize))
    }
}

/// Gives the host pointer of the op's memory operand, or leaves the handler through [`miss`].
macro_rules! operand {
    (read $width:ty, $address:ty, $extra:expr, $cpu:ident, $op:ident, $res:ident, $src:ident, $budget:ident) => {{
        // SAFETY: the emitter pairs the handler with an op of this form.
        let linear = unsafe { <$address>::linear::<$width, false>($cpu, $op, $res, $src) };
        match $cpu.read_hit::<$width>(linear) {
            Some(pointer) => pointer,
            None => {
                return $crate::execute::address::miss::<
                    $width,
                    $address,
                    { $crate::execute::address::READ },
                    { $extra },
                >($cpu, $op, $res, $src, $budget, linear);
            }
        }
    }};
    ($access:ident $width:ty, $address:ty, $extra:expr, $cpu:ident, $op:ident, $res:ident, $src:ident, $budget:ident) => {{
        // SAFETY: the emitter pairs the handler with an op of this form.
        let linear = unsafe { <$address>::linear::<$width, true>($cpu, $op, $res, $src) };
        match $cpu.write_hit::<$width>(linear) {
            Some(pointer) => pointer,
            None => {
                return $crate::execute::address::miss::<
                    $width,
                    $address,
                    { $crate::execute::address::$access },
                    { $extra },
                >($cpu, $op, $res, $src, $budget, linear);
            }
        }
    }};
}

pub(crate) use operand;

/// The TLB does not serve the operand of `op` at `linear`; the op has `EXTRA` slots beyond those of
/// its address.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn miss<W: Extent, A: Address, const ACCESS: u8, const EXTRA: usize>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    linear: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    if cpu.served::<W, A, ACCESS, EXTRA>(linear) {
        let Frame { op, res, src, budget } = cpu.frame;
        next!(cpu, op, res, src, budget)
    }
    LEFT
}

/// What stands for an operand in memory, of any size.
type Buffer = [u8; Bytes32::LENGTH];

/// A memory operand that the TLB did not serve.
struct Operand {
    linear: u64,
    size: usize,
    access: u8,
    slots: usize,
    far: bool,
}

/// The most slots that an op with a memory operand takes.
const MOST_SLOTS: usize = 4;

impl Cpu {
    /// Whether to go on at `self.frame`. Apart from [`miss`], because a local whose address is taken
    /// would make its tail call a call.
    #[inline(never)]
    fn served<W: Extent, A: Address, const ACCESS: u8, const EXTRA: usize>(
        &mut self,
        linear: u64,
    ) -> bool {
        let slots = A::SLOTS + EXTRA;
        let operand = Operand { linear, size: W::LENGTH, access: ACCESS, slots, far: A::FAR };
        match self.serve(operand) {
            Ok(()) => true,
            Err(leave) => {
                self.leave = leave;
                false
            }
        }
    }

    /// Makes `self.frame` the place to go on: the same op, now served by the TLB, or the next one.
    fn serve(&mut self, operand: Operand) -> Result<(), Leave> {
        let Operand { mut linear, access, far, .. } = operand;
        // SAFETY: the frame's op is the one that missed.
        let op = unsafe { &*self.frame.op };
        let mut segment = match op.b {
            // RSP and RBP as base select the stack segment.
            0x20 | 0x28 => SegmentRegister::Ss,
            _ => SegmentRegister::Ds,
        };
        if far {
            // SAFETY: the slot behind an op of this form is a `FarAddress`.
            let far = unsafe { &*self.frame.op.add(1).cast::<FarAddress>() };
            segment = super::segment_register(far.segment);
            if linear == OUTSIDE_SEGMENT && far.bits != 64 {
                let index = self.get::<u64>(op.c).wrapping_shl(op.d.into());
                let offset =
                    self.get::<u64>(op.b).wrapping_add(index).wrapping_add(far.displacement);
                let offset = offset & u64::MAX >> (64 - u32::from(far.bits));
                let write = access & WRITE != 0;
                linear = self.segment_linear(segment, offset, operand.size as u64, write)?;
            }
        }
        let kind = if access & WRITE != 0 { AccessKind::Write } else { AccessKind::Read };
        let fault = |error| Leave::access(error, segment);
        let crosses = linear & 0xfff > 0x1000 - operand.size as u64;
        if crosses && self.serve_across(&operand, linear).is_some() {
            return Ok(());
        }
        if !crosses
            && let Some(register) =
                self.mmu.device_register(&self.state, linear, kind, operand.size)
            && access != MODIFY
        {
            return self.serve_register(op, &operand, register);
        }
        if !crosses && self.mmu.fill(&self.state, linear, kind).map_err(fault)? {
            // An expand-down segment's window is empty, so its ops always take the bounce buffer.
            if linear == operand.linear {
                return Ok(());
            }
        }
        self.bounce(op, &operand, linear, segment)
    }

    /// Executes one op on an operand at `linear` across two pages, if the TLB serves both.
    fn serve_across(&mut self, operand: &Operand, linear: u64) -> Option<()> {
        let in_first = 0x1000 - (linear & 0xfff) as usize;
        let second = self.following(linear, in_first as u64);
        let in_second = operand.size - in_first;
        let mut buffer = value_buffer(0);
        let (low, high) = buffer[..operand.size].split_at_mut(in_first);
        if operand.access & READ != 0 {
            let first = NonNull::new(self.read_hit_of(linear, in_first)?.cast_mut())?;
            let second = NonNull::new(self.read_hit_of(second, in_second)?.cast_mut())?;
            // SAFETY: the TLB has vouched for the bytes of both parts.
            unsafe {
                copy_out(first, low);
                copy_out(second, high);
            }
        }
        if operand.access & WRITE == 0 {
            self.execute_on(self.frame.op, operand, &mut buffer);
            return Some(());
        }
        let first = NonNull::new(self.write_hit_of(linear, in_first)?)?;
        let second = NonNull::new(self.write_hit_of(second, in_second)?)?;
        self.execute_on(self.frame.op, operand, &mut buffer);
        let (low, high) = buffer[..operand.size].split_at(in_first);
        // SAFETY: as above, for writes; what the op itself has done is in the buffer alone.
        unsafe {
            copy_in(first, low);
            copy_in(second, high);
        }
        Some(())
    }

    /// Executes one op whose operand is one register of a device, which it reads or writes.
    fn serve_register(
        &mut self,
        op: *const Op,
        operand: &Operand,
        register: Access,
    ) -> Result<(), Leave> {
        if operand.access == READ {
            let value = self.mmu.device_read(register).map_err(Leave::Input)?;
            self.execute_on(op, operand, &mut value_buffer(value.into()));
            return Ok(());
        }
        let mut buffer = value_buffer(0);
        self.execute_on(op, operand, &mut buffer);
        self.mmu.device_write(register, get(&buffer[..8]) as u64);
        Err(Leave::Attention)
    }

    /// Serves an operand from a bounce buffer: any that no TLB entry can.
    fn bounce(
        &mut self,
        op: *const Op,
        operand: &Operand,
        linear: u64,
        segment: SegmentRegister,
    ) -> Result<(), Leave> {
        let fault = |error| Leave::access(error, segment);
        let size = operand.size;
        let mut buffer = value_buffer(0);
        if operand.access & WRITE != 0 {
            // Processors check operands of 32 bytes as their halves.
            self.mmu
                .check_alignment(&self.state, linear, size.min(16), AccessKind::Write)
                .map_err(fault)?;
            self.mmu
                .probe(&self.state, linear, size as u32, AccessKind::Write, Privilege::Current)
                .map_err(fault)?;
        }
        if operand.access & READ != 0 {
            if size > 16 {
                // It is read in halves, which are canonical both before either is looked for.
                self.mmu
                    .probe(&self.state, linear, size as u32, AccessKind::Read, Privilege::Current)
                    .map_err(fault)?;
            }
            match self.read_sized(linear, &mut buffer[..size]) {
                Ok(()) => {}
                // The operand is one register, which the op reads and does not write.
                Err(AccessError::Device(access))
                    if operand.access == READ && usize::from(access.size) == size =>
                {
                    return Err(Leave::Input(access));
                }
                Err(error) => return Err(fault(error)),
            }
        }
        self.execute_on(op, operand, &mut buffer);
        if operand.access & WRITE != 0 {
            self.write_sized(linear, &buffer[..size]).map_err(fault)?;
        }
        // Only an instruction's last access is a write, so the next op starts another instruction.
        if operand.access & WRITE != 0 && self.mmu.attention {
            return Err(Leave::Attention);
        }
        Ok(())
    }

    /// Executes one op on a buffer in place of its operand, and goes to the next.
    fn execute_on(&mut self, op: *const Op, operand: &Operand, buffer: &mut Buffer) {
        // One TLB entry leads to the buffer, and a copy of the op leaves behind itself.
        let stop = Op::plain(stop);
        let mut copy = [stop; MOST_SLOTS + 1];
        debug_assert!(operand.slots <= MOST_SLOTS);
        // SAFETY: the op has as many slots as its form says, all `Copy` and 16 bytes.
        unsafe { ptr::copy_nonoverlapping(op, copy.as_mut_ptr(), operand.slots) };
        let target = operand.linear;
        let page = target.wrapping_add(operand.size as u64 - 1) & !0xfff;
        let addend = (buffer.as_mut_ptr().expose_provenance() as u64).wrapping_sub(target);
        let bounce = TlbEntry { read: page, write: page, execute: 1, addend };
        let entry = self.tlb.wrapping_add((target >> 12) as usize & 255);
        let frame = self.frame;
        self.frame.op = copy.as_ptr();
        // SAFETY: the entry is one of the active TLB's, and nothing else looks at it until it is
        // put back.
        let kept = unsafe { ptr::replace(entry, bounce) };
        self.dispatch();
        // SAFETY: as above.
        unsafe { *entry = kept };
        self.frame.op = frame.op.wrapping_add(operand.slots);
    }

    fn read_sized(&mut self, linear: u64, into: &mut [u8]) -> Result<(), AccessError> {
        let (mmu, state) = (&mut self.mmu, &self.state);
        match into.len() {
            1 => into[0] = mmu.read(state, linear, Privilege::Current)?,
            2 => put(into, mmu.read::<u16>(state, linear, Privilege::Current)?.to_le_bytes()),
            4 => put(into, mmu.read::<u32>(state, linear, Privilege::Current)?.to_le_bytes()),
            8 => put(into, mmu.read::<u64>(state, linear, Privilege::Current)?.to_le_bytes()),
            16 => put(into, mmu.read::<u128>(state, linear, Privilege::Current)?.to_le_bytes()),
            _ => {
                let (low, high) = into.split_at_mut(16);
                self.read_sized(linear, low)?;
                self.read_sized(self.following(linear, 16), high)?;
            }
        }
        Ok(())
    }

    /// Nothing is written if any part faults, because the caller has probed all of it.
    fn write_sized(&mut self, linear: u64, bytes: &[u8]) -> Result<(), AccessError> {
        let (mmu, state) = (&mut self.mmu, &self.state);
        match *bytes {
            [byte] => mmu.write(state, linear, byte, Privilege::Current),
            [_, _] => mmu.write(state, linear, get(bytes) as u16, Privilege::Current),
            [_, _, _, _] => mmu.write(state, linear, get(bytes) as u32, Privilege::Current),
            _ if bytes.len() == 8 => {
                mmu.write(state, linear, get(bytes) as u64, Privilege::Current)
            }
            _ if bytes.len() == 16 => mmu.write(state, linear, get(bytes), Privilege::Current),
            _ => {
                let (low, high) = bytes.split_at(16);
                self.write_sized(linear, low)?;
                self.write_sized(self.following(linear, 16), high)
            }
        }
    }
}

/// The buffer of an operand with this value in front.
fn value_buffer(value: u128) -> Buffer {
    let mut buffer = [0; size_of::<Buffer>()];
    put(&mut buffer[..16], value.to_le_bytes());
    buffer
}

fn put<const N: usize>(into: &mut [u8], bytes: [u8; N]) {
    into.copy_from_slice(&bytes);
}

/// At most sixteen bytes as a number.
fn get(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte))
}

/// Ends the execution of a single op on a bounce buffer.
unsafe extern "C" fn stop(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    LEFT
}
