//! Instructions that access devices: reads that wait for the host, writes in order, each once.

mod common;

use common::guest::{CODE, DATA, Guest, PAGES};
use monovisor_core::state::{Cr4Flags, Register};
use monovisor_core::{Access, Engine, Exit, Space};

const DEVICE: u64 = 0xd000_0000;
const PAGE_TABLE: u64 = 0x4000;

/// A guest whose first two pages in [`PAGES`] are devices.
fn guest(code: &[u8]) -> Guest {
    let mut guest = Guest::long_mode();
    for page in 0..2_u64 {
        guest.ram.write(PAGE_TABLE + page * 8, &((DEVICE + page * 0x1000) | 7).to_le_bytes());
    }
    guest.set(Register::Rsi, PAGES);
    guest.set(Register::Rdi, PAGES + 0x1000);
    guest.ram.write(guest.state.rip, code);
    guest.vcpu.set_state(&guest.state);
    guest
}

fn at(address: u64, size: u8) -> Access {
    Access { space: Space::Memory, address, size }
}

#[test]
fn a_move_between_two_devices() {
    // movsq; hlt
    let mut guest = guest(&[0x48, 0xa5, 0xf4]);
    assert_eq!(guest.vcpu.run(10), Exit::Read(at(DEVICE, 8)));
    assert_eq!(guest.vcpu.state().rip, CODE);
    guest.vcpu.answer(0x1234);
    assert_eq!(guest.vcpu.run(10), Exit::Write(at(DEVICE + 0x1000, 8), 0x1234));
    assert_eq!(guest.vcpu.run(10), Exit::Halted);
    assert_eq!(guest.vcpu.state().gpr[Register::Rdi], PAGES + 0x1008);
    assert_eq!(guest.vcpu.retired(), 2);
}

#[test]
fn each_read_has_its_own_answer() {
    // mov eax, [rsi]; mov ebx, [rsi]; hlt
    for steps in [false, true] {
        let mut guest = guest(&[0x8b, 0x06, 0x8b, 0x1e, 0xf4]);
        let mut answers = 1..;
        loop {
            let exit = if steps { guest.vcpu.step() } else { guest.vcpu.run(100) };
            match exit {
                Exit::Read(access) => {
                    assert_eq!(access, at(DEVICE, 4));
                    guest.vcpu.answer(answers.next().expect("endless"));
                }
                Exit::Budget => {}
                exit => break assert_eq!(exit, Exit::Halted),
            }
        }
        let state = guest.vcpu.state();
        assert_eq!((state.gpr[Register::Rax], state.gpr[Register::Rbx]), (1, 2));
        assert_eq!(answers.next(), Some(3), "two reads");
    }
}

#[test]
fn an_aligned_vector_in_two_reads() {
    // Without paging the device is where it is. movaps xmm1, [esi]; andps xmm1, [esi]; hlt
    let mut guest = Guest::protected();
    guest.state.control.cr4 |= Cr4Flags::OSFXSR;
    guest.set(Register::Rsi, DEVICE);
    guest.ram.write(CODE, &[0x0f, 0x28, 0x0e, 0x0f, 0x54, 0x0e, 0xf4]);
    guest.vcpu.set_state(&guest.state);
    for answer in [0xff, 0x33, 0x1234, 0xffff] {
        let exit = guest.vcpu.run(100);
        assert!(matches!(exit, Exit::Read(Access { size: 8, .. })), "{exit:?}");
        guest.vcpu.answer(answer);
    }
    assert_eq!(guest.vcpu.run(100), Exit::Halted);
    assert_eq!(guest.vcpu.state().fpu.xmm[1], 0x33 << 64 | 0x34);
}

#[test]
fn a_read_without_an_answer_gives_all_ones() {
    // mov eax, [rsi]; hlt
    let mut guest = guest(&[0x8b, 0x06, 0xf4]);
    assert_eq!(guest.vcpu.run(10), Exit::Read(at(DEVICE, 4)));
    assert_eq!(guest.vcpu.run(10), Exit::Halted);
    assert_eq!(guest.vcpu.state().gpr[Register::Rax], 0xffff_ffff);
}

#[test]
fn writes_come_in_order_and_once() {
    // mov [rdi], eax; mov [rdi+4], ecx; mov [rdi-2], edx (in two pages); hlt
    let code = [0x89, 0x07, 0x89, 0x4f, 4, 0x89, 0x57, 0xfe, 0xf4];
    for steps in [false, true] {
        let mut guest = guest(&code);
        guest.set(Register::Rax, 1);
        guest.set(Register::Rcx, 2);
        guest.set(Register::Rdx, 0x0004_0003);
        guest.vcpu.set_state(&guest.state);
        let mut writes = Vec::new();
        loop {
            let exit = if steps { guest.vcpu.step() } else { guest.vcpu.run(100) };
            match exit {
                Exit::Write(access, data) => writes.push((access, data)),
                Exit::Budget => {}
                exit => break assert_eq!(exit, Exit::Halted),
            }
        }
        let expected = [
            (at(DEVICE + 0x1000, 4), 1),
            (at(DEVICE + 0x1004, 4), 2),
            (at(DEVICE + 0xffe, 2), 3),
            (at(DEVICE + 0x1000, 2), 4),
        ];
        assert_eq!(writes, expected);
        assert_eq!(guest.vcpu.retired(), 4);
    }
}

#[test]
fn a_write_at_the_end_of_a_block_comes_once() {
    // A port and a device as the last instruction of a page; then hlt.
    for code in [&[0xe6, 0x80][..], &[0x89, 0x07]] {
        let mut guest = guest(&[]);
        let start = CODE + 0x1000 - code.len() as u64;
        guest.ram.write(start, &[code, &[0xf4]].concat());
        guest.state.rip = start;
        guest.vcpu.set_state(&guest.state);
        assert!(matches!(guest.vcpu.run(10), Exit::Write(..)));
        assert_eq!(guest.vcpu.run(10), Exit::Halted);
        assert_eq!(guest.vcpu.retired(), 2);
    }
}

#[test]
fn a_read_is_made_anew_after_a_fault() {
    // movsq from a device to a page that is missing.
    let mut guest = guest(&[0x48, 0xa5, 0xf4]);
    let (target, entry) = (PAGES + 0x2000, PAGE_TABLE + 16);
    guest.ram.write(entry, &0_u64.to_le_bytes());
    guest.set(Register::Rdi, target);
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), Exit::Read(at(DEVICE, 8)));
    guest.vcpu.answer(1);
    assert_eq!(guest.vcpu.run(10), Exit::TripleFault);
    assert_eq!(guest.vcpu.state().gpr[Register::Rsi], PAGES);
    guest.ram.write(entry, &(target | 7).to_le_bytes());
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), Exit::Read(at(DEVICE, 8)));
    guest.vcpu.answer(2);
    assert_eq!(guest.vcpu.run(10), Exit::Halted);
    assert_eq!(guest.bytes(target, 8), 2_u64.to_le_bytes());
}

#[test]
fn a_repeated_read_asks_for_each_element() {
    // rep movsb from a device to RAM
    let mut guest = guest(&[0xf3, 0xa4, 0xf4]);
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 5);
    guest.vcpu.set_state(&guest.state);
    for element in 0..5_u8 {
        assert_eq!(guest.vcpu.run(10), Exit::Read(at(DEVICE + u64::from(element), 1)));
        guest.vcpu.answer(u64::from(element) + 1);
    }
    assert_eq!(guest.vcpu.run(10), Exit::Halted);
    assert_eq!(guest.bytes(DATA, 5), [1, 2, 3, 4, 5]);
}
