//! Whole reports on guests built by hand: registers, page tables and deliveries as they are after
//! each kind of end.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use monovisor_core::state::{
    Access, Activity, Cr0Flags, Cr4Flags, EferFlags, Exception, RFlags, Register, SegmentRegister,
};
use monovisor_core::{Access as DeviceAccess, CpuState, Exit, InstructionClock, Vcpu};
use object::{Object, ObjectSection, ObjectSymbol};
use proptest::prelude::*;

use super::*;
use crate::diagnose::sample::kernel;
use crate::memory::GuestRam;

const HIGHER_HALF: u64 = 0xffff_ffff_8000_0000;

/// A 64-bit guest with 2 MiB of RAM, mapped at 0 and at [`HIGHER_HALF`], that stands at `rip`.
fn guest(rip: u64) -> (CpuState, GuestRam) {
    let mut state = CpuState::reset(0);
    state.rip = rip;
    state.gpr = Default::default();
    state.rflags = RFlags::from_bits_retain(0x46);
    state.control.cr0 = Cr0Flags::from_bits_retain(0x8000_0011);
    state.control.cr3 = 0x1000;
    state.control.cr4 = Cr4Flags::from_bits_retain(0x20);
    state.control.efer = EferFlags::from_bits_retain(0x500);
    state.idtr.limit = 0;
    for register in SegmentRegister::ALL {
        state.segments[register] = Default::default();
        state.segments[register].access = Access(Access::UNUSABLE);
    }
    state.segments[SegmentRegister::Cs].access = Access(0xa09b);
    state.segments[SegmentRegister::Cs].selector = 8;
    state.segments[SegmentRegister::Ss].access = Access(0xc093);
    state.segments[SegmentRegister::Ss].selector = 0x10;

    let ram = GuestRam::new(2 << 20).unwrap();
    for (address, entry) in [
        (0x1000, 0x2003u64), // PML4E 0 and 511, PDPTE 0 and 510, PDE 0: one 2 MiB page
        (0x1ff8, 0x2003),
        (0x2000, 0x3003),
        (0x2ff0, 0x3003),
        (0x3000, 0x83),
    ] {
        ram.write(address, &entry.to_le_bytes()).unwrap();
    }
    (state, ram)
}

fn delivery(exception: Exception, nested: bool, rip: u64, cr2: u64) -> Delivery {
    Delivery { cause: Cause::Exception(exception), nested, rip, cs: 8, cr2 }
}

/// A page fault, and no IDT to deliver it.
fn without_idt(rip: u64, fault: Exception) -> [Delivery; 4] {
    let missing = |vector: u32| Exception::with_code(Vector::GeneralProtection, vector << 3 | 3);
    let double_fault = Exception::with_code(Vector::DoubleFault, 0);
    [(fault, false), (missing(14), true), (double_fault, true), (missing(8), true)]
        .map(|(exception, nested)| delivery(exception, nested, rip, fault.payload))
}

fn failure<'a>(outcome: &'a Outcome, state: &'a CpuState, ram: &'a GuestRam) -> Failure<'a> {
    Failure {
        outcome: Some(outcome),
        state,
        processor: None,
        processors: &[],
        ram,
        deliveries: &[],
        unclaimed: &[],
        image: Path::new("/nonexistent/kernel"),
        bias: 0,
        timeout: Some(Duration::from_secs(5)),
        max_instructions: None,
        instructions: Some(12_345_678),
        wall_time: Some(Duration::from_millis(123)),
        command: "monovisor run kernel",
    }
}

/// At 0x8000: push rbp; mov rbp, rsp; mov [rax], rbx; hlt
const CODE: [u8; 8] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x18, 0xf4];

