//! The loop around blocks: budgets, kicks, events between instructions, and the caches between a
//! guest's code and what is executed of it.

mod common;
#[path = "common/random.rs"]
mod random;

use common::guest::{CODE, DATA, End, Guest, PAGES, STACK, WRITABLE};
use monovisor_core::apic::{LocalApic, Mode};
use monovisor_core::state::{Cr0Flags, Exception, RFlags, Register, SegmentRegister, Vector};
use monovisor_core::{Cause, CpuState, Engine, Exit};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The page table of [`PAGES`].
const PAGE_TABLE: u64 = 0x4000;
const GDT: u64 = 0x6000;
const IDT: u64 = 0x7000;
const TSS: u64 = 0x8000;
const INTERRUPT_STACK: u64 = 0x9_0000;
const HANDLER: u64 = 0xa000;

/// inc r15; iretq
const COUNT: [u8; 5] = [0x49, 0xff, 0xc7, 0x48, 0xcf];

/// Puts `code` at CODE and makes the vCPU ready to execute it.
fn load(guest: &mut Guest, code: &[u8]) {
    assert!(guest.ram.write(CODE, code));
    guest.vcpu.memory_written(CODE, code.len() as u64);
    guest.vcpu.set_state(&guest.state);
}

/// Runs until the vCPU halts; its state then.
fn run_to_halt(guest: &mut Guest) -> CpuState {
    loop {
        match guest.vcpu.run(1000) {
            Exit::Budget => {}
            exit => {
                assert_eq!(exit, Exit::Halted, "at {:#x}", guest.vcpu.state().rip);
                return guest.vcpu.state().clone();
            }
        }
    }
}

/// The first exception that was delivered.
fn first_exception(guest: &Guest) -> Exception {
    match guest.vcpu.fault_log().iter().next().expect("a fault").cause {
        Cause::Exception(exception) => exception,
        other => panic!("{other:?}"),
    }
}

/// Handlers for 64-bit mode, on a stack of their own.
fn handle(guest: &mut Guest, vectors: &[u8], code: &[u8]) {
    let put = |address: u64, value: u64| assert!(guest.ram.write(address, &value.to_le_bytes()));
    put(GDT + 8, 0x00af_9b00_0000_ffff);
    put(GDT + 16, 0x00cf_9300_0000_ffff);
    put(TSS + 0x24, INTERRUPT_STACK);
    for &vector in vectors {
        put(IDT + u64::from(vector) * 16, HANDLER | 0x08 << 16 | 1 << 32 | 0x8e00 << 32);
    }
    assert!(guest.ram.write(HANDLER, code));
    let state = &mut guest.state;
    (state.gdtr.base, state.gdtr.limit) = (GDT, 0x17);
    (state.idtr.base, state.idtr.limit) = (IDT, 0xfff);
    let tr = &mut state.segments[SegmentRegister::Tr];
    (tr.base, tr.limit) = (TSS, 0x67);
}

#[test]
fn a_run_takes_less_than_a_block_more_than_its_budget() {
    // Ten times `inc rax`, and back.
    let code = [[0x48, 0xff, 0xc0].repeat(10), vec![0xeb, 0xe0]].concat();
    for budget in 1..200 {
        let mut guest = Guest::long_mode();
        load(&mut guest, &code);
        assert_eq!(guest.vcpu.run(budget), Exit::Budget);
        let retired = guest.vcpu.retired();
        assert!((budget..budget + 11).contains(&retired), "{retired} for {budget}");
    }
}

#[test]
fn a_step_is_one_instruction_and_a_fused_pair_is_two() {
    // inc rax; cmp rax, 100; jne -9; hlt
    let code = [0x48, 0xff, 0xc0, 0x48, 0x83, 0xf8, 100, 0x75, 0xf7, 0xf4];
    let mut guest = Guest::long_mode();
    load(&mut guest, &code);
    for count in 1..=300 {
        assert_eq!(guest.vcpu.step(), Exit::Budget);
        assert_eq!(guest.vcpu.retired(), count);
    }
    let mut guest = Guest::long_mode();
    load(&mut guest, &code);
    run_to_halt(&mut guest);
    assert_eq!(guest.vcpu.retired(), 301);
}

