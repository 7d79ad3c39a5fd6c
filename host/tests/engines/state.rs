//! A processor's state goes into KVM and comes out of it unchanged.

use std::sync::Arc;

use monovisor::clock::VmClock;
use monovisor::engine::{Socket, kvm};
use monovisor::memory::{GuestRam, layout};
use monovisor_core::cpuid::Model;
use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, Debug, DescriptorTable, EferFlags, RFlags, Register, Segment,
    SegmentRegister, Shadow,
};
use monovisor_core::{CpuState, Engine};

use crate::has_kvm;

/// A state of 64-bit mode in which all registers differ.
fn distinct() -> CpuState {
    let mut state = CpuState::reset(0);
    for (number, register) in (1..).zip(Register::ALL) {
        state.gpr[register] = number * 0x0101_0101_0101_0101;
    }
    state.rip = 0xffff_8000_1234_5678;
    state.rflags = RFlags::from_bits_retain(2) | RFlags::CARRY_FLAG | RFlags::INTERRUPT_FLAG;
    for (number, register) in (1..).zip(SegmentRegister::ALL) {
        let base = 0xffff_8000_0000_0000 + (number << 12);
        let flat = matches!(
            register,
            SegmentRegister::Cs | SegmentRegister::Ss | SegmentRegister::Ds | SegmentRegister::Es
        );
        state.segments[register] = Segment {
            base: if flat { 0 } else { base },
            limit: u32::MAX,
            access: Access(0xc093),
            selector: 8 * number as u16,
        };
    }
    state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    state.segments[SegmentRegister::Tr].access = Access(0x8b);
    state.segments[SegmentRegister::Tr].limit = 0x67;
    state.segments[SegmentRegister::Ldtr].access = Access(0x82);
    state.segments[SegmentRegister::Ldtr].limit = 0xff;
    state.gdtr = DescriptorTable { base: 0xffff_8000_0000_7000, limit: 0x37 };
    state.idtr = DescriptorTable { base: 0xffff_8000_0000_8000, limit: 0xfff };
    let control = &mut state.control;
    control.cr0 = Cr0Flags::PAGING
        | Cr0Flags::PROTECTED_MODE_ENABLE
        | Cr0Flags::EXTENSION_TYPE
        | Cr0Flags::WRITE_PROTECT;
    control.cr2 = 0xdead_beef;
    control.cr3 = 0x1000;
    control.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR;
    control.efer = EferFlags::LONG_MODE_ENABLE
        | EferFlags::LONG_MODE_ACTIVE
        | EferFlags::SYSTEM_CALL_EXTENSIONS
        | EferFlags::NO_EXECUTE_ENABLE;
    state.debug = Debug { address: [0x10, 0x20, 0x30, 0x40], dr6: 0xffff_4ff1, dr7: 0x401 };
    state.msr.star = 0x0013_0008_0000_0000;
    state.msr.lstar = 0xffff_8000_0000_1000;
    state.msr.fmask = 0x700;
    state.msr.kernel_gs_base = 0xffff_8000_0000_2000;
    (state.msr.sysenter_cs, state.msr.sysenter_esp) = (8, 0x5000);
    state.msr.tsc_adjust = 0x1_0000;
    state.msr.mtrr_fixed[3] = 0x0606_0606_0606_0606;
    for (number, value) in (1..).zip(&mut state.fpu.xmm) {
        *value = number << 96 | number;
    }
    for (number, value) in (1..).zip(&mut state.fpu.st) {
        *value = 0x3fff << 64 | 1 << 63 | number;
    }
    state.fpu.mxcsr = 0x1fa0;
    state.fpu.control_word = 0x37f;
    state.fpu.status_word = 0x3800;
    state
}

#[test]
fn what_goes_into_kvm_comes_out_of_it() {
    if !has_kvm() {
        return;
    }
    let ram = Arc::new(GuestRam::new(layout::MIN_RAM_BYTES).expect("memory"));
    let socket = Socket { ram, clock: VmClock::new(false), id: 0 };
    let (_, mut vcpu) = kvm::create(&socket, Model::default(), kvm::Trust::AsIs).expect("a vCPU");
    let mut state = distinct();
    for shadow in [
        Shadow::default(),
        Shadow { nmi: true, ..Shadow::default() },
        Shadow { sti: true, ..Shadow::default() },
    ] {
        state.shadow = shadow;
        for nmi in [false, true] {
            state.pending.nmi = nmi;
            vcpu.set_state(&state).expect("KVM takes it");
            assert_eq!(vcpu.state().expect("KVM gives it"), state);
        }
    }
    let reset = CpuState::reset(0);
    vcpu.set_state(&reset).expect("KVM takes it");
    assert_eq!(vcpu.state().expect("KVM gives it"), reset);
}
