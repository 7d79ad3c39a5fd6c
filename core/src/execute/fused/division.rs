//! Unsigned division of one register, not two: XOR clears (E)DX in front of DIV, a move may bring the
//! dividend, and behind it the remainder may be tested and jumped on, which is how compilers ask
//! whether one number divides another.
//!
//! With an upper half of zero only a divisor of zero faults. Where it is zero the op clears (E)DX as
//! the XOR does, and goes on with the plain DIV behind it.

use iced_x86::{Instruction, Mnemonic, OpKind, Register as Name};

use super::{Ahead, Wide, wide};
use crate::execute::Cpu;
use crate::execute::arithmetic::multiply_divide::{RAX, RDX, plain_division};
use crate::execute::control_transfer::branch::{choose, fuse, fusible};
use crate::execute::control_transfer::condition::code;
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::Emit;
use crate::execute::flags::{Class, Kind};
use crate::execute::forward::Carried;
use crate::execute::op::{Handler, Links, Op};
use crate::memory::Width;

/// Divides register `b` by register `c` as far as their width; `COPY`: the dividend is moved. The
/// quotient and the remainder, or `None` where the plain DIV has to fault.
#[inline(always)]
fn divide<W: Width, const COPY: bool>(cpu: &mut Cpu, op: *const Op) -> Option<(u64, u64)> {
    // SAFETY: dispatch hands each handler its own op.
    let Op { b, c, .. } = unsafe { *op };
    let (dividend, divisor) = (cpu.get::<W>(b), cpu.get::<W>(c));
    let Some(quotient) = dividend.checked_div(divisor) else {
        if COPY {
            cpu.set::<W>(RAX, dividend);
        }
        cpu.set::<u32>(RDX, 0);
        return None;
    };
    let remainder = dividend % divisor;
    cpu.set::<W>(RAX, quotient);
    cpu.set::<W>(RDX, remainder);
    Some((quotient, remainder))
}

/// XOR and DIV. Flags are as the XOR leaves them; where they are dead (`QUIET`), the remainder is the
/// result and the quotient the source.
unsafe extern "C" fn divide_low<W: Width, const COPY: bool, const QUIET: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    let Some((quotient, remainder)) = divide::<W, COPY>(cpu, op) else {
        next!(cpu, op.wrapping_add(1), 0, 0, budget)
    };
    let (res, src) = if QUIET { (remainder, quotient) } else { (0, 0) };
    next!(cpu, op.wrapping_add(2), res, src, budget)
}

/// XOR, DIV, TEST of the remainder with itself, and Jcc. Behind it are the plain DIV, and the plain
/// TEST and Jcc with its links; `d` is the kind that the TEST leaves.
unsafe extern "C" fn divide_jump<W: Width, const COPY: bool, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    let Some((_, remainder)) = divide::<W, COPY>(cpu, op) else {
        next!(cpu, op.wrapping_add(1), 0, 0, budget)
    };
    // SAFETY: dispatch hands each handler its own op.
    cpu.kind = Kind(unsafe { (*op).d });
    let condition = Kind::of::<u64>(Class::Logic).condition(CODE, remainder, 0);
    choose!(cpu, condition, op.wrapping_add(3).cast::<Links>(), remainder, 0, budget)
}

/// By `QUIET`, and by whether there is a move.
static LOW: [[Wide; 2]; 2] = [
    [wide!(W => divide_low::<W, false, false>), wide!(W => divide_low::<W, true, false>)],
    [wide!(W => divide_low::<W, false, true>), wide!(W => divide_low::<W, true, true>)],
];

/// By whether the jump is taken behind a remainder, and by whether there is a move.
static JUMP: [[Wide; 2]; 2] = [
    [wide!(W => divide_jump::<W, false, 4>), wide!(W => divide_jump::<W, true, 4>)],
    [wide!(W => divide_jump::<W, false, 5>), wide!(W => divide_jump::<W, true, 5>)],
];