#[test]
fn a_run_that_ends_before_a_nop_goes_on_with_it() {
    // nop; jmp back
    let mut guest = Guest::long_mode();
    load(&mut guest, &[0x90, 0xeb, 0xfd]);
    for _ in 0..10 {
        assert_eq!(guest.vcpu.run(2), Exit::Budget);
        assert_eq!(guest.vcpu.state().rip - CODE, guest.vcpu.retired() % 2);
    }
}

#[test]
fn a_clock_of_instructions_tells_runs_and_steps_the_same() {
    // nop; nop; rdtsc; hlt
    let code = [0x90, 0x90, 0x0f, 0x31, 0xf4];
    let mut guest = Guest::long_mode();
    load(&mut guest, &code);
    let state = run_to_halt(&mut guest);
    let mut guest = Guest::long_mode();
    load(&mut guest, &code);
    while guest.vcpu.step() == Exit::Budget {}
    assert_eq!(*guest.vcpu.state(), state);
}

#[test]
fn a_kick_is_kept_for_the_next_run() {
    let mut guest = Guest::long_mode();
    load(&mut guest, &[0x90, 0xf4]);
    guest.vcpu.kick_handle().kick();
    assert_eq!(guest.vcpu.run(100), Exit::Kicked);
    assert_eq!(guest.vcpu.retired(), 0);
    assert_eq!(guest.vcpu.run(100), Exit::Halted);
}

#[test]
fn a_kick_from_another_thread_ends_a_tight_loop() {
    let mut guest = Guest::long_mode();
    load(&mut guest, &[0xeb, 0xfe]);
    let kick = guest.vcpu.kick_handle();
    let kicker = std::thread::spawn(move || kick.kick());
    assert_eq!(guest.vcpu.run(u64::MAX), Exit::Kicked);
    kicker.join().expect("no panic");
}

#[test]
fn jumps_that_share_a_slot_of_the_jump_cache_end_with_the_budget() {
    // Two jumps to each other, 1 MiB apart, so that each makes the cache forget the other.
    let other = CODE + (1 << 20);
    let mut guest = Guest::long_mode();
    guest.ram.write(other, &[0xff, 0xe3]);
    guest.set(Register::Rax, other);
    guest.set(Register::Rbx, CODE);
    load(&mut guest, &[0xff, 0xe0]);
    assert_eq!(guest.vcpu.run(10_000), Exit::Budget);
    assert!((10_000..10_010).contains(&guest.vcpu.retired()));
}

#[test]
fn exceptions_without_end_use_up_the_budget() {
    let mut guest = Guest::long_mode();
    // ud2
    handle(&mut guest, &[6], &[0x0f, 0x0b]);
    load(&mut guest, &[0x0f, 0x0b]);
    assert_eq!(guest.vcpu.run(1000), Exit::Budget);
}

#[test]
fn an_indirect_branch_to_nowhere_faults_itself() {
    // jmp rax, call rax, and with the target on the stack ret 8, jmp [rsp], call [rsp]
    let cases: [&[u8]; 5] =
        [&[0xff, 0xe0], &[0xff, 0xd0], &[0xc2, 8, 0], &[0xff, 0x24, 0x24], &[0xff, 0x14, 0x24]];
    for target in [1 << 63, 0x8000_0000_0000_u64, 0xffff_7fff_ffff_ffff] {
        for code in cases {
            let mut guest = Guest::long_mode();
            guest.set(Register::Rax, target);
            guest.ram.write(STACK, &target.to_le_bytes());
            assert_eq!(guest.run(code), End::Fault(Exception::GP0), "{code:x?} {target:#x}");
            assert_eq!((guest.state.rip, guest.get(Register::Rsp)), (CODE, STACK));
            assert_eq!(guest.vcpu.retired(), 0);
        }
    }
}

#[test]
fn a_call_through_the_stack_pointer_goes_where_it_was() {
    // RSP leads to `ret`, in the first bytes of a page: the push is in two pages or in the one
    // before. call rsp
    for offset in [0, 4] {
        let mut guest = Guest::long_mode();
        guest.ram.write(PAGES + 0x1000 + offset, &[0xc3]);
        guest.set(Register::Rsp, PAGES + 0x1000 + offset);
        assert_eq!(guest.run(&[0xff, 0xd4]), End::Done);
        assert_eq!(guest.get(Register::Rsp), PAGES + 0x1000 + offset);
    }
}

