//! The block builder's hand: turns one decoded instruction into ops. It picks handlers, packs
//! operands, keeps track of what the status flags mean, and never looks at memory.

use iced_x86::{Code, Instruction, OpKind, Register as Name};

use super::address::{Address, Base, Far, Indexed};
use super::control_transfer as branch;
use super::flags::{self, Kind};
use super::op::{Detail, FarAddress, Handler, Links, Op, Prefixes};
use super::{Cpu, Leave, arithmetic, call_out};
use crate::state::{Gpr, SegmentRegister};

/// Slots that one block may take.
pub(crate) const MOST_SLOTS: usize = 512;
/// Slots that one instruction and the end of its block may take.
pub(crate) const MOST_SLOTS_OF_INSTRUCTION: usize = 24;

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
    /// What SSE instructions raise, if anything: [`Sse`].
    pub sse: Sse,
    /// Whether SIMD floating-point exceptions are all masked.
    pub simd_masked: bool,
}

/// Whether SSE instructions may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sse {
    /// They execute.
    Enabled,
    /// #UD: CR4.OSFXSR is clear or CR0.EM is set.
    Undefined,
    /// #NM: CR0.TS is set.
    NotAvailable,
}

/// The block under construction.
pub(crate) struct Emit {
    /// The instruction at hand.
    pub instruction: Instruction,
    pub mode: Mode,
    /// Whether the status flags that hold before the instruction at hand, or that it writes, are
    /// overwritten by a later one before anything can see them.
    pub flags_dead: bool,
    /// What the flags mean now; `None`: as the block was entered.
    kind: Option<Kind>,
    /// Whether the last emitted instruction ends the block.
    pub ended: bool,
    /// Base of the code segment.
    pub cs_base: u64,
    /// RIP of the block.
    pub start: u64,
    index: u8,
    ops: [Op; MOST_SLOTS],
    origins: [Origin; MOST_SLOTS],
    length: usize,
}

/// A memory operand, packed for an op.
pub(crate) struct Packed {
    /// 0, 1, 2: [`Base`], [`Indexed`], [`Far`].
    pub form: usize,
    base: u8,
    index: u8,
    scale: u8,
    displacement: i32,
    far: FarAddress,
}

impl Packed {
    /// The same operand with another base register.
    pub fn with_base(self, base: u8) -> Self {
        Self { base, ..self }
    }
}

/// Handlers of one operation by form of memory operand.
pub(crate) type ByForm = [Handler; 3];
/// Handlers of one operation by width: 8, 16, 32, 64 bits.
pub(crate) type ByWidth = [Handler; 4];

/// An array of handlers for the four widths.
macro_rules! by_width {
    ($width:ident => $handler:expr) => {
        [
            {
                type $width = u8;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u16;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u32;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u64;
                $handler as $crate::execute::op::Handler
            },
        ]
    };
}

/// An array of handlers for the three forms of memory operand.
macro_rules! by_form {
    ($address:ident => $handler:expr) => {
        [
            {
                type $address = $crate::execute::address::Base;
                $handler as $crate::execute::op::Handler
            },
            {
                type $address = $crate::execute::address::Indexed;
                $handler as $crate::execute::op::Handler
            },
            {
                type $address = $crate::execute::address::Far;
                $handler as $crate::execute::op::Handler
            },
        ]
    };
}

/// An array of handlers for the three forms of memory operand by the four widths.
macro_rules! by_form_and_width {
    ($address:ident, $width:ident => $handler:expr) => {
        [
            { type $address = $crate::execute::address::Base; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Indexed; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Far; $crate::execute::emit::by_width!($width => $handler) },
        ]
    };
}

/// Four functions by width.
macro_rules! functions {
    ($function:ident $(, $operation:ty)?) => {
        [
            $function::<$($operation,)? u8> as $crate::execute::emit::Function,
            $function::<$($operation,)? u16>,
            $function::<$($operation,)? u32>,
            $function::<$($operation,)? u64>,
        ]
    };
}

