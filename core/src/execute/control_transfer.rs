//! Near control transfers: JMP, Jcc, CALL, RET, LOOPcc, JrCXZ; and SETcc, which tests as Jcc does.
//!
//! Every block ends in one of these, or in a call-out. Its successors are reached through links
//! (see [`Links`]): directly within a page, through the jump cache across pages and for indirect
//! targets. The end of a block is also where the slice's budget is counted down.

use iced_x86::{Code, Mnemonic};

use super::address::{Address, Base, operand};
use super::arithmetic::pick;
use super::dispatch::{Flow, Frame, LEFT, leave, next};
use super::emit::{ByWidth, Emit, Origin, Successors, by_form_and_width, by_kind, by_width};
use super::flags::{Class, Kind};
use super::jump_cache::JumpEntry;
use super::op::{Detail, Handler, Links, Op};
use super::table::Row;
use super::{Cpu, Leave};
use crate::memory::Width;
use crate::paging::{AccessKind, Privilege};
use crate::state::{Gpr, Register, SegmentRegister};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Jmp, jmp),
    (Mnemonic::Call, call),
    (Mnemonic::Ret, ret),
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
    (Mnemonic::Loop, |e| counted(e, test_loop)),
    (Mnemonic::Loope, |e| counted(e, test_loope)),
    (Mnemonic::Loopne, |e| counted(e, test_loopne)),
    (Mnemonic::Jcxz, |e| counted(e, test_counter_zero)),
    (Mnemonic::Jecxz, |e| counted(e, test_counter_zero)),
    (Mnemonic::Jrcxz, |e| counted(e, test_counter_zero)),
];

const RSP: u8 = Register::Rsp as u8 * 8;

/// What operand `d` of an indirect jump or call is.
const THROUGH_REGISTER: u8 = 1;

/// Instructions granted at a time; between slices, requests to stop are looked at.
const SLICE: i64 = 512;

/// Counts the block and goes to a successor `distance` slots from its links.
macro_rules! follow {
    ($cpu:expr, $links:expr, $distance:expr, $res:expr, $src:expr, $budget:expr) => {
        follow!($cpu, $links, $distance, $res, $src, $budget, "")
    };
    ($cpu:expr, $links:expr, $distance:expr, $res:expr, $src:expr, $budget:expr, $mark:literal) => {{
        let links: *const Links = $links;
        // SAFETY: distances lead to ops of the code cache: a linked block, or this block's stubs.
        let (target, budget) = unsafe {
            let target = links.byte_offset($distance as isize).cast::<Op>();
            (target, $budget - i64::from((*links).count))
        };
        if budget < 0 {
            return pause($cpu, target, $res, $src, budget);
        }
        // SAFETY: a comment; it keeps ends with different marks from being merged.
        unsafe { core::arch::asm!($mark, options(nomem, nostack, preserves_flags)) };
        next!($cpu, target, $res, $src, budget)
    }};
}

/// Between two slices: grants the next one, or leaves.
#[cold]
#[inline(never)]
extern "C" fn pause(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    if let Some(grant) = cpu.next_slice() {
        next!(cpu, op, res, src, budget + grant)
    }
    leave(cpu, op, res, src, budget, &Leave::Slice)
}

impl Cpu {
    /// The instructions of another slice, unless somebody wants the loop to look at something.
    pub(crate) fn next_slice(&mut self) -> Option<i64> {
        if self.remaining <= 0 || self.mmu.attention || self.kick.is_pending() {
            return None;
        }
        let grant = self.remaining.min(SLICE);
        self.remaining -= grant;
        self.granted += grant;
        Some(grant)
    }
}