#[test]
fn a_window_opens_after_the_shadow_of_sti() {
    let mut guest = Guest::long_mode();
    // sti; nop; nop; hlt
    load(&mut guest, &[0xfb, 0x90, 0x90, 0xf4]);
    guest.vcpu.request_interrupt_window(true);
    assert_eq!(guest.vcpu.run(100), Exit::InterruptWindow);
    assert_eq!(guest.vcpu.state().rip, CODE + 2);
    assert_eq!(guest.vcpu.run(100), Exit::Halted);
}

#[test]
fn an_nmi_waits_for_the_instruction_after_mov_ss() {
    let mut guest = Guest::long_mode();
    handle(&mut guest, &[2], &COUNT);
    guest.set(Register::Rax, 16);
    // mov ss, ax; nop; nop; hlt
    load(&mut guest, &[0x8e, 0xd0, 0x90, 0x90, 0xf4]);
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    guest.vcpu.inject_nmi();
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    assert_eq!(guest.vcpu.state().rip, CODE + 3);
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    assert_eq!(guest.vcpu.state().rip, HANDLER);
    assert_eq!(run_to_halt(&mut guest).gpr[Register::R15], 1);
}

#[test]
fn an_event_is_delivered_in_the_mode_that_was_just_set() {
    // The vCPU comes from real mode, in which the descriptor table would be elsewhere.
    let mut guest = Guest::long_mode();
    handle(&mut guest, &[2], &COUNT);
    let idt = guest.bytes(IDT, 0x30);
    guest.ram.write(PAGES, &idt);
    guest.map_to(PAGES + 0x1000, PAGES, 7);
    guest.state.idtr.base = PAGES + 0x1000;
    guest.ram.write(PAGES + 0x1000, &[0; 0x30]);
    load(&mut guest, &[0xf4]);
    guest.vcpu.inject_nmi();
    assert_eq!(run_to_halt(&mut guest).gpr[Register::R15], 1);
}

#[test]
fn what_was_derived_from_page_tables_is_forgotten_with_the_code() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, PAGES);
    guest.ram.write(PAGES, &[1]);
    guest.ram.write(PAGES + 0x1000, &[2]);
    // mov al, [rdi]; mov al, [rdi]
    load(&mut guest, &[0x8a, 0x07, 0x8a, 0x07]);
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    guest.map_to(PAGES, PAGES + 0x1000, WRITABLE);
    guest.vcpu.forget_code();
    assert_eq!(guest.vcpu.step(), Exit::Budget);
    assert_eq!(guest.vcpu.state().gpr[Register::Rax], 2);
}

#[test]
fn a_local_apic_that_is_replaced_keeps_the_mode_of_the_state() {
    const X2APIC: u64 = 3 << 10;
    let mut guest = Guest::long_mode();
    guest.state.msr.apic_base |= X2APIC;
    load(&mut guest, &[0xf4]);
    guest.vcpu.set_local_apic(&LocalApic::new(0));
    assert_eq!(guest.vcpu.apic().mode(), Mode::X2Apic);
}

#[test]
fn an_interrupt_ends_a_halt() {
    let mut guest = Guest::long_mode();
    handle(&mut guest, &[0x40], &COUNT);
    guest.state.rflags |= RFlags::INTERRUPT_FLAG;
    // hlt; hlt
    load(&mut guest, &[0xf4, 0xf4]);
    assert_eq!(guest.vcpu.run(100), Exit::Halted);
    assert_eq!(guest.vcpu.run(100), Exit::Halted, "still");
    assert!(guest.vcpu.interruptible());
    guest.vcpu.inject(0x40);
    let state = run_to_halt(&mut guest);
    assert_eq!((state.rip, state.gpr[Register::R15]), (CODE + 2, 1));
}

