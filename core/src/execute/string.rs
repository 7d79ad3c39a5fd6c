//! String instructions: MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS, with and without REP.
//!
//! At flat 64-bit addresses most of the work is done by the handlers in `flat`. Here is the general
//! way. A repeated instruction works in parts: as many elements as lie within a page of RAM at host
//! speed, or one element by the general way. After each part the counter and the pointers are
//! exact, so a fault in the next one finds what the manual promises. After a bounded number of
//! elements, or an access that wants attention, the instruction leaves to be executed again, so that
//! interrupts and limits are seen. With TF set every iteration is a part of its own.
//!
//! Invariant: a part that fails has changed nothing, and flags change when the whole instruction
//! has ended (SDM, REP: "EFLAGS is restored to the state prior to the execution").

mod flat;

use core::ptr::NonNull;

use iced_x86::{Mnemonic, Register as Name};

use self::flat::{
    RDI, RSI, in_page, load_accumulator, move_run, step, store_accumulator, store_moved, store_run,
};
use super::arithmetic::cut;
use super::emit::{ByWidth, Emit, Function, Packed, by_width, functions};
use super::flags::{Class, Kind};
use super::io::{dx, read_port, require_port, write_port};
use super::op::{Detail, Prefixes};
use super::operand::address_mask;
use super::table::Row;
use super::{Cpu, Leave, segment_register, sse};
use crate::memory::{PAGE_SIZE, Width, run};
use crate::paging::AccessKind;
use crate::state::{Gpr, RFlags, Register, SegmentRegister};

pub(super) const ROWS: &[Row] = &[
    (Mnemonic::Movsb, |e| movs(e, 0)),
    (Mnemonic::Movsw, |e| movs(e, 1)),
    (Mnemonic::Movsd, move_doublewords),
    (Mnemonic::Movsq, |e| movs(e, 3)),
    (Mnemonic::Stosb, |e| stos(e, 0)),
    (Mnemonic::Stosw, |e| stos(e, 1)),
    (Mnemonic::Stosd, |e| stos(e, 2)),
    (Mnemonic::Stosq, |e| stos(e, 3)),
    (Mnemonic::Lodsb, |e| lods(e, 0)),
    (Mnemonic::Lodsw, |e| lods(e, 1)),
    (Mnemonic::Lodsd, |e| lods(e, 2)),
    (Mnemonic::Lodsq, |e| lods(e, 3)),
    (Mnemonic::Scasb, |e| compares(e, scan::<u8>)),
    (Mnemonic::Scasw, |e| compares(e, scan::<u16>)),
    (Mnemonic::Scasd, |e| compares(e, scan::<u32>)),
    (Mnemonic::Scasq, |e| compares(e, scan::<u64>)),
    (Mnemonic::Cmpsb, |e| compares(e, compare::<u8>)),
    (Mnemonic::Cmpsw, |e| compares(e, compare::<u16>)),
    (Mnemonic::Cmpsd, compare_doublewords),
    (Mnemonic::Cmpsq, |e| compares(e, compare::<u64>)),
    (Mnemonic::Insb, |e| moves(e, input::<u8>)),
    (Mnemonic::Insw, |e| moves(e, input::<u16>)),
    (Mnemonic::Insd, |e| moves(e, input::<u32>)),
    (Mnemonic::Outsb, |e| moves(e, output::<u8>)),
    (Mnemonic::Outsw, |e| moves(e, output::<u16>)),
    (Mnemonic::Outsd, |e| moves(e, output::<u32>)),
];

/// Elements between two looks at events.
const MOST_ELEMENTS: u64 = 16384;
/// Bytes between two looks at events.
const MOST_BYTES: u64 = 64 << 10;

/// MOVSD, whose mnemonic SSE2 has too.
fn move_doublewords(emit: &mut Emit) -> Option<()> {
    if emit.instruction.is_string_instruction() { movs(emit, 2) } else { sse::moves::movsd(emit) }
}

