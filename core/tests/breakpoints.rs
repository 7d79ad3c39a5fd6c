//! Breakpoints: on execution a fault before the instruction, on data a trap behind it (SDM, "Debug
//! Exceptions").

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, WRITABLE};
use monovisor_core::state::{Cr4Flags, Exception, RFlags, Register, SegmentRegister, Vector};
use monovisor_core::{Engine, Exit};

/// DR7: breakpoint 1, enabled locally.
const ENABLE: u64 = 1 << 2;
const ON_WRITE: u64 = 1 << 20;
const ON_ACCESS: u64 = 3 << 20;
const FOUR_BYTES: u64 = 3 << 22;
/// DR6: breakpoint 1, and single step.
const HIT: u64 = 1 << 1;
const STEP: u64 = 1 << 14;

const STORE_BYTE: &[u8] = &[0x88, 0x03]; // mov [rbx], al
const LOAD_BYTE: &[u8] = &[0x8a, 0x03]; // mov al, [rbx]
const NOP: u8 = 0x90;

/// 64-bit mode with breakpoint 1 at `address`, which is in RBX and RDI, too.
fn guest(address: u64, dr7: u64) -> Guest {
    let mut guest = Guest::long_mode();
    guest.state.debug.address[1] = address;
    guest.state.debug.dr7 = dr7 | 1 << 10;
    guest.set(Register::Rbx, address);
    guest.set(Register::Rdi, address);
    guest
}

fn debug(dr6: u64) -> End {
    End::Fault(Exception { vector: Vector::Debug, error_code: None, payload: dr6 })
}

/// RIP, less the start of the code.
fn passed(guest: &Guest) -> u64 {
    guest.state.rip - CODE
}

#[test]
fn the_trap_comes_behind_the_access() {
    for (dr7, code, hits) in [
        (ON_WRITE, STORE_BYTE, true),
        (ON_WRITE, LOAD_BYTE, false),
        (ON_ACCESS, STORE_BYTE, true),
        (ON_ACCESS, LOAD_BYTE, true),
        (ON_ACCESS, &[0xf6, 0x03, 1], true), // test byte [rbx], 1
        (ON_WRITE, &[0xfe, 0x03], true),     // inc byte [rbx]
        (ON_WRITE, &[0xf0, 0x0f, 0xc0, 0x03], true), // lock xadd [rbx], al
        (ON_WRITE, &[0x0f, 0x11, 0x43, 0xf1], true), // movups [rbx - 15], xmm0
        (ON_WRITE, &[0x0f, 0x11, 0x43, 0xf0], false), // movups [rbx - 16], xmm0
        (ON_ACCESS, &[0x8d, 0x03], false),   // lea eax, [rbx]
    ] {
        let mut guest = guest(DATA + 16, ENABLE | dr7);
        let end = guest.run(&[code, &[NOP]].concat());
        let (expected, at) = if hits { (debug(HIT), 0) } else { (End::Done, 2) };
        assert_eq!(end, expected, "{code:x?}, DR7 {dr7:#x}");
        assert_eq!(passed(&guest), code.len() as u64 + at, "{code:x?}, DR7 {dr7:#x}");
    }
}

#[test]
fn it_is_the_linear_address_that_counts() {
    let mut guest = guest(PAGES, ENABLE | ON_WRITE);
    guest.map_to(PAGES + 0x1000, PAGES, WRITABLE);
    guest.set(Register::Rbx, PAGES + 0x1000);
    assert_eq!(guest.run(STORE_BYTE), End::Done, "the same memory at another address");
    guest.set(Register::Rbx, PAGES - 1);
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0x66, 0x89, 0x03, NOP]), debug(HIT), "mov [rbx], ax across pages");
}

#[test]
fn software_switches_breakpoints_on_and_off() {
    let mut guest = guest(DATA, 0);
    guest.set(Register::Rcx, ENABLE | ON_WRITE | FOUR_BYTES);
    let mut code = STORE_BYTE.to_vec();
    code.extend([0x0f, 0x23, 0xf9]); // mov dr7, rcx
    code.extend([0xc6, 0x43, 0x04, 0]); // mov byte [rbx + 4], 0
    code.extend([0x0f, 0x23, 0xfa]); // mov dr7, rdx
    code.extend(STORE_BYTE);
    code.extend([0x0f, 0x23, 0xf9]); // mov dr7, rcx
    code.extend([0xc6, 0x43, 0x03, 0]); // mov byte [rbx + 3], 0
    let behind = code.len() as u64;
    code.extend(STORE_BYTE);
    assert_eq!(guest.run(&code), debug(HIT));
    assert_eq!(passed(&guest), behind, "the first access while it is on");
}

