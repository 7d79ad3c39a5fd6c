//! The block builder's hand: turns one decoded instruction into ops. It picks handlers (`handlers`),
//! packs operands (`operand`), keeps track of what the status flags mean, and never looks at memory.

mod handlers;
mod operand;

use iced_x86::Instruction;

pub(crate) use self::handlers::{
    ByAddress, ByForm, ByWidth, by_address_and_width, by_form, by_form_and_width, by_kind,
    by_width, functions, pick,
};
pub(crate) use self::operand::Packed;

use super::control_transfer::links;
use super::flags::{self, Kind};
use super::forward::Carried;
use super::host_vector::HostVector;
use super::op::{Detail, Handler, Links, Op};
use super::{Cpu, Leave, call_out, control_transfer, materialize};

/// Instructions of one block.
pub(crate) const MOST_INSTRUCTIONS: usize = 64;
/// Slots that one instruction and the end of its block may take.
const MOST_SLOTS_OF_INSTRUCTION: usize = 24;
/// Slots that one block may take.
pub(crate) const MOST_SLOTS: usize = MOST_INSTRUCTIONS * MOST_SLOTS_OF_INSTRUCTION;

/// A function that an instruction calls.
pub(crate) type Function = fn(&mut Cpu, &Detail) -> Result<(), Leave>;

/// What a row of an instruction group does: emit the ops of `emit.instruction`. `None` where the
/// form does not exist: #UD.
pub(crate) type EmitFn = fn(&mut Emit) -> Option<()>;

/// Where an op came from: offset of its instruction in the block, number of the instruction in the
/// block, and the kind of the status flags before it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// Bytes from the block's start.
    pub offset: u16,
    /// Instructions of the block before this one.
    pub index: u8,
    /// A [`Kind`], or [`Origin::DYNAMIC`].
    pub kind: u8,
}

impl Origin {
    /// The kind is the one that the block was entered with.
    pub const DYNAMIC: u8 = 0xff;
    /// The offset of ops that belong to no instruction: the exits of a block, whose payload is
    /// where they lead.
    pub const EXIT: u16 = 0xffff;
}

/// The mode that a block is translated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// 16, 32 or 64.
    pub bitness: u8,
    /// One instruction per block.
    pub step: bool,
    /// Width of linear addresses in 64-bit mode.
    pub linear_bits: u8,
    /// Whether VEX prefixes exist: in protected mode, but not in virtual-8086 mode.
    pub vex: bool,
    /// What SSE instructions raise, if anything.
    pub sse: Vectors,
    /// What VEX-encoded vector instructions raise, if anything.
    pub avx: Vectors,
    /// Whether SIMD floating-point exceptions are all masked.
    pub simd_masked: bool,
}

impl Mode {
    /// 64-bit mode with four levels of paging and everything enabled.
    pub(crate) const LONG: Self = Self {
        bitness: 64,
        step: false,
        linear_bits: 48,
        vex: true,
        sse: Vectors::Enabled,
        avx: Vectors::Enabled,
        simd_masked: true,
    };
}

/// Whether vector instructions of an encoding may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vectors {
    /// They execute.
    Enabled,
    /// #UD: the system has not enabled them, or the mode has not got them.
    Undefined,
    /// #NM: CR0.TS is set.
    NotAvailable,
}

/// The block under construction.
pub(crate) struct Emit {
    /// The instruction at hand.
    pub instruction: Instruction,
    /// Its bytes.
    pub bytes: [u8; 15],
    pub mode: Mode,
    /// Whether the status flags that hold before the instruction at hand, or that it writes, are
    /// overwritten by a later one before anything can see them.
    pub flags_dead: bool,
    /// What the flags mean now; `None`: as the block was entered.
    kind: Option<Kind>,
    /// Registers that the words between ops hold here.
    pub carried: Carried,
    /// Do without what the host's vector unit has beyond SSE2.
    pub portable_vectors: bool,
    /// Whether the last emitted instruction ends the block.
    pub ended: bool,
    /// Base of the code segment.
    pub cs_base: u64,
    /// Last offset in the code segment; without meaning in 64-bit mode.
    cs_limit: u32,
    /// RIP of the block.
    pub start: u64,
    index: u8,
    ops: [Op; MOST_SLOTS],
    origins: [Origin; MOST_SLOTS],
    length: usize,
    /// How many slots there are up to the last op that accesses memory or calls a function, with that.
    behind_access: usize,
}

