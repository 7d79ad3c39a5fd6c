//! What of a state goes to KVM and comes back, field by field: a field that is new has to be named here.

use monovisor_core::state::{Activity, Control, Msrs};

use super::*;

/// Where a host has PKRU.
const PKRU_AT: Option<usize> = Some(2688);

/// Who has a field while a vCPU is on KVM.
enum Holder {
    Kvm,
    /// We, for this reason.
    Us(&'static str),
}

use Holder::{Kvm, Us};

const FILTERED: Holder = Us("the guest's accesses are ours, and nothing else looks at it");
const ERRORS: Holder = Us("the host's errors are the host's, so KVM has none to tell of");
const CACHES: Holder = Us("memory types, which make no difference to RAM that both engines cache");

/// All fields of a state, and who has them.
fn fields(state: &CpuState) -> Vec<(&'static str, String, Holder)> {
    macro_rules! rows {
        ($($field:ident: $holder:expr),* $(,)?) => {
            vec![$((stringify!($field), format!("{:x?}", $field), $holder)),*]
        };
    }
    #[rustfmt::skip]
    let CpuState {
        gpr, rip, rflags, segments, gdtr, idtr, control, debug, msr, fpu, activity, shadow, pending,
    } = state;
    let Control { cr0, cr2, cr3, pdptes, cr4, efer, xcr0, pkru, pkrs } = control;
    let Debug { address, dr6, dr7 } = debug;
    #[rustfmt::skip]
    let Msrs {
        star, lstar, cstar, fmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, pat, tsc_aux,
        tsc_adjust, apic_base, misc_enable, debug_control, machine_check_status, machine_check_control,
        machine_check_banks, mtrr_default_type, mtrr_variable, mtrr_fixed,
    } = msr;
    #[rustfmt::skip]
    let Fpu {
        xmm, ymm_high, st, mxcsr, control_word, status_word, tag_word, opcode, instruction_pointer,
        data_pointer,
    } = fpu;
    let Shadow { sti, mov_ss, nmi: nmi_blocked } = shadow;
    let Pending { debug: trap, nmi, interrupt, fault } = pending;
    rows![
        gpr: Kvm, rip: Kvm, rflags: Kvm, segments: Kvm, gdtr: Kvm, idtr: Kvm,
        cr0: Kvm, cr2: Kvm, cr3: Kvm, pdptes: Kvm, cr4: Kvm, efer: Kvm, xcr0: Kvm, pkru: Kvm,
        pkrs: Us("no KVM has supervisor keys, so the model does not offer them"),
        address: Kvm, dr6: Kvm, dr7: Kvm,
        star: Kvm, lstar: Kvm, cstar: Kvm, fmask: Kvm, kernel_gs_base: Kvm, sysenter_cs: Kvm,
        sysenter_esp: Kvm, sysenter_eip: Kvm, tsc_aux: Kvm, tsc_adjust: Kvm, apic_base: Kvm,
        debug_control: Kvm, misc_enable: FILTERED,
        machine_check_status: ERRORS, machine_check_control: ERRORS, machine_check_banks: ERRORS,
        pat: CACHES, mtrr_default_type: CACHES, mtrr_variable: CACHES, mtrr_fixed: CACHES,
        xmm: Kvm, ymm_high: Kvm, st: Kvm, mxcsr: Kvm, control_word: Kvm, status_word: Kvm,
        tag_word: Kvm, opcode: Kvm, instruction_pointer: Kvm, data_pointer: Kvm,
        activity: Us("the local APIC, which wakes it, is ours"),
        sti: Kvm, mov_ss: Kvm, nmi_blocked: Kvm,
        trap: Kvm, nmi: Kvm,
        interrupt: Us("KVM would deliver it whatever the flags say"),
        fault: Us("KVM's own exceptions are raised again; this one has to be told from them"),
    ]
}

/// A state with PAE paging in which every field has a value of its own.
fn distinct() -> CpuState {
    let mut state = CpuState::reset(0);
    for (number, register) in (1..).zip(Register::ALL) {
        state.gpr[register] = number * 0x0101_0101_0101;
    }
    (state.rip, state.rflags) = (0x1234, RFlags::from_bits_retain(0x8d7));
    for (number, register) in (1..).zip(SegmentRegister::ALL) {
        state.segments[register] = Segment {
            base: 0x1000 * number,
            limit: 0xffff * number as u32,
            access: Access((0x1_f0ff / number as u32) & 0x1_f0ff),
            selector: 8 * number as u16,
        };
    }
    state.gdtr = DescriptorTable { base: 0x7000, limit: 0x37 };
    state.idtr = DescriptorTable { base: 0x8000, limit: 0x7f };
    state.control = Control {
        cr0: Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE,
        cr2: 0xdead_beef,
        cr3: 0x1000,
        pdptes: Some([0x2001, 0x3001, 0, 0x4001]),
        cr4: Cr4Flags::PHYSICAL_ADDRESS_EXTENSION,
        efer: EferFlags::NO_EXECUTE_ENABLE,
        xcr0: XCr0Flags::X87 | XCr0Flags::SSE,
        pkru: 0x5555_0000,
        pkrs: 4,
    };
    state.debug = Debug { address: [1, 2, 3, 4], dr6: 0xffff_4ff1, dr7: 0x401 };
    state.msr = Msrs {
        star: 1,
        lstar: 2,
        cstar: 3,
        fmask: 4,
        kernel_gs_base: 5,
        sysenter_cs: 6,
        sysenter_esp: 7,
        sysenter_eip: 8,
        pat: 9,
        tsc_aux: 10,
        tsc_adjust: 11,
        apic_base: 0xfee0_0800,
        misc_enable: 13,
        debug_control: 2,
        machine_check_status: 4,
        machine_check_control: 15,
        machine_check_banks: [16; 2],
        mtrr_default_type: 15,
        mtrr_variable: [[16; 2]; 8],
        mtrr_fixed: [17; 11],
    };
    state.fpu = Fpu {
        xmm: array::from_fn(|number| (number as u128) << 100 | 1),
        ymm_high: array::from_fn(|number| (number as u128) << 90 | 2),
        st: array::from_fn(|number| 0x3fff_8000_0000_0000_0000 + number as u128),
        mxcsr: 0x1fbf,
        control_word: 0x27f,
        status_word: 0x3800,
        tag_word: 0x81,
        opcode: 0x123,
        instruction_pointer: 0x4567,
        data_pointer: 0x89ab,
    };
    state.activity = Activity::Halted;
    state.shadow = Shadow { sti: true, mov_ss: true, nmi: true };
    state.pending = Pending {
        debug: Some(Dr6Flags::from_bits_truncate(state.debug.dr6)),
        nmi: true,
        interrupt: Some(0x40),
        fault: Some(Exception::GP0),
    };
    state
}

/// What a state becomes that has been in KVM's structures, and is otherwise that of a reset.
fn through_kvm(state: &CpuState) -> CpuState {
    let mut back = CpuState::reset(0);
    load_regs(&mut back, &regs(state));
    let sregs = sregs(state, 5);
    load_sregs(&mut back, &sregs);
    let pdptes = state.control.pdptes.expect("those of PAE paging");
    load_pdptes(&mut back, &sregs2(&sregs, pdptes));
    load_xsave(&mut back, &xsave(state, PKRU_AT), PKRU_AT);
    back.control.xcr0 = load_xcrs(&xcrs(state));
    back.debug = load_debug(&debug(state));
    load_events(&mut back, &events(state));
    let mut from = state.msr;
    for msr in MSRS {
        *(msr.field)(&mut back.msr) = *(msr.field)(&mut from);
    }
    back
}

#[test]
fn every_field_goes_to_kvm_and_comes_back_or_is_kept_for_a_reason() {
    let state = distinct();
    assert!(uses_pdptes(&state));
    let (back, reset) = (fields(&through_kvm(&state)), fields(&CpuState::reset(0)));
    for (((name, value, holder), (_, back, _)), (_, reset, _)) in
        fields(&state).into_iter().zip(back).zip(reset)
    {
        assert_ne!(value, reset, "{name} is to be told from that of a reset");
        match holder {
            Kvm => assert_eq!(back, value, "{name} is KVM's"),
            Us(why) => assert_eq!(back, reset, "{name} is ours: {why}"),
        }
    }
}

#[test]
fn pkru_stays_where_no_guest_can_have_it() {
    let state = distinct();
    let mut back = CpuState::reset(0);
    back.control.pkru = 7;
    load_xsave(&mut back, &xsave(&state, None), None);
    assert_eq!((back.control.pkru, back.fpu), (7, state.fpu));
    // Nor is it a failure if a host has it where KVM's structure has ended.
    load_xsave(&mut back, &xsave(&state, Some(8 << 10)), Some(8 << 10));
    assert_eq!((back.control.pkru, back.fpu), (0, state.fpu));
}

#[test]
fn a_fault_that_was_told_of_waits_until_it_is_delivered() {
    let mut state = CpuState::reset(0);
    let fault = Exception { vector: Vector::PageFault, error_code: Some(2), payload: 0x5678 };
    state.pending.fault = Some(fault);
    assert_eq!(sregs(&state, 0).cr2, 0x5678);
    let waiting = events(&state);
    assert_eq!((waiting.exception.nr, waiting.exception.error_code), (14, 2));
    load_events(&mut state, &waiting);
    assert_eq!(state.pending.fault, Some(fault));
    load_events(&mut state, &kvm_vcpu_events::default());
    assert_eq!(state.pending.fault, None);
}

#[test]
fn an_injected_interrupt_waits_again_and_int_n_is_executed_again() {
    for (soft, waits) in [(0, Some(0x40)), (1, None)] {
        let mut events = kvm_vcpu_events::default();
        (events.interrupt.injected, events.interrupt.nr) = (1, 0x40);
        events.interrupt.soft = soft;
        let mut state = CpuState::reset(0);
        load_events(&mut state, &events);
        assert_eq!(state.pending.interrupt, waits);
    }
}