#[test]
fn single_step_traps_after_each_instruction_and_iteration() {
    let mut guest = Guest::long_mode();
    handle(&mut guest, &[1], &COUNT);
    guest.state.rflags |= RFlags::TRAP_FLAG;
    guest.set(Register::Rcx, 3);
    guest.set(Register::Rdi, DATA);
    // nop; rep stosb; jmp +0; cmp eax, 0; jne +0; nop
    let code = [0x90, 0xf3, 0xaa, 0xeb, 0, 0x83, 0xf8, 0, 0x75, 0, 0x90, 0xf4];
    load(&mut guest, &code);
    let end = CODE + code.len() as u64 - 1;
    let mut kicks = 0;
    while guest.vcpu.state().rip != end || guest.vcpu.state().pending.debug.is_some() {
        // A kick between an instruction and its trap does not take the trap away.
        guest.vcpu.kick_handle().kick();
        kicks += u64::from(guest.vcpu.step() == Exit::Kicked);
        guest.vcpu.step();
    }
    assert_eq!(guest.vcpu.state().gpr[Register::R15], 8);
    assert!(kicks > 8);
}

/// A debugger's step onto a pending interrupt ends in front of the handler's first instruction.
#[test]
fn a_step_with_a_pending_interrupt_is_its_delivery() {
    let inject: [fn(&mut Guest); 2] =
        [|guest| guest.vcpu.inject(0x40), |guest| guest.vcpu.inject_nmi()];
    for (trap, inject) in [(false, inject[0]), (false, inject[1]), (true, inject[0])] {
        let mut guest = Guest::long_mode();
        handle(&mut guest, &[1, 2, 0x40], &COUNT);
        guest.state.rflags |= RFlags::INTERRUPT_FLAG;
        guest.state.rflags.set(RFlags::TRAP_FLAG, trap);
        load(&mut guest, &[0x90, 0x90, 0xf4]);
        inject(&mut guest);
        let step = |guest: &mut Guest| {
            assert_eq!(guest.vcpu.step(), Exit::Budget);
            let state = guest.vcpu.state();
            (state.rip, state.gpr[Register::R15])
        };
        assert_eq!(step(&mut guest), (HANDLER, 0), "nothing of the handler is executed");
        let flags = guest.vcpu.state().rflags;
        assert!(!flags.intersects(RFlags::INTERRUPT_FLAG | RFlags::TRAP_FLAG), "{flags:?}");
        assert_eq!(step(&mut guest), (HANDLER + 3, 1));
        assert_eq!(step(&mut guest), (CODE, 1), "back at what it has interrupted");
        assert_eq!(step(&mut guest), (CODE + 1, 1));
        if trap {
            assert_eq!(step(&mut guest).0, HANDLER, "the trap behind the instruction");
        }
    }
}

#[test]
fn a_software_interrupt_before_takes_no_trap_away() {
    let mut guest = Guest::long_mode();
    handle(&mut guest, &[1, 3], &COUNT);
    // int3; pushf; or byte [rsp + 1], 1; popf; nop
    let code = [0xcc, 0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d, 0x90, 0xf4];
    load(&mut guest, &code);
    let end = CODE + code.len() as u64 - 1;
    while guest.vcpu.state().rip != end || guest.vcpu.state().pending.debug.is_some() {
        guest.vcpu.run(1);
    }
    assert_eq!(guest.vcpu.state().gpr[Register::R15], 2);
}

#[test]
fn an_instruction_breakpoint_hits_once() {
    let mut guest = Guest::long_mode();
    // or dword [rsp + 16], 0x10000: RF, which only the handler sets; then as the others do
    let pass = [0x81, 0x4c, 0x24, 0x10, 0, 0, 1, 0];
    handle(&mut guest, &[1], &[&pass[..], &COUNT].concat());
    guest.state.debug.address[0] = CODE + 1;
    guest.state.debug.dr7 = 0x401;
    load(&mut guest, &[0x90, 0x90, 0x90, 0xf4]);
    assert_eq!(run_to_halt(&mut guest).gpr[Register::R15], 1);
}

