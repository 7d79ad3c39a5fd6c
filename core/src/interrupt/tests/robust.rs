//! Random tables, selectors, frames and registers: every function either succeeds or raises an
//! exception that leaves the registers as they were.

use proptest::prelude::*;

use super::fixture::*;
use crate::interrupt::*;
use crate::state::{
    Activity, CpuState, Cr4Flags, Exception, RFlags, Register, SegmentRegister, Vector,
};

/// What a test case puts into the machine.
#[derive(Clone, Debug)]
struct Case {
    long: bool,
    cpl: u8,
    compatibility: bool,
    table: [u64; 11],
    gate: u64,
    tss: [u64; 8],
    frame: [u64; 5],
    stack: u64,
    rflags: u64,
    gdt_limit: u16,
    tss_limit: u16,
}

/// Mostly a descriptor of the table, with a level that matters.
///
/// Boxed, as the others: values of a dozen of them in one test would take megabytes of its stack.
fn selector() -> BoxedStrategy<u16> {
    const GOOD: [u16; 6] = [CODE_64, CODE_32, DATA, USER_CODE_64, USER_CODE_32, USER_DATA];
    let level = prop_oneof![Just(0u16), Just(3), 0..4u16];
    prop_oneof![
        20 => (0..GOOD.len()).prop_map(|index| GOOD[index]),
        20 => (0..12u16, level).prop_map(|(index, level)| index * 8 + level),
        1 => any::<u16>(),
    ]
    .boxed()
}

/// Mostly within mapped memory.
fn pointer() -> BoxedStrategy<u64> {
    prop_oneof![8 => 0xc000..UNMAPPED, 1 => UNMAPPED - 64..UNMAPPED + 64, 1 => any::<u64>()].boxed()
}

/// Mostly what a system would put into a table: a segment or a gate, few bits of it wrong.
fn raw() -> BoxedStrategy<u64> {
    const KINDS: [u8; 9] = [CODE, CONFORMING, WRITABLE, 0x85, 0x8c, 0x8e, 0x8f, 0x89, 0x82];
    let level = prop_oneof![Just(0u8), Just(DPL_3)];
    let size = prop_oneof![Just(FLAT_32), Just(FLAT_64), Just(SMALL_16)];
    let wrong = prop_oneof![
        6 => Just(0u64),
        2 => (40..56u32).prop_map(|bit| 1 << bit),
        1 => any::<u64>(),
    ];
    (0..KINDS.len(), level, size, selector(), 0..UNMAPPED, wrong)
        .prop_map(|(kind, level, size, selector, offset, wrong)| {
            let kind = KINDS[kind] | level;
            let entry = match kind & 0x1f {
                5 | 0xc..=0xf => gate(selector, offset, kind, 0),
                _ => flat(kind, size),
            };
            entry ^ wrong
        })
        .boxed()
}

fn case() -> BoxedStrategy<Case> {
    let modes = (any::<bool>(), prop_oneof![Just(0u8), Just(3)], any::<bool>());
    let limit = || prop_oneof![8 => Just(0xffu16), 1 => any::<u16>()];
    let flags = any::<u64>().prop_map(|flags| flags & 0x3d_7fd7 | 2);
    let stack = prop_oneof![
        Just((CODE_64, DATA)),
        Just((CODE_32, DATA)),
        Just((USER_CODE_64, USER_DATA)),
        Just((USER_CODE_32, USER_DATA)),
        (selector(), selector()),
    ];
    let frame = (pointer(), stack, any::<u64>(), pointer())
        .prop_map(|(rip, (cs, ss), flags, rsp)| [rip, cs.into(), flags, rsp, ss.into()]);
    let tss = (prop::array::uniform4(pointer()), prop::array::uniform4(selector()));
    let gate = prop_oneof![
        (selector(), 0..UNMAPPED, any::<u8>())
            .prop_map(|(selector, offset, extra)| gate(selector, offset, 0xee, extra)),
        raw(),
    ];
    let table = prop::array::uniform11(raw());
    (modes, table, gate, tss, frame, pointer(), flags, limit(), limit())
        .prop_map(|(modes, table, gate, (pointers, selectors), frame, stack, rflags, gdt, tss)| {
            Case {
                long: modes.0,
                cpl: modes.1,
                compatibility: modes.2,
                table,
                gate,
                tss: core::array::from_fn(|index| match index % 2 {
                    0 => pointers[index / 2],
                    _ => u64::from(selectors[index / 2]) << 32 | u64::from(selectors[index / 2]),
                }),
                frame,
                stack,
                rflags,
                gdt_limit: gdt,
                tss_limit: tss,
            }
        })
        .boxed()
}

