//! Locked instructions on one operand by two vCPUs, and beside plain stores: aligned, misaligned
//! within a window of 8 and of 16 bytes, across cache lines and across pages. What nothing else can do
//! takes the host's bus lock, or an exclusive step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;

use monovisor_core::exclusive::{Gate, Parking, Wanted};
use monovisor_core::state::{RFlags, Register};
use monovisor_core::{Engine, Exit, SharedCode, Vcpu};

use crate::common::guest::{CODE, PAGES};
use crate::common::threads::Threads;
use crate::machine::{Machine, run_all};

/// Whether the host's kernel lets programs lock the bus and goes on as if nothing were.
fn bus_lock_is_free() -> bool {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let detected = ["split_lock_detect", "bus_lock_detect"].iter().any(|flag| cpu.contains(flag));
    cfg!(target_arch = "x86_64") && !cpu.is_empty() && !detected
}

/// How splits are made atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    BusLock,
    /// By the host, which keeps the others out.
    Exclusive,
    /// By the vCPU itself, at a gate.
    Gate,
}

/// Executes the vCPUs in threads; an exclusive step waits until no other executes.
fn run_locked(vcpus: &mut [Vcpu], split: Split) {
    let gate = RwLock::new(());
    let (threads, own_gate) = Threads::with_gate(vcpus.len());
    thread::scope(|scope| {
        for (slot, vcpu) in vcpus.iter_mut().enumerate() {
            vcpu.allow_bus_lock(split == Split::BusLock);
            if split == Split::Gate {
                vcpu.take_place(own_gate.claim(slot).expect("nobody has it"));
            }
            let (gate, threads) = (&gate, &threads);
            scope.spawn(move || {
                threads.attach(slot);
                loop {
                    let exit = {
                        let _running = gate.read().expect("no thread panics");
                        vcpu.run(2000)
                    };
                    match exit {
                        Exit::Budget => {}
                        Exit::Halted => break,
                        Exit::Exclusive => {
                            assert_eq!(split, Split::Exclusive);
                            let _alone = gate.write().expect("no thread panics");
                            assert_eq!(vcpu.step_exclusive(), Exit::Budget);
                        }
                        exit => panic!("{exit:?} at {:#x}", vcpu.state().rip),
                    }
                }
            });
        }
    });
}

/// What a loop of locked instructions leaves behind.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// The memory grows by each vCPU's number, times this, and this each time.
    Sum(i64, i64),
    /// The memory's bits are inverted where a number has them, each time.
    Toggle,
    /// The memory's value goes through this function each time.
    Involution(fn(u64) -> u64),
    /// The memory and the numbers are what they were, in any order.
    Permutation,
    /// The loop itself looks whether its own bits are as it left them.
    Own,
}

/// An instruction with `opcode` for bytes, the next for others, RDI's memory and RDX as operands.
fn encode(lock: bool, width: usize, opcode: &[u8], modrm: u8) -> Vec<u8> {
    let mut bytes = vec![];
    if width == 2 {
        bytes.push(0x66);
    }
    if lock {
        bytes.push(0xf0);
    }
    if width == 8 {
        bytes.push(0x48);
    }
    bytes.extend_from_slice(opcode);
    if width > 1
        && let Some(last) = bytes.last_mut()
    {
        *last |= 1;
    }
    bytes.push(modrm);
    bytes
}

/// JNE or JE (by opcode) to UD2, which is the next instruction but one.
fn unless(opposite: u8) -> [u8; 4] {
    [opposite, 2, 0x0f, 0x0b]
}

