//! MOVS, STOS, LODS, SCAS, CMPS against a model of one element after the other.

mod common;

use std::cell::RefCell;

use common::guest::{CODE, DATA, End, Guest, PAGES, WRITABLE};
use common::numbers::Numbers;
use monovisor_core::Exit;
use monovisor_core::state::{Exception, RFlags, Register, SegmentRegister, Vector};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Bytes under test: three pages, which are mapped one by one.
const WINDOW: u64 = 0x3000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Movs,
    Cmps,
    Stos,
    Lods,
    Scas,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Movs, Self::Cmps, Self::Stos, Self::Lods, Self::Scas];

    fn opcode(self) -> u8 {
        match self {
            Self::Movs => 0xa4,
            Self::Cmps => 0xa6,
            Self::Stos => 0xaa,
            Self::Lods => 0xac,
            Self::Scas => 0xae,
        }
    }

    fn reads_source(self) -> bool {
        matches!(self, Self::Movs | Self::Cmps | Self::Lods)
    }

    fn uses_target(self) -> bool {
        self != Self::Lods
    }

    fn compares(self) -> bool {
        matches!(self, Self::Cmps | Self::Scas)
    }
}

#[derive(Clone, Debug)]
struct Case {
    operation: Operation,
    width: u64,
    /// F3, F2 or none.
    prefix: Option<u8>,
    /// 67: addresses of 32 bits.
    narrow: bool,
    backward: bool,
    source: u64,
    target: u64,
    count: u64,
    accumulator: u64,
    /// A page of the three that is not mapped.
    hole: Option<u64>,
    /// What the memory holds: few values make long equal runs.
    values: u64,
    /// The TLB has the pages of the first elements: they are accessed before.
    warm: bool,
}

impl Case {
    fn code(&self) -> Vec<u8> {
        let operand = match self.width {
            2 => Some(0x66),
            8 => Some(0x48),
            _ => None,
        };
        let address = self.narrow.then_some(0x67);
        let opcode = self.operation.opcode() | u8::from(self.width != 1);
        let rex = operand.filter(|&byte| byte == 0x48);
        let size = operand.filter(|&byte| byte == 0x66);
        // mov bl, [rsi]; mov bl, [rdi]; mov [rdi], bl
        let warming: &[u8] = if self.warm { &[0x8a, 0x1e, 0x8a, 0x1f, 0x88, 0x1f] } else { &[] };
        let prefixes = self.prefix.into_iter().chain(address).chain(size).chain(rex);
        warming.iter().copied().chain(prefixes).chain([opcode]).collect()
    }
}

/// What an instruction leaves behind.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    memory: Vec<u8>,
    rax: u64,
    rcx: u64,
    rsi: u64,
    rdi: u64,
    flags: u64,
    /// The address of a page fault, and whether it was a write.
    fault: Option<(u64, bool)>,
}

/// The flags of `left - right` in `width` bytes.
fn compared(left: u64, right: u64, width: u64) -> u64 {
    let bits = width * 8;
    let mask = u64::MAX >> (64 - bits);
    let (left, right) = (left & mask, right & mask);
    let difference = left.wrapping_sub(right) & mask;
    let sign = |value: u64| value >> (bits - 1) & 1;
    let overflow = sign(left) != sign(right) && sign(left) != sign(difference);
    u64::from(left < right)
        | u64::from((difference as u8).count_ones().is_multiple_of(2)) << 2
        | ((left ^ right ^ difference) & 0x10)
        | u64::from(difference == 0) << 6
        | sign(difference) << 7
        | u64::from(overflow) << 11
}

