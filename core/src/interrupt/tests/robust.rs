//! Random tables, selectors, frames and registers: every function either succeeds or raises an
//! exception that leaves the registers as they were.

use proptest::prelude::*;

use super::fixture::*;
use crate::interrupt::*;
use crate::state::{Activity, CpuState, Exception, RFlags, Register, SegmentRegister, Vector};

/// What a test case puts into the machine.
#[derive(Clone, Debug)]
struct Case {
    long: bool,
    cpl: u8,
    compatibility: bool,
    table: [u64; 12],
    gate: [u64; 2],
    tss: [u64; 13],
    frame: [u64; 6],
    stack: u64,
    rflags: u64,
    limits: [u16; 2],
}

fn selector() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..0x70, any::<u16>()]
}

/// Descriptors that are mostly meaningful: a random type and base over a random rest.
fn raw() -> impl Strategy<Value = u64> {
    let gate = (selector(), any::<u32>(), any::<u8>(), any::<u8>())
        .prop_map(|(selector, offset, kind, extra)| gate(selector, offset.into(), kind, extra));
    let segment = (0..0x2000u32, any::<u32>(), any::<u8>(), 0..16u8)
        .prop_map(|(base, limit, kind, flags)| descriptor(base, limit, kind, flags));
    prop_oneof![any::<u64>(), gate, segment]
}

fn pointer() -> impl Strategy<Value = u64> {
    prop_oneof![0..UNMAPPED + 64, any::<u64>()]
}

fn item() -> impl Strategy<Value = u64> {
    prop_oneof![selector().prop_map(u64::from), pointer()]
}

fn case() -> impl Strategy<Value = Case> {
    let modes = (any::<bool>(), prop_oneof![Just(0u8), Just(3u8)], any::<bool>());
    let tables = (
        prop::array::uniform12(raw()),
        prop::array::uniform2(raw()),
        prop::collection::vec(pointer(), 13),
        prop::array::uniform6(item()),
    );
    let registers = (pointer(), 0..0x40_0000u64, prop::array::uniform2(any::<u16>()));
    (modes, tables, registers).prop_map(
        |((long, cpl, compatibility), (table, gate, tss, frame), (stack, rflags, limits))| Case {
            long,
            cpl,
            compatibility,
            table,
            gate,
            tss: tss.try_into().expect("thirteen"),
            frame,
            stack,
            rflags: rflags & 0x3d_7fd7 | 2,
            limits,
        },
    )
}

fn machine(case: &Case) -> Machine {
    let mut machine =
        if case.long { Machine::long(case.cpl) } else { Machine::protected(case.cpl) };
    if case.compatibility {
        machine.enter(case.cpl, if case.cpl == 3 { USER_CODE_32 } else { CODE_32 });
    }
    for (index, &raw) in (1..).zip(&case.table) {
        machine.poke(GDT + index * 8, raw);
    }
    for (index, &item) in (0..).zip(&case.tss) {
        machine.poke(TSS + 4 + index * 8, item);
    }
    let size = if case.long { 16 } else { 8 };
    for (index, &raw) in (0..).zip(&case.gate) {
        machine.poke(IDT + 0x80 * size + index * 8, raw);
    }
    machine.state.gpr[Register::Rsp] = case.stack;
    if case.stack < UNMAPPED - 64 {
        machine.set_frame(&case.frame);
    }
    machine.state.rflags = RFlags::from_bits_retain(case.rflags);
    machine.state.gdtr.limit = 0x6f | case.limits[0];
    machine.state.segments[SegmentRegister::Tr].limit = u32::from(case.limits[1]);
    machine.mmu.update_mode(&machine.state);
    machine
}

/// Runs `change` in a fresh machine of `case`.
fn check(case: &Case, change: impl FnOnce(&mut Machine) -> Result<(), Exception>) {
    let mut machine = machine(case);
    let before = machine.state.clone();
    match change(&mut machine) {
        Err(_) => assert_eq!(machine.state, before),
        Ok(()) => assert_sound(&machine.state),
    }
}

/// What holds of every state that a transfer leaves behind.
fn assert_sound(state: &CpuState) {
    let cs = state.segments[SegmentRegister::Cs];
    assert!(cs.access.code() && cs.access.present());
    assert_eq!(u8::try_from(cs.selector & 3), Ok(state.cpl()), "CS.RPL is the privilege level");
    assert!(!(state.long_mode() && cs.access.long() && cs.access.default_big()));
    assert_eq!(state.rflags.bits() & 0x2_802a, 2, "fixed flags");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_panics_or_half_succeeds(
        case in case(),
        selector in selector(),
        offset in pointer(),
        bits in prop_oneof![Just(16u32), Just(32), Just(64)],
        register in 0..8usize,
        release in any::<u16>(),
    ) {
        use SoftwareInterrupt::IntN;
        let register = SegmentRegister::ALL[register];
        check(&case, |machine| {
            let Machine { state, mmu, .. } = machine;
            software(state, mmu, 0x80, IntN, RIP)
        });
        check(&case, |machine| iret(&mut machine.state, &mut machine.mmu, bits));
        check(&case, |machine| far_return(&mut machine.state, &mut machine.mmu, bits, release));
        check(&case, |machine| far_jump(&mut machine.state, &mut machine.mmu, selector, offset));
        check(&case, |machine| {
            far_call(&mut machine.state, &mut machine.mmu, selector, offset, bits, RIP)
        });
        check(&case, |machine| {
            load_segment(&mut machine.state, &mut machine.mmu, register, selector)
        });
        check(&case, |machine| {
            load_task_register(&mut machine.state, &mut machine.mmu, selector)
        });
        check(&case, |machine| {
            load_local_descriptor_table(&mut machine.state, &mut machine.mmu, selector)
        });
        check(&case, |machine| {
            let Machine { state, mmu, .. } = machine;
            access_rights(state, mmu, selector)?;
            segment_limit(state, mmu, selector)?;
            readable(state, mmu, selector)?;
            writable(state, mmu, selector)?;
            Ok(())
        });
    }

    #[test]
    fn every_exception_ends_in_a_handler_or_in_shutdown(
        case in case(),
        vector in prop_oneof![Just(Vector::PageFault), Just(Vector::GeneralProtection), Just(Vector::InvalidOpcode)],
        idt in prop::array::uniform16(raw()),
    ) {
        let mut machine = machine(&case);
        for (index, &raw) in (0..).zip(&idt) {
            machine.idt(index, raw);
        }
        let before = machine.state.clone();
        let Machine { state, mmu, log, .. } = &mut machine;
        let exception = Exception { error_code: Some(0), ..Exception::plain(vector) };
        match raise(state, mmu, exception, log) {
            Ok(()) => assert_sound(&machine.state),
            Err(Shutdown) => {
                assert_eq!(machine.state.activity, Activity::Shutdown);
                assert_eq!(machine.state.gpr, before.gpr);
                assert_eq!(machine.state.segments, before.segments);
                assert_eq!((machine.state.rip, machine.state.rflags), (before.rip, before.rflags));
            }
        }
    }
}