/// What stands in front of a DIV.
struct Division {
    /// The register that holds the dividend before the group.
    dividend: u8,
    /// Whether it is moved, and how much of it.
    copy: Option<usize>,
    /// How far ahead the DIV is.
    distance: usize,
}

impl Division {
    /// The group's beginning: XOR, with a move before or behind it, or without.
    fn find(emit: &mut Emit, ahead: Ahead) -> Option<Self> {
        let (first, second) = (emit.instruction, *ahead.get(1)?);
        if clears_data(&first) && second.mnemonic() == Mnemonic::Div {
            return Some(Self { dividend: RAX, copy: None, distance: 1 });
        }
        let (copy, behind) = match (clears_data(&first), clears_data(&second)) {
            (true, _) => (second, true),
            (_, true) => (first, false),
            _ => return None,
        };
        let (a, dividend, width) = emit.about(&copy, super::copy::copied)?;
        // A move behind the XOR would read what that has cleared.
        let moves = a == RAX && !(behind && dividend == RDX);
        moves.then_some(Self { dividend, copy: Some(width), distance: 2 })
    }
}

/// XOR EDX, EDX.
fn clears_data(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Xor
        && instruction.op0_register() == Name::EDX
        && instruction.op1_register() == Name::EDX
}

/// TEST of a remainder of 2^`width` bytes with itself; the kind of its flags. One of 32 bits is all of
/// RDX, but of one of 64 bits EDX is a part.
fn tests_remainder(instruction: &Instruction, width: usize) -> Option<Kind> {
    let tested = instruction.op0_register();
    let tests = instruction.mnemonic() == Mnemonic::Test && instruction.op1_register() == tested;
    match tested {
        Name::EDX if tests && width == 2 => Some(Kind::of::<u32>(Class::Logic)),
        Name::RDX if tests => Some(Kind::of::<u64>(Class::Logic)),
        _ => None,
    }
}

/// Emits such a division, if the instruction at hand begins one.
pub(super) fn emit(emit: &mut Emit, ahead: Ahead) -> Option<()> {
    let Division { dividend, copy, distance } = Division::find(emit, ahead)?;
    let div = ahead.get(distance)?;
    let width = div.op0_register().size().trailing_zeros() as usize;
    let divides = div.mnemonic() == Mnemonic::Div && div.op0_kind() == OpKind::Register;
    if !divides || width < 2 || copy.is_some_and(|copied| copied != width) {
        return None;
    }
    let divisor = emit.about(div, |emit| emit.register(0));
    if divisor == RAX || divisor == RDX {
        return None;
    }
    let moved = usize::from(copy.is_some());
    let jump = tested_jump(emit, ahead, distance, width);
    let (handler, kind): (Handler, Kind) = match jump {
        Some((kind, taken_behind_remainder)) => {
            (JUMP[usize::from(taken_behind_remainder)][moved][width - 2], kind)
        }
        None => {
            let quiet = ahead.flags_are_dead_behind(distance);
            (LOW[usize::from(quiet)][moved][width - 2], Kind::KNOWN)
        }
    };
    emit.op(handler, 0, dividend, divisor, kind.0, 0);
    emit.writes_flags(Kind::of::<u32>(Class::Logic));
    ahead.go_on(emit, distance);
    plain_division(emit);
    if jump.is_some() {
        emit.go_on(ahead.get(distance + 1)?);
        return fuse(emit, ahead.get(distance + 2)?);
    }
    if ahead.flags_are_dead_behind(distance) {
        emit.carried = Carried::result(RDX, width).and_source(RAX, width);
    }
    Some(())
}

/// The TEST and the Jcc behind the DIV of 2^`width` bytes at `distance`: the kind of flags, and whether
/// a remainder has the jump taken.
fn tested_jump(emit: &Emit, ahead: Ahead, distance: usize, width: usize) -> Option<(Kind, bool)> {
    let kind = tests_remainder(ahead.get(distance + 1)?, width)?;
    let jump = ahead.get(distance + 2)?;
    fusible(emit, jump)?;
    match code(jump) {
        4 => Some((kind, false)),
        5 => Some((kind, true)),
        _ => None,
    }
}