fn machine(case: &Case) -> Machine {
    let mut machine =
        if case.long { Machine::long(case.cpl) } else { Machine::protected(case.cpl) };
    if case.compatibility {
        machine.enter(case.cpl, if case.cpl == 3 { USER_CODE_32 } else { CODE_32 });
    }
    // Most entries stay what the fixture has there.
    for (index, &raw) in (1..).zip(&case.table) {
        if raw >> 19 & 3 == 0 || index > 8 {
            machine.poke(GDT + index * 8, raw);
        }
    }
    // In IA-32e mode pointers of eight bytes, outside of it four bytes and a selector.
    for (index, &item) in (0..).zip(&case.tss) {
        let long = case.tss[index as usize & !1];
        let item = if case.long { long } else { item << 32 | long & 0xffff_ffff };
        machine.poke(TSS + 4 + index * 8, item);
    }
    machine.idt(0x80, case.gate);
    machine.state.gpr[Register::Rsp] = case.stack;
    machine.state.rflags = RFlags::from_bits_retain(case.rflags);
    machine.state.gdtr.limit = case.gdt_limit;
    machine.state.segments[SegmentRegister::Tr].limit = u32::from(case.tss_limit);
    if !case.long && case.compatibility && case.cpl == 3 {
        use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
        for (index, register) in [Cs, Ss, Ds, Es, Fs, Gs].into_iter().enumerate() {
            let segment = super::super::virtual_8086::segment(case.table[index] as u16);
            machine.state.segments[register] = segment;
        }
        machine.state.rflags |= RFlags::VIRTUAL_8086_MODE;
        machine
            .state
            .control
            .cr4
            .set(Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS, case.frame[2] & 1 != 0);
    }
    machine.mmu.update_mode(&machine.state);
    machine
}

/// Puts the frame on the stack in items of `bits`, if there is memory.
fn set_frame(machine: &mut Machine, case: &Case, bits: u32) {
    if case.stack < UNMAPPED - 40 {
        match bits {
            16 => machine.set_frame(&case.frame.map(|item| item as u16)),
            32 => machine.set_frame(&case.frame.map(|item| item as u32)),
            _ => machine.set_frame(&case.frame),
        }
    }
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
    if state.pending.fault.is_some() {
        // The segments of the task that was entered are not all loaded.
        return;
    }
    if state.virtual_8086() {
        assert_eq!((state.cpl(), state.bitness()), (3, 16));
        return;
    }
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
        release in 0..16u16,
    ) {
        use SoftwareInterrupt::IntN;
        let register = SegmentRegister::ALL[register];
        check(&case, |machine| {
            let Machine { state, mmu, .. } = machine;
            software(state, mmu, 0x80, IntN, RIP)
        });
        check(&case, |machine| {
            set_frame(machine, &case, bits);
            iret(&mut machine.state, &mut machine.mmu, bits)
        });
        check(&case, |machine| {
            set_frame(machine, &case, bits);
            far_return(&mut machine.state, &mut machine.mmu, bits, release)
        });
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
                if machine.state.segments[SegmentRegister::Tr] != before.segments[SegmentRegister::Tr] {
                    return Ok(());
                }
                assert_eq!(machine.state.gpr, before.gpr);
                assert_eq!(machine.state.segments, before.segments);
                assert_eq!((machine.state.rip, machine.state.rflags), (before.rip, before.rflags));
            }
        }
    }
}