/// CMPSD, whose mnemonic SSE2 has too.
fn compare_doublewords(emit: &mut Emit) -> Option<()> {
    match emit.instruction.is_string_instruction() {
        true => compares(emit, compare::<u32>),
        false => sse::compare::cmpsd(emit),
    }
}

fn moves(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out(function);
    Some(())
}

fn compares(emit: &mut Emit, function: Function) -> Option<()> {
    emit.call_out_with_flags(function);
    Some(())
}

/// Whether the elements are at flat 64-bit addresses: what the handlers know.
fn is_flat(emit: &Emit) -> bool {
    let based = matches!(emit.instruction.segment_prefix(), Name::FS | Name::GS);
    emit.string_address_bits() == Some(64) && !based
}

fn is_repeated(emit: &Emit) -> bool {
    emit.instruction.has_rep_prefix() || emit.instruction.has_repne_prefix()
}

/// The memory operand at what `register` holds.
fn at(emit: &Emit, register: u8) -> Packed {
    emit.stack_slot(0).with_base(register)
}

fn movs(emit: &mut Emit, width: usize) -> Option<()> {
    if is_repeated(emit) || !is_flat(emit) {
        if is_flat(emit) {
            let handlers: ByWidth = by_width!(W => move_run::<W>);
            emit.op(handlers[width], 0, 0, 0, 0, 0);
        }
        return moves(emit, functions!(move_elements)[width]);
    }
    let source = at(emit, RSI);
    super::data_transfer::load_scratch(emit, &source, width);
    let handlers: ByWidth = by_width!(W => store_moved::<W>);
    let target = at(emit, RDI);
    emit.packed_op(&[handlers[width]; 3], Gpr::SCRATCH_OFFSET, &target, None);
    Some(())
}

fn stos(emit: &mut Emit, width: usize) -> Option<()> {
    if is_repeated(emit) || !is_flat(emit) {
        if is_flat(emit) {
            let handlers: ByWidth = by_width!(W => store_run::<W>);
            emit.op(handlers[width], 0, 0, 0, 0, 0);
        }
        return moves(emit, functions!(store_elements)[width]);
    }
    let handlers: ByWidth = by_width!(W => store_accumulator::<W>);
    let target = at(emit, RDI);
    emit.packed_op(&[handlers[width]; 3], 0, &target, None);
    Some(())
}

fn lods(emit: &mut Emit, width: usize) -> Option<()> {
    if is_repeated(emit) || !is_flat(emit) {
        return moves(emit, functions!(load_elements)[width]);
    }
    let handlers: ByWidth = by_width!(W => load_accumulator::<W>);
    let source = at(emit, RSI);
    emit.packed_op(&[handlers[width]; 3], 0, &source, None);
    Some(())
}

/// What a part has done.
struct Part {
    elements: u64,
    /// The condition of REPE or REPNE has failed.
    ended: bool,
}

impl Part {
    /// A part of an instruction that ends when its counter does.
    const fn of(elements: u64) -> Self {
        Self { elements, ended: false }
    }
}

/// Executes `part` until the counter or the part ends the instruction. `part` gets the most
/// elements that it may do, does one at least, and moves the pointers.
fn repeat<W: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
    mut part: impl FnMut(&mut Cpu, u64) -> Result<Part, Leave>,
) -> Result<(), Leave> {
    if !detail.prefixes.intersects(Prefixes::REP | Prefixes::REPNE) {
        return part(cpu, 1).map(drop);
    }
    let mask = address_mask(detail.address_bits);
    let mut count = cpu.state.gpr[Register::Rcx] & mask;
    // Where the looks are depends on the counter alone, not on where this attempt begins.
    let most = MOST_ELEMENTS.min(MOST_BYTES / W::BYTES as u64);
    let mut quota = match cpu.state.rflags.contains(RFlags::TRAP_FLAG) {
        true => 1,
        false => count.wrapping_sub(1) % most + 1,
    };
    while count != 0 {
        let Part { elements, ended } = part(cpu, count.min(quota))?;
        advance(cpu, detail, Register::Rcx, elements.wrapping_neg());
        count -= elements;
        quota -= elements;
        if ended {
            break;
        }
        if count == 0 || quota != 0 && !cpu.mmu.attention {
            continue;
        }
        // Each attempt uses up some of the budget, so that it bounds any count of iterations. Those
        // that end with the quota count, too: a clock of instructions goes on in the longest.
        // An event between two iterations finds RF set (SDM, "Instruction-Breakpoint Exception
        // Condition"), so that the next one does not hit a breakpoint.
        cpu.state.rflags.insert(RFlags::RESUME_FLAG);
        match quota {
            0 => cpu.frame.budget -= 1,
            _ => cpu.remaining -= 1,
        }
        return Err(Leave::Again);
    }
    Ok(())
}

