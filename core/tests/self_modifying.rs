//! Code that writes code: what was written is executed, from the next instruction on.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES};
use monovisor_core::Exit;
use monovisor_core::state::Register;

/// Runs `code` with RDI at `target`, and gives RAX.
fn run(code: &[u8], target: u64) -> u64 {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, target);
    assert_eq!(guest.run(code), End::Done);
    guest.get(Register::Rax)
}

#[test]
fn the_next_instruction() {
    // mov byte [rdi], 7; mov eax, 1
    assert_eq!(run(&[0xc6, 0x07, 7, 0xb8, 1, 0, 0, 0], CODE + 4), 7);
}

#[test]
fn a_later_instruction_of_the_block() {
    // mov byte [rdi], 7; nop; nop; mov eax, 1
    assert_eq!(run(&[0xc6, 0x07, 7, 0x90, 0x90, 0xb8, 1, 0, 0, 0], CODE + 6), 7);
}

#[test]
fn a_nop_that_follows() {
    // mov byte [rdi], 0x99; nop (which becomes cdq); mov eax, 1
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, CODE + 3);
    guest.set(Register::Rax, 1 << 31);
    assert_eq!(guest.run(&[0xc6, 0x07, 0x99, 0x90, 0xb8, 1, 0, 0, 0]), End::Done);
    assert_eq!(guest.get(Register::Rdx), 0xffff_ffff);
}

#[test]
fn a_fence_or_hint_that_follows() {
    // sfence; lfence; prefetcht0 [rax]
    for hint in [[0x0f, 0xae, 0xf8], [0x0f, 0xae, 0xe8], [0x0f, 0x18, 0x08]] {
        // mov dword [rdi], 0x90909099; the hint and a nop, which become cdq and nops; mov eax, 1
        let store = [0xc7, 0x07, 0x99, 0x90, 0x90, 0x90];
        let code = [&store[..], &hint, &[0x90, 0xb8, 1, 0, 0, 0]].concat();
        let mut guest = Guest::long_mode();
        guest.set(Register::Rdi, CODE + 6);
        guest.set(Register::Rax, 1 << 31);
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.get(Register::Rdx), 0xffff_ffff, "{hint:x?}");
    }
}

#[test]
fn an_earlier_instruction_of_the_block() {
    // add eax, 1; inc byte [rdi]; cmp eax, 10; jb back: 1 + 2 + 3 + 4
    assert_eq!(run(&[0x83, 0xc0, 1, 0xfe, 0x07, 0x83, 0xf8, 10, 0x72, 0xf6], CODE + 2), 10);
}

#[test]
fn the_instruction_itself() {
    // inc byte [rdi], which makes its own displacement another; executed once, it is done.
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, CODE + 2 - 0x10);
    assert_eq!(guest.run(&[0xfe, 0x47, 0x10]), End::Done);
    assert_eq!(guest.bytes(CODE, 3), [0xfe, 0x47, 0x11]);
}

#[test]
fn a_string_over_what_follows() {
    // mov al, 0x90; mov ecx, 5; rep stosb; mov eax, 1 (which becomes nops)
    let code = [0xb0, 0x90, 0xb9, 5, 0, 0, 0, 0xf3, 0xaa, 0xb8, 1, 0, 0, 0];
    assert_eq!(run(&code, CODE + 9), 0x90);
}

#[test]
fn a_string_over_code_counts_as_one_wherever_it_is_cut() {
    // jmp +0, again and again; rep stosb over all of them but the first, from behind them
    let code = [[0xeb, 0].repeat(200), vec![0xf3, 0xaa]].concat();
    let counts = [false, true].map(|steps| {
        let mut guest = Guest::long_mode();
        guest.ram.write(CODE, &[&code[..], &[0xf4]].concat());
        guest.set(Register::Rax, 0x90);
        guest.set(Register::Rcx, 40_000);
        guest.set(Register::Rdi, CODE - 39_600);
        guest.vcpu.set_state(&guest.state);
        while match steps {
            true => guest.vcpu.step(),
            false => guest.vcpu.run(1 << 20),
        } == Exit::Budget
        {}
        (guest.vcpu.state().rip, guest.vcpu.retired())
    });
    assert_eq!(counts[0], counts[1]);
    // Each time that so many elements are left that interrupts are looked at, it counts once more.
    assert_eq!(counts[0].1, 200 + 1 + 40_000 / 16_384 + 1);
}

