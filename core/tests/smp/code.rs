//! Cross-modifying code (SDM, "Handling Self- and Cross-Modifying Code"): one vCPU writes an
//! instruction and says so, another serialises and executes it.

use std::sync::atomic::{Ordering, fence};

use monovisor_core::state::Register;
use monovisor_core::{Exit, Vcpu};

use crate::common::guest::{DATA, PAGES};
use crate::common::numbers::Numbers;
use crate::machine::{Machine, run_all};

/// What is written and executed: MOV EAX, a number that is aligned to 4 bytes; RET.
const ROUTINE: [u8; 9] = [0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0xc3];
/// Offset of the number.
const NUMBER: u64 = 4;

/// For each number from 1 to ECX: puts it at RDI, then at RSI, and waits until it is at RDX.
#[rustfmt::skip]
const WRITER: &[u8] = &[
    0xb8, 1, 0, 0, 0, // mov eax, 1
    0x89, 0x07,       // next: mov [rdi], eax
    0x89, 0x06,       // mov [rsi], eax
    0xf3, 0x90,       // wait: pause
    0x39, 0x02,       // cmp [rdx], eax
    0x75, 0xfa,       // jne wait
    0xff, 0xc0,       // inc eax
    0x39, 0xc8,       // cmp eax, ecx
    0x76, 0xf0,       // jbe next
    0xf4,             // hlt
];

/// For each number from 1 to R11D: waits until it is at RSI, serialises, calls the routine at R9,
/// and puts its result, which has to be the number, at R10.
#[rustfmt::skip]
const EXECUTOR: &[u8] = &[
    0x45, 0x31, 0xc0, // xor r8d, r8d
    0x41, 0xff, 0xc0, // next: inc r8d
    0xf3, 0x90,       // wait: pause
    0x44, 0x39, 0x06, // cmp [rsi], r8d
    0x75, 0xf9,       // jne wait
    0x31, 0xc0,       // xor eax, eax
    0x0f, 0xa2,       // cpuid
    0x41, 0xff, 0xd1, // call r9
    0x44, 0x39, 0xc0, // cmp eax, r8d
    0x75, 0x09,       // jne wrong
    0x45, 0x89, 0x02, // mov [r10], r8d
    0x45, 0x39, 0xd8, // cmp r8d, r11d
    0x72, 0xe2,       // jb next
    0xf4,             // hlt
    0x0f, 0x0b,       // wrong: ud2
];

/// Adds a writer and an executor of a routine in `machine`.
fn pair(machine: &mut Machine, routine: u64, flags: u64, rounds: u64) -> [Vcpu; 2] {
    machine.ram.write(routine, &ROUTINE);
    let writer = [
        (Register::Rdi, routine + NUMBER),
        (Register::Rsi, flags),
        (Register::Rdx, flags + 64),
        (Register::Rcx, rounds),
    ];
    let executor = [
        (Register::R9, routine),
        (Register::Rsi, flags),
        (Register::R10, flags + 64),
        (Register::R11, rounds),
    ];
    [machine.vcpu(WRITER, &writer), machine.vcpu(EXECUTOR, &executor)]
}

#[test]
fn in_threads() {
    let mut machine = Machine::new(2);
    let mut vcpus = pair(&mut machine, PAGES, DATA, 3000);
    run_all(&mut vcpus, 1_000_000, |_, _| {});
}

/// The writer's write tag comes and goes, because the executor forgets the page and watches it anew.
#[test]
fn a_page_that_is_watched_on_and_off() {
    let mut machine = Machine::new(2);
    let mut vcpus = pair(&mut machine, PAGES, DATA, 3000);
    run_all(&mut vcpus, 300, |number, vcpu| {
        if number == 1 {
            vcpu.memory_written(PAGES, 4096);
        }
    });
}

#[test]
fn data_beside_the_code() {
    let mut machine = Machine::new(2);
    let mut vcpus = pair(&mut machine, PAGES, PAGES + 0x800, 3000);
    run_all(&mut vcpus, 1_000_000, |_, _| {});
}

#[test]
fn more_vcpus_than_cores() {
    let mut machine = Machine::new(8);
    let mut vcpus: Vec<Vcpu> = (0..4)
        .flat_map(|number| pair(&mut machine, PAGES + number * 0x100, DATA + number * 0x100, 300))
        .collect();
    run_all(&mut vcpus, 10_000, |_, _| {});
}