#[test]
fn a_linear_page_holds_what_it_is_mapped_to() {
    // invlpg [rsi], and mov cr3, rcx
    for flush in [[0x0f, 0x01, 0x3e], [0x0f, 0x22, 0xd9]] {
        let mut guest = Guest::long_mode();
        // mov eax, 1 or 2; jmp +0; ret
        for (page, value) in [(PAGES, 1), (PAGES + 0x1000, 2)] {
            guest.ram.write(page, &[0xb8, value, 0, 0, 0, 0xeb, 0, 0xc3]);
        }
        guest.set(Register::Rsi, PAGES);
        guest.set(Register::Rdx, PAGE_TABLE);
        guest.set(Register::R8, (PAGES + 0x1000) | 7);
        guest.set(Register::Rcx, 0x1000);
        // call rsi; mov ebx, eax; mov [rdx], r8; flush; call rsi
        let code = [&[0xff, 0xd6, 0x89, 0xc3, 0x4c, 0x89, 0x02], &flush[..], &[0xff, 0xd6]];
        assert_eq!(guest.run(&code.concat()), End::Done);
        assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rax)), (1, 2));
    }
}

#[test]
fn an_instruction_in_two_pages_follows_the_second_one() {
    let mut guest = Guest::long_mode();
    // At the end of a page: jmp +0; mov eax, imm32, whose upper bytes are in the next; ret
    guest.ram.write(PAGES + 0xffb, &[0xeb, 0, 0xb8, 1, 0]);
    guest.ram.write(PAGES + 0x1000, &[2, 0, 0xc3]);
    guest.ram.write(PAGES + 0x2000, &[3, 0, 0xc3]);
    guest.set(Register::Rsi, PAGES + 0xffb);
    guest.set(Register::Rdi, PAGES + 0x1000);
    guest.set(Register::Rdx, PAGE_TABLE + 8);
    guest.set(Register::R8, (PAGES + 0x2000) | 7);
    // call rsi; call rsi; mov ebx, eax; mov [rdx], r8; invlpg [rdi]; call rsi
    let code = [0xff, 0xd6, 0xff, 0xd6, 0x89, 0xc3, 0x4c, 0x89, 0x02, 0x0f, 0x01, 0x3f, 0xff, 0xd6];
    assert_eq!(guest.run(&code), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rax)), (0x2_0001, 0x3_0001));
}

#[test]
fn an_instruction_in_two_pages_faults_where_the_second_is_missing() {
    let mut guest = Guest::long_mode();
    guest.ram.write(PAGES + 0xffd, &[0xb8, 1, 0]);
    guest.ram.write(PAGE_TABLE + 8, &0_u64.to_le_bytes());
    guest.state.rip = PAGES + 0xffd;
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), Exit::TripleFault);
    let exception = first_exception(&guest);
    assert_eq!((exception.vector, exception.payload), (Vector::PageFault, PAGES + 0x1000));
    assert_eq!(guest.vcpu.state().rip, PAGES + 0xffd);
}

#[test]
fn a_write_through_an_alias_reaches_the_code() {
    let mut guest = Guest::long_mode();
    guest.ram.write(PAGE_TABLE + 8, &(PAGES | 7).to_le_bytes());
    // mov eax, 1; ret
    guest.ram.write(PAGES, &[0xb8, 1, 0, 0, 0, 0xc3]);
    guest.set(Register::Rsi, PAGES);
    guest.set(Register::Rdi, PAGES + 0x1001);
    // inc dword [rdi] (which fills the TLB); call rsi; mov ebx, eax; inc dword [rdi]; call rsi
    let code = [0xff, 0x07, 0xff, 0xd6, 0x89, 0xc3, 0xff, 0x07, 0xff, 0xd6];
    assert_eq!(guest.run(&code), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rax)), (2, 3));
}

#[test]
fn what_the_host_has_written_is_executed() {
    let mut guest = Guest::long_mode();
    for value in [1, 2] {
        // mov eax, value; hlt
        load(&mut guest, &[0xb8, value, 0, 0, 0, 0xf4]);
        assert_eq!(run_to_halt(&mut guest).gpr[Register::Rax], u64::from(value));
    }
}

#[test]
fn a_jump_of_supervisor_mode_is_not_remembered_for_user_mode() {
    let mut guest = Guest::long_mode();
    // A supervisor page with `ret`; user code: jmp rax.
    guest.ram.write(PAGES, &[0xc3]);
    guest.ram.write(PAGE_TABLE, &(PAGES | 3).to_le_bytes());
    guest.ram.write(PAGES + 0x1000, &[0xff, 0xe0]);
    guest.set(Register::Rax, PAGES);
    guest.set(Register::Rcx, PAGES + 0x1000);
    guest.state.msr.star = 0x0013_0008_0000_0000;
    // call rax; call rax; sysretq
    load(&mut guest, &[0xff, 0xd0, 0xff, 0xd0, 0x48, 0x0f, 0x07]);
    assert_eq!(guest.vcpu.run(100), Exit::TripleFault);
    let exception = first_exception(&guest);
    assert_eq!((exception.vector, exception.payload), (Vector::PageFault, PAGES));
}