/// Goes to `rip` through the jump cache. The block is complete and counted.
macro_rules! jump_to {
    ($cpu:expr, $op:expr, $rip:expr, $res:expr, $src:expr, $budget:expr) => {{
        let rip: u64 = $rip;
        // SAFETY: dispatch has pointed `jumps` at the active cache's entries.
        let entry = unsafe { &*$cpu.jumps.add(JumpEntry::slot(rip)) };
        if entry.rip != rip {
            return look_up($cpu, $op, $res, $src, $budget, rip);
        }
        if $budget < 0 {
            return pause($cpu, entry.op, $res, $src, $budget);
        }
        next!($cpu, entry.op, $res, $src, $budget)
    }};
}

#[cold]
#[inline(never)]
extern "C" fn look_up(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    target: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    cpu.leave = Leave::Jump { target };
    LEFT
}

/// The successor of the branch in front is not linked yet.
pub(crate) unsafe extern "C" fn stub_taken(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkTaken)
}

/// The instruction after the branch in front is not linked yet.
pub(crate) unsafe extern "C" fn stub_not_taken(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkNotTaken)
}

/// As [`stub_taken`], behind a CALL and its return address.
pub(crate) unsafe extern "C" fn stub_call(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    leave(cpu, op, res, src, budget, &Leave::LinkCall)
}

/// The successor is in another page, whose mapping may change: it is looked up each time.
pub(crate) unsafe extern "C" fn cross_page(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op, which holds the target.
    let rip = unsafe { (*op).payload() };
    jump_to!(cpu, op, rip, res, src, budget)
}

/// The successor is not to be executed now.
pub(crate) unsafe extern "C" fn leave_jump(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op, which holds the target.
    let rip = unsafe { (*op).payload() };
    look_up(cpu, op, res, src, budget, rip)
}

/// JMP. `KNOWN`: the block has written flags, and their kind is in the links.
unsafe extern "C" fn jump_direct<const KNOWN: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind a branch holds its links.
    let links = unsafe { op.add(1).cast::<Links>() };
    if KNOWN {
        // SAFETY: as above.
        cpu.kind = Kind(unsafe { (*links).kind });
    }
    // SAFETY: as above.
    let distance = unsafe { (*links).taken };
    follow!(cpu, links, distance, res, src, budget)
}

/// The handler that ends a block by going to its only successor.
pub(super) fn jump(flags_known: bool) -> Handler {
    if flags_known { jump_direct::<true> } else { jump_direct::<false> }
}

/// JMP and the second half of CALL through register `a`; `b` counts the block's instructions.
unsafe extern "C" fn jump_register<W: Width>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, c, .. } = unsafe { *op };
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(cpu, op, cpu.get::<W>(a), res, src, budget - i64::from(b))
}

/// CALL rel32 in 64-bit mode: the address to return to is behind the links.
unsafe extern "C" fn call_direct<const KNOWN: bool>(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slots behind this op hold its links and the return address.
    let (links, value) = unsafe { (op.add(1).cast::<Links>(), (*op.add(2)).payload()) };
    let linear = cpu.get::<u64>(RSP).wrapping_sub(8);
    let Some(pointer) = cpu.write_hit::<u64>(linear) else {
        return call_slow(cpu, op, res, src, budget, value);
    };
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { u64::store(pointer, value) };
    cpu.set::<u64>(RSP, linear);
    if KNOWN {
        // SAFETY: as above.
        cpu.kind = Kind(unsafe { (*links).kind });
    }
    // SAFETY: as above.
    let distance = unsafe { (*links).taken };
    follow!(cpu, links, distance, res, src, budget)
}

/// CALL through register `a` in 64-bit mode.
unsafe extern "C" fn call_register(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: the slot behind this op holds the return address.
    let (Op { a, b, c, .. }, value) = unsafe { (*op, (*op.add(1)).payload()) };
    let linear = cpu.get::<u64>(RSP).wrapping_sub(8);
    let target = cpu.get::<u64>(a);
    let Some(pointer) = cpu.write_hit::<u64>(linear) else {
        return call_slow(cpu, op, res, src, budget, value);
    };
    // SAFETY: the TLB has vouched for the pointer.
    unsafe { u64::store(pointer, value) };
    cpu.set::<u64>(RSP, linear);
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(cpu, op, target, res, src, budget - i64::from(b))
}

