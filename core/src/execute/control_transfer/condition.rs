//! Conditions: what a condition code tests, for SETcc, for CMOVcc, and for the tables of branches.

use iced_x86::{Instruction, Mnemonic};

use crate::execute::Cpu;
use crate::execute::address::{Address, operand};
use crate::execute::dispatch::{Flow, next};
use crate::execute::emit::{Emit, by_form, by_kind};
use crate::execute::flags::Kind;
use crate::execute::op::{Handler, Op};
use crate::execute::table::Row;
use crate::memory::Width;

pub(in crate::execute) const ROWS: &[Row] = &[
    (Mnemonic::Seto, setcc),
    (Mnemonic::Setno, setcc),
    (Mnemonic::Setb, setcc),
    (Mnemonic::Setae, setcc),
    (Mnemonic::Sete, setcc),
    (Mnemonic::Setne, setcc),
    (Mnemonic::Setbe, setcc),
    (Mnemonic::Seta, setcc),
    (Mnemonic::Sets, setcc),
    (Mnemonic::Setns, setcc),
    (Mnemonic::Setp, setcc),
    (Mnemonic::Setnp, setcc),
    (Mnemonic::Setl, setcc),
    (Mnemonic::Setge, setcc),
    (Mnemonic::Setle, setcc),
    (Mnemonic::Setg, setcc),
];

/// Tests flags of a static kind for the op that follows.
unsafe extern "C" fn test_if<const KIND: u8, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.condition = Kind(KIND).condition(CODE, res, src);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

/// As [`test_if`], on flags of a kind that is known at run time only.
unsafe extern "C" fn test_if_dynamic<const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    cpu.condition = cpu.kind.condition(CODE, res, src);
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn set_r(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let a = unsafe { (*op).a };
    cpu.set::<u8>(a, u64::from(cpu.condition));
    next!(cpu, op.wrapping_add(1), res, src, budget)
}

unsafe extern "C" fn set_m<A: Address>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    let pointer = operand!(WRITE u8, A, 0, cpu, op, res, src, budget);
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { u8::store(pointer, u8::from(cpu.condition)) };
    next!(cpu, op.wrapping_add(A::SLOTS), res, src, budget)
}

/// One array of handlers by kind for each condition code.
macro_rules! by_code {
    ($handler:ident, $by:ident $(, $more:ty)*) => {
        [
            $by!($handler, 0 $(, $more)*),
            $by!($handler, 1 $(, $more)*),
            $by!($handler, 2 $(, $more)*),
            $by!($handler, 3 $(, $more)*),
            $by!($handler, 4 $(, $more)*),
            $by!($handler, 5 $(, $more)*),
            $by!($handler, 6 $(, $more)*),
            $by!($handler, 7 $(, $more)*),
            $by!($handler, 8 $(, $more)*),
            $by!($handler, 9 $(, $more)*),
            $by!($handler, 10 $(, $more)*),
            $by!($handler, 11 $(, $more)*),
            $by!($handler, 12 $(, $more)*),
            $by!($handler, 13 $(, $more)*),
            $by!($handler, 14 $(, $more)*),
            $by!($handler, 15 $(, $more)*),
        ]
    };
}

/// The handler for a condition code.
macro_rules! of_code {
    ($handler:ident, $code:literal) => {
        $handler::<$code> as Handler
    };
}

static TEST_IF_DYNAMIC: [Handler; 16] = by_code!(test_if_dynamic, of_code);
static TEST_IF: [[Handler; Kind::COUNT]; 16] = by_code!(test_if, by_kind);

/// The condition code of an instruction: the low four bits of its opcode.
pub(in crate::execute) fn code(instruction: &Instruction) -> usize {
    use iced_x86::ConditionCode as C;
    match instruction.condition_code() {
        C::o => 0,
        C::no => 1,
        C::b => 2,
        C::ae => 3,
        C::e => 4,
        C::ne => 5,
        C::be => 6,
        C::a => 7,
        C::s => 8,
        C::ns => 9,
        C::p => 10,
        C::np => 11,
        C::l => 12,
        C::ge => 13,
        C::le => 14,
        _ => 15,
    }
}

/// Emits the test of the condition of a SETcc or CMOVcc.
pub(in crate::execute) fn test_condition(emit: &mut Emit) {
    let (code, carried) = (code(&emit.instruction), emit.carried);
    match emit.flags() {
        Some(kind) => emit.op(TEST_IF[code][usize::from(kind.0)], 0, 0, 0, 0, 0),
        None => emit.op(TEST_IF_DYNAMIC[code], 0, 0, 0, 0, 0),
    }
    emit.carried = carried;
}

fn setcc(emit: &mut Emit) -> Option<()> {
    test_condition(emit);
    if emit.is_memory(0) {
        emit.memory_op(&by_form!(A => set_m::<A>), 0, None);
    } else {
        emit.op_beside(set_r, emit.register(0), 0, 0, 0, 0);
    }
    Some(())
}

pub(in crate::execute) use by_code;
pub(super) use of_code;