/// The loops: name, body and law.
fn loops(width: usize) -> Vec<(&'static str, Vec<u8>, Law)> {
    const RDX_IS_RSI: [u8; 3] = [0x48, 0x89, 0xf2];
    const RDX_IS_NOT_RSI: [u8; 6] = [0x48, 0x89, 0xf2, 0x48, 0xf7, 0xd2];
    const STC: u8 = 0xf9;
    const JE: u8 = 0x74;
    const JNE: u8 = 0x75;
    const JC: u8 = 0x72;
    const JNC: u8 = 0x73;
    let with_number =
        |opcode: &[u8]| [&RDX_IS_RSI[..], &encode(true, width, opcode, 0x17)].concat();
    let with_carry = |opcode| [vec![STC], with_number(&[opcode])].concat();
    // retry: mov rax, [rdi]; mov rdx, rax; add rdx, rsi; lock cmpxchg [rdi], rdx; jne retry
    let mut exchange = vec![0x48, 0x8b, 0x07, 0x48, 0x89, 0xc2, 0x48, 0x01, 0xf2];
    exchange.extend(encode(true, width, &[0x0f, 0xb0], 0x17));
    exchange.extend([JNE, (-(exchange.len() as i8) - 2) as u8]);
    // lock or; test; lock and; test
    let test = [&RDX_IS_RSI[..], &encode(false, width, &[0x84], 0x17)].concat();
    let set_and_clear = [
        with_number(&[0x08]),
        test.clone(),
        unless(JNE).to_vec(),
        RDX_IS_NOT_RSI.to_vec(),
        encode(true, width, &[0x20], 0x17),
        test,
        unless(JE).to_vec(),
    ];
    let mut loops = vec![
        ("add", with_number(&[0x00]), Law::Sum(1, 0)),
        ("sub", with_number(&[0x28]), Law::Sum(-1, 0)),
        ("adc", with_carry(0x10), Law::Sum(1, 1)),
        ("sbb", with_carry(0x18), Law::Sum(-1, -1)),
        ("inc", encode(true, width, &[0xfe], 0x07), Law::Sum(0, 1)),
        ("dec", encode(true, width, &[0xfe], 0x0f), Law::Sum(0, -1)),
        ("xadd", with_number(&[0x0f, 0xc0]), Law::Sum(1, 0)),
        ("cmpxchg", exchange, Law::Sum(1, 0)),
        ("xor", with_number(&[0x30]), Law::Toggle),
        ("not", encode(true, width, &[0xf6], 0x17), Law::Involution(|value| !value)),
        ("neg", encode(true, width, &[0xf6], 0x1f), Law::Involution(u64::wrapping_neg)),
        ("xchg", encode(false, width, &[0x86], 0x17), Law::Permutation),
        ("or, and", set_and_clear.concat(), Law::Own),
    ];
    if width > 1 {
        let bits = [
            with_number(&[0x0f, 0xab]),
            unless(JNC).to_vec(),
            with_number(&[0x0f, 0xb3]),
            unless(JC).to_vec(),
            with_number(&[0x0f, 0xbb]),
            unless(JNC).to_vec(),
            with_number(&[0x0f, 0xbb]),
            unless(JC).to_vec(),
        ];
        loops.push(("bts, btr, btc", bits.concat(), Law::Own));
    }
    loops
}

/// Executes the loop `rounds` times on two vCPUs, on an operand at `address`, and looks at its law.
fn holds(
    (name, body, law): &(&str, Vec<u8>, Law),
    width: usize,
    address: u64,
    rounds: u64,
    split: Split,
) {
    const NUMBERS: [u64; 2] = [5, 2];
    const BEGIN: u64 = 0x0123_4567_89ab_cd80;
    let mask = u64::MAX >> (64 - 8 * width);
    let mut machine = Machine::new(2);
    machine.ram.write(address, &BEGIN.to_le_bytes()[..width]);
    // body; dec ecx; jnz body; hlt
    let code = [&body[..], &[0xff, 0xc9, 0x75, (-(body.len() as i8) - 4) as u8, 0xf4]].concat();
    let mut vcpus = NUMBERS.map(|number| {
        // XCHG and the permutation begin with the number in RDX.
        let registers = [
            (Register::Rdi, address),
            (Register::Rsi, number),
            (Register::Rdx, number),
            (Register::Rcx, rounds),
        ];
        machine.vcpu(&code, &registers)
    });
    run_locked(&mut vcpus, split);
    let mut bytes = [0; 8];
    machine.ram.read(address, &mut bytes[..width]);
    let end = u64::from_le_bytes(bytes);
    let begin = BEGIN & mask;
    let sum = NUMBERS[0] + NUMBERS[1];
    let expected = match law {
        Law::Sum(factor, each) => {
            let grown = sum as i64 * factor + 2 * each;
            begin.wrapping_add_signed(grown.wrapping_mul(rounds as i64))
        }
        Law::Toggle if rounds % 2 == 1 => begin ^ NUMBERS[0] ^ NUMBERS[1],
        Law::Involution(function) if rounds % 2 == 1 => function(function(begin)),
        Law::Toggle | Law::Involution(_) | Law::Own => begin,
        Law::Permutation => {
            let values = vcpus.each_mut().map(|vcpu| vcpu.state().gpr[Register::Rdx] & mask);
            let mut found = [end, values[0], values[1]];
            let mut before = [begin, NUMBERS[0], NUMBERS[1]];
            found.sort_unstable();
            before.sort_unstable();
            assert_eq!(found, before, "{name}, {width} bytes at {address:#x}, {split:?}");
            end
        }
    };
    assert_eq!(end, expected & mask, "{name}, {width} bytes at {address:#x}, {split:?}");
}