#[test]
fn a_string_over_itself() {
    // rep stosb with AL = 0x90, from its own first byte on: iterations in progress go on.
    let mut guest = Guest::long_mode();
    guest.set(Register::Rax, 0x90);
    guest.set(Register::Rcx, 4);
    guest.set(Register::Rdi, CODE);
    assert_eq!(guest.run(&[0xf3, 0xaa, 0xff, 0xc0]), End::Done);
    assert_eq!(guest.bytes(CODE, 4)[0], 0x90);
}

#[test]
fn a_store_that_crosses_two_pages_of_code() {
    let mut guest = Guest::long_mode();
    let end = PAGES + 0x1000;
    // mov al, 1 at the end of a page; mov ah, 1; ret at the start of the next
    guest.ram.write(end - 2, &[0xb0, 1, 0xb4, 1, 0xc3]);
    guest.set(Register::Rsi, end - 2);
    guest.set(Register::Rdi, end - 1);
    guest.set(Register::Rdx, u64::from(u32::from_le_bytes([3, 0xb4, 5, 0xc3])));
    // call rsi; mov ebx, eax; mov [rdi], edx; call rsi
    assert_eq!(guest.run(&[0xff, 0xd6, 0x89, 0xc3, 0x89, 0x17, 0xff, 0xd6]), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rax)), (0x101, 0x503));
}

#[test]
fn strings_over_two_pages_of_code() {
    let mut guest = Guest::long_mode();
    let end = PAGES + 0x1000;
    guest.ram.write(end - 2, &[0xb0, 1, 0xb4, 1, 0xc3]);
    guest.ram.write(DATA, &[0xb0, 3, 0xb4, 5, 0xc3]);
    guest.set(Register::R8, end - 2);
    guest.set(Register::Rsi, DATA);
    guest.set(Register::Rdi, end - 2);
    guest.set(Register::Rcx, 5);
    // call r8; mov ebx, eax; rep movsb; call r8
    assert_eq!(guest.run(&[0x41, 0xff, 0xd0, 0x89, 0xc3, 0xf3, 0xa4, 0x41, 0xff, 0xd0]), End::Done);
    assert_eq!((guest.get(Register::Rbx), guest.get(Register::Rax)), (0x101, 0x503));
}

#[test]
fn data_beside_code() {
    // 1000 times: inc dword [rdi], in the same chunk, then in the same page.
    for distance in [0x20, 0x800] {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rdi, CODE + distance);
        guest.set(Register::Rcx, 1000);
        // inc dword [rdi]; dec ecx; jnz back
        assert_eq!(guest.run(&[0xff, 0x07, 0xff, 0xc9, 0x75, 0xfa]), End::Done);
        assert_eq!(guest.bytes(CODE + distance, 4), 1000_u32.to_le_bytes());
    }
}

#[test]
fn bytes_that_were_no_instruction() {
    // The first byte of 0f ff (#UD) is the last of a chunk; the second becomes another.
    let mut guest = Guest::long_mode();
    let code = CODE + 0x103f;
    guest.ram.write(code, &[0x0f, 0xff, 0xc3]);
    guest.state.rip = code;
    guest.vcpu.set_state(&guest.state);
    assert_eq!(guest.vcpu.run(10), monovisor_core::Exit::TripleFault);
    // mov byte [rdi], 0xa2; call rsi: CPUID now
    guest.state.rip = CODE;
    guest.set(Register::Rdi, code + 1);
    guest.set(Register::Rsi, code);
    assert_eq!(guest.run(&[0xc6, 0x07, 0xa2, 0xff, 0xd6]), End::Done);
}

#[test]
fn a_store_where_blocks_link_to_each_other() {
    // Two blocks that jump to each other; the second counts, and the first is rewritten to leave.
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, CODE + 1);
    // a: jmp b; b: inc eax; cmp eax, 100; jne a; mov byte [rdi], end - a; jmp a; end:
    let code = [0xeb, 0, 0xff, 0xc0, 0x83, 0xf8, 100, 0x75, 0xf7, 0xc6, 0x07, 12, 0xeb, 0xf2];
    assert_eq!(guest.run(&code), End::Done);
    assert_eq!(guest.get(Register::Rax), 100);
}