/// One element after the other, byte by byte.
fn model(case: &Case, memory: &[u8]) -> Result {
    let mut result = Result {
        memory: memory.to_vec(),
        rax: case.accumulator,
        rcx: case.count,
        rsi: PAGES + case.source,
        rdi: PAGES + case.target,
        flags: 0,
        fault: None,
    };
    let step = if case.backward { case.width.wrapping_neg() } else { case.width };
    // The lowest address of the access that is not mapped.
    let unmapped = |address: u64| {
        let hole = PAGES + case.hole? * 0x1000;
        (address..address + case.width).find(|&byte| byte & !0xfff == hole)
    };
    let mut flags = 0;
    loop {
        if case.prefix.is_some() && result.rcx == 0 {
            break;
        }
        let reads = case.operation.reads_source().then_some((result.rsi, false));
        let writes = matches!(case.operation, Operation::Movs | Operation::Stos);
        let uses = case.operation.uses_target().then_some((result.rdi, writes));
        let fault = [reads, uses]
            .into_iter()
            .flatten()
            .find_map(|(address, write)| unmapped(address).map(|byte| (byte, write)));
        if let Some(fault) = fault {
            result.fault = Some(fault);
            return result;
        }
        let load = |memory: &[u8], address: u64| {
            let mut bytes = [0; 8];
            let start = (address - PAGES) as usize;
            bytes[..case.width as usize]
                .copy_from_slice(&memory[start..start + case.width as usize]);
            u64::from_le_bytes(bytes)
        };
        let store = |memory: &mut [u8], address: u64, value: u64| {
            let start = (address - PAGES) as usize;
            memory[start..start + case.width as usize]
                .copy_from_slice(&value.to_le_bytes()[..case.width as usize]);
        };
        match case.operation {
            Operation::Movs => {
                let value = load(&result.memory, result.rsi);
                store(&mut result.memory, result.rdi, value);
            }
            Operation::Stos => store(&mut result.memory, result.rdi, result.rax),
            Operation::Lods => {
                let value = load(&result.memory, result.rsi);
                result.rax = match case.width {
                    1 => result.rax & !0xff | value,
                    2 => result.rax & !0xffff | value,
                    _ => value,
                };
            }
            Operation::Scas => {
                flags = compared(result.rax, load(&result.memory, result.rdi), case.width);
            }
            Operation::Cmps => {
                let left = load(&result.memory, result.rsi);
                flags = compared(left, load(&result.memory, result.rdi), case.width);
            }
        }
        if case.operation.reads_source() {
            result.rsi = result.rsi.wrapping_add(step);
        }
        if case.operation.uses_target() {
            result.rdi = result.rdi.wrapping_add(step);
        }
        let Some(prefix) = case.prefix else { break };
        result.rcx -= 1;
        let equal = flags & 0x40 != 0;
        if case.operation.compares() && equal != (prefix == 0xf3) {
            break;
        }
    }
    result.flags = flags;
    result
}

fn interpret(guest: &mut Guest, case: &Case, memory: &[u8]) -> Result {
    guest.ram.write(PAGES, memory);
    for page in 0..3 {
        let flags = if case.hole == Some(page) { 0 } else { WRITABLE };
        guest.map(PAGES + page * 0x1000, flags);
    }
    guest.state.rip = CODE;
    for (register, value) in [
        (Register::Rax, case.accumulator),
        (Register::Rcx, case.count),
        (Register::Rsi, PAGES + case.source),
        (Register::Rdi, PAGES + case.target),
    ] {
        guest.set(register, value);
    }
    let mut flags = RFlags::from_bits_retain(2);
    flags.set(RFlags::DIRECTION_FLAG, case.backward);
    guest.state.rflags = flags;
    let fault = match guest.run(&case.code()) {
        End::Done => None,
        End::Fault(Exception { vector: Vector::PageFault, payload, error_code }) => {
            assert_eq!(guest.state.rip, CODE);
            Some((payload, error_code.is_some_and(|code| code & 2 != 0)))
        }
        end => panic!("{end:?}"),
    };
    Result {
        memory: guest.bytes(PAGES, WINDOW as usize),
        rax: guest.get(Register::Rax),
        rcx: guest.get(Register::Rcx),
        rsi: guest.get(Register::Rsi),
        rdi: guest.get(Register::Rdi),
        flags: guest.state.rflags.bits() & 0x8d5,
        fault,
    }
}

fn memory(values: u64) -> Vec<u8> {
    let mut numbers = Numbers(values);
    (0..WINDOW).map(|_| (numbers.next() % values) as u8).collect()
}

/// A place in the window: anywhere, often near the border of a page.
fn place() -> impl Strategy<Value = u64> {
    prop_oneof![0x40..0x2f00_u64, 0xff0..0x1010_u64, 0x1ff0..0x2010_u64]
}

fn case() -> impl Strategy<Value = Case> {
    let kind = (
        prop::sample::select(&Operation::ALL[..]),
        prop::sample::select(vec![1_u64, 2, 4, 8]),
        prop::sample::select(vec![None, Some(0xf3), Some(0xf3), Some(0xf2)]),
        any::<bool>(),
        prop::bool::weighted(0.3),
    );
    let place = (place(), place(), prop_oneof![Just(None), (-9..40_i64).prop_map(Some)]);
    let rest = (
        prop_oneof![0..40_u64, 0..5000_u64],
        any::<u64>(),
        prop::option::weighted(0.3, 0..3_u64),
        prop::sample::select(vec![1_u64, 2, 256]),
        any::<bool>(),
    );
    (kind, place, rest).prop_map(|(kind, (source, target, near), rest)| {
        let (operation, width, prefix, narrow, backward) = kind;
        let (count, accumulator, hole, values, warm) = rest;
        // Half of the cases overlap closely.
        let target = near.map_or(target, |near| source.wrapping_add_signed(near));
        // All elements lie in the window.
        let room = |from: u64| if backward { from / width } else { (WINDOW - from) / width };
        let count = count.min(room(source)).min(room(target));
        let accumulator = if values == 256 { accumulator } else { 0 };
        Case {
            operation,
            width,
            prefix,
            narrow,
            backward,
            source,
            target,
            count,
            accumulator,
            hole,
            values,
            warm: warm && hole.is_none(),
        }
    })
}

