//! A run that is cut into slices is the same run, wherever it is cut.

use std::sync::Arc;

use monovisor_core::state::{
    Access, Cr0Flags, Cr4Flags, EferFlags, RFlags, Register, SegmentRegister,
};
use monovisor_core::{CpuState, Exit, InstructionClock, Ram, Vcpu};

/// A loop of two blocks: the first is a compare-and-branch alone, which is one operation.
const CODE: [u8; 18] = [
    0x48, 0x39, 0xf1, // cmp rcx, rsi
    0x73, 0x0c, // jae the hlt
    0x48, 0xff, 0xc1, // inc rcx
    0x48, 0x01, 0xcb, // add rbx, rcx
    0x49, 0xff, 0xca, // dec r10
    0x75, 0xf0, // jnz the cmp
    0xf4, // hlt
    0xf4, // hlt
];

fn vcpu() -> Vcpu {
    running(&CODE)
}

fn running(code: &[u8]) -> Vcpu {
    let ram = Ram::new(2 << 20).expect("2 MiB");
    assert!(ram.write(0x10000, code));
    for (address, entry) in [(0x1000, 0x2003u64), (0x2000, 0x3003), (0x3000, 0x83)] {
        assert!(ram.write(address, &entry.to_le_bytes()));
    }
    let mut state = CpuState::reset(0);
    state.control.cr0 = Cr0Flags::PROTECTED_MODE_ENABLE | Cr0Flags::PAGING;
    state.control.cr3 = 0x1000;
    state.control.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
    state.control.efer = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    state.segments[SegmentRegister::Cs].base = 0;
    state.rip = 0x10000;
    state.gpr[Register::Rsi] = 1 << 20;
    state.gpr[Register::R10] = 500;
    let mut vcpu = Vcpu::new(Arc::new(ram), Arc::new(InstructionClock), 0);
    vcpu.set_state(&state);
    vcpu
}

#[test]
fn every_budget_gives_the_same_end() {
    let mut whole = vcpu();
    assert_eq!(whole.run(100_000), Exit::Halted);
    assert_eq!(whole.state().gpr[Register::Rcx], 500);
    for budget in 1..40 {
        let mut cut = vcpu();
        let runs = (0..100_000).take_while(|_| cut.run(budget) == Exit::Budget).count();
        assert!(runs > 1, "a budget of {budget} cuts the run");
        assert_eq!(cut.state(), whole.state(), "with a budget of {budget}");
        assert_eq!(cut.retired(), whole.retired(), "with a budget of {budget}");
    }
}

#[test]
fn a_device_write_before_a_fused_pair_shows_the_flags_before_it() {
    // mov al, 0x0f; inc al; out 0xe9, al; cmp al, cl; je +0; hlt
    let code = [0xb0, 0x0f, 0xfe, 0xc0, 0xe6, 0xe9, 0x38, 0xc8, 0x74, 0x00, 0xf4];
    let mut vcpu = running(&code);
    assert!(matches!(vcpu.run(100), Exit::Write(_, 0x10)));
    assert_eq!(vcpu.retired(), 3);
    let state = vcpu.state();
    assert_eq!(state.rip, 0x10006);
    let status = RFlags::AUXILIARY_CARRY_FLAG | RFlags::ZERO_FLAG | RFlags::SIGN_FLAG;
    assert_eq!(state.rflags & status, RFlags::AUXILIARY_CARRY_FLAG);
    assert_eq!(vcpu.run(100), Exit::Halted);
    assert_eq!(vcpu.retired(), 6);
}

#[test]
fn a_device_write_before_a_copy_and_its_operation_resumes_at_the_copy() {
    // mov al, 1; out 0xe9, al; mov ecx, eax; shl ecx, 4; hlt
    let code = [0xb0, 1, 0xe6, 0xe9, 0x89, 0xc1, 0xc1, 0xe1, 4, 0xf4];
    let mut vcpu = running(&code);
    assert!(matches!(vcpu.run(100), Exit::Write(_, 1)));
    assert_eq!(vcpu.state().rip, 0x10004);
    assert_eq!(vcpu.run(100), Exit::Halted);
    assert_eq!(vcpu.state().gpr[Register::Rcx], 0x10);
    assert_eq!(vcpu.retired(), 5);
}