/// One handler for each kind of flags.
macro_rules! by_kind {
    ($handler:ident $(, $more:expr)?) => {
        [
            $handler::<0 $(, $more)?> as $crate::execute::op::Handler, $handler::<1 $(, $more)?>, $handler::<2 $(, $more)?>, $handler::<3 $(, $more)?>,
            $handler::<4 $(, $more)?>, $handler::<5 $(, $more)?>, $handler::<6 $(, $more)?>, $handler::<7 $(, $more)?>,
            $handler::<8 $(, $more)?>, $handler::<9 $(, $more)?>, $handler::<10 $(, $more)?>, $handler::<11 $(, $more)?>,
            $handler::<12 $(, $more)?>, $handler::<13 $(, $more)?>, $handler::<14 $(, $more)?>, $handler::<15 $(, $more)?>,
            $handler::<16 $(, $more)?>, $handler::<17 $(, $more)?>, $handler::<18 $(, $more)?>, $handler::<19 $(, $more)?>,
            $handler::<20 $(, $more)?>, $handler::<21 $(, $more)?>, $handler::<22 $(, $more)?>, $handler::<23 $(, $more)?>,
            $handler::<24 $(, $more)?>, $handler::<25 $(, $more)?>, $handler::<26 $(, $more)?>, $handler::<27 $(, $more)?>,
            $handler::<28 $(, $more)?>, $handler::<29 $(, $more)?>, $handler::<30 $(, $more)?>, $handler::<31 $(, $more)?>,
        ]
    };
}

pub(crate) use {by_form, by_form_and_width, by_kind, by_width, functions};

impl Emit {
    pub fn new() -> Self {
        let nothing = Op { handler: branch::leave_jump, a: 0, b: 0, c: 0, d: 0, imm: 0 };
        Self {
            instruction: Instruction::default(),
            mode: Mode { bitness: 64, step: false, sse: Sse::Enabled, simd_masked: true },
            flags_dead: false,
            kind: None,
            ended: false,
            cs_base: 0,
            start: 0,
            index: 0,
            ops: [nothing; MOST_SLOTS],
            origins: [Origin::default(); MOST_SLOTS],
            length: 0,
        }
    }

    /// Starts a block at `start`.
    pub fn begin(&mut self, start: u64, cs_base: u64, mode: Mode) {
        (self.start, self.cs_base, self.mode) = (start, cs_base, mode);
        (self.kind, self.ended, self.index, self.length) = (None, false, 0, 0);
    }

    /// The finished block.
    pub fn finish(&self) -> (&[Op], &[Origin]) {
        (&self.ops[..self.length], &self.origins[..self.length])
    }

    /// Whether another instruction fits.
    pub fn has_room(&self) -> bool {
        self.length + MOST_SLOTS_OF_INSTRUCTION <= MOST_SLOTS && self.index < 250
    }

    /// Instructions emitted so far.
    pub fn count(&self) -> u8 {
        self.index
    }

    /// The instruction at hand is complete.
    pub fn retire(&mut self) {
        self.index += 1;
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
    }

    /// Appends an op.
    pub fn op(&mut self, handler: Handler, a: u8, b: u8, c: u8, d: u8, imm: i32) {
        self.record(Op { handler, a, b, c, d, imm });
    }

    /// Appends an op with a memory operand; `a` is its other operand, and `payload`, if any, goes
    /// into a slot of its own behind the address.
    pub fn memory_op(&mut self, handlers: &ByForm, a: u8, payload: Option<u64>) {
        let packed = self.packed_address();
        self.packed_op(handlers, a, &packed, payload);
    }