/// The stack's TLB entry is missing: fills it and calls again, or pushes the slow way.
#[cold]
#[inline(never)]
extern "C" fn call_slow(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
    value: u64,
) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    if cpu.push_served(value) {
        next!(cpu, op, res, src, budget)
    }
    LEFT
}

impl Cpu {
    /// Whether the CALL of the frame's op can be executed again, with its stack in the TLB. If not,
    /// it has been executed, or has failed.
    #[inline(never)]
    fn push_served(&mut self, value: u64) -> bool {
        let linear = self.get::<u64>(RSP).wrapping_sub(8);
        let fault = |error| Leave::access(error, SegmentRegister::Ss);
        let crosses = linear & 0xfff > 0xff8;
        let pushed = match self.mmu.fill(&self.state, linear, AccessKind::Write) {
            Ok(true) if !crosses => return true,
            Ok(_) => self.mmu.write(&self.state, linear, value, Privilege::Current),
            Err(error) => Err(error),
        };
        self.leave = match pushed.map_err(fault) {
            Err(leave) => leave,
            Ok(()) => {
                self.set::<u64>(RSP, linear);
                // SAFETY: the frame's op is the call's own.
                unsafe { self.call_target(self.frame.op) }
            }
        };
        false
    }

    /// Completes a CALL whose push is done: counts the block and gives its target.
    ///
    /// # Safety
    /// `op` is a `call_direct` or a `call_register`.
    unsafe fn call_target(&mut self, op: *const Op) -> Leave {
        // SAFETY: by the caller's promise.
        let (Op { a, b, c, d, .. }, links) = unsafe { (*op, op.add(1).cast::<Links>()) };
        let (count, kind, target) = if d == THROUGH_REGISTER {
            (u32::from(b), c, self.get::<u64>(a))
        } else {
            // SAFETY: the slots behind a direct call: links, return address, target.
            unsafe { ((*links).count, (*links).kind, (*op.add(3)).payload()) }
        };
        self.frame.budget -= i64::from(count);
        if kind != Origin::DYNAMIC {
            self.kind = Kind(kind);
        }
        Leave::Jump { target }
    }
}

/// RET in 64-bit mode; `imm` is what it takes off the stack.
unsafe extern "C" fn ret_near(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { b, c, imm, .. } = unsafe { *op };
    let linear = cpu.get::<u64>(RSP);
    let Some(pointer) = cpu.read_hit::<u64>(linear) else {
        return ret_slow(cpu, op, res, src, budget);
    };
    // SAFETY: the TLB has vouched for the pointer.
    let target = unsafe { u64::load(pointer) };
    cpu.set::<u64>(RSP, linear.wrapping_add(imm as u64));
    if c != Origin::DYNAMIC {
        cpu.kind = Kind(c);
    }
    jump_to!(cpu, op, target, res, src, budget - i64::from(b))
}

#[cold]
#[inline(never)]
extern "C" fn ret_slow(cpu: &mut Cpu, op: *const Op, res: u64, src: u64, budget: i64) -> Flow {
    cpu.frame = Frame { op, res, src, budget };
    let linear = cpu.get::<u64>(RSP);
    let read = cpu.mmu.read::<u64>(&cpu.state, linear, Privilege::Current);
    cpu.leave = match read.map_err(|error| Leave::access(error, SegmentRegister::Ss)) {
        Err(leave) => leave,
        Ok(target) => {
            // SAFETY: `op` is the return's own.
            let Op { b, c, imm, .. } = unsafe { *op };
            cpu.set::<u64>(RSP, linear.wrapping_add(imm as u64));
            if c != Origin::DYNAMIC {
                cpu.kind = Kind(c);
            }
            cpu.frame.budget -= i64::from(b);
            Leave::Jump { target }
        }
    };
    LEFT
}

