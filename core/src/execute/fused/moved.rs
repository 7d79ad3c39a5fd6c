//! Moves of whole vector registers from and to memory, which `runs` and `block_copy` make groups of: which
//! instructions they are, and how each kind is executed.

use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind, Register as Name};

use super::is_encodable;
use crate::execute::Cpu;
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{Emit, Mode, Vectors};
use crate::execute::op::Op;
use crate::execute::sse::vector::{Lanes, Load, Store, Unaligned, Vector};
use crate::execute::table::emit_function;

/// What is moved, and what a load does to the rest of its register.
pub(super) trait Moved: 'static {
    /// What the host holds of it.
    type Value: Copy;
    /// Its bytes in memory.
    const BYTES: u64;

    /// Loads it from memory.
    ///
    /// # Safety
    /// `BYTES` bytes at `pointer` are guest RAM that is mapped.
    unsafe fn load(pointer: *const u8) -> Self::Value;

    /// Stores it to memory.
    ///
    /// # Safety
    /// `BYTES` bytes at `pointer` are guest RAM that is mapped writable.
    unsafe fn store(pointer: *mut u8, value: Self::Value);

    /// What is in vector register `number`.
    fn get(cpu: &Cpu, number: u8) -> Self::Value;

    /// Writes vector register `number`.
    fn set(cpu: &mut Cpu, number: u8, value: Self::Value);
}

/// 128 bits; a load keeps the upper half of its register.
pub(super) struct Legacy;
/// 128 bits; a load clears the upper half of its register.
pub(super) struct Xmm;
/// 256 bits.
pub(super) struct Ymm;

impl Moved for Legacy {
    type Value = Vector;
    const BYTES: u64 = 16;

    #[inline(always)]
    unsafe fn load(pointer: *const u8) -> Vector {
        // SAFETY: the caller vouches for the bytes.
        unsafe { Unaligned::load(pointer, 0_u128.vector()) }
    }

    #[inline(always)]
    unsafe fn store(pointer: *mut u8, value: Vector) {
        // SAFETY: the caller vouches for the bytes.
        unsafe { Unaligned::store(pointer, value) };
    }

    #[inline(always)]
    fn get(cpu: &Cpu, number: u8) -> Vector {
        cpu.vector(number)
    }

    #[inline(always)]
    fn set(cpu: &mut Cpu, number: u8, value: Vector) {
        cpu.set_vector(number, value);
    }
}

impl Moved for Xmm {
    type Value = Vector;
    const BYTES: u64 = Legacy::BYTES;

    #[inline(always)]
    unsafe fn load(pointer: *const u8) -> Vector {
        // SAFETY: the caller vouches for the bytes.
        unsafe { Legacy::load(pointer) }
    }

    #[inline(always)]
    unsafe fn store(pointer: *mut u8, value: Vector) {
        // SAFETY: the caller vouches for the bytes.
        unsafe { Legacy::store(pointer, value) };
    }

    #[inline(always)]
    fn get(cpu: &Cpu, number: u8) -> Vector {
        cpu.vector(number)
    }

    #[inline(always)]
    fn set(cpu: &mut Cpu, number: u8, value: Vector) {
        cpu.set_vector(number, value);
        cpu.set_upper(number, 0_u128.vector());
    }
}

impl Moved for Ymm {
    type Value = [Vector; 2];
    const BYTES: u64 = 2 * Legacy::BYTES;

    #[inline(always)]
    unsafe fn load(pointer: *const u8) -> [Vector; 2] {
        // SAFETY: the caller vouches for the bytes of both halves.
        unsafe { [Legacy::load(pointer), Legacy::load(pointer.add(Legacy::BYTES as usize))] }
    }

    #[inline(always)]
    unsafe fn store(pointer: *mut u8, [low, high]: [Vector; 2]) {
        // SAFETY: the caller vouches for the bytes of both halves.
        unsafe {
            Legacy::store(pointer, low);
            Legacy::store(pointer.add(Legacy::BYTES as usize), high);
        }
    }

    #[inline(always)]
    fn get(cpu: &Cpu, number: u8) -> [Vector; 2] {
        [cpu.vector(number), cpu.upper(number)]
    }

    #[inline(always)]
    fn set(cpu: &mut Cpu, number: u8, [low, high]: [Vector; 2]) {
        cpu.set_vector(number, low);
        cpu.set_upper(number, high);
    }
}

/// A load or a store of a whole vector register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub store: bool,
    /// 0, 1, 2: [`Legacy`], [`Xmm`], [`Ymm`].
    pub moved: usize,
    /// Whether an address that is no multiple of the register's length raises #GP(0).
    pub aligned: bool,
    pub register: Name,
    /// Base, index, its scale, and segment of the address.
    place: (Name, Name, u32, Name),
    pub displacement: i32,
}

impl Move {
    /// The move that an instruction is, if it is one that executes in this mode.
    pub fn of(instruction: &Instruction, mode: Mode) -> Option<Self> {
        use Mnemonic as M;
        let aligned = match instruction.mnemonic() {
            M::Movaps | M::Movapd | M::Movdqa | M::Vmovaps | M::Vmovapd | M::Vmovdqa => true,
            M::Movntps | M::Movntpd | M::Movntdq | M::Movntdqa => true,
            M::Vmovntps | M::Vmovntpd | M::Vmovntdq | M::Vmovntdqa => true,
            M::Movups | M::Movupd | M::Movdqu | M::Lddqu => false,
            M::Vmovups | M::Vmovupd | M::Vmovdqu | M::Vlddqu => false,
            _ => return None,
        };
        let is_vex = instruction.code().encoding() == EncodingKind::VEX;
        let enabled = if is_vex { mode.avx } else { mode.sse } == Vectors::Enabled;
        let (store, register) = match (instruction.op0_kind(), instruction.op1_kind()) {
            (OpKind::Memory, _) => (true, instruction.op1_register()),
            (_, OpKind::Memory) => (false, instruction.op0_register()),
            _ => return None,
        };
        let displacement = instruction.memory_displacement64();
        let fits = displacement as i64 == i64::from(displacement as i32);
        let place = (
            instruction.memory_base(),
            instruction.memory_index(),
            instruction.memory_index_scale(),
            instruction.memory_segment(),
        );
        (enabled && fits && is_encodable(instruction, mode)).then_some(Self {
            store,
            moved: if register.is_ymm() { 2 } else { usize::from(is_vex) },
            aligned,
            register,
            place,
            displacement: displacement as i32,
        })
    }

    /// The bytes that are moved.
    pub fn bytes(&self) -> i64 {
        let bytes = [Legacy::BYTES, Xmm::BYTES, Ymm::BYTES];
        bytes[self.moved] as i64
    }

    /// Whether it moves the same way as `other`, and its address differs from that one's by a constant.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.store, self.moved, self.place) == (other.store, other.moved, other.place)
    }

    /// The bytes from the address of `other`, which is like it, to its own.
    pub fn distance_from(&self, other: &Self) -> i64 {
        i64::from(self.displacement) - i64::from(other.displacement)
    }
}

/// Emits the plain op of the move at hand: one slot, with the register in operand `a` and with the
/// displacement, if its address is of a form that takes one slot.
pub(super) fn emit_plain(emit: &mut Emit) -> Option<()> {
    emit_function(emit.instruction.mnemonic())?(emit)
}

/// Goes on at `op`, with plain ops. Apart, so that there is a dispatch for either way.
#[cold]
#[inline(never)]
pub(super) unsafe extern "C" fn one_by_one(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    next!(cpu, op, res, src, budget)
}
