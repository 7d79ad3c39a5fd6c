//! Conditional branches: Jcc, alone or as one op with the comparison in front, LOOPcc and JrCXZ.

use iced_x86::{Instruction, Mnemonic};

use super::condition::{by_code, code, of_code, test_condition};
use crate::execute::arithmetic::cut;
use crate::execute::dispatch::Flow;
use crate::execute::emit::{ByWidth, Emit, Function, Successors, by_kind, by_width};
use crate::execute::flags::{Class, Kind, ZF};
use crate::execute::forward::{LastResult, Place, Stored};
use crate::execute::op::{Detail, Handler, Links, Op};
use crate::execute::operand::address_mask;
use crate::execute::table::Row;
use crate::execute::{Cpu, Leave};
use crate::memory::Width;
use crate::state::{Exception, Register};

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Jo, jcc),
    (Mnemonic::Jno, jcc),
    (Mnemonic::Jb, jcc),
    (Mnemonic::Jae, jcc),
    (Mnemonic::Je, jcc),
    (Mnemonic::Jne, jcc),
    (Mnemonic::Jbe, jcc),
    (Mnemonic::Ja, jcc),
    (Mnemonic::Js, jcc),
    (Mnemonic::Jns, jcc),
    (Mnemonic::Jp, jcc),
    (Mnemonic::Jnp, jcc),
    (Mnemonic::Jl, jcc),
    (Mnemonic::Jge, jcc),
    (Mnemonic::Jle, jcc),
    (Mnemonic::Jg, jcc),
    (Mnemonic::Loop, |e| counted(e, test_loop)),
    (Mnemonic::Loope, |e| counted(e, test_loope)),
    (Mnemonic::Loopne, |e| counted(e, test_loopne)),
    (Mnemonic::Jcxz, |e| counted(e, test_counter_zero)),
    (Mnemonic::Jecxz, |e| counted(e, test_counter_zero)),
    (Mnemonic::Jrcxz, |e| counted(e, test_counter_zero)),
];

/// Goes one of two ways. Each arm ends in a dispatch of its own, so that the processor predicts the
/// branch and the jump by itself: a select of the successor's address would make every dispatch wait
/// for the comparison.
macro_rules! choose {
    ($cpu:expr, $condition:expr, $links:expr, $res:expr, $src:expr, $budget:expr) => {{
        let links: *const $crate::execute::op::Links = $links;
        if $condition {
            // SAFETY: the slot behind a branch holds its links.
            let distance = unsafe { (*links).taken };
            $crate::execute::control_transfer::links::follow!(
                $cpu,
                links,
                distance,
                $res,
                $src,
                $budget,
                "/* taken */"
            )
        } else {
            // SAFETY: as above.
            let distance = unsafe { (*links).not_taken };
            $crate::execute::control_transfer::links::follow!(
                $cpu,
                links,
                distance,
                $res,
                $src,
                $budget,
                "/* not taken */"
            )
        }
    }};
}

pub(in crate::execute) use choose;

/// Jcc on flags of a static kind.
unsafe extern "C" fn jump_if<const KIND: u8, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.kind = Kind(KIND);
    let condition = Kind(KIND).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// Jcc on flags of a kind that is known at run time only.
unsafe extern "C" fn jump_if_dynamic<const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let condition = cpu.kind.condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// A branch on what the op in front has tested.
unsafe extern "C" fn jump_if_tested<const KNOWN: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let links = op.wrapping_add(1).cast::<Links>();
    if KNOWN {
        // SAFETY: the slot behind a branch holds its links.
        cpu.kind = Kind(unsafe { (*links).kind });
    }
    choose!(cpu, cpu.condition, links, res, src, budget)
}

/// CMP of two registers and Jcc in one.
unsafe extern "C" fn compare_jump_rr<W: Width, const CODE: u8, L: Place, R: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, src) = (L::get::<W>(cpu, a, res, src), R::get::<W>(cpu, b, res, src));
    let res = cut::<W>(left.wrapping_sub(src));
    cpu.kind = Kind::of::<W>(Class::Sub);
    let condition = Kind::of::<W>(Class::Sub).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// CMP of a register with a constant and Jcc in one.
unsafe extern "C" fn compare_jump_ri<W: Width, const CODE: u8, L: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (left, src) = (L::get::<W>(cpu, a, res, src), cut::<W>(imm as u64));
    let res = cut::<W>(left.wrapping_sub(src));
    cpu.kind = Kind::of::<W>(Class::Sub);
    let condition = Kind::of::<W>(Class::Sub).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// TEST of two registers and Jcc in one. In another place than the register file they are the same.
unsafe extern "C" fn test_jump_rr<W: Width, const CODE: u8, P: Place>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let res = P::get::<W>(cpu, a, res, src) & P::get::<W>(cpu, b, res, src);
    cpu.kind = Kind::of::<W>(Class::Logic);
    let condition = Kind::of::<W>(Class::Logic).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// One array of handlers by width for a condition code.
macro_rules! widths_of_code {
    ($handler:ident, $code:literal, $($place:ty),*) => {
        by_width!(W => $handler::<W, $code, $($place),*>)
    };
}

/// Handlers by the condition code and width.
type ByCode = [ByWidth; 16];

static JUMP_IF: [[Handler; Kind::COUNT]; 16] = by_code!(jump_if, by_kind);