impl Emit {
    pub fn new() -> Self {
        let nothing = Op::plain(links::leave_jump);
        Self {
            instruction: Instruction::default(),
            bytes: [0; 15],
            mode: Mode::LONG,
            flags_dead: false,
            kind: None,
            carried: Carried::NOTHING,
            portable_vectors: false,
            ended: false,
            cs_base: 0,
            cs_limit: 0,
            start: 0,
            index: 0,
            ops: [nothing; MOST_SLOTS],
            origins: [Origin::default(); MOST_SLOTS],
            length: 0,
            behind_access: 0,
        }
    }

    /// Starts a block at `start`.
    pub fn begin(&mut self, start: u64, cs_base: u64, cs_limit: u32, mode: Mode) {
        (self.start, self.cs_base, self.cs_limit, self.mode) = (start, cs_base, cs_limit, mode);
        (self.kind, self.ended, self.index) = (None, false, 0);
        (self.length, self.behind_access) = (0, 0);
        self.carried = Carried::NOTHING;
    }

    /// The finished block.
    pub fn finish(&self) -> (&[Op], &[Origin]) {
        (&self.ops[..self.length], &self.origins[..self.length])
    }

    /// Slots of the block so far.
    pub fn slots(&self) -> usize {
        self.length
    }

    /// The op in this slot, to be completed with what is known behind it.
    pub fn op_at(&mut self, slot: usize) -> &mut Op {
        &mut self.ops[slot]
    }

    /// Whether handlers may use these instructions of the host.
    pub fn host_has(&self, wanted: HostVector) -> bool {
        wanted.is_empty() || !self.portable_vectors && HostVector::detect().contains(wanted)
    }

    /// Instructions emitted so far.
    pub fn count(&self) -> u8 {
        self.index
    }

    /// The instruction at hand is complete.
    pub fn retire(&mut self) {
        self.index += 1;
    }

    /// The instruction at hand is complete, and `next` is at hand: the next of a group.
    pub fn go_on(&mut self, next: &Instruction) {
        self.retire();
        self.instruction = *next;
    }

    /// Asks about another instruction as if it were at hand.
    pub fn about<T>(&mut self, other: &Instruction, ask: impl FnOnce(&Self) -> T) -> T {
        let at_hand = core::mem::replace(&mut self.instruction, *other);
        let answer = ask(self);
        self.instruction = at_hand;
        answer
    }

    /// Appends a record of one or more slots.
    pub fn record<T: Copy>(&mut self, record: T) {
        const { assert!(size_of::<T>().is_multiple_of(16) && align_of::<T>() == 16) };
        let slots = size_of::<T>() / size_of::<Op>();
        let offset = self.instruction.ip().wrapping_sub(self.start) as u16;
        let kind = self.kind.map_or(Origin::DYNAMIC, |kind| kind.0);
        let origin = Origin { offset, index: self.index, kind };
        self.origins[self.length..self.length + slots].fill(origin);
        let place = self.ops[self.length..self.length + slots].as_mut_ptr();
        // SAFETY: the slice has just been checked to have room for the record, which has no
        // alignment beyond an op's; only the handler of the first slot reads the others.
        unsafe { place.cast::<T>().write(record) };
        self.length += slots;
        self.carried = Carried::NOTHING;
    }