#[test]
fn a_jump_is_not_remembered_for_another_code_segment() {
    let mut guest = Guest::real_mode();
    // mov ax, 0x100; jmp ax
    let jump = [0xb8, 0, 1, 0xff, 0xe0];
    guest.ram.write(CODE, &jump);
    // inc bx; jmp 0x1100:0
    guest.ram.write(CODE + 0x100, &[0x43, 0xea, 0, 0, 0x00, 0x11]);
    guest.ram.write(CODE + 0x1000, &jump);
    // inc cx; hlt
    guest.ram.write(CODE + 0x1100, &[0x41, 0xf4]);
    guest.vcpu.set_state(&guest.state);
    let state = run_to_halt(&mut guest);
    assert_eq!((state.gpr[Register::Rbx], state.gpr[Register::Rcx]), (1, 1));
}

#[test]
fn a_jump_is_not_remembered_for_another_mode() {
    let mut guest = Guest::long_mode();
    // xorps xmm0, xmm0; ret
    guest.ram.write(PAGES, &[0x0f, 0x57, 0xc0, 0xc3]);
    guest.set(Register::Rsi, PAGES);
    guest.set(Register::Rax, (guest.state.control.cr0 | Cr0Flags::TASK_SWITCHED).bits());
    // call rsi; mov cr0, rax; call rsi
    let end = guest.run(&[0xff, 0xd6, 0x0f, 0x22, 0xc0, 0xff, 0xd6]);
    let End::Fault(exception) = end else { panic!("{end:?}") };
    assert_eq!((exception.vector, guest.state.rip), (Vector::DeviceNotAvailable, PAGES));
}

#[test]
fn a_full_cache_starts_anew() {
    // Two MiB of `add eax, ecx`: more ops than fit, three times.
    const BYTES: usize = 2 << 20;
    let mut guest = Guest::long_mode();
    guest.ram.write(DATA, &[0x01, 0xc8].repeat(BYTES / 2));
    // dec rdx; jnz to the start; hlt
    let back = DATA.wrapping_sub(PAGES + 9) as u32;
    guest.ram.write(PAGES, &[0x48, 0xff, 0xca, 0x0f, 0x85]);
    guest.ram.write(PAGES + 5, &back.to_le_bytes());
    guest.ram.write(PAGES + 9, &[0xf4]);
    guest.set(Register::Rcx, 1);
    guest.set(Register::Rdx, 3);
    guest.state.rip = DATA;
    guest.vcpu.set_state(&guest.state);
    assert_eq!(run_to_halt(&mut guest).gpr[Register::Rax], 3 * BYTES as u64 / 2);
}

#[test]
fn code_ends_at_its_segments_limit() {
    let mut guest = Guest::protected();
    // inc eax; mov eax, 7; hlt, and the limit within the second
    guest.state.segments[SegmentRegister::Cs].limit = CODE as u32 + 2;
    load(&mut guest, &[0x40, 0xb8, 7, 0, 0, 0, 0xf4]);
    assert_eq!(guest.vcpu.run(10), Exit::TripleFault);
    assert_eq!(guest.vcpu.state().rip, CODE + 1);
    assert_eq!(guest.vcpu.state().gpr[Register::Rax], 1);
    guest.state.segments[SegmentRegister::Cs].limit = CODE as u32 + 6;
    guest.vcpu.set_state(&guest.state);
    assert_eq!(run_to_halt(&mut guest).gpr[Register::Rax], 7);
}

#[test]
fn real_mode_code_does_not_wrap() {
    let mut guest = Guest::real_mode();
    guest.state.rip = 0xffff;
    // inc ax, and at offset 0 hlt
    guest.ram.write(CODE + 0xffff, &[0x40]);
    guest.ram.write(CODE, &[0xf4]);
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), Exit::TripleFault);
    assert_eq!(first_exception(&guest).vector, Vector::GeneralProtection);
}

