//! A vCPU on KVM keeps to the gate: while a thread of the host has a section, it executes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use monovisor::clock::VmClock;
use monovisor::engine::{Socket, kvm};
use monovisor::memory::{GuestRam, layout};
use monovisor_core::cpuid::Model;
use monovisor_core::exclusive::{Gate, Parking, Wanted};
use monovisor_core::state::{Cr0Flags, SegmentRegister};
use monovisor_core::{CpuState, Engine, Exit, Kick};

use crate::has_kvm;

const START: u64 = 0x1000;
const COUNTER: u64 = 0x2000;
/// 16-bit code: `inc dword ptr [0x2000]; jmp $ - 5`
const PROGRAM: &[u8] = b"\x66\xff\x06\x00\x20\xeb\xf9";
const SECTIONS: u32 = 200;

/// The slots of the vCPU and of the owner.
const VCPU: usize = 0;
const OWNER: usize = 1;

struct Threads {
    threads: [OnceLock<Thread>; 2],
    kick: Kick,
}

impl Parking for Threads {
    fn park(&self, _slot: usize) {
        thread::park();
    }

    fn unpark(&self, slot: usize) {
        if let Some(thread) = self.threads[slot].get() {
            thread.unpark();
        }
    }

    fn kick(&self, slot: usize, _wanted: Wanted) {
        if slot == VCPU {
            self.kick.kick();
        }
    }
}

#[test]
fn nothing_executes_in_a_section_and_everything_goes_on_behind_it() {
    if !has_kvm() {
        return;
    }
    let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).expect("memory"));
    ram.write(START, PROGRAM).expect("RAM");
    let socket = Socket { ram: ram.clone(), clock: VmClock::new(false), id: 0 };
    let (_, mut vcpu) = kvm::create(&socket, Model::default(), kvm::Trust::AsIs).expect("a vCPU");
    let mut state = CpuState::reset(0);
    state.control.cr0 = Cr0Flags::EXTENSION_TYPE;
    for register in [SegmentRegister::Cs, SegmentRegister::Ds] {
        state.segments[register].base = 0;
    }
    state.rip = START;
    vcpu.set_state(&state).expect("KVM takes it");

    let kick = vcpu.kick_handle();
    let threads = Arc::new(Threads { threads: Default::default(), kick: kick.clone() });
    let gate = Gate::new(2, threads.clone());
    vcpu.take_place(gate.claim(VCPU).expect("the slot is free"));
    let mut owner = gate.claim(OWNER).expect("the slot is free");
    threads.threads[OWNER].set(thread::current()).expect("not set before");
    let ended = Arc::new(AtomicBool::new(false));
    let running = thread::spawn({
        let (threads, ended) = (threads.clone(), ended.clone());
        move || {
            threads.threads[VCPU].set(thread::current()).expect("not set before");
            while !ended.load(Ordering::Acquire) {
                let exit = vcpu.run(u64::MAX);
                assert!(matches!(exit, Ok(Exit::Kicked | Exit::Budget)), "{exit:?}");
            }
        }
    });
    let counter = || {
        let mut bytes = [0; 4];
        ram.read(COUNTER, &mut bytes).expect("RAM");
        u32::from_le_bytes(bytes)
    };
    for number in 0..SECTIONS {
        let section = owner.open();
        let before = counter();
        let until = Instant::now() + Duration::from_micros(50);
        while Instant::now() < until {
            assert_eq!(counter(), before, "the guest executes in section {number}");
        }
        drop(section);
        let until = Instant::now() + Duration::from_secs(10);
        while counter() == before {
            assert!(Instant::now() < until, "the guest does not go on behind section {number}");
            thread::yield_now();
        }
    }
    ended.store(true, Ordering::Release);
    kick.kick();
    running.join().expect("no panic");
}