/// Adds to a pointer or the counter within the address size. A 32-bit result clears the upper half.
#[inline]
fn advance(cpu: &mut Cpu, detail: &Detail, register: Register, distance: u64) {
    let mask = address_mask(detail.address_bits);
    let old = cpu.state.gpr[register];
    let kept = if detail.address_bits == 16 { old & !mask } else { 0 };
    cpu.state.gpr[register] = kept | old.wrapping_add(distance) & mask;
}

/// One side of a string instruction: the segment and pointer register of its elements.
#[derive(Clone, Copy)]
struct Side {
    segment: SegmentRegister,
    pointer: Register,
}

impl Side {
    /// DS:(E/R)SI; the segment may be overridden.
    fn source(detail: &Detail) -> Self {
        Self { segment: segment_register(detail.segment), pointer: Register::Rsi }
    }

    /// ES:(E/R)DI; the segment may not.
    const TARGET: Self = Self { segment: SegmentRegister::Es, pointer: Register::Rdi };

    fn offset(self, cpu: &Cpu, detail: &Detail) -> u64 {
        cpu.state.gpr[self.pointer] & address_mask(detail.address_bits)
    }

    /// The linear address of the element.
    fn linear<W: Width>(self, cpu: &Cpu, detail: &Detail, write: bool) -> Result<u64, Leave> {
        cpu.segment_linear(self.segment, self.offset(cpu, detail), W::BYTES as u64, write)
    }

    fn load<W: Width>(self, cpu: &mut Cpu, detail: &Detail) -> Result<W, Leave> {
        let linear = self.linear::<W>(cpu, detail, false)?;
        cpu.load(self.segment, linear)
    }

    fn store<W: Width>(self, cpu: &mut Cpu, detail: &Detail, value: W) -> Result<(), Leave> {
        let linear = self.linear::<W>(cpu, detail, true)?;
        cpu.store(self.segment, linear, value)
    }

    /// Goes on by so many elements.
    fn pass<W: Width>(self, cpu: &mut Cpu, detail: &Detail, elements: u64) {
        let distance = step::<W>(cpu).wrapping_mul(elements);
        advance(cpu, detail, self.pointer, distance);
    }

    /// The elements from here on, at most `most`, that lie in RAM at host speed: where the first
    /// one is, and how many they are. `None` where it needs the general way, which also raises the
    /// faults that are due.
    fn run<W: Width>(
        self,
        cpu: &mut Cpu,
        detail: &Detail,
        kind: AccessKind,
        most: u64,
    ) -> Result<Option<(NonNull<u8>, u64)>, Leave> {
        let size = W::BYTES as u64;
        let offset = self.offset(cpu, detail);
        let backward = cpu.state.rflags.contains(RFlags::DIRECTION_FLAG);
        // The pointer must not wrap within the run.
        let room = match backward {
            true => offset / size,
            false => (address_mask(detail.address_bits) - offset) / size,
        };
        let elements = most.min(room).min(PAGE_SIZE / size);
        if elements <= 1 {
            return Ok(None);
        }
        let lowest = if backward { offset - (elements - 1) * size } else { offset };
        let write = kind == AccessKind::Write;
        let bytes = elements * size;
        let Ok(linear) = cpu.segment_linear(self.segment, lowest, bytes, write) else {
            return Ok(None);
        };
        let first = cpu.following(linear, offset - lowest);
        let elements = elements.min(in_page::<W>(first, backward));
        // What faults of an element across two pages is for its own access to say.
        if elements == 0 {
            return Ok(None);
        }
        let run = cpu
            .mmu
            .run(&cpu.state, first, kind, bytes)
            .map_err(|error| Leave::access(error, self.segment))?;
        Ok(run.map(|run| (run.pointer, elements)))
    }
}