#[test]
fn the_interpreter_leaves_the_evidence_that_these_tests_build() {
    let (mut state, ram) = guest(0x8000);
    ram.write(0x8000, &CODE).unwrap();
    state.gpr[Register::Rax] = 0xdead_0000;
    state.gpr[Register::Rsp] = 0x9008;
    let mut vcpu = Vcpu::new(Arc::new(ram), Arc::new(InstructionClock), 0);
    vcpu.set_state(&state);
    assert_eq!(vcpu.run(100), Exit::TripleFault);
    let deliveries: Vec<_> = vcpu.fault_log().iter().copied().collect();
    assert_eq!(deliveries, without_idt(0x8004, Exception::page_fault(0xdead_0000, 2)));
    assert_eq!((vcpu.state().rip, vcpu.state().control.cr2), (0x8004, 0xdead_0000));
}

#[test]
fn a_triple_fault_is_told_whole() {
    let (mut state, ram) = guest(0x8004);
    ram.write(0x8000, &CODE).unwrap();
    ram.write(0x7000, &[0xff, 0xd0]).unwrap();
    state.gpr[Register::Rax] = 0xdead_0000;
    state.gpr[Register::Rsp] = 0x9000;
    ram.write(0x9000, &0x7002u64.to_le_bytes()).unwrap();
    let deliveries = without_idt(0x8004, Exception::page_fault(0xdead_0000, 2));
    state.control.cr2 = 0xdead_0000;
    let unclaimed = [Unclaimed {
        access: DeviceAccess { space: Space::Port, address: 0x80, size: 1 },
        write: true,
        count: 1200,
    }];
    let outcome = Outcome::TripleFault;
    let failure = Failure {
        deliveries: &deliveries,
        unclaimed: &unclaimed,
        ..failure(&outcome, &state, &ram)
    };
    let expected = include_str!("triple_fault.txt");
    assert_eq!(report(&failure, false), expected);
}

#[test]
fn symbols_appear_wherever_an_address_does() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("kernel.elf");
    fs::write(&image, kernel()).unwrap();
    let file = object::File::parse(kernel()).unwrap();
    let (mut state, ram) = guest(file.symbol_by_name("inner").unwrap().address());
    let text = file.section_by_name(".text").unwrap();
    ram.write(text.address() - HIGHER_HALF, text.data().unwrap()).unwrap();
    state.gpr[Register::Rsp] = 0x9000;
    let deliveries = without_idt(state.rip, Exception::page_fault(0x4000_1234, 2));
    let outcome = Outcome::TripleFault;
    let failure =
        Failure { deliveries: &deliveries, image: &image, ..failure(&outcome, &state, &ram) };
    let text = report(&failure, false);
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "monovisor: triple fault: #PF page fault could not be delivered: no IDT is loaded (its \
         limit is 0)"
    );
    assert!(text.contains("\n  at inner ("), "{text}");
    assert!(text.contains("  in touch, ") && text.contains("  inlined into inner, "), "{text}");
    assert!(text.contains("the PDPTE is not present"), "{text}");
    assert!(text.lines().count() <= 60, "{text}");
}