#[test]
fn an_access_that_faults_hits_nothing() {
    let mut guest = guest(PAGES, ENABLE | ON_WRITE);
    guest.map(PAGES, 0);
    let End::Fault(fault) = guest.run(STORE_BYTE) else { panic!("a page fault") };
    assert_eq!(fault.vector, Vector::PageFault);
    guest.map(PAGES, WRITABLE);
    // PUSH [RBX] with a stack that is not mapped: the read was a hit, but the instruction fails.
    guest.map(PAGES + 0x1000, 0);
    guest.state.debug.dr7 = ENABLE | ON_ACCESS | 1 << 10;
    guest.state.rip = CODE;
    guest.set(Register::Rsp, PAGES + 0x2000);
    let End::Fault(fault) = guest.run(&[0xff, 0x33]) else { panic!("a page fault") };
    assert_eq!(fault.vector, Vector::PageFault);
    assert_eq!(guest.state.pending.debug, None);
}

#[test]
fn repeated_strings_trap_behind_each_iteration() {
    let mut guest = guest(DATA + 1, ENABLE | ON_WRITE | 1 << 22);
    guest.state.debug.address[1] = DATA + 2;
    guest.set(Register::Rcx, 6);
    assert_eq!(guest.run(&[0xf3, 0xaa]), debug(HIT), "rep stosb of which the second byte hits");
    assert_eq!((guest.get(Register::Rcx), guest.get(Register::Rdi)), (4, DATA + 3));
    assert_eq!(passed(&guest), 0, "it goes on behind the trap");
}

#[test]
fn a_single_step_is_reported_with_it() {
    let mut guest = guest(DATA, ENABLE | ON_WRITE);
    guest.state.rflags.insert(RFlags::TRAP_FLAG);
    assert_eq!(guest.run(&[STORE_BYTE, &[NOP]].concat()), debug(HIT | STEP));
}

#[test]
fn a_load_of_ss_holds_the_trap_back() {
    let mut guest = guest(DATA, ENABLE | ON_ACCESS);
    let mut state = guest.state.clone();
    state.gdtr.base = DATA + 0x100;
    state.gdtr.limit = 0x1f;
    guest.state = state;
    guest.ram.write(DATA + 0x110, &0x00cf_9300_0000_ffff_u64.to_le_bytes());
    guest.ram.write(DATA, &[0x10, 0]);
    assert_eq!(guest.run(&[0x8e, 0x13, NOP, NOP]), debug(HIT), "mov ss, [rbx]");
    assert_eq!(passed(&guest), 3, "behind the instruction that follows");
}

#[test]
fn ports_trap_behind_the_access() {
    const ON_PORT: u64 = 2 << 20;
    let cases: [(&[u8], bool); 4] = [
        (&[0xe6, 0x42], true),       // out 0x42, al
        (&[0x66, 0xe7, 0x41], true), // out 0x41, ax
        (&[0xe6, 0x43], false),      // out 0x43, al
        (&[0x6e], true),             // outsb
    ];
    for (code, hits) in cases {
        for extensions in [true, false] {
            let mut guest = guest(0x42, ENABLE | ON_PORT);
            guest.state.control.cr4.set(Cr4Flags::DEBUGGING_EXTENSIONS, extensions);
            guest.set(Register::Rdx, 0x42);
            guest.set(Register::Rsi, DATA);
            assert!(matches!(guest.run(&[code, &[NOP]].concat()), End::Exit(Exit::Write(..))));
            let expected = if hits && extensions { debug(HIT) } else { End::Done };
            assert_eq!(guest.resume(CODE + code.len() as u64 + 1), expected, "{code:x?}");
        }
    }
    // in al, 0x42
    let mut guest = guest(0x42, ENABLE | ON_PORT);
    guest.state.control.cr4 |= Cr4Flags::DEBUGGING_EXTENSIONS;
    assert!(matches!(guest.run(&[0xe4, 0x42, NOP]), End::Exit(Exit::Read(..))));
    guest.vcpu.answer(0x77);
    assert_eq!(guest.resume(CODE + 3), debug(HIT));
    assert_eq!((passed(&guest), guest.get(Register::Rax)), (2, 0x77));
}