/// Goes one of two ways. Each arm ends in a dispatch of its own, so that the processor predicts the
/// branch and the jump by itself: a select of the successor's address would make every dispatch wait
/// for the comparison.
macro_rules! choose {
    ($cpu:expr, $condition:expr, $links:expr, $res:expr, $src:expr, $budget:expr) => {{
        let links = $links;
        if $condition {
            // SAFETY: the slot behind a branch holds its links.
            let distance = unsafe { (*links).taken };
            follow!($cpu, links, distance, $res, $src, $budget, "/* taken */")
        } else {
            // SAFETY: as above.
            let distance = unsafe { (*links).not_taken };
            follow!($cpu, links, distance, $res, $src, $budget, "/* not taken */")
        }
    }};
}

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

/// Jcc with its code in `a`, on flags of a kind that is known at run time only.
unsafe extern "C" fn jump_if_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let code = unsafe { (*op).a };
    let condition = cpu.kind.condition(code, res, src);
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
unsafe extern "C" fn compare_jump_rr<W: Width, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let (left, src) = (cpu.get::<W>(a), cpu.get::<W>(b));
    let res = super::arithmetic::cut::<W>(left.wrapping_sub(src));
    cpu.kind = Kind::of::<W>(Class::Sub);
    let condition = Kind::of::<W>(Class::Sub).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// CMP of a register with a constant and Jcc in one.
unsafe extern "C" fn compare_jump_ri<W: Width, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    _src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, imm, .. } = unsafe { *op };
    let (left, src) = (cpu.get::<W>(a), super::arithmetic::cut::<W>(imm as u64));
    let res = super::arithmetic::cut::<W>(left.wrapping_sub(src));
    cpu.kind = Kind::of::<W>(Class::Sub);
    let condition = Kind::of::<W>(Class::Sub).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

/// TEST of two registers and Jcc in one.
unsafe extern "C" fn test_jump_rr<W: Width, const CODE: u8>(
    cpu: &mut Cpu,
    op: *const Op,
    _res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let Op { a, b, .. } = unsafe { *op };
    let res = cpu.get::<W>(a) & cpu.get::<W>(b);
    cpu.kind = Kind::of::<W>(Class::Logic);
    let condition = Kind::of::<W>(Class::Logic).condition(CODE, res, src);
    choose!(cpu, condition, op.wrapping_add(1).cast::<Links>(), res, src, budget)
}

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

/// As [`test_if`], with the code in `a` and a kind that is known at run time only.
unsafe extern "C" fn test_if_dynamic(
    cpu: &mut Cpu,
    op: *const Op,
    res: u64,
    src: u64,
    budget: i64,
) -> Flow {
    // SAFETY: dispatch hands each handler its own op.
    let code = unsafe { (*op).a };
    cpu.condition = cpu.kind.condition(code, res, src);
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
    ($handler:ident, $by:ident $(, $more:tt)*) => {
        [
            $by!($handler, 0),
            $by!($handler, 1),
            $by!($handler, 2),
            $by!($handler, 3),
            $by!($handler, 4),
            $by!($handler, 5),
            $by!($handler, 6),
            $by!($handler, 7),
            $by!($handler, 8),
            $by!($handler, 9),
            $by!($handler, 10),
            $by!($handler, 11),
            $by!($handler, 12),
            $by!($handler, 13),
            $by!($handler, 14),
            $by!($handler, 15),
        ]
    };
}

/// One array of handlers by width for a condition code.
macro_rules! widths_of_code {
    ($handler:ident, $code:literal) => {
        by_width!(W => $handler::<W, $code>)
    };
}

static JUMP_IF: [[Handler; Kind::COUNT]; 16] = by_code!(jump_if, by_kind);
static TEST_IF: [[Handler; Kind::COUNT]; 16] = by_code!(test_if, by_kind);
static COMPARE_JUMP_RR: [ByWidth; 16] = by_code!(compare_jump_rr, widths_of_code);
static COMPARE_JUMP_RI: [ByWidth; 16] = by_code!(compare_jump_ri, widths_of_code);
static TEST_JUMP_RR: [ByWidth; 16] = by_code!(test_jump_rr, widths_of_code);

