//! INIT and start-up IPIs as a processor takes them (SDM, "MP Initialization Protocol Algorithm"; "Local
//! APIC State After It Receives an INIT Reset").

use std::sync::Arc;

use monovisor_core::apic::{DeliveryMode, Destination, Message, Trigger};
use monovisor_core::memory::Ram;
use monovisor_core::state::{Activity, SegmentRegister};
use monovisor_core::{CpuState, Engine, Exit, InstructionClock, Vcpu};

/// Where the start-up IPIs below lead, and a handler of NMIs.
const PAGE: u8 = 8;
const START: u64 = 0x8000;
const HANDLER: u16 = 0x9000;
const HLT: u8 = 0xf4;

fn vcpu(apic_id: u32) -> Vcpu {
    let ram = Ram::new(1 << 20).expect("memory");
    assert!(ram.write(START, &[HLT]) && ram.write(HANDLER.into(), &[HLT]));
    assert!(ram.write(2 * 4, &HANDLER.to_le_bytes()));
    Vcpu::new(Arc::new(ram), Arc::new(InstructionClock), apic_id)
}

fn send(vcpu: &mut Vcpu, mode: DeliveryMode, vector: u8) {
    vcpu.deliver(Message { destination: Destination::All, mode, vector, trigger: Trigger::Edge });
}

fn start(vcpu: &mut Vcpu, vector: u8) {
    send(vcpu, DeliveryMode::StartUp, vector);
}

/// Where it is when it has halted.
fn halts_at(vcpu: &mut Vcpu) -> u64 {
    assert_eq!(vcpu.run(100), Exit::Halted);
    assert_eq!(vcpu.state().activity, Activity::Halted);
    vcpu.state().rip
}

/// "000VV000H": every vector is a page.
#[test]
fn a_start_up_names_the_page_and_counts_once() {
    for vector in [0, 1, PAGE, 0x9f, 0xa0, 0xff] {
        let mut vcpu = vcpu(1);
        assert_eq!(vcpu.run(100), Exit::Halted, "it waits");
        start(&mut vcpu, vector);
        let started = vcpu.state().clone();
        let code = &started.segments[SegmentRegister::Cs];
        assert_eq!((code.base, started.rip), (u64::from(vector) << 12, 0));
        assert_eq!(code.selector, u16::from(vector) << 8);
        assert_eq!(started.activity, Activity::Active);
        start(&mut vcpu, !vector);
        assert_eq!(*vcpu.state(), started, "it runs");
    }
}

#[test]
fn nothing_else_starts_it_and_an_nmi_waits_for_the_start() {
    let mut vcpu = vcpu(1);
    for mode in [DeliveryMode::Fixed, DeliveryMode::ExtInt, DeliveryMode::Smi, DeliveryMode::Nmi] {
        send(&mut vcpu, mode, 0x40);
        assert_eq!(vcpu.run(100), Exit::Halted, "{mode:?}");
        assert_eq!(vcpu.state().activity, Activity::WaitForSipi, "{mode:?}");
    }
    start(&mut vcpu, PAGE);
    assert_eq!(halts_at(&mut vcpu), u64::from(HANDLER) + 1);
}

#[test]
fn init_drops_what_waits_and_stops_one_that_sleeps() {
    let mut vcpu = vcpu(1);
    start(&mut vcpu, PAGE);
    assert_eq!(halts_at(&mut vcpu), 1);
    send(&mut vcpu, DeliveryMode::Nmi, 0);
    for _ in 0..2 {
        send(&mut vcpu, DeliveryMode::Init, 0);
        assert_eq!(vcpu.run(100), Exit::Halted);
        assert_eq!(vcpu.state().activity, Activity::WaitForSipi);
    }
    start(&mut vcpu, PAGE);
    assert_eq!(halts_at(&mut vcpu), 1, "no NMI");
}

/// It waits for nothing, but begins where firmware is, with what INIT keeps.
#[test]
fn init_of_the_bootstrap_processor_is_its_reset() {
    let mut vcpu = vcpu(0);
    let mut running = CpuState::reset(0);
    running.segments[SegmentRegister::Cs].base = 0;
    running.rip = START;
    running.msr.kernel_gs_base = 0x1234;
    running.fpu.xmm[3] = 77;
    vcpu.set_state(&running);
    assert_eq!(halts_at(&mut vcpu), START + 1);
    send(&mut vcpu, DeliveryMode::Init, 0);
    start(&mut vcpu, PAGE);
    assert_eq!(vcpu.run(1), Exit::Reset);
    let kept = CpuState::reset(0);
    let state = vcpu.state();
    assert_eq!((state.rip, state.activity), (kept.rip, Activity::Active));
    assert_eq!(state.segments[SegmentRegister::Cs], kept.segments[SegmentRegister::Cs]);
    assert_eq!((state.msr.kernel_gs_base, state.fpu.xmm[3]), (0x1234, 77));
}
