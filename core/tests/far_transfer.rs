//! Far JMP, CALL and RET, IRET, software interrupts and system calls: their operands, and what single
//! steps make of them. What is checked on the way is tested beside `interrupt`.

mod common;

use common::guest::{CODE, DATA, End, Guest, STACK};
use monovisor_core::state::{DescriptorTable, Exception, RFlags, Register, SegmentRegister};

const TABLE: u64 = DATA + 0x4000;
const GATES: u64 = DATA + 0x5000;
const HANDLER: u64 = CODE + 0x800;
/// 64-bit code, flat data, 32-bit code.
const DESCRIPTORS: [u64; 4] =
    [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_9b00_0000_ffff];
const CODE_32: u16 = 0x18;

/// A guest whose interrupts lead to `handler`.
fn guest(mut guest: Guest, handler: &[u8]) -> Guest {
    let table: Vec<u8> =
        DESCRIPTORS.iter().flat_map(|descriptor| descriptor.to_le_bytes()).collect();
    guest.ram.write(TABLE, &table);
    guest.state.gdtr = DescriptorTable { base: TABLE, limit: table.len() as u16 - 1 };
    let gate = HANDLER & 0xffff | 8 << 16 | 0xee00 << 32 | (HANDLER >> 16 & 0xffff) << 48;
    for vector in 0..256 {
        guest.ram.write(GATES + vector * 16, &gate.to_le_bytes());
    }
    guest.state.idtr = DescriptorTable { base: GATES, limit: 0xfff };
    guest.ram.write(HANDLER, handler);
    guest
}

const IRETQ: [u8; 2] = [0x48, 0xcf];

#[test]
fn software_interrupts_return_behind_themselves() {
    let cases: [&[u8]; 3] = [&[0xcd, 0x80, 0x90], &[0xcc, 0x90], &[0xf1, 0x90]];
    for code in cases {
        // inc ebx; mov rcx, [rsp]; iretq
        let handler = [&[0xff, 0xc3, 0x48, 0x8b, 0x0c, 0x24][..], &IRETQ].concat();
        let mut guest = guest(Guest::long_mode(), &handler);
        assert_eq!(guest.run(code), End::Done);
        assert_eq!(guest.get(Register::Rbx), 1);
        assert_eq!(guest.get(Register::Rcx), CODE + code.len() as u64 - 1);
        assert_eq!(guest.get(Register::Rsp), STACK);
    }
}

#[test]
fn into_looks_at_the_overflow_flag() {
    for overflow in [false, true] {
        let mut guest = Guest::compatibility();
        guest.state.rflags.set(RFlags::OVERFLOW_FLAG, overflow);
        // Without a descriptor table the delivery fails.
        assert_eq!(guest.run(&[0xce]) == End::Done, !overflow);
    }
    assert_eq!(Guest::long_mode().run(&[0xce]), End::Fault(Exception::UD));
}

#[test]
fn far_return_to_another_width_and_back() {
    let mut guest = guest(Guest::long_mode(), &[]);
    // push 0x18; push CODE + 8; retfq; nop; then 32-bit code: dec eax; jmp far 8:next; next: nop
    let mut code = vec![0x6a, CODE_32 as u8, 0x68, 8, 0, 1, 0, 0x48];
    code[3..7].copy_from_slice(&(CODE as u32 + 9).to_le_bytes());
    code.extend([0xcb, 0x48, 0xea]);
    code.extend((CODE as u32 + 17).to_le_bytes());
    code.extend([8, 0, 0x90]);
    guest.set(Register::Rax, 5);
    assert_eq!(guest.run(&code), End::Done);
    // In 64-bit mode the byte 48 is a prefix, in 32-bit mode it is DEC.
    assert_eq!(guest.get(Register::Rax), 4);
    assert!(guest.state.mode_64bit());
    assert_eq!(guest.get(Register::Rsp), STACK);
}

#[test]
fn far_call_through_memory() {
    let mut guest = guest(Guest::long_mode(), &[0xff, 0xc3, 0x48, 0xcb]);
    guest.set(Register::R9, DATA);
    guest.ram.write(DATA, &[&HANDLER.to_le_bytes()[..], &[8, 0]].concat());
    // call far [r9]
    assert_eq!(guest.run(&[0x49, 0xff, 0x19]), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rsp)), (1, STACK));
}

#[test]
fn real_mode_transfers() {
    let mut guest = Guest::real_mode();
    // jmp 0x1000:6; at 6: nop
    assert_eq!(guest.run(&[0xea, 6, 0, 0, 0x10, 0xcc, 0x90]), End::Done);
    assert_eq!(guest.state.segments[SegmentRegister::Cs].selector, 0x1000);
    // call 0x1000:9; jmp; inc bx; retf
    let mut guest = Guest::real_mode();
    assert_eq!(guest.run(&[0x9a, 7, 0, 0, 0x10, 0xeb, 2, 0x43, 0xcb]), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rsp)), (1, 0xfff0));
}

#[test]
fn system_calls_go_there_and_back() {
    let mut guest = Guest::user_mode();
    guest.state.msr.star = 0x0010_0008 << 32;
    guest.state.msr.lstar = HANDLER;
    guest.state.msr.fmask = RFlags::DIRECTION_FLAG.bits();
    guest.state.rflags |= RFlags::DIRECTION_FLAG | RFlags::CARRY_FLAG;
    // pushfq; pop rbx; sysretq
    guest.ram.write(HANDLER, &[0x9c, 0x5b, 0x48, 0x0f, 0x07]);
    assert_eq!(guest.run(&[0x0f, 0x05]), End::Done);
    assert_eq!(guest.get(Register::Rcx), CODE + 2);
    let flags = RFlags::DIRECTION_FLAG | RFlags::CARRY_FLAG;
    assert_eq!(guest.get(Register::R11), flags.bits() | 2);
    assert_eq!(guest.get(Register::Rbx), RFlags::CARRY_FLAG.bits() | 2);
    assert_eq!((guest.state.rflags.bits(), guest.state.cpl()), (flags.bits() | 2, 3));
}

/// A single step of INT or of a SYSCALL that masks TF does not stop in the handler.
#[test]
fn single_steps_do_not_follow_into_handlers() {
    // The handler of the debug exception counts and goes on.
    let handler = [&[0xff, 0xc3][..], &IRETQ].concat();
    let mut guest = guest(Guest::long_mode(), &handler);
    guest.ram.write(HANDLER + 0x100, &IRETQ);
    let gate = (HANDLER + 0x100) & 0xffff | 8 << 16 | 0xee00 << 32 | (HANDLER >> 16 & 0xffff) << 48;
    guest.ram.write(GATES + 0x80 * 16, &gate.to_le_bytes());
    guest.state.rflags |= RFlags::TRAP_FLAG;
    // int 0x80; nop; and popfq of no flags, which still traps.
    let code = [0xcd, 0x80, 0x90, 0x6a, 2, 0x9d];
    assert_eq!(guest.run(&code), End::Done);
    // After the NOP, after PUSH and after POPFQ; INT has no trap of its own.
    assert_eq!(guest.get(Register::Rbx), 3);
}