    /// As [`memory_op`](Self::memory_op), for an operand that is packed already.
    pub fn packed_op(&mut self, handlers: &ByForm, a: u8, packed: &Packed, payload: Option<u64>) {
        let Packed { form, base, index, scale, displacement, far } = *packed;
        self.op(handlers[form], a, base, index, scale, displacement);
        if form == 2 {
            self.record(far);
        }
        if let Some(payload) = payload {
            self.record(Op::with_payload(branch::leave_jump, payload));
        }
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
                Some(kind) => arithmetic::MATERIALIZE[usize::from(kind.0)],
                None => arithmetic::materialize_dynamic,
            };
            self.op(handler, 0, 0, 0, 0, 0);
            self.kind = Some(Kind::KNOWN);
        }
    }

    /// Puts CF into bit 0 of the source word; the other flags are then lost.
    pub fn carry_to_source(&mut self) {
        let handler = match self.kind {
            Some(kind) => arithmetic::CARRY[usize::from(kind.0)],
            None => arithmetic::carry_dynamic,
        };
        self.op(handler, 0, 0, 0, 0, 0);
    }

    /// The instruction calls `function`, which neither reads nor writes status flags.
    pub fn call_out(&mut self, function: Function) {
        self.detail(call_out::call_out, function);
    }

    /// The instruction calls `function`, which may read and write status flags.
    pub fn call_out_with_flags(&mut self, function: Function) {
        self.materialize();
        self.detail(call_out::call_out, function);
    }

    /// The instruction calls `function`, which may change anything, and ends the block.
    pub fn call_out_last(&mut self, function: Function) {
        self.materialize();
        self.detail(call_out::call_out_last, function);
        self.ended = true;
    }

    fn detail(&mut self, handler: Handler, function: Function) {
        let detail = self.describe(function);
        self.op(handler, 0, 0, 0, 0, 0);
        self.record(detail);
    }

    fn describe(&self, function: Function) -> Detail {
        let instruction = &self.instruction;
        let mut registers = [Gpr::ZERO_OFFSET; 4];
        let mut memory = Detail::NO_MEMORY;
        let mut immediate = 0;
        let mut width = 0;
        for position in 0..instruction.op_count().min(4) {
            match instruction.op_kind(position) {
                OpKind::Register => {
                    let name = instruction.op_register(position);
                    registers[position as usize] = register_operand(name);
                    if position == 0 {
                        width = name.size() as u8;
                    }
                }
                OpKind::Memory => memory = position as u8,
                OpKind::FarBranch16 => {
                    immediate = u64::from(instruction.far_branch16())
                        | u64::from(instruction.far_branch_selector()) << 32;
                }
                OpKind::FarBranch32 => {
                    immediate = u64::from(instruction.far_branch32())
                        | u64::from(instruction.far_branch_selector()) << 32;
                }
                OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                    immediate = instruction.near_branch_target();
                }
                OpKind::Immediate8_2nd => immediate |= instruction.immediate(position) << 32,
                kind if is_immediate(kind) => immediate = instruction.immediate(position),
                _ => {}
            }
        }
        if memory == 0 {
            width = instruction.memory_size().size() as u8;
        }
        let (base, index_register, scale) = self.base_and_index();
        let mut prefixes = Prefixes::empty();
        prefixes.set(Prefixes::LOCK, instruction.has_lock_prefix());
        prefixes.set(Prefixes::REP, instruction.has_rep_prefix());
        prefixes.set(Prefixes::REPNE, instruction.has_repne_prefix());
        Detail {
            function,
            next_rip: instruction.next_ip(),
            immediate,
            displacement: instruction.memory_displacement64(),
            base,
            index_register,
            scale,
            segment: segment_number(instruction.memory_segment()),
            registers,
            memory,
            address_bits: self.address_bits(),
            width,
            length: instruction.len() as u8,
            prefixes,
            bitness: self.mode.bitness,
            index: self.index,
        }
    }

    /// Ends the block with an op that has links: `handler` with operands `a`, `b` and `imm`, the
    /// instructions that it completes, and its successors.
    pub fn branch(
        &mut self,
        handler: Handler,
        a: u8,
        b: u8,
        imm: i32,
        completes: u8,
        to: Successors,
    ) {
        self.op(handler, a, b, 0, 0, imm);
        let count = u32::from(self.index) + u32::from(completes);
        let kind = self.kind.map_or(Origin::DYNAMIC, |kind| kind.0);
        // The stubs come right behind.
        let not_taken = if to.not_taken.is_some() { 2 * Links::SLOT } else { Links::SLOT };
        self.record(Links { taken: Links::SLOT, not_taken, count, kind });
        self.exit(to.taken, branch::stub_taken);
        if let Some(not_taken) = to.not_taken {
            self.exit(not_taken, branch::stub_not_taken);
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
        self.exit(target, branch::stub_call);
        self.ended = true;
    }

    /// Ends the block by going on with the instruction that follows, which belongs to another.
    pub fn fall_through(&mut self) {
        let next = self.instruction.next_ip();
        let to = Successors { taken: next, not_taken: None };
        let handler = branch::jump(self.kind.is_some());
        self.branch(handler, 0, 0, 0, 0, to);
    }

    fn exit(&mut self, target: u64, stub: Handler) {
        let page = |rip: u64| self.cs_base.wrapping_add(rip) >> 12;
        let handler = match () {
            () if self.mode.step => branch::leave_jump,
            () if page(target) != page(self.start) => branch::cross_page,
            () => stub,
        };
        self.record(Op::with_payload(handler, target));
        self.origins[self.length - 1].offset = Origin::EXIT;
    }

    /// The memory operand of the instruction at hand.
    pub fn packed_address(&self) -> Packed {
        let instruction = &self.instruction;
        let (base, index, scale) = self.base_and_index();
        let displacement = instruction.memory_displacement64();
        let segment = instruction.memory_segment();
        let based = matches!(segment, Name::FS | Name::GS);
        // In 64-bit mode an absent base has the default segment DS, and RSP and RBP have SS: an
        // explicit override of either differs only in which fault a bad address raises.
        let default = if matches!(base, 0x20 | 0x28) { Name::SS } else { Name::DS };
        let simple = self.mode.bitness == 64
            && self.address_bits() == 64
            && !based
            && segment == default
            && displacement as i64 == i64::from(displacement as i32);
        let form = match () {
            () if !simple => 2,
            () if index != Gpr::ZERO_OFFSET => 1,
            () => 0,
        };
        Packed {
            form,
            base,
            index,
            scale,
            displacement: displacement as i32,
            far: FarAddress {
                displacement,
                segment: segment_number(segment),
                bits: self.address_bits(),
            },
        }
    }

    /// The stack slot at RSP + `displacement`.
    pub fn stack_slot(&self, displacement: i32) -> Packed {
        let far = FarAddress { displacement: 0, segment: 0, bits: 64 };
        Packed { form: 0, base: 0x20, index: Gpr::ZERO_OFFSET, scale: 0, displacement, far }
    }

    fn base_and_index(&self) -> (u8, u8, u8) {
        let instruction = &self.instruction;
        let offset = |name: Name| match name {
            Name::None | Name::RIP | Name::EIP => Gpr::ZERO_OFFSET,
            name => register_operand(name.full_register()),
        };
        let scale = instruction.memory_index_scale().trailing_zeros() as u8;
        (offset(instruction.memory_base()), offset(instruction.memory_index()), scale)
    }

    fn address_bits(&self) -> u8 {
        let instruction = &self.instruction;
        let base = instruction.memory_base();
        let index = instruction.memory_index();
        let named = if base != Name::None { base } else { index };
        match named.size() {
            2 => return 16,
            4 => return 32,
            8 => return 64,
            _ => {}
        }
        if let Some(bits) = self.string_address_bits().or_else(|| counter_bits(instruction.code()))
        {
            return bits;
        }
        match instruction.memory_displ_size() {
            2 => 16,
            4 if self.mode.bitness != 64 => 32,
            _ => self.mode.bitness,
        }
    }

    /// Width of the implicit addresses of a string instruction, or of its counter.
    pub fn string_address_bits(&self) -> Option<u8> {
        (0..self.instruction.op_count()).find_map(|position| {
            match self.instruction.op_kind(position) {
                OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => Some(16),
                OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => Some(32),
                OpKind::MemorySegRSI | OpKind::MemorySegRDI | OpKind::MemoryESRDI => Some(64),
                _ => None,
            }
        })
    }

    /// log2 of the width in bytes of operand `position`.
    pub fn width(&self, position: u32) -> usize {
        let bytes = match self.instruction.op_kind(position) {
            OpKind::Register => self.instruction.op_register(position).size(),
            OpKind::Memory => self.instruction.memory_size().size(),
            _ => 1,
        };
        bytes.trailing_zeros() as usize
    }

    /// Byte offset or number of register operand `position`.
    pub fn register(&self, position: u32) -> u8 {
        register_operand(self.instruction.op_register(position))
    }

    pub fn is_register(&self, position: u32) -> bool {
        self.instruction.op_kind(position) == OpKind::Register
    }

    pub fn is_memory(&self, position: u32) -> bool {
        self.instruction.op_kind(position) == OpKind::Memory
    }

    pub fn is_immediate(&self, position: u32) -> bool {
        is_immediate(self.instruction.op_kind(position))
    }

    /// Immediate operand `position`, sign-extended.
    pub fn immediate(&self, position: u32) -> u64 {
        self.instruction.immediate(position)
    }

    pub fn is_locked(&self) -> bool {
        self.instruction.has_lock_prefix()
    }
}