#[test]
fn within_a_line() {
    for width in [1, 2, 4, 8] {
        for case in &loops(width) {
            for offset in [0, 1, 3, 5, 8 - width as u64 / 2, 16 - width as u64 / 2] {
                holds(case, width, PAGES + offset, 4001, Split::Exclusive);
            }
        }
    }
}

#[test]
fn across_windows_lines_and_pages() {
    let ways = [Split::Exclusive, Split::Gate, Split::BusLock];
    for &split in &ways[..2 + usize::from(bus_lock_is_free())] {
        for width in [2, 4, 8] {
            for case in &loops(width) {
                for end in [0x10, 0x40, 0x1000] {
                    holds(case, width, PAGES + end - width as u64 / 2, 201, split);
                }
            }
        }
    }
}

/// A locked instruction rewrites its whole window, but never undoes a plain store beside its operand.
#[test]
fn plain_stores_beside_the_operand() {
    const ROUNDS: u64 = 100_000;
    // next: mov [rdi], cl; cmp [rdi], cl; jne wrong; dec ecx; jnz next; hlt; wrong: ud2
    let store = [0x88, 0x0f, 0x38, 0x0f, 0x75, 5, 0xff, 0xc9, 0x75, 0xf6, 0xf4, 0x0f, 0x0b];
    // next: lock add [rdi], esi; dec ecx; jnz next; hlt
    let add = [0xf0, 0x01, 0x37, 0xff, 0xc9, 0x75, 0xf9, 0xf4];
    for (operand, beside) in [(0, 4), (1, 0), (1, 5), (5, 4), (6, 2), (7, 14)] {
        let mut machine = Machine::new(2);
        let registers =
            |offset| [(Register::Rdi, PAGES + offset), (Register::Rsi, 7), (Register::Rcx, ROUNDS)];
        let mut vcpus =
            [machine.vcpu(&store, &registers(beside)), machine.vcpu(&add, &registers(operand))];
        run_all(&mut vcpus, 1_000_000, |_, _| {});
        let mut bytes = [0; 4];
        machine.ram.read(PAGES + operand, &mut bytes);
        assert_eq!(
            u64::from(u32::from_le_bytes(bytes)),
            7 * ROUNDS,
            "at {operand} beside {beside}"
        );
    }
}

/// CMPXCHG8B and CMPXCHG16B: both halves count, and stay equal.
#[test]
fn pairs() {
    const ROUNDS: u64 = 20_000;
    for wide in [false, true] {
        // mov rax, [rdi]; mov rdx, [rdi + 8]; retry: lea rbx, [rax + 1]; lea rcx, [rdx + 1];
        // lock cmpxchg16b [rdi]; jne retry; dec rsi; jnz first; hlt
        let wide_code: &[u8] = &[
            0x48, 0x8b, 0x07, 0x48, 0x8b, 0x57, 8, 0x48, 0x8d, 0x58, 1, 0x48, 0x8d, 0x4a, 1, 0xf0,
            0x48, 0x0f, 0xc7, 0x0f, 0x75, 0xf1, 0x48, 0xff, 0xce, 0x75, 0xe5, 0xf4,
        ];
        // The same with halves of 32 bits.
        let narrow_code: &[u8] = &[
            0x8b, 0x07, 0x8b, 0x57, 4, 0x8d, 0x58, 1, 0x8d, 0x4a, 1, 0xf0, 0x0f, 0xc7, 0x0f, 0x75,
            0xf4, 0x48, 0xff, 0xce, 0x75, 0xea, 0xf4,
        ];
        let mut machine = Machine::new(2);
        let mut vcpus = [(); 2].map(|()| {
            let registers = [(Register::Rdi, PAGES), (Register::Rsi, ROUNDS)];
            machine.vcpu(if wide { wide_code } else { narrow_code }, &registers)
        });
        run_all(&mut vcpus, 1_000_000, |_, _| {});
        let mut bytes = [0; 16];
        machine.ram.read(PAGES, &mut bytes);
        let count = 2 * ROUNDS;
        let expected = match wide {
            true => u128::from(count) << 64 | u128::from(count),
            false => u128::from(count) << 32 | u128::from(count),
        };
        assert_eq!(u128::from_le_bytes(bytes), expected, "wide: {wide}");
    }
}

