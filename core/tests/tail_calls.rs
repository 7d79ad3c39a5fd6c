//! The interpreter's handlers end in jumps, not in calls: the language does not promise it, so this
//! looks at the machine code, and at how much stack a long run takes.

#![cfg(not(any(feature = "loop-dispatch", debug_assertions)))]

use std::collections::HashSet;
use std::sync::Arc;
use std::{env, fs, thread};

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use monovisor_core::state::SegmentRegister;
use monovisor_core::{Exit, InstructionClock, Ram, Vcpu};
use object::{Object, ObjectSection, ObjectSymbol};

/// Functions of `execute` that call through a pointer by design.
const CALLERS: [&str; 14] = [
    "call_out",
    "dispatch",
    "bounce",
    "emit",
    "now_ns",
    // The tables of registers; their look-up may be inlined into the instructions.
    "3msr",
    "5rdmsr",
    "5wrmsr",
    "3Cpu3new",
    "5serve",
    "9fpu_state",
    "14extended_state",
    // What a call-out has computed in integers.
    "10host_float7guarded",
    // The x87 instructions are functions that are called out to; there is no handler among them.
    "3x87",
];

#[test]
#[cfg(target_arch = "x86_64")]
fn no_handler_calls_the_next_one() {
    let image = fs::read(env::current_exe().expect("this test has a file")).expect("readable");
    let file = object::File::parse(&*image).expect("an executable");
    let text = file.section_by_name(".text").expect("code");
    let code = text.uncompressed_data().expect("plain bytes");
    let mut seen = 0;
    let mut dispatches = 0;
    let mut calls = Vec::new();
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default();
        if !name.starts_with("_ZN14monovisor_core7execute") || symbol.size() == 0 {
            continue;
        }
        seen += 1;
        let start = (symbol.address() - text.address()) as usize;
        let Some(body) = code.get(start..start + symbol.size() as usize) else { continue };
        let decoder = Decoder::with_ip(64, body, symbol.address(), DecoderOptions::NONE);
        // Registers that hold an entry of the global offset table, which has no base but RIP, or a copy.
        let mut known = HashSet::new();
        for instruction in decoder {
            let direct = matches!(instruction.op0_kind(), OpKind::NearBranch64);
            let target = instruction.op0_register();
            match instruction.mnemonic() {
                Mnemonic::Jmp if !direct => dispatches += 1,
                Mnemonic::Call
                    if !direct
                        && !instruction.is_ip_rel_memory_operand()
                        && !known.contains(&target) =>
                {
                    let allowed = CALLERS.iter().any(|caller| name.contains(caller));
                    if !allowed {
                        calls.push(format!("{name} at {:#x}", instruction.ip()));
                    }
                }
                Mnemonic::Mov
                    if target != Register::None
                        && (instruction.is_ip_rel_memory_operand()
                            || known.contains(&instruction.op1_register())) =>
                {
                    known.insert(target);
                }
                Mnemonic::Call | Mnemonic::Cmp | Mnemonic::Test => {}
                _ => {
                    known.remove(&target);
                }
            }
        }
    }
    assert!(calls.is_empty(), "calls through pointers: {calls:#?}");
    assert!(seen > 1000, "only {seen} functions of `execute` found");
    assert!(dispatches > 1000, "only {dispatches} dispatches found");
}

#[test]
fn a_billion_ops_fit_a_small_stack() {
    const STACK_BYTES: usize = 64 << 10;
    // add ax, cx; dec cx; jnz -5; jmp -7
    const CODE: [u8; 7] = [0x01, 0xc8, 0x49, 0x75, 0xfb, 0xeb, 0xf9];
    const INSTRUCTIONS: u64 = 1_000_000_000;

    // Everything but the run happens on the test's own stack.
    let ram = Arc::new(Ram::new(1 << 20).expect("memory"));
    assert!(ram.write(0x7c00, &CODE));
    let mut vcpu = Vcpu::new(ram, Arc::new(InstructionClock), 0);
    let mut state = vcpu.state().clone();
    state.segments[SegmentRegister::Cs].base = 0;
    state.rip = 0x7c00;
    vcpu.set_state(&state);
    let run = move || (vcpu.run(INSTRUCTIONS), vcpu.retired());
    let small = thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread");
    let (exit, retired) = small.join().expect("no overflow");
    assert_eq!(exit, Exit::Budget);
    assert!((INSTRUCTIONS..INSTRUCTIONS + 64).contains(&retired), "{retired} retired");
}