/// In turns of random length, between which pages are forgotten.
#[test]
fn in_turns() {
    let mut numbers = Numbers(4);
    for _ in 0..200 {
        let mut machine = Machine::new(2);
        let mut vcpus = pair(&mut machine, PAGES, DATA, 20);
        let mut halted = [false; 2];
        while halted != [true; 2] {
            let turn = (numbers.next() % 2) as usize;
            let exit = match numbers.next() % 4 {
                0 => vcpus[turn].step(),
                1 => vcpus[turn].run(numbers.next() % 700),
                2 => vcpus[turn].run(1 + numbers.next() % 7),
                _ => {
                    vcpus[turn].memory_written(PAGES, 4096);
                    continue;
                }
            };
            match exit {
                Exit::Budget => {}
                Exit::Halted => halted[turn] = true,
                exit => panic!("{exit:?} at {:#x}", vcpus[turn].state().rip),
            }
        }
    }
}

/// A device writes the routine; the vCPU takes a serialising instruction before it executes it.
#[test]
fn a_device_writes() {
    const ROUNDS: u64 = 1000;
    let mut machine = Machine::new(1);
    machine.ram.write(PAGES, &ROUTINE);
    let executor = [
        (Register::R9, PAGES),
        (Register::Rsi, DATA),
        (Register::R10, DATA + 64),
        (Register::R11, ROUNDS),
    ];
    let mut vcpus = [machine.vcpu(EXECUTOR, &executor)];
    let (ram, code) = (machine.ram.clone(), machine.code.clone());
    let device = std::thread::spawn(move || {
        for number in 1..=ROUNDS as u32 {
            ram.write(PAGES + NUMBER, &number.to_le_bytes());
            code.memory_written(PAGES + NUMBER, 4);
            fence(Ordering::SeqCst);
            ram.write(DATA, &number.to_le_bytes());
            let mut answer = [0; 4];
            while u32::from_le_bytes(answer) != number {
                std::thread::yield_now();
                ram.read(DATA + 64, &mut answer);
            }
        }
    });
    run_all(&mut vcpus, 1_000_000, |_, _| {});
    assert!(device.join().is_ok());
}

/// What a vCPU that does not execute is told does not pile up, and it forgets all of it.
#[test]
fn a_sleeper_is_told_of_everything() {
    let mut machine = Machine::new(2);
    // call each of 100 pages: mov ebx, 64; next: call rdi; add rdi, 4096; dec ebx; jnz; hlt
    let walk = [
        0xbb, 100, 0, 0, 0, 0xff, 0xd7, 0x48, 0x81, 0xc7, 0, 16, 0, 0, 0xff, 0xcb, 0x75, 0xf3, 0xf4,
    ];
    let mut walker = machine.vcpu(&walk, &[(Register::Rdi, PAGES)]);
    for page in 0..100 {
        // add rax, 1; ret
        machine.ram.write(PAGES + page * 4096, &[0x48, 0x83, 0xc0, 1, 0xc3]);
    }
    let begin = walker.state().clone();
    assert_eq!(walker.run(100_000), Exit::Halted);
    assert_eq!(walker.state().gpr[Register::Rax], 100);
    // mov ebx, 100; next: mov byte [rdi + 3], 3; add rdi, 4096; dec ebx; jnz; hlt
    let write = [
        0xbb, 100, 0, 0, 0, 0xc6, 0x47, 3, 3, 0x48, 0x81, 0xc7, 0, 16, 0, 0, 0xff, 0xcb, 0x75,
        0xf1, 0xf4,
    ];
    let mut writer = machine.vcpu(&write, &[(Register::Rdi, PAGES)]);
    assert_eq!(writer.run(100_000), Exit::Halted);
    walker.set_state(&begin);
    assert_eq!(walker.run(100_000), Exit::Halted);
    assert_eq!(walker.state().gpr[Register::Rax], 300);
}

#[test]
fn no_more_join_than_was_said() {
    let mut machine = Machine::new(1);
    let _vcpu = machine.vcpu(&[0xf4], &[]);
    let mut other = monovisor_core::Vcpu::new(
        machine.ram.clone(),
        std::sync::Arc::new(monovisor_core::InstructionClock),
        1,
    );
    assert!(!other.join(&machine.code));
}