/// The condition code of an instruction: the low four bits of its opcode.
fn code(instruction: &iced_x86::Instruction) -> usize {
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

fn successors(jump: &iced_x86::Instruction) -> Successors {
    Successors { taken: jump.near_branch_target(), not_taken: Some(jump.next_ip()) }
}

fn jcc(emit: &mut Emit) -> Option<()> {
    let code = code(&emit.instruction);
    let to = successors(&emit.instruction);
    match emit.flags() {
        Some(kind) => emit.branch(JUMP_IF[code][usize::from(kind.0)], 0, 0, 0, 1, to),
        None => emit.branch(jump_if_dynamic, code as u8, 0, 0, 1, to),
    }
    Some(())
}

/// Emits the comparison at hand and the Jcc behind it as one op; `None` if the two can't be one.
pub(crate) fn fuse(emit: &mut Emit, jump: &iced_x86::Instruction) -> Option<()> {
    let registers = emit.is_register(0) && emit.is_register(1);
    let immediate = emit.is_register(0) && emit.is_immediate(1);
    let (table, class) = match emit.instruction.mnemonic() {
        Mnemonic::Cmp if registers => (&COMPARE_JUMP_RR, Class::Sub),
        Mnemonic::Cmp if immediate => (&COMPARE_JUMP_RI, Class::Sub),
        Mnemonic::Test if registers => (&TEST_JUMP_RR, Class::Logic),
        _ => return None,
    };
    let width = emit.width(0);
    let (a, b) = (emit.register(0), if registers { emit.register(1) } else { 0 });
    let imm = if immediate { emit.immediate(1) as i32 } else { 0 };
    emit.writes_flags(super::arithmetic::kind(class, width));
    emit.branch(table[code(jump)][width], a, b, imm, 2, successors(jump));
    Some(())
}

/// Emits the test of the condition of a SETcc or CMOVcc.
pub(super) fn test_condition(emit: &mut Emit) {
    let code = code(&emit.instruction);
    match emit.flags() {
        Some(kind) => emit.op(TEST_IF[code][usize::from(kind.0)], 0, 0, 0, 0, 0),
        None => emit.op(test_if_dynamic, code as u8, 0, 0, 0, 0),
    }
}

fn setcc(emit: &mut Emit) -> Option<()> {
    test_condition(emit);
    if emit.is_memory(0) {
        emit.memory_op(&super::emit::by_form!(A => set_m::<A>), 0, None);
    } else {
        emit.op(set_r, emit.register(0), 0, 0, 0, 0);
    }
    Some(())
}

/// An indirect jump to what is in a register or the scratch word.
fn jump_through(emit: &mut Emit, handler: Handler, register: u8) {
    let kind = emit.flags().map_or(Origin::DYNAMIC, |kind| kind.0);
    emit.op(handler, register, emit.count() + 1, kind, THROUGH_REGISTER, 0);
    emit.ended = true;
}

fn jmp(emit: &mut Emit) -> Option<()> {
    let instruction = emit.instruction;
    if instruction.is_jmp_far() || instruction.is_jmp_far_indirect() {
        return super::far_transfer::far_jump(emit);
    }
    if instruction.is_jmp_near_indirect() {
        let register = if emit.is_memory(0) {
            super::data_transfer::load_operand(emit);
            Gpr::SCRATCH_OFFSET
        } else {
            emit.register(0)
        };
        let handlers: ByWidth = by_width!(W => jump_register::<W>);
        jump_through(emit, handlers[emit.width(0)], register);
    } else {
        let to = Successors { taken: instruction.near_branch_target(), not_taken: None };
        emit.branch(jump(emit.flags().is_some()), 0, 0, 0, 1, to);
    }
    Some(())
}

fn call(emit: &mut Emit) -> Option<()> {
    let instruction = emit.instruction;
    if instruction.is_call_far() || instruction.is_call_far_indirect() {
        return super::far_transfer::far_call(emit);
    }
    let bytes = -instruction.stack_pointer_increment();
    if bytes != 8 {
        let function = if bytes == 2 { call_near_slow::<u16> } else { call_near_slow::<u32> };
        emit.call_out_last(function);
        return Some(());
    }
    let return_address = Op::with_payload(leave_jump, instruction.next_ip());
    let known = emit.flags().is_some();
    if instruction.is_call_near_indirect() {
        let register = if emit.is_memory(0) {
            super::data_transfer::load_operand(emit);
            Gpr::SCRATCH_OFFSET
        } else {
            emit.register(0)
        };
        jump_through(emit, call_register, register);
        emit.record(return_address);
    } else {
        let handler = if known { call_direct::<true> } else { call_direct::<false> as Handler };
        emit.call(handler, instruction.near_branch_target(), return_address);
    }
    Some(())
}

/// CALL with a 16- or 32-bit stack slot.
fn call_near_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = match (detail.memory, detail.registers[0]) {
        (0, _) => cpu.read_memory::<W>(detail)?.extend(),
        (_, Gpr::ZERO_OFFSET) => detail.immediate,
        (_, register) => cpu.get::<W>(register),
    };
    cpu.push(W::truncate(detail.next_rip))?;
    cpu.state.rip = target;
    Ok(())
}

