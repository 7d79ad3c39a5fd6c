//! A vCPU on KVM lets the host look after writes to its local APIC that change who it is for others.

use std::sync::Arc;

use monovisor::clock::VmClock;
use monovisor::engine::{Socket, kvm};
use monovisor::memory::{GuestRam, layout};
use monovisor_core::apic::Mode;
use monovisor_core::cpuid::Model;
use monovisor_core::state::{Access, Cr0Flags, SegmentRegister};
use monovisor_core::{CpuState, Engine, Exit};

use crate::has_kvm;

/// 32-bit code: `mov dword [0xfee000d0], 0x01000000` (the logical destination) twice;
/// `mov ecx, 0x1b; mov eax, 0xfee00100; xor edx, edx; wrmsr` (IA32_APIC_BASE: disabled); `hlt`.
const PROGRAM: &[u8] = b"\xc7\x05\xd0\x00\xe0\xfe\x00\x00\x00\x01\
    \xc7\x05\xd0\x00\xe0\xfe\x00\x00\x00\x01\
    \xb9\x1b\x00\x00\x00\xb8\x00\x01\xe0\xfe\x31\xd2\x0f\x30\xf4";
const START: u64 = 0x1000;

#[test]
fn a_change_of_the_local_apics_address_is_shown_at_once() {
    if !has_kvm() {
        return;
    }
    let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).expect("memory"));
    ram.write(START, PROGRAM).expect("RAM");
    let socket = Socket { ram, clock: VmClock::new(false), id: 0 };
    let (_, mut vcpu) = kvm::create(&socket, Model::default(), kvm::Trust::AsIs).expect("a vCPU");
    let mut state = CpuState::reset(0);
    state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::EXTENSION_TYPE;
    for register in [SegmentRegister::Cs, SegmentRegister::Ds, SegmentRegister::Ss] {
        let segment = &mut state.segments[register];
        (segment.base, segment.limit, segment.selector) = (0, u32::MAX, 8);
        segment.access = Access(if register == SegmentRegister::Cs { 0xc09b } else { 0xc093 });
    }
    state.rip = START;
    vcpu.set_state(&state).expect("KVM takes it");
    assert_eq!(vcpu.run(u64::MAX), Ok(Exit::Budget));
    assert_eq!(vcpu.local_apic().address().logical, 1);
    // The second write changes nothing.
    assert_eq!(vcpu.run(u64::MAX), Ok(Exit::Budget));
    assert_eq!(vcpu.local_apic().address().mode, Mode::Disabled);
    assert_eq!(vcpu.run(u64::MAX), Ok(Exit::Halted));
}