#[test]
fn execution_is_a_fault_which_rf_passes() {
    let mut guest = guest(CODE + 1, ENABLE);
    assert_eq!(guest.run(&[NOP, NOP]), debug(HIT));
    assert_eq!(passed(&guest), 1);
    assert!(!guest.state.rflags.contains(RFlags::RESUME_FLAG), "only its handler can pass it");
    guest.state.rflags.insert(RFlags::RESUME_FLAG);
    assert_eq!(guest.run(&[NOP, NOP]), End::Done);
    assert!(!guest.state.rflags.contains(RFlags::RESUME_FLAG), "for one instruction");
}

/// Outside 64-bit mode linear addresses end at 4 GiB, those of instructions, too.
#[test]
fn an_instruction_behind_the_end_of_addresses() {
    const DISTANCE: u64 = 0x1_0000;
    let mut guest = Guest::protected();
    guest.state.debug.address[1] = CODE;
    guest.state.debug.dr7 = ENABLE;
    guest.state.segments[SegmentRegister::Cs].base = (1 << 32) - DISTANCE;
    guest.state.rip = CODE + DISTANCE;
    guest.ram.write(CODE, &[NOP, NOP]);
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.resume(u64::MAX), debug(HIT));
}

#[test]
fn a_repeated_string_passes_its_breakpoint_once() {
    let mut guest = guest(CODE, ENABLE);
    // With the trap flag there is a look between any two iterations.
    guest.state.rflags.insert(RFlags::RESUME_FLAG | RFlags::TRAP_FLAG);
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 3);
    assert_eq!(guest.run(&[0xf3, 0xaa]), debug(STEP), "rep stosb");
    assert_eq!(guest.get(Register::Rcx), 2);
    assert!(guest.state.rflags.contains(RFlags::RESUME_FLAG), "it goes on past the breakpoint");
}

#[test]
fn an_event_between_two_iterations_finds_rf_set() {
    let mut guest = guest(CODE, 0);
    guest.state.rflags.insert(RFlags::TRAP_FLAG);
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 2);
    assert_eq!(guest.run(&[0xf3, 0xaa, NOP]), debug(STEP), "rep stosb");
    assert!(guest.state.rflags.contains(RFlags::RESUME_FLAG));
    assert_eq!(guest.run(&[0xf3, 0xaa, NOP]), debug(STEP), "the last iteration");
    assert_eq!((passed(&guest), guest.get(Register::Rcx)), (2, 0));
    assert!(!guest.state.rflags.contains(RFlags::RESUME_FLAG));
}

#[test]
fn general_detection_resumes_and_is_switched_off() {
    const DETECT: u64 = 1 << 13;
    let mut guest = guest(DATA, DETECT);
    assert_eq!(guest.run(&[NOP, 0x0f, 0x21, 0xc0]), debug(1 << 13), "mov rax, dr0");
    assert_eq!((passed(&guest), guest.state.debug.dr7), (1, 1 << 10));
}

/// IA32_DEBUGCTL.BTF: only what branches is followed by the trap.
#[test]
fn single_steps_from_branch_to_branch() {
    const BRANCHES: u64 = 1 << 1;
    // The code, ZF, and how far it gets.
    let cases: [(&[u8], bool, u64); 8] = [
        (&[NOP, NOP, 0xeb, 1, NOP, NOP], false, 5), // jmp over a nop
        (&[NOP, 0xeb, 0, NOP, NOP], false, 3),      // jmp to what follows
        (&[0x74, 1, NOP, 0x75, 1, NOP, NOP], true, 3), // je over a nop
        (&[0x74, 1, NOP, 0x75, 1, NOP, NOP], false, 6), // jne over a nop
        (&[0xe8, 1, 0, 0, 0, NOP, NOP], false, 6),  // call over a nop
        (&[0xff, 0xe3, NOP], false, 2),             // jmp rbx
        (&[0xf3, 0xaa, 0xeb, 0, NOP], false, 4),    // rep stosb; jmp
        (&[0x0f, 0xa2, 0xeb, 0, NOP], false, 4),    // cpuid; jmp
    ];
    for (code, zero, reached) in cases {
        let mut guest = guest(CODE + 2, 0);
        guest.state.msr.debug_control = BRANCHES;
        guest.state.rflags.insert(RFlags::TRAP_FLAG);
        guest.state.rflags.set(RFlags::ZERO_FLAG, zero);
        guest.set(Register::Rdi, DATA);
        guest.set(Register::Rcx, 3);
        assert_eq!(guest.run(code), debug(STEP), "{code:02x?}");
        assert_eq!(passed(&guest), reached, "{code:02x?}");
        assert_eq!(guest.state.msr.debug_control, 0, "it is for one trap");
    }
}
