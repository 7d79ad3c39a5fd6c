//! Bits: BT, BTS, BTR, BTC, BSF, BSR, BSWAP. SETcc is in `control_transfer`, beside the other
//! instructions that test a condition; TEST is in `logical`; counts are in `bit_count`.
//!
//! Flags that the manual leaves undefined stay as they were or follow the result, whichever needs
//! less.

use iced_x86::Mnemonic;

use super::dispatch::{Flow, next};
use super::emit::{ByWidth, Emit, by_width, functions};
use super::flags::{CF, Class, Kind};
use super::op::{Detail, Op};
use super::operand::address_mask;
use super::table::Row;
use super::{Cpu, Leave, locked, segment_register};
use crate::memory::Width;
use crate::state::Gpr;

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Bt, |e| bit::<Test>(e)),
    (Mnemonic::Bts, |e| bit::<Set>(e)),
    (Mnemonic::Btr, |e| bit::<Reset>(e)),
    (Mnemonic::Btc, |e| bit::<Complement>(e)),
    (Mnemonic::Bsf, |e| scan::<Forward>(e)),
    (Mnemonic::Bsr, |e| scan::<Reverse>(e)),
    (Mnemonic::Bswap, bswap),
];

/// What BT, BTS, BTR and BTC do to the bit in `mask`.
pub(super) trait Bit: 'static {
    const WRITES: bool = true;
    fn apply(value: u64, mask: u64) -> u64;
}

/// BT.
struct Test;
/// BTS.
struct Set;
/// BTR.
struct Reset;
/// BTC.
struct Complement;

impl Bit for Test {
    const WRITES: bool = false;
    fn apply(value: u64, _mask: u64) -> u64 {
        value
    }
}

impl Bit for Set {
    fn apply(value: u64, mask: u64) -> u64 {
        value | mask
    }
}

impl Bit for Reset {
    fn apply(value: u64, mask: u64) -> u64 {
        value & !mask
    }
}

impl Bit for Complement {
    fn apply(value: u64, mask: u64) -> u64 {
        value ^ mask
    }
}

fn bit<B: Bit>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(0) {
        let function = functions!(bit_memory, B)[width];
        if emit.is_locked() {
            return locked::bit::<B>(emit, function);
        }
        emit.call_out_with_flags(function);
        return Some(());
    }
    // CF changes, ZF must stay.
    emit.materialize();
    let handlers: ByWidth = by_width!(W => bit_register::<B, W>);
    let (register, immediate) = match emit.is_immediate(1) {
        true => (Gpr::ZERO_OFFSET, emit.immediate(1)),
        false => (emit.register(1), 0),
    };
    emit.op(handlers[width], emit.register(0), register, 0, 0, immediate as i32);
    Some(())
}

/// Bit number: register `b` plus the immediate, one of which is zero.
unsafe extern "C" fn bit_register<B: Bit, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, imm, .. } = unsafe { *op };
    let number = (cpu.get::<W>(b).wrapping_add(imm as u64) as u32) % W::BITS;
    let value = cpu.get::<W>(a);
    if B::WRITES {
        cpu.set::<W>(a, B::apply(value, 1 << number));
    }
    next!(cpu, op.wrapping_add(1), res, src & !CF | value >> number & 1, budget)
}

/// A bit number in a register is signed and reaches beyond the operand (SDM, BT, "Bit(BitBase,
/// BitOffset)"); one in the instruction does not.
fn bit_memory<B: Bit, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let offset = match detail.registers[1] {
        Gpr::ZERO_OFFSET => (detail.immediate % u64::from(W::BITS)) as i64,
        register => W::truncate(cpu.get::<W>(register)).sign_extend() as i64,
    };
    let words = offset.div_euclid(i64::from(W::BITS));
    let number = offset.rem_euclid(i64::from(W::BITS));
    let distance = words.wrapping_mul(W::BYTES as i64) as u64;
    let address = cpu.effective_address(detail).wrapping_add(distance);
    let address = address & address_mask(detail.address_bits);
    let segment = segment_register(detail.segment);
    let linear = cpu.segment_linear(segment, address, W::BYTES as u64, B::WRITES)?;
    let old = if B::WRITES {
        cpu.modify_at::<W>(detail, linear, |value| B::apply(value, 1 << number))?
    } else {
        cpu.load::<W>(segment, linear)?.extend()
    };
    cpu.set_status(cpu.status() & !CF | old >> number & 1);
    Ok(())
}

/// BSF or BSR.
trait Scan: 'static {
    /// The number of the bit that is found; `value` is not zero.
    fn find(value: u64) -> u64;
}

struct Forward;
struct Reverse;

/// A bit that makes a result which is not zero of the number 0, and touches neither parity nor sign.
const FOUND: u64 = 1 << 8;

impl Scan for Forward {
    #[inline(always)]
    fn find(value: u64) -> u64 {
        u64::from(value.trailing_zeros())
    }
}

impl Scan for Reverse {
    #[inline(always)]
    fn find(value: u64) -> u64 {
        u64::from(value.ilog2())
    }
}

fn scan<S: Scan>(emit: &mut Emit) -> Option<()> {
    let width = emit.width(0);
    if emit.is_memory(1) {
        emit.call_out_with_flags(functions!(scan_memory, S)[width]);
        return Some(());
    }
    let handlers: ByWidth = by_width!(W => scan_register::<S, W>);
    emit.op(handlers[width], emit.register(0), emit.register(1), 0, 0, 0);
    // ZF is that of the source; PF, which the manual leaves undefined, is that of the number.
    emit.writes_flags(Kind::new(Class::Logic, width as u8));
    Some(())
}

/// With a zero source the destination stays as it is.
unsafe extern "C" fn scan_register<S: Scan, W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let value = cpu.get::<W>(b);
    let mut res = 0;
    if value != 0 {
        let found = S::find(value);
        cpu.set::<W>(a, found);
        res = found | FOUND;
    }
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

fn scan_memory<S: Scan, W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let value = cpu.read_memory::<W>(detail)?.extend();
    let mut res = 0;
    if value != 0 {
        let found = S::find(value);
        cpu.set::<W>(detail.registers[0], found);
        res = found | FOUND;
    }
    cpu.set_status(Kind::of::<W>(Class::Logic).word(res, 0));
    Ok(())
}

fn bswap(emit: &mut Emit) -> Option<()> {
    let handlers: ByWidth = by_width!(W => bswap_register::<W>);
    emit.op(handlers[emit.width(0)], emit.register(0), 0, 0, 0, 0);
    Some(())
}

unsafe extern "C" fn bswap_register<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    // Of 16 bits the result is undefined (SDM, BSWAP); processors give zero.
    let swapped = cpu.get::<W>(a).swap_bytes() >> (64 - W::BITS);
    cpu.set::<W>(a, if W::BITS == 16 { 0 } else { swapped });
    next!(cpu, op.wrapping_add(1), res, src, budget)
}