/// Where a branch leads.
#[derive(Clone, Copy)]
pub(crate) struct Successors {
    pub taken: u64,
    pub not_taken: Option<u64>,
}

/// Width of the counter of LOOPcc and JrCXZ.
fn counter_bits(code: Code) -> Option<u8> {
    use Code as C;
    Some(match code {
        C::Jcxz_rel8_16 | C::Jcxz_rel8_32 => 16,
        C::Loop_rel8_16_CX | C::Loop_rel8_32_CX => 16,
        C::Loope_rel8_16_CX | C::Loope_rel8_32_CX => 16,
        C::Loopne_rel8_16_CX | C::Loopne_rel8_32_CX => 16,
        C::Jecxz_rel8_16 | C::Jecxz_rel8_32 | C::Jecxz_rel8_64 => 32,
        C::Loop_rel8_16_ECX | C::Loop_rel8_32_ECX | C::Loop_rel8_64_ECX => 32,
        C::Loope_rel8_16_ECX | C::Loope_rel8_32_ECX | C::Loope_rel8_64_ECX => 32,
        C::Loopne_rel8_16_ECX | C::Loopne_rel8_32_ECX | C::Loopne_rel8_64_ECX => 32,
        C::Jrcxz_rel8_16 | C::Jrcxz_rel8_64 => 64,
        C::Loop_rel8_16_RCX | C::Loop_rel8_64_RCX => 64,
        C::Loope_rel8_16_RCX | C::Loope_rel8_64_RCX => 64,
        C::Loopne_rel8_16_RCX | C::Loopne_rel8_64_RCX => 64,
        _ => return None,
    })
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// The byte offset of a general register, the number of any other.
fn register_operand(name: Name) -> u8 {
    match name {
        Name::AH | Name::CH | Name::DH | Name::BH => (name.number() as u8 - 4) * 8 + 1,
        // The decoder numbers SPL and those after it behind BH.
        name if name.is_gpr8() && name.number() >= 8 => (name.number() as u8 - 4) * 8,
        name if name.is_gpr() => name.number() as u8 * 8,
        name => name.number() as u8,
    }
}

fn segment_number(name: Name) -> u8 {
    let segment = match name {
        Name::ES => SegmentRegister::Es,
        Name::CS => SegmentRegister::Cs,
        Name::SS => SegmentRegister::Ss,
        Name::FS => SegmentRegister::Fs,
        Name::GS => SegmentRegister::Gs,
        _ => SegmentRegister::Ds,
    };
    segment as u8
}

const _: () = {
    assert!(Base::SLOTS == 1 && Indexed::SLOTS == 1 && Far::SLOTS == 2);
    assert!(Kind::COUNT <= Origin::DYNAMIC as usize && flags::STATUS & 2 == 0);
};
