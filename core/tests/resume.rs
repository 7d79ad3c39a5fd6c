//! The short way out of a block and back into it, for an access to a device: whatever the host does
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

/// Reads in all their forms, behind flags that are still to be computed, beside writes.
///
/// add eax, ecx; mov ebx, [rdi]; adc ebx, [rdi + 4]; in al, dx; sbb ecx, eax; push [rdi];
/// cmp byte [rdi + 1], 5; setb cl; add [rdi], ebx; pop [rdi + 8]; test al, 0x40; je to the start; hlt
const READS: [u8; 29] = [
    0x01, 0xc8, 0x8b, 0x1f, 0x13, 0x5f, 4, 0xec, 0x19, 0xc1, 0xff, 0x37, 0x80, 0x7f, 1, 5, 0x0f,
    0x92, 0xc1, 0x01, 0x1f, 0x8f, 0x47, 8, 0xa8, 0x40, 0x74, 0xe4, 0xf4,
];

#[test]
fn reads_are_those_of_single_steps() {
    // The host looks, or does not, before it answers and before it runs the vCPU again.
    let trace = |seed: u64, budget: u64, looks: [bool; 2]| {
        let mut guest = Guest::long_mode();
        guest.map_to(PAGES, DEVICE, 3);
        guest.set(Register::Rdi, PAGES);
        guest.set(Register::Rax, 0xffff_ffff);
        guest.set(Register::Rcx, 0x1234_5678);
        load(&mut guest, &READS);
        let mut trace: Vec<(Exit, u64)> = Vec::new();
        let mut answer = seed;
        loop {
            let exit = next_exit(&mut guest, budget);
            trace.push((exit, guest.vcpu.retired()));
            if looks[0] {
                guest.vcpu.state();
            }
            if let Exit::Read(_) = exit {
                answer = answer.rotate_left(5).wrapping_mul(0x9e37_79b9);
                guest.vcpu.answer(answer);
            }
            if looks[1] {
                guest.vcpu.state();
            }
            if exit == Exit::Halted || trace.len() == 200 {
                return (trace, guest.vcpu.state().clone());
            }
        }
    };
    let mut longest = 0;
    for seed in 1..=8 {
        let steps = trace(seed, 1, [false; 2]);
        longest = longest.max(steps.0.len());
        for budget in [1, 2, 3, 5, 100, u64::MAX] {
            for looks in [[false, false], [false, true], [true, false], [true, true]] {
                let other = trace(seed, budget, looks);
                assert_eq!(other, steps, "seed {seed}, budget {budget}, looks {looks:?}");
            }
        }
    }
    assert!(longest > 20, "the loop is gone through more than once");
}

/// The next exit that no kick has caused.
fn unkicked(guest: &mut Guest) -> Exit {
    loop {
        match next_exit(guest, 100) {
            Exit::Kicked => {}
            exit => return exit,
        }
    }
}

#[test]
fn an_answer_serves_one_read_whatever_comes_between() {
    // mov eax, [rdi]; in al, dx; mov ebx, [rdi]; hlt
    let code = [0x8b, 0x07, 0xec, 0x8b, 0x1f, 0xf4];
    let at = |space, address, size| Exit::Read(Access { space, address, size });
    let reads =
        [at(Space::Memory, DEVICE, 4), at(Space::Port, 0x3f8, 1), at(Space::Memory, DEVICE, 4)];
    for disturbed in 0..8_u32 {
        let mut guest = Guest::long_mode();
        guest.map_to(PAGES, DEVICE, 3);
        guest.set(Register::Rdi, PAGES);
        load(&mut guest, &code);
        for (number, (read, data)) in reads.into_iter().zip([0x1111_1111, 0x22, 0x33]).enumerate() {
            assert_eq!(unkicked(&mut guest), read);
            guest.vcpu.answer(data);
            if disturbed >> number & 1 != 0 {
                guest.vcpu.kick_handle().kick();
                guest.vcpu.memory_written(CODE, 1);
            }
        }
        assert_eq!(unkicked(&mut guest), Exit::Halted);
        let gpr = guest.vcpu.state().gpr;
        assert_eq!((gpr[Register::Rax], gpr[Register::Rbx]), (0x1111_1122, 0x33));
        assert_eq!(guest.vcpu.retired(), 4);
    }
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