    /// Appends an op.
    pub fn op(&mut self, handler: Handler, a: u8, b: u8, c: u8, d: u8, imm: i32) {
        self.record(Op { handler, a, b, c, d, imm });
    }

    /// Appends an op that passes both words on as they are, and writes no register but that of
    /// operand `a`.
    pub fn op_beside(&mut self, handler: Handler, a: u8, b: u8, c: u8, d: u8, imm: i32) {
        let carried = self.carried.without(a);
        self.op(handler, a, b, c, d, imm);
        self.carried = carried;
    }

    /// Appends an op with a memory operand; `a` is its other operand, and `payload`, if any, goes
    /// into a slot of its own behind the address.
    pub fn memory_op(&mut self, handlers: &ByForm, a: u8, payload: Option<u64>) {
        let packed = self.packed_address();
        self.packed_op(handlers, a, &packed, payload);
    }

    /// As [`memory_op`](Self::memory_op), for handlers that find the address where it is.
    pub fn load_op(&mut self, handlers: &ByAddress, a: u8) {
        let packed = self.packed_address();
        let handler = handlers[packed.address_form(&self.carried)];
        self.packed_op(&[handler; 3], a, &packed, None);
    }

    /// As [`memory_op`](Self::memory_op), for an operand that is packed already.
    pub fn packed_op(&mut self, handlers: &ByForm, a: u8, packed: &Packed, payload: Option<u64>) {
        let Packed { form, base, index, scale, displacement, far } = *packed;
        self.op(handlers[form], a, base, index, scale, displacement);
        if form == 2 {
            self.record(far);
        }
        if let Some(payload) = payload {
            self.record(Op::with_payload(links::leave_jump, payload));
        }
        self.behind_access = self.length;
    }

    /// The op that was just appended may leave behind its instruction.
    pub fn leaves_behind(&mut self) {
        self.behind_access = self.length;
    }

    /// Whether the op in front may leave behind its instruction, at the op that comes next.
    pub fn is_left_behind(&self) -> bool {
        self.length != 0 && self.behind_access == self.length
    }

    /// The op writes flags of this kind.
    pub fn writes_flags(&mut self, kind: Kind) {
        self.kind = Some(kind);
    }

    /// What the flags mean, if that is known.
    pub fn flags(&self) -> Option<Kind> {
        self.kind
    }

    /// Turns the flags into [`Kind::KNOWN`].
    pub fn materialize(&mut self) {
        if self.kind != Some(Kind::KNOWN) {
            let handler = match self.kind {
                Some(kind) => materialize::MATERIALIZE[usize::from(kind.0)],
                None => materialize::materialize_dynamic,
            };
            self.keep_flags_in_source(handler);
            self.kind = Some(Kind::KNOWN);
        }
    }

    /// Puts CF into bit 0 of the source word; the other flags are then lost.
    pub fn carry_to_source(&mut self) {
        let handler = match self.kind {
            Some(kind) => materialize::CARRY[usize::from(kind.0)],
            None => materialize::carry_dynamic,
        };
        self.keep_flags_in_source(handler);
    }

    /// Appends an op that changes nothing but the source word.
    fn keep_flags_in_source(&mut self, handler: Handler) {
        let carried = self.carried.without_source();
        self.op(handler, 0, 0, 0, 0, 0);
        self.carried = carried;
    }

    /// The instruction calls `function`, which neither reads nor writes status flags.
    pub fn call_out(&mut self, function: Function) {
        self.detail(call_out::call_out, function);
    }

    /// As [`call_out`](Self::call_out), with a number of the row's in place of the immediate operand.
    pub fn call_out_with_immediate(&mut self, function: Function, immediate: u64) {
        let detail = Detail { immediate, ..self.describe(function) };
        self.op(call_out::call_out, 0, 0, 0, 0, 0);
        self.record(detail);
    }

    /// The instruction calls `function`, which may read and write status flags.
    pub fn call_out_with_flags(&mut self, function: Function) {
        self.materialize();
        self.detail(call_out::call_out, function);
    }