#[test]
fn a_misaligned_store_of_user_mode_faults_at_itself() {
    let mut guest = Guest::user_mode();
    guest.state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
    guest.state.rflags |= RFlags::ALIGNMENT_CHECK;
    guest.set(Register::Rsi, DATA + 1);
    // nop; mov [rsi], eax; nop
    let end = guest.run(&[0x90, 0x89, 0x06, 0x90]);
    let End::Fault(exception) = end else { panic!("{end:?}") };
    assert_eq!((exception.vector, guest.state.rip), (Vector::AlignmentCheck, CODE + 1));
}

/// Opcodes of what compilers write, of what the caches must see, of vectors, states and tasks, in hexadecimal.
const OPCODES: &str = "01 03 11 19 21 29 2b 31 38 39 3b 3c 4801 4829 4839 4889 488b 488d 50 53 58 \
    5b 6601 6639 69 6b 70 72 74 75 76 78 7c 7f 80 81 83 84 85 86 87 88 89 8a 8b 8d 8f 90 98 99 9c 9d a4 a5 \
    aa ab ac ae b0 b8 c0 c1 c3 c6 c7 c9 cc d0 d1 d3 e0 e1 e2 e3 e4 e6 e8 eb ec ef f001 f00fb1 f3a4 \
    f3aa f2ae f5 f6 f7 f9 fb fc fd fe ff 0f10 0f11 0f28 0f31 0f42 0f44 0f4c 0f58 0f84 0f85 0f92 \
    0f94 0f9f 0fa2 0fa3 0faf 0fb0 0fb6 0fba 0fbe 0fc1 0fc8 660fef 0f6e 0f77 0f7f 0fd4 660f3800 \
    660f3a0f 660f38dc f20f38f1 c5f877 c5fc10 c5fd7f c5fdfe c5ec58 c4e27d18 c4e26d90 c4e26d8e \
    c4e2edb8 c4e37d39 c4e3fbf0 c4e2f8f2 0fae26 0fae2e 0fc726 0fc71e 0f01d0 31c90f01ee \
    31c931d20f01ef f3480faed0 cd50 cd58 0f34 0f35 0f05 48cf cf 9d f0480fc1 f0480fc70e f00fba \
    f011 d9fa dd02 dbe3";

/// An opcode and what follows it: anything.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let opcodes: Vec<&str> = OPCODES.split_whitespace().collect();
    let rest = prop::collection::vec(prop_oneof![any::<u8>(), 0..16_u8, 0xc0..=0xff_u8], 0..3);
    (prop::sample::select(opcodes), rest).prop_map(|(opcode, rest)| {
        let digits = (0..opcode.len()).step_by(2).map(|at| &opcode[at..at + 2]);
        let opcode = digits.map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"));
        opcode.chain(rest).collect()
    })
}

/// Fuzzing a mode is not fuzzing its handlers of faults alone.
#[test]
fn random_machines_execute_in_the_mode_that_they_start_in() {
    // In their order; the first six are those of IA-32e mode.
    let widths = [64, 64, 32, 32, 16, 16, 32, 32, 32, 16, 16, 16];
    for (index, (mode, bits)) in random::Mode::ALL.into_iter().zip(widths).enumerate() {
        let (state, _) = random::start(mode, random::Source::new(&[]));
        let mut machine = random::Machine::with(&state, &[0x90; 64]);
        assert_eq!(machine.run(16), random::Stop::Budget);
        assert!(machine.vcpu.retired() >= 16, "{mode:?}");
        assert_eq!(machine.vcpu.fault_log().iter().count(), 0, "{mode:?}");
        let state = machine.vcpu.state();
        assert_eq!((state.long_mode(), state.bitness()), (index < 6, bits), "{mode:?}");
    }
}

proptest! {
    // The same machines each time; `cargo xtask fuzz dispatch` looks for others.
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6d6f_6e6f),
        ..ProptestConfig::default()
    })]

    /// Chaining, lazy flags, fused pairs and the caches against one instruction at a time.
    #[test]
    fn runs_and_steps_agree(
        head in prop::collection::vec(any::<u8>(), 60..90),
        code in prop::collection::vec(instruction(), 1..120),
    ) {
        random::run_and_steps_agree(&[head, code.concat()].concat());
    }
}
