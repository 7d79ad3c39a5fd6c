//! RF, which a return from a fault sets: it goes with the instruction that is returned to, and is
//! there again if that one is restarted (SDM, "Instruction-Breakpoint Exception Condition").

mod common;

use common::guest::{CODE, Guest, STACK};
use monovisor_core::state::{RFlags, Register, SegmentRegister};
use monovisor_core::{Engine, Exit};

const GDT: u64 = 0x6000;
const IDT: u64 = 0x7000;
const TSS: u64 = 0x8000;
const INTERRUPT_STACK: u64 = 0x9_0000;
const HANDLER: u64 = 0xa000;
const IRETQ: [u8; 2] = [0x48, 0xcf];
const RESUME: u64 = 1 << 16;

/// A guest that returns to `code` with RF set, and whose exceptions have the handler `handler`.
fn returning(code: &[u8], handler: &[u8]) -> Guest {
    let mut guest = Guest::long_mode();
    let put = |address: u64, value: u64| assert!(guest.ram.write(address, &value.to_le_bytes()));
    put(GDT + 8, 0x00af_9b00_0000_ffff);
    put(GDT + 16, 0x00cf_9300_0000_ffff);
    put(TSS + 0x24, INTERRUPT_STACK);
    for vector in 0..32 {
        put(IDT + vector * 16, HANDLER | 0x08 << 16 | 1 << 32 | 0x8e00 << 32);
    }
    let frame = [CODE + 2, 8, RESUME | 2, STACK, 16];
    for (place, word) in (STACK - 40..).step_by(8).zip(frame) {
        put(place, word);
    }
    assert!(guest.ram.write(HANDLER, handler));
    assert!(guest.ram.write(CODE, &[&IRETQ[..], code].concat()));
    let state = &mut guest.state;
    (state.gdtr.base, state.gdtr.limit) = (GDT, 0x17);
    (state.idtr.base, state.idtr.limit) = (IDT, 0xfff);
    let tr = &mut state.segments[SegmentRegister::Tr];
    (tr.base, tr.limit) = (TSS, 0x67);
    guest.set(Register::Rsp, STACK - 40);
    guest.vcpu.set_state(&guest.state);
    guest
}

fn next_exit(guest: &mut Guest, budget: u64) -> Exit {
    loop {
        match Engine::run(&mut guest.vcpu, budget).expect("the interpreter does not fail") {
            Exit::Budget => {}
            exit => return exit,
        }
    }
}

fn has_rf(guest: &mut Guest) -> bool {
    guest.vcpu.state().rflags.contains(RFlags::RESUME_FLAG)
}

/// Whether the flags on the handler's stack have it.
fn pushed_rf(guest: &Guest) -> bool {
    guest.bytes(INTERRUPT_STACK - 24, 8)[2] & 1 != 0
}

#[test]
fn it_is_gone_behind_the_instruction() {
    for budget in [1, 2, 1000] {
        // hlt
        let mut guest = returning(&[0xf4], &[]);
        assert_eq!(next_exit(&mut guest, budget), Exit::Halted);
        assert!(!has_rf(&mut guest));
    }
}

#[test]
fn an_instruction_that_waits_for_a_device_has_it_again() {
    for (code, kept) in [(&[0xe4, 0x60, 0xf4][..], true), (&[0x90, 0xe4, 0x60, 0xf4], false)] {
        for budget in [1, 2, 1000] {
            // in al, 0x60, at the target or behind a nop; hlt
            let mut guest = returning(code, &[]);
            assert!(matches!(next_exit(&mut guest, budget), Exit::Read(_)));
            assert_eq!(has_rf(&mut guest), kept);
            guest.vcpu.answer(1);
            assert_eq!(next_exit(&mut guest, budget), Exit::Halted);
            assert!(!has_rf(&mut guest));
        }
    }
}

#[test]
fn faults_push_it_and_software_interrupts_do_not() {
    // ud2, and int3: at the target or behind a nop.
    for (code, pushed) in [
        (&[0x0f, 0x0b][..], true),
        (&[0x90, 0x0f, 0x0b], true),
        (&[0xcc], false),
        (&[0x90, 0xcc], false),
    ] {
        for budget in [1, 2, 1000] {
            let mut guest = returning(code, &[0xf4]);
            assert_eq!(next_exit(&mut guest, budget), Exit::Halted);
            assert_eq!(pushed_rf(&guest), pushed, "{code:x?}");
            assert!(!has_rf(&mut guest));
        }
    }
}

/// MOV to a debug register while DR7.GD is set raises #DB as a fault like any other (SDM,
/// "Instruction-Breakpoint Exception Condition": each fault but that of an instruction breakpoint).
#[test]
fn general_detect_pushes_it() {
    // mov dr0, rax: at the target or behind a nop.
    for code in [&[0x0f, 0x23, 0xc0][..], &[0x90, 0x0f, 0x23, 0xc0]] {
        for budget in [1, 2, 1000] {
            let mut guest = returning(code, &[0xf4]);
            guest.state.debug.dr7 |= 1 << 13;
            guest.vcpu.set_state(&guest.state);
            assert_eq!(next_exit(&mut guest, budget), Exit::Halted);
            assert!(pushed_rf(&guest), "{code:x?}");
        }
    }
}

#[test]
fn a_breakpoint_at_the_target_is_passed_once() {
    for budget in [1, 2, 1000] {
        // At the target `inc eax; jmp back`, with a breakpoint on it.
        let mut guest = returning(&[0xff, 0xc0, 0xeb, 0xfc], &[0xf4]);
        guest.state.debug.address[0] = CODE + 2;
        guest.state.debug.dr7 = 0x401;
        guest.vcpu.set_state(&guest.state);
        assert_eq!(next_exit(&mut guest, budget), Exit::Halted);
        assert_eq!(guest.vcpu.state().gpr[Register::Rax], 1);
        assert!(!pushed_rf(&guest), "only the handler can pass it");
    }
}
