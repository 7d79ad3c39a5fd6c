//! Where the bytes of an instruction come from, and how many there may be.

mod common;

use common::guest::{End, Guest, PAGES, WRITABLE};
use monovisor_core::Exit;
use monovisor_core::state::{Activity, Exception, Register, Vector};

const OPERAND_SIZE: u8 = 0x66;
const NOP: u8 = 0x90;
const HLT: u8 = 0xf4;

fn prefixed(prefixes: usize, opcode: &[u8]) -> Vec<u8> {
    [&vec![OPERAND_SIZE; prefixes][..], opcode].concat()
}

#[test]
fn fifteen_bytes_are_the_most() {
    for (prefixes, opcode, end) in [
        (13, &[0x89, 0xc0][..], End::Done),
        (14, &[0x89, 0xc0], End::Fault(Exception::GP0)),
        (14, &[NOP], End::Done),
        (15, &[NOP], End::Fault(Exception::GP0)),
        (100, &[NOP], End::Fault(Exception::GP0)),
        (3, &[0x0f, 0x0b], End::Fault(Exception::UD)),
        (3, &[0x06], End::Fault(Exception::UD)),
        (14, &[0x06], End::Fault(Exception::UD)),
        (13, &[0x0f, 0x0a], End::Fault(Exception::UD)),
        (15, &[0x06], End::Fault(Exception::GP0)),
        (14, &[0x0f, 0x0a], End::Fault(Exception::GP0)),
    ] {
        let mut guest = Guest::long_mode();
        assert_eq!(guest.run(&prefixed(prefixes, opcode)), end, "{prefixes} + {opcode:x?}");
    }
}

#[test]
fn what_is_too_long_needs_no_sixteenth_byte() {
    let mut guest = Guest::long_mode();
    guest.map(PAGES + 0x1000, 0);
    for (at, fault) in [(15, Exception::GP0), (14, page_fault(PAGES + 0x1000))] {
        guest.state.rip = PAGES + 0x1000 - at;
        guest.ram.write(guest.state.rip, &prefixed(20, &[NOP]));
        guest.state.activity = Activity::Active;
        guest.vcpu.set_state(&guest.state);
        assert_eq!(guest.resume(0), End::Fault(fault), "{at} bytes before a missing page");
    }
}

/// A fetch from a page that is not present.
fn page_fault(address: u64) -> Exception {
    Exception { vector: Vector::PageFault, error_code: Some(0), payload: address }
}

#[test]
fn bytes_that_are_no_instruction_may_become_one() {
    let mut guest = Guest::long_mode();
    guest.state.rip = PAGES + 0x30 - 1;
    let code = guest.state.rip;
    assert_eq!(guest.run(&prefixed(15, &[NOP])), End::Fault(Exception::GP0));
    // Byte 3 and those behind are in other chunks of 64 bytes than the first.
    guest.ram.write(PAGES + 0x3a, &[NOP, HLT]);
    guest.vcpu.memory_written(PAGES + 0x3a, 2);
    assert_eq!(guest.state.rip, code);
    guest.state.activity = Activity::Active;
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.resume(0), End::Done);
}

/// MOV EAX, imm32 with half of its constant in the next page, and HLT.
const MOV_EAX: [u8; 3] = [0xb8, 1, 0];

#[test]
fn the_second_page_is_looked_up_anew() {
    let mut guest = Guest::long_mode();
    let (start, second) = (PAGES + 0x1000 - 3, PAGES + 0x1000);
    guest.ram.write(start, &MOV_EAX);
    for page in 2..4_u8 {
        guest.ram.write(PAGES + u64::from(page) * 0x1000, &[page, 0, HLT]);
    }
    // Reached by falling through and by a jump, from the same page.
    let before = [NOP, NOP, 0xeb, 0]; // jmp to what follows
    for entry in [start, start - 2, start - 4] {
        guest.ram.write(start - 4, &before);
        for page in [2, 3, 2, 2, 3] {
            guest.map_to(second, PAGES + page * 0x1000, WRITABLE);
            guest.state.rip = PAGES + 0x2000;
            guest.set(Register::Rbx, second);
            guest.set(Register::Rcx, entry);
            invalidate_and_jump(&mut guest);
            assert_eq!(guest.get(Register::Rax), page << 16 | 1, "{entry:#x}");
        }
    }
}

/// INVLPG of what RBX points to, then a jump to RCX, in a vCPU that goes on as it is.
fn invalidate_and_jump(guest: &mut Guest) {
    guest.state.rip = common::guest::CODE;
    assert_eq!(guest.run(&[0x0f, 0x01, 0x3b, 0xff, 0xe1]), End::Done);
    assert_eq!(guest.vcpu.run(0), Exit::Budget);
}