static JUMP_IF_DYNAMIC: [Handler; 16] = by_code!(jump_if_dynamic, of_code);

/// With both operands stored, with the left and with the right one in the result word.
static COMPARE_JUMP_RR: [ByCode; 3] = [
    by_code!(compare_jump_rr, widths_of_code, Stored, Stored),
    by_code!(compare_jump_rr, widths_of_code, LastResult, Stored),
    by_code!(compare_jump_rr, widths_of_code, Stored, LastResult),
];
/// With the operand stored, and in the result word.
static COMPARE_JUMP_RI: [ByCode; 2] = [
    by_code!(compare_jump_ri, widths_of_code, Stored),
    by_code!(compare_jump_ri, widths_of_code, LastResult),
];
/// With the operands stored, and with both of them in the result word.
static TEST_JUMP_RR: [ByCode; 2] = [
    by_code!(test_jump_rr, widths_of_code, Stored),
    by_code!(test_jump_rr, widths_of_code, LastResult),
];

fn successors(jump: &Instruction) -> Successors {
    Successors { taken: jump.near_branch_target(), not_taken: Some(jump.next_ip()) }
}

fn jcc(emit: &mut Emit) -> Option<()> {
    let code = code(&emit.instruction);
    let to = successors(&emit.instruction);
    if !emit.reaches(to.taken) {
        test_condition(emit);
        emit.call_out_last(fail_if_taken);
        return Some(());
    }
    let handler = match emit.flags() {
        Some(kind) => JUMP_IF[code][usize::from(kind.0)],
        None => JUMP_IF_DYNAMIC[code],
    };
    emit.branch(Op::plain(handler), 1, to);
    Some(())
}

/// A Jcc to an address that is not canonical, or beyond the code segment.
fn fail_if_taken(cpu: &mut Cpu, _: &Detail) -> Result<(), Leave> {
    if cpu.condition { Err(Exception::GP0.into()) } else { Ok(()) }
}

/// Where `jump` leads, if it is a Jcc that cannot fault.
pub(in crate::execute) fn fusible(emit: &Emit, jump: &Instruction) -> Option<Successors> {
    let to = jump.is_jcc_short_or_near().then(|| successors(jump))?;
    emit.reaches(to.taken).then_some(to)
}

/// Emits the comparison at hand and the Jcc behind it as one op; `None` if the two can't be one.
pub(in crate::execute) fn fuse(emit: &mut Emit, jump: &Instruction) -> Option<()> {
    let registers = emit.is_register(0) && emit.is_register(1);
    let immediate = emit.is_register(0) && emit.is_immediate(1);
    if !(registers || immediate) {
        return None;
    }
    let to = fusible(emit, jump)?;
    let width = emit.width(0);
    let (a, b) = (emit.register(0), if registers { emit.register(1) } else { 0 });
    let last_result = |register| emit.carried.place(register, width) == LastResult::INDEX;
    let (left, right) = (last_result(a), registers && last_result(b));
    let table = match emit.instruction.mnemonic() {
        Mnemonic::Cmp if immediate => &COMPARE_JUMP_RI[usize::from(left)],
        Mnemonic::Cmp if right => &COMPARE_JUMP_RR[2],
        Mnemonic::Cmp => &COMPARE_JUMP_RR[usize::from(left)],
        Mnemonic::Test if registers => &TEST_JUMP_RR[usize::from(left && right)],
        _ => return None,
    };
    let imm = if immediate { emit.immediate(1) as i32 } else { 0 };
    emit.branch(Op { a, b, imm, ..Op::plain(table[code(jump)][width]) }, 2, to);
    emit.go_on(jump);
    Some(())
}

/// LOOPcc and JrCXZ: `test` decides and counts, then the branch follows what it found.
fn counted(emit: &mut Emit, test: Function) -> Option<()> {
    emit.call_out_within(test);
    let to = successors(&emit.instruction);
    emit.branch(Op::plain(jump_if_tested::<true>), 1, to);
    Some(())
}

/// LOOPcc: counts (E/R)CX down in its address size. The branch is taken if something is left and
/// `condition` holds; one that would fault has not counted.
fn count_down(cpu: &mut Cpu, detail: &Detail, condition: bool) -> Result<(), Leave> {
    let mask = address_mask(detail.address_bits);
    let rcx = cpu.state.gpr[Register::Rcx];
    let count = rcx.wrapping_sub(1) & mask;
    decide(cpu, detail, count != 0 && condition)?;
    // A 32-bit count clears the upper half of RCX.
    let kept = if detail.address_bits == 16 { rcx & !mask } else { 0 };
    cpu.state.gpr[Register::Rcx] = kept | count;
    Ok(())
}

/// Has the branch to the immediate operand taken or not.
fn decide(cpu: &mut Cpu, detail: &Detail, taken: bool) -> Result<(), Leave> {
    if taken {
        cpu.check_target(detail.immediate)?;
    }
    cpu.condition = taken;
    Ok(())
}

fn test_loop(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    count_down(cpu, detail, true)
}

fn test_loope(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    count_down(cpu, detail, cpu.status() & ZF != 0)
}

fn test_loopne(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    count_down(cpu, detail, cpu.status() & ZF == 0)
}

fn test_counter_zero(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mask = address_mask(detail.address_bits);
    decide(cpu, detail, cpu.state.gpr[Register::Rcx] & mask == 0)
}