/// All operations, widths, directions and address sizes; overlaps, page borders and faults.
#[test]
fn strings_are_what_their_elements_are() {
    let guest = RefCell::new(Guest::long_mode());
    let config = ProptestConfig { cases: 5000, failure_persistence: None, ..Default::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&case(), |case| {
            let memory = memory(case.values);
            let found = interpret(&mut guest.borrow_mut(), &case, &memory);
            prop_assert_eq!(found, model(&case, &memory));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A long repetition is left now and then, with exact registers, and is then continued.
#[test]
fn long_repetitions_are_bounded() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 0x10_0000);
    guest.set(Register::Rax, 0x5a);
    guest.ram.write(CODE, &[0xf3, 0xaa, 0xf4]);
    guest.vcpu.set_state(&guest.state);
    let mut parts = 0;
    while guest.vcpu.run(1) == Exit::Budget {
        parts += 1;
        let gpr = &guest.vcpu.state().gpr;
        assert_eq!(gpr[Register::Rdi] + gpr[Register::Rcx], DATA + 0x10_0000);
        assert!(parts < 100);
    }
    assert!(parts >= 16, "1 MiB in {parts} parts");
    assert!(guest.bytes(DATA, 0x10_0000).iter().all(|&byte| byte == 0x5a));
    assert_eq!(guest.bytes(DATA + 0x10_0000, 1), [0]);
}

/// A count of 2^64 - 1 ends with the budget, not with the universe.
#[test]
fn a_budget_bounds_any_count() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rcx, u64::MAX);
    guest.set(Register::Rsi, DATA);
    // rep lodsb of a megabyte and more runs into what is not mapped; a budget comes first.
    guest.ram.write(CODE, &[0xf3, 0xac]);
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), Exit::Budget);
    let done = guest.vcpu.state().gpr[Register::Rsi] - DATA;
    assert!((9 * 16384..=12 * 16384).contains(&done), "{done}");
}

/// With TF set each iteration is followed by a trap (SDM, "Single-Step Exception Condition").
#[test]
fn single_step_stops_after_an_iteration() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 5);
    guest.state.rflags |= RFlags::TRAP_FLAG;
    assert_ne!(guest.run(&[0xf3, 0xaa]), End::Done);
    assert_eq!((guest.get(Register::Rcx), guest.get(Register::Rdi)), (4, DATA + 1));
    assert_eq!(guest.state.rip, CODE);
}

/// Pointers of 16 bits wrap, and the segments' limits hold.
#[test]
fn narrow_pointers_wrap_within_their_segment() {
    let mut guest = Guest::real_mode();
    guest.state.segments[SegmentRegister::Es].base = DATA & 0xf_ffff | 0x2_0000;
    guest.set(Register::Rdi, 0xffff_fff8);
    guest.set(Register::Rcx, 0x1_0010);
    guest.set(Register::Rax, 0x77);
    assert_eq!(guest.run(&[0xf3, 0xaa]), End::Done);
    assert_eq!((guest.get(Register::Rdi), guest.get(Register::Rcx)), (0xffff_0008, 0x1_0000));
    let base = guest.state.segments[SegmentRegister::Es].base;
    assert_eq!(guest.bytes(base + 0xfff8, 8), [0x77; 8]);
    assert_eq!(guest.bytes(base, 9), [0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0]);

    let mut guest = Guest::protected();
    guest.state.segments[SegmentRegister::Es].limit = DATA as u32 + 0x1010;
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 0x2000);
    assert_eq!(guest.run(&[0xf3, 0xaa]), End::Fault(Exception::GP0));
    assert_eq!(guest.get(Register::Rdi), DATA + 0x1011);
}

/// A repeated store into its own page of code ends before it changes what is not read yet, and code
/// that it has written is executed.
#[test]
fn repeated_stores_into_code_are_seen() {
    let mut guest = Guest::long_mode();
    // rep stosb over the INT3s behind it.
    let code = [0xf3, 0xaa, 0xcc, 0xcc, 0xcc, 0xcc];
    guest.set(Register::Rdi, CODE + 2);
    guest.set(Register::Rcx, 4);
    guest.set(Register::Rax, 0x90);
    assert_eq!(guest.run(&code), End::Done);
}