fn ret(emit: &mut Emit) -> Option<()> {
    let released = if emit.is_immediate(0) { emit.immediate(0) as i32 } else { 0 };
    match emit.instruction.code() {
        Code::Retnq | Code::Retnq_imm16 => {
            let kind = emit.flags().map_or(Origin::DYNAMIC, |kind| kind.0);
            emit.op(ret_near, 0, emit.count() + 1, kind, 0, 8 + (released & 0xffff));
            emit.ended = true;
        }
        Code::Retnw | Code::Retnw_imm16 => emit.call_out_last(ret_near_slow::<u16>),
        _ => emit.call_out_last(ret_near_slow::<u32>),
    }
    Some(())
}

/// RET with a 16- or 32-bit stack slot.
fn ret_near_slow<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = cpu.peek::<W>(0)?;
    cpu.add_to_stack_pointer(W::BYTES as u64 + (detail.immediate & 0xffff));
    cpu.state.rip = target.extend();
    Ok(())
}

/// LOOPcc and JrCXZ: `test` decides and counts, then the branch follows what it found.
fn counted(emit: &mut Emit, test: super::emit::Function) -> Option<()> {
    emit.call_out_with_flags(test);
    let to = successors(&emit.instruction);
    emit.branch(jump_if_tested::<true>, 0, 0, 0, 1, to);
    Some(())
}

/// Counts (E/R)CX down in its address size; the new value.
fn count_down(cpu: &mut Cpu, detail: &Detail) -> u64 {
    let mask = super::operand::address_mask(detail.address_bits);
    let rcx = cpu.state.gpr[Register::Rcx];
    let count = rcx.wrapping_sub(1) & mask;
    // A 32-bit count clears the upper half of RCX.
    let kept = if detail.address_bits == 16 { rcx & !mask } else { 0 };
    cpu.state.gpr[Register::Rcx] = kept | count;
    count
}

fn test_loop(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.condition = count_down(cpu, detail) != 0;
    Ok(())
}

fn test_loope(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.condition = count_down(cpu, detail) != 0 && cpu.status() & super::flags::ZF != 0;
    Ok(())
}

fn test_loopne(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    cpu.condition = count_down(cpu, detail) != 0 && cpu.status() & super::flags::ZF == 0;
    Ok(())
}

fn test_counter_zero(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let mask = super::operand::address_mask(detail.address_bits);
    cpu.condition = cpu.state.gpr[Register::Rcx] & mask == 0;
    Ok(())
}
