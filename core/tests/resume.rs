//! The short way out of a block and back into it, for a write to a device: whatever the host does
//! before it runs the vCPU again is seen, and nobody can tell it from the long way.

mod common;

use common::guest::{CODE, Guest, PAGES};
use monovisor_core::state::{RFlags, Register, SegmentRegister};
use monovisor_core::{Access, CpuState, Engine, Exit, Space};

const GDT: u64 = 0x6000;
const IDT: u64 = 0x7000;
const TSS: u64 = 0x8000;
const INTERRUPT_STACK: u64 = 0x9_0000;
const HANDLER: u64 = 0xa000;
const VECTOR: u8 = 0x40;
/// Beyond RAM.
const DEVICE: u64 = 0x8000_0000;

/// inc eax; out dx, al; cmp al, 3; jne to the start; out dx, al; hlt
const WRITES: [u8; 9] = [0xff, 0xc0, 0xee, 0x3c, 3, 0x75, 0xf9, 0xee, 0xf4];

fn load(guest: &mut Guest, code: &[u8]) {
    assert!(guest.ram.write(CODE, code));
    guest.vcpu.memory_written(CODE, code.len() as u64);
    guest.set(Register::Rdx, 0x3f8);
    guest.vcpu.set_state(&guest.state);
}

/// A handler that halts, for NMIs and for VECTOR.
fn handle(guest: &mut Guest) {
    let put = |address: u64, value: u64| assert!(guest.ram.write(address, &value.to_le_bytes()));
    put(GDT + 8, 0x00af_9b00_0000_ffff);
    put(GDT + 16, 0x00cf_9300_0000_ffff);
    put(TSS + 0x24, INTERRUPT_STACK);
    for vector in [2, u64::from(VECTOR)] {
        put(IDT + vector * 16, HANDLER | 0x08 << 16 | 1 << 32 | 0x8e00 << 32);
    }
    assert!(guest.ram.write(HANDLER, &[0xf4]));
    let state = &mut guest.state;
    (state.gdtr.base, state.gdtr.limit) = (GDT, 0x17);
    (state.idtr.base, state.idtr.limit) = (IDT, 0xfff);
    let tr = &mut state.segments[SegmentRegister::Tr];
    (tr.base, tr.limit) = (TSS, 0x67);
}

fn write(data: u64) -> Exit {
    Exit::Write(Access { space: Space::Port, address: 0x3f8, size: 1 }, data)
}

/// Runs to the next exit that is not the budget's.
fn next_exit(guest: &mut Guest, budget: u64) -> Exit {
    loop {
        match Engine::run(&mut guest.vcpu, budget).expect("the interpreter does not fail") {
            Exit::Budget => {}
            exit => return exit,
        }
    }
}

#[test]
fn counts_and_states_are_those_of_single_steps() {
    let trace = |budget: u64, looks: bool| {
        let mut guest = Guest::long_mode();
        load(&mut guest, &WRITES);
        let mut trace: Vec<(Exit, u64, Option<CpuState>)> = Vec::new();
        loop {
            let exit = next_exit(&mut guest, budget);
            let retired = guest.vcpu.retired();
            trace.push((exit, retired, looks.then(|| guest.vcpu.state().clone())));
            if exit == Exit::Halted {
                return trace;
            }
        }
    };
    for looks in [false, true] {
        let steps = trace(1, looks);
        let exits: Vec<Exit> = steps.iter().map(|step| step.0).collect();
        assert_eq!(exits, [write(1), write(2), write(3), write(3), Exit::Halted]);
        for budget in [2, 3, 5, 100, u64::MAX] {
            assert_eq!(trace(budget, looks), steps, "budget {budget}");
        }
    }
}

#[test]
fn what_comes_between_is_seen_at_once() {
    let mut guest = Guest::long_mode();
    handle(&mut guest);
    load(&mut guest, &WRITES);
    assert_eq!(next_exit(&mut guest, 100), write(1));
    guest.vcpu.kick_handle().kick();
    assert_eq!(next_exit(&mut guest, 100), Exit::Kicked);
    assert_eq!(next_exit(&mut guest, 100), write(2));
    guest.vcpu.inject_nmi();
    assert_eq!(next_exit(&mut guest, 100), Exit::Halted);
    assert_eq!(guest.vcpu.state().rip, HANDLER + 1);
    assert_eq!(guest.bytes(INTERRUPT_STACK - 40, 8), (CODE + 3).to_le_bytes());
}