/// MOVS.
fn move_elements<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (source, target) = (Side::source(detail), Side::TARGET);
    repeat::<W>(cpu, detail, |cpu, most| {
        let elements = move_part::<W>(cpu, detail, most)?;
        source.pass::<W>(cpu, detail, elements);
        target.pass::<W>(cpu, detail, elements);
        Ok(Part::of(elements))
    })
}

fn move_part<W: Width>(cpu: &mut Cpu, detail: &Detail, most: u64) -> Result<u64, Leave> {
    let (source, target) = (Side::source(detail), Side::TARGET);
    if let Some((from, most)) = source.run::<W>(cpu, detail, AccessKind::Read, most)?
        && let Some((to, elements)) = target.run::<W>(cpu, detail, AccessKind::Write, most)?
    {
        let (from, to, count) = (from.as_ptr(), to.as_ptr(), elements as usize);
        // SAFETY: both runs are RAM of at least so many elements, the target's writable.
        unsafe {
            match cpu.state.rflags.contains(RFlags::DIRECTION_FLAG) {
                true => run::copy_down::<W>(from, to, count),
                false => run::copy::<W>(from, to, count),
            }
        }
        return Ok(elements);
    }
    let value = source.load::<W>(cpu, detail)?;
    target.store(cpu, detail, value)?;
    Ok(1)
}

/// STOS.
fn store_elements<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = Side::TARGET;
    let value = W::truncate(cpu.get::<W>(0));
    repeat::<W>(cpu, detail, |cpu, most| {
        let run = target.run::<W>(cpu, detail, AccessKind::Write, most)?;
        let elements = match run {
            Some((to, elements)) => {
                let backward = cpu.state.rflags.contains(RFlags::DIRECTION_FLAG);
                let below = if backward { (elements as usize - 1) * W::BYTES } else { 0 };
                // SAFETY: the run is writable RAM of so many elements.
                unsafe { run::fill(to.as_ptr().sub(below), value, elements as usize) };
                elements
            }
            None => {
                target.store(cpu, detail, value)?;
                1
            }
        };
        target.pass::<W>(cpu, detail, elements);
        Ok(Part::of(elements))
    })
}

/// LODS.
fn load_elements<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = Side::source(detail);
    repeat::<W>(cpu, detail, |cpu, _| {
        let value = source.load::<W>(cpu, detail)?;
        cpu.set::<W>(0, value.extend());
        source.pass::<W>(cpu, detail, 1);
        Ok(Part::of(1))
    })
}

/// The last pair of elements that SCAS or CMPS has compared.
type Compared<W> = Option<(W, W)>;

/// Goes through pairs of elements, `step` bytes apart, until the condition fails: how many there
/// were, and the last one.
#[inline]
fn compare_pairs<W: Width>(
    detail: &Detail,
    count: u64,
    step: u64,
    mut pair: impl FnMut(isize) -> (W, W),
) -> (Part, Compared<W>) {
    let while_equal = !detail.prefixes.contains(Prefixes::REPNE);
    for index in 0..count {
        let (left, right) = pair(index.wrapping_mul(step) as isize);
        if (left == right) != while_equal {
            return (Part { elements: index + 1, ended: true }, Some((left, right)));
        }
        if index + 1 == count {
            return (Part::of(count), Some((left, right)));
        }
    }
    (Part::of(0), None)
}