#[test]
fn other_ends_have_their_own_first_lines() {
    let (mut state, ram) = guest(0x8000);
    let first = |outcome: Outcome, state: &CpuState| {
        let text = report(&failure(&outcome, state, &ram), false);
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(first(Outcome::TimeLimit, &state), "monovisor: the guest did not end within 5.00 s");
    assert_eq!(
        first(Outcome::HaltedForever, &state),
        "monovisor: the guest halted, and nothing can wake it: interrupts are off (IF = 0)"
    );
    state.rflags |= RFlags::INTERRUPT_FLAG;
    assert!(first(Outcome::HaltedForever, &state).ends_with("no device has an interrupt to send"));
    assert_eq!(
        first(Outcome::Reset { cause: "port 0xcf9" }, &state),
        "monovisor: the guest reset the machine through port 0xcf9"
    );
}

#[test]
fn a_guest_that_goes_on_can_be_looked_at() {
    let (state, ram) = guest(0x8000);
    let outcome = Outcome::TimeLimit;
    let text = report(&Failure { outcome: None, ..failure(&outcome, &state, &ram) }, false);
    assert!(text.starts_with("monovisor: the guest is here, and goes on\n  at 0x8000,"), "{text}");
    assert!(text.contains("\nregisters\n"), "{text}");
}

#[test]
fn a_jump_into_nothing_is_explained() {
    let (state, ram) = guest(0x4000_0000);
    let text = report(&failure(&Outcome::TimeLimit, &state, &ram), false);
    assert!(text.contains("there is no memory at the instruction pointer, 0x40000000"), "{text}");
    assert!(text.contains("page walk of 0x40000000"), "{text}");
    assert!(text.contains("the PDPTE is not present"), "{text}");
}

#[test]
fn the_other_vcpus_get_a_line_each() {
    let (state, ram) = guest(0x8000);
    let mut halted = state.clone();
    halted.activity = Activity::Halted;
    halted.rip = 0x8008;
    let waiting = CpuState { activity: Activity::WaitForSipi, rip: 0, ..state.clone() };
    let mut states = vec![halted, state.clone(), waiting];
    states.resize(20, state.clone());
    let outcome = Outcome::TripleFault;
    let failure =
        Failure { processor: Some(1), processors: &states, ..failure(&outcome, &state, &ram) };
    let text = report(&failure, false);
    assert!(text.starts_with("monovisor: vCPU 1: triple fault"), "{text}");
    for line in [
        "other vCPUs",
        "  vCPU 0   halted with interrupts off (IF = 0) at 0x8008",
        "  vCPU 2   waiting for its start-up IPI at 0x0",
        "  vCPU 3   running at 0x8000",
        "  and 3 more",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    let whole = report(&Failure { processor: None, ..failure }, false);
    assert!(whole.starts_with("monovisor: triple fault") && whole.contains("vCPU 1   running"));
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let (state, ram) = guest(0x8000);
    let failure = failure(&Outcome::TimeLimit, &state, &ram);
    assert!(!report(&failure, false).contains('\x1b'));
    assert!(report(&failure, true).starts_with("\x1b[1;31mmonovisor: "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any registers over any memory give a report of bounded length.
    #[test]
    fn any_state_can_be_reported(
        words in proptest::array::uniform8(any::<u64>()),
        tables in proptest::collection::vec(any::<u64>(), 512),
        vectors in proptest::collection::vec((any::<bool>(), any::<u32>(), any::<u64>()), 0..8),
        mode in 0u8..4,
    ) {
        let (mut state, ram) = guest(words[0]);
        let bytes: Vec<_> = tables.iter().flat_map(|word| word.to_le_bytes()).collect();
        ram.write(0x1000, &bytes).unwrap();
        state.gpr[Register::Rsp] = words[1];
        state.gpr[Register::Rbp] = words[2];
        state.control.cr3 = words[3];
        state.segments[SegmentRegister::Cs].base = words[4];
        state.segments[SegmentRegister::Cs].access = Access(words[5] as u32);
        state.segments[SegmentRegister::Ss].base = words[6];
        if mode & 1 != 0 {
            state.control.efer = EferFlags::empty();
        }
        if mode & 2 != 0 {
            state.control.cr0.remove(Cr0Flags::PAGING);
        }
        let deliveries: Vec<_> = vectors
            .into_iter()
            .map(|(nested, code, address)| {
                let exception = match code % 3 {
                    0 => Exception::page_fault(address, code),
                    1 => Exception::with_code(Vector::GeneralProtection, code),
                    _ => Exception::with_code(Vector::SegmentNotPresent, code),
                };
                delivery(exception, nested, address, code.into())
            })
            .collect();
        let outcome = Outcome::TripleFault;
        let text = report(&Failure { deliveries: &deliveries, ..failure(&outcome, &state, &ram) }, false);
        prop_assert!(text.lines().count() < 90 && text.is_ascii() | text.contains('×'), "{}", text);
    }
}