#[test]
fn code_that_the_host_writes_between_is_executed() {
    let mut guest = Guest::long_mode();
    // out dx, al; inc eax; out dx, al; hlt
    load(&mut guest, &[0xee, 0xff, 0xc0, 0xee, 0xf4]);
    assert_eq!(next_exit(&mut guest, 100), write(0));
    // dec eax
    assert!(guest.ram.write(CODE + 1, &[0xff, 0xc8]));
    guest.vcpu.memory_written(CODE + 1, 2);
    assert_eq!(next_exit(&mut guest, 100), write(0xff));
}

#[test]
fn a_write_to_memory_takes_it_too() {
    let mut guest = Guest::long_mode();
    guest.map_to(PAGES, DEVICE, 3);
    guest.set(Register::Rdi, PAGES);
    // inc eax; mov [rdi], eax; cmp al, 3; jne to the start; hlt
    load(&mut guest, &[0xff, 0xc0, 0x89, 0x07, 0x3c, 3, 0x75, 0xf8, 0xf4]);
    for data in 1..=3 {
        let access = Access { space: Space::Memory, address: DEVICE, size: 4 };
        assert_eq!(next_exit(&mut guest, 100), Exit::Write(access, data));
        assert_eq!(guest.vcpu.retired(), 4 * data - 2);
    }
    assert_eq!(next_exit(&mut guest, 100), Exit::Halted);
}

/// The interrupt of a timer that is due at the end of a budget comes then, although the guest does
/// nothing but write to a device, and each write ends a run before its budget.
#[test]
fn a_timer_interrupts_a_storm_of_writes() {
    const X2APIC: u64 = 3 << 10;
    let wrmsr = |number: u32, value: u32| {
        let [number, value] = [number, value].map(u32::to_le_bytes);
        // mov ecx, number; mov eax, value; xor edx, edx; wrmsr
        [&[0xb9][..], &number, &[0xb8], &value, &[0x31, 0xd2, 0x0f, 0x30]].concat()
    };
    // Spurious-interrupt vector and enable; one shot; divide by 1; initial count.
    let arm = [wrmsr(0x80f, 0x1ff), wrmsr(0x832, VECTOR.into()), wrmsr(0x83e, 11)];
    // out 0x80, al; jmp back
    let code = [arm.concat(), wrmsr(0x838, 5000), vec![0xe6, 0x80, 0xeb, 0xfc]].concat();
    let mut guest = Guest::long_mode();
    handle(&mut guest);
    guest.state.msr.apic_base |= X2APIC;
    guest.state.rflags |= RFlags::INTERRUPT_FLAG;
    load(&mut guest, &code);
    let mut due = None;
    loop {
        let armed = guest.vcpu.next_timer_ns();
        due = due.or(armed);
        // As hosts do: a budget ends where the timer is due, and is something.
        let now = guest.vcpu.retired();
        let end = armed.unwrap_or(u64::MAX).clamp(now + 1, now + 700);
        let mut exit = Exit::Budget;
        while guest.vcpu.retired() < end {
            let left = end - guest.vcpu.retired();
            exit = Engine::run(&mut guest.vcpu, left).expect("the interpreter does not fail");
            if !matches!(exit, Exit::Write(..)) {
                break;
            }
        }
        if exit == Exit::Halted {
            break;
        }
        assert!(matches!(exit, Exit::Budget | Exit::Write(..)), "{exit:?}");
        assert!(guest.vcpu.retired() < 1_000_000, "the timer was not seen");
    }
    let due = due.expect("armed");
    assert!((due..due + 4).contains(&guest.vcpu.retired()), "due at {due}");
    assert_eq!(guest.vcpu.state().rip, HANDLER + 1);
}
