//! What other threads can do with a running machine: look at all its processors at one instant, act on
//! one of them, and write to its RAM. On every engine, and in each of the loops that run them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::arch::global_asm;
use std::io::Write;
use std::slice;
use std::thread;
use std::time::Duration;

use monovisor::config::{Accel, Flat, SerialTarget, VmConfig};
use monovisor::engine::kvm::System;
use monovisor::memory::MemoryError;
use monovisor::outcome::Outcome;
use monovisor::remote::Remote;
use monovisor::run_loop;
use monovisor::vm::Vm;
use monovisor_core::state::{Activity, Register};

/// Where the guest is loaded and entered.
const BASE: u64 = 0x20_0000;

unsafe extern "C" {
    static counting_start: u8;
    static counting_jump: u8;
    static counting_end: u8;
}

// The first processor counts up in EAX and stores each number; the second one, if there is one, loads
// it, so it never has a larger one than the first has at the same instant. When the first one's jump
// is overwritten it ends the run.
global_asm!(
    ".pushsection .rodata",
    "counting_start:",
    "mov r15d, 0xfee00000",
    "mov dword ptr [0x9000], 0",
    "lea rsi, [rip + 50f]",
    "mov edi, 0x8000",
    "mov ecx, 0x40",
    "rep movsb",
    "mov dword ptr [r15 + 0xf0], 0x1ff",
    // INIT, then start-up at page 8, to all others.
    "mov dword ptr [r15 + 0x300], 0xc4500",
    "mov dword ptr [r15 + 0x300], 0xc4608",
    "xor eax, eax",
    "20:",
    "inc eax",
    "mov dword ptr [0x9000], eax",
    "counting_jump:",
    "jmp 20b",
    "mov al, 16",
    "out 0xf4, al",
    "21:",
    "jmp 21b",
    ".code16",
    "50:",
    "xor ax, ax",
    "mov ds, ax",
    "51:",
    "mov eax, dword ptr ds:[0x9000]",
    "jmp 51b",
    ".code64",
    "counting_end:",
    ".popsection",
);

fn counting() -> &'static [u8] {
    let (start, end) = (&raw const counting_start, &raw const counting_end);
    // SAFETY: the two symbols are the ends of the code above, in this order.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// Guest-physical address of the jump by which the first processor goes on counting.
fn jump() -> u64 {
    // SAFETY: both symbols are in the code above.
    BASE + unsafe { (&raw const counting_jump).offset_from_unsigned(&raw const counting_start) }
        as u64
}

/// Runs the guest with `ask` on a thread beside it, which is to end it.
fn beside(config: &VmConfig, ask: impl FnOnce(Remote) + Send + 'static) {
    let mut image = tempfile::NamedTempFile::new().expect("a temporary file");
    image.write_all(counting()).expect("room");
    let config = VmConfig {
        image: image.path().into(),
        flat: Some("0x200000:long".parse::<Flat>().expect("an address")),
        serial: SerialTarget::Null,
        timeout: Some(Duration::from_secs(60)),
        ..config.clone()
    };
    let mut vm = Vm::new(&config).expect("a machine");
    let remote = vm.remote();
    assert!(remote.look().is_none(), "it does not run yet");
    let asker = thread::spawn({
        let remote = remote.clone();
        move || ask(remote)
    });
    let outcome = run_loop::run(&mut vm).expect("no failure of the host");
    asker.join().expect("nothing unexpected was seen");
    assert_eq!(outcome, Outcome::Exited(33));
    assert!(remote.look().is_none(), "it does not run any more");
}

/// Waits until the guest runs on all its processors.
fn await_start(remote: &Remote) {
    let counts = |remote: &Remote| {
        let seen = remote.look()?.processors;
        let mut states = seen.iter().map(|seen| &seen.state);
        let active = states.all(|state| state.activity == Activity::Active);
        Some(active && seen.iter().all(|seen| seen.state.gpr[Register::Rax] as u32 > 1000))
    };
    while counts(remote) != Some(true) {
        thread::yield_now();
    }
}

fn everything(remote: &Remote, cpus: usize, looks: usize) {
    await_start(remote);
    let mut before = 0;
    for _ in 0..looks {
        let seen = remote.look().expect("it runs").processors;
        assert_eq!(seen.len(), cpus);
        let numbers: Vec<u32> =
            seen.iter().map(|seen| seen.state.gpr[Register::Rax] as u32).collect();
        assert!(numbers[1..].iter().all(|number| *number <= numbers[0]), "{numbers:?}");
        assert!(numbers[0] >= before, "it never counts back");
        before = numbers[0];
        thread::yield_now();
    }
    for processor in 0..cpus {
        let id = remote.with_engine(processor, |engine| engine.local_apic().id());
        assert_eq!(id, Some(processor as u32));
    }
    assert_eq!(remote.with_engine(cpus, |_| ()), None, "there is no such processor");
    let nops = [0x90; 2];
    let outside = remote.write_memory(u64::MAX - 1, &nops);
    assert!(matches!(outside, Some(Err(MemoryError::OutsideRam { .. }))), "{outside:?}");
    // By now the jump has been translated and executed many times.
    assert!(matches!(remote.write_memory(jump(), &nops), Some(Ok(()))));
}

#[test]
fn all_loops_on_the_interpreter() {
    for (cpus, deterministic) in [(1, false), (1, true), (2, false), (2, true), (5, false)] {
        let config = VmConfig { accel: Accel::Interp, cpus, deterministic, ..VmConfig::default() };
        beside(&config, move |remote| everything(&remote, cpus as usize, 300));
    }
}

#[test]
fn processors_on_kvm() {
    if let Err(why) = System::open() {
        eprintln!("skipped on KVM: {why}");
        return;
    }
    for cpus in [1, 2] {
        let config = VmConfig { accel: Accel::Kvm, cpus, ..VmConfig::default() };
        beside(&config, move |remote| everything(&remote, cpus as usize, 20));
    }
}