    /// The instruction calls `function`, which may read and write status flags but writes no memory,
    /// and another op completes it. What wants attention has to wait for that.
    pub fn call_out_within(&mut self, function: Function) {
        self.materialize();
        self.detail(call_out::call_out_within, function);
    }

    /// The instruction calls `function`, which may change anything, and ends the block.
    pub fn call_out_last(&mut self, function: Function) {
        self.materialize();
        self.detail(call_out::call_out_last, function);
        self.ended = true;
    }

    /// As [`call_out_last`](Self::call_out_last), for a transfer between privilege levels that
    /// neither reads status flags nor leaves one as it was, but those that are materialised.
    pub fn call_out_crossing(&mut self, function: Function) {
        if self.mode.step || self.mode.bitness != 64 {
            return self.call_out_last(function);
        }
        self.detail(call_out::call_out_crossing, function);
        self.ended = true;
    }

    fn detail(&mut self, handler: Handler, function: Function) {
        let detail = self.describe(function);
        self.op(handler, 0, 0, 0, 0, 0);
        self.record(detail);
        self.behind_access = self.length;
    }

    /// Ends the block with an op that has links: the instructions that it completes, and its
    /// successors.
    pub fn branch(&mut self, op: Op, completes: u8, to: Successors) {
        self.record(op);
        let count = u32::from(self.index) + u32::from(completes);
        let kind = self.kind.map_or(Origin::DYNAMIC, |kind| kind.0);
        // The stubs come right behind.
        let not_taken = if to.not_taken.is_some() { 2 * Links::SLOT } else { Links::SLOT };
        self.record(Links { taken: Links::SLOT, not_taken, count, kind });
        // What completes nothing only goes on with what follows.
        let leave = if completes == 0 { links::leave_behind } else { links::leave_jump as Handler };
        self.exit(to.taken, links::stub_taken, leave);
        if let Some(not_taken) = to.not_taken {
            self.exit(not_taken, links::stub_not_taken, links::leave_behind);
        }
        self.ended = true;
    }

    /// Ends the block with a direct CALL: its links, the address to return to, and its target.
    pub fn call(&mut self, handler: Handler, target: u64, return_address: Op) {
        self.op(handler, 0, 0, 0, 0, 0);
        let count = u32::from(self.index) + 1;
        let kind = self.kind.map_or(Origin::DYNAMIC, |kind| kind.0);
        self.record(Links { taken: 2 * Links::SLOT, not_taken: 0, count, kind });
        self.record(return_address);
        self.exit(target, links::stub_call, links::leave_jump);
        self.ended = true;
    }

    /// Ends the block by going on with the instruction that follows, which belongs to another.
    pub fn fall_through(&mut self) {
        // The op that does it belongs to what follows.
        let next = self.instruction.next_ip();
        self.instruction.set_ip(next);
        let to = Successors { taken: next, not_taken: None };
        let handler = control_transfer::jump(self.kind.is_some());
        self.branch(Op::plain(handler), 0, to);
    }

    /// `stub` leads to the successor, `leave` where only single instructions are executed.
    fn exit(&mut self, target: u64, stub: Handler, leave: Handler) {
        let page = |rip: u64| self.cs_base.wrapping_add(rip) >> 12;
        let handler = match () {
            () if self.mode.step => leave,
            () if page(target) != page(self.start) => links::cross_page,
            () => stub,
        };
        self.record(Op::with_payload(handler, target));
        self.origins[self.length - 1].offset = Origin::EXIT;
    }
}

/// Where a branch leads.
#[derive(Clone, Copy)]
pub(crate) struct Successors {
    pub taken: u64,
    pub not_taken: Option<u64>,
}

const _: () = assert!(Kind::COUNT <= Origin::DYNAMIC as usize && flags::STATUS & 2 == 0);