/// LOCK ADD [RDI], ESI, across two pages, and a null selector in EDX.
const SPLIT_ADD: [u8; 3] = [0xf0, 0x01, 0x37];
const SPLIT: [(Register, u64); 3] =
    [(Register::Rdi, PAGES + 0xffd), (Register::Rsi, 7), (Register::Rdx, 0)];

/// What STI and MOV to SS hold back stays so when the instruction behind them wants an exclusive step.
#[test]
fn events_that_are_held_back() {
    // sti; mov ss, edx
    for (before, enabled) in [(&[0xfb][..], false), (&[0x8e, 0xd2], true)] {
        for pending in [false, true] {
            let mut machine = Machine::new(2);
            let mut vcpu = machine.vcpu(&[before, &SPLIT_ADD, &[0xf4]].concat(), &SPLIT);
            let mut state = vcpu.state().clone();
            state.rflags.set(RFlags::INTERRUPT_FLAG, enabled);
            vcpu.set_state(&state);
            if enabled {
                assert_eq!(vcpu.step(), Exit::Budget);
            }
            if pending {
                vcpu.inject(0x40);
            }
            assert_eq!(vcpu.run(100), Exit::Exclusive);
            assert!(!vcpu.interruptible());
            if !pending {
                vcpu.inject(0x40);
            }
            // The delivery of the interrupt would end in a triple fault.
            assert_eq!(vcpu.step_exclusive(), Exit::Budget, "{before:x?}");
            assert_eq!(vcpu.state().rip, CODE + before.len() as u64 + 3);
            assert_eq!(vcpu.run(100), Exit::TripleFault);
        }
    }
}

/// Slots that do not sleep, one of which writes to code before it stops.
struct Writing {
    code: Arc<SharedCode>,
    asked: AtomicBool,
}

impl Parking for Writing {
    fn park(&self, _slot: usize) {
        thread::yield_now();
    }

    fn unpark(&self, _slot: usize) {}

    fn kick(&self, _slot: usize, _wanted: Wanted) {
        self.code.memory_written(CODE, 1);
        self.asked.store(true, Ordering::Release);
    }
}

#[test]
fn a_section_is_of_use_whatever_others_write() {
    let mut machine = Machine::new(1);
    let mut vcpu = machine.vcpu(&SPLIT_ADD, &SPLIT);
    let parking = Arc::new(Writing { code: machine.code.clone(), asked: AtomicBool::new(false) });
    let gate = Gate::new(2, parking.clone());
    vcpu.take_place(gate.claim(0).expect("nobody has it"));
    let mut other = gate.claim(1).expect("nobody has it");
    let entered = AtomicBool::new(false);
    let exit = thread::scope(|scope| {
        scope.spawn(|| {
            let mut inside = other.enter();
            entered.store(true, Ordering::Release);
            while !parking.asked.load(Ordering::Acquire) {
                thread::yield_now();
            }
            inside.pause();
        });
        while !entered.load(Ordering::Acquire) {
            thread::yield_now();
        }
        vcpu.step()
    });
    assert_eq!((exit, vcpu.state().rip), (Exit::Budget, CODE + 3));
}

#[test]
fn a_vcpu_alone_needs_no_exclusive_step() {
    let mut guest = crate::common::guest::Guest::long_mode();
    guest.set(Register::Rdi, PAGES + 0xffd);
    // lock add [rdi], esi
    assert_eq!(guest.run(&[0xf0, 0x01, 0x37]), crate::common::guest::End::Done);
}