/// The flags of a CMP, when the instruction has ended.
fn set_compared<W: Width>(cpu: &mut Cpu, compared: Compared<W>) {
    if let Some((left, right)) = compared {
        let (left, right) = (left.extend(), right.extend());
        let difference = cut::<W>(left.wrapping_sub(right));
        cpu.set_status(Kind::of::<W>(Class::Sub).word(difference, right));
    }
}

/// SCAS.
fn scan<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = Side::TARGET;
    let accumulator = W::truncate(cpu.get::<W>(0));
    let mut compared = None;
    repeat::<W>(cpu, detail, |cpu, most| {
        let (part, last) = match target.run::<W>(cpu, detail, AccessKind::Read, most)? {
            Some((with, elements)) => compare_pairs(detail, elements, step::<W>(cpu), |offset| {
                // SAFETY: the run is RAM of so many elements.
                (accumulator, unsafe { W::load(with.as_ptr().offset(offset)) })
            }),
            None => {
                let value = target.load(cpu, detail)?;
                compare_pairs(detail, 1, 0, |_| (accumulator, value))
            }
        };
        target.pass::<W>(cpu, detail, part.elements);
        compared = last;
        Ok(part)
    })?;
    set_compared(cpu, compared);
    Ok(())
}

/// CMPS compares the source with the target.
fn compare<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let (source, target) = (Side::source(detail), Side::TARGET);
    let mut compared = None;
    repeat::<W>(cpu, detail, |cpu, most| {
        let (part, last) = compare_part::<W>(cpu, detail, most)?;
        source.pass::<W>(cpu, detail, part.elements);
        target.pass::<W>(cpu, detail, part.elements);
        compared = last;
        Ok(part)
    })?;
    set_compared(cpu, compared);
    Ok(())
}

fn compare_part<W: Width>(
    cpu: &mut Cpu,
    detail: &Detail,
    most: u64,
) -> Result<(Part, Compared<W>), Leave> {
    let (source, target) = (Side::source(detail), Side::TARGET);
    if let Some((left, most)) = source.run::<W>(cpu, detail, AccessKind::Read, most)?
        && let Some((right, elements)) = target.run::<W>(cpu, detail, AccessKind::Read, most)?
    {
        return Ok(compare_pairs(detail, elements, step::<W>(cpu), |offset| {
            // SAFETY: both runs are RAM of at least so many elements.
            unsafe {
                (W::load(left.as_ptr().offset(offset)), W::load(right.as_ptr().offset(offset)))
            }
        }));
    }
    let left = source.load::<W>(cpu, detail)?;
    let right = target.load::<W>(cpu, detail)?;
    Ok(compare_pairs(detail, 1, 0, |_| (left, right)))
}

/// INS. A write that would fault does so before the device is read.
fn input<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let target = Side::TARGET;
    let port = dx(cpu);
    require_port::<W>(cpu, port)?;
    repeat::<W>(cpu, detail, |cpu, _| {
        let linear = target.linear::<W>(cpu, detail, true)?;
        cpu.probe_write(target.segment, linear, W::BYTES as u32)?;
        let data = read_port::<W>(cpu, port)?;
        cpu.store(target.segment, linear, W::truncate(data))?;
        target.pass::<W>(cpu, detail, 1);
        Ok(Part::of(1))
    })
}

/// OUTS.
fn output<W: Width>(cpu: &mut Cpu, detail: &Detail) -> Result<(), Leave> {
    let source = Side::source(detail);
    let port = dx(cpu);
    require_port::<W>(cpu, port)?;
    repeat::<W>(cpu, detail, |cpu, _| {
        let data = source.load::<W>(cpu, detail)?;
        write_port::<W>(cpu, port, data.extend());
        source.pass::<W>(cpu, detail, 1);
        Ok(Part::of(1))
    })
}
