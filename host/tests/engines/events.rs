//! What a vCPU on KVM says of interrupts is true of the state that it has, not of one before.

use std::sync::Arc;

use monovisor::clock::VmClock;
use monovisor::engine::{Socket, kvm};
use monovisor::memory::{GuestRam, layout};
use monovisor_core::cpuid::Model;
use monovisor_core::state::{Cr0Flags, RFlags, SegmentRegister};
use monovisor_core::{Clock, CpuState, Engine, Exit};

use crate::has_kvm;

const START: u64 = 0x1000;
/// `jmp $`
const PROGRAM: &[u8] = b"\xeb\xfe";

#[test]
fn an_interrupt_is_not_taken_for_flags_that_have_been_replaced() {
    if !has_kvm() {
        return;
    }
    let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).expect("memory"));
    ram.write(START, PROGRAM).expect("RAM");
    let clock = VmClock::new(false);
    let socket = Socket { ram, clock: clock.clone(), id: 0 };
    let (_, mut vcpu) = kvm::create(&socket, Model::default(), kvm::Trust::AsIs).expect("a vCPU");
    let mut state = CpuState::reset(0);
    state.control.cr0 = Cr0Flags::EXTENSION_TYPE;
    state.segments[SegmentRegister::Cs].base = 0;
    state.segments[SegmentRegister::Cs].selector = 0;
    state.rip = START;
    state.rflags |= RFlags::INTERRUPT_FLAG;
    vcpu.set_state(&state).expect("KVM takes it");
    vcpu.set_deadline(clock.now_ns(0) + 1_000_000);
    assert_eq!(vcpu.run(u64::MAX), Ok(Exit::Budget));
    assert!(vcpu.interruptible());
    state.rflags -= RFlags::INTERRUPT_FLAG;
    vcpu.set_state(&state).expect("KVM takes it");
    assert!(!vcpu.interruptible());
    // The deadline has passed, so KVM is not entered.
    assert_eq!(vcpu.run(u64::MAX), Ok(Exit::Budget));
    assert!(!vcpu.interruptible());
}
