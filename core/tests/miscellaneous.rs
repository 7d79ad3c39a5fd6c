//! NOP, CPUID, XLAT, RDRAND, BOUND, ENTER, PUSHA and POPA.

mod common;

use common::guest::{CODE, DATA, End, Guest, STACK};
use monovisor_core::state::{Exception, RFlags, Register, Vector};

#[test]
fn all_forms_of_nop_do_nothing() {
    let nops: [&[u8]; 9] = [
        &[0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0],
        // endbr64, endbr32
        &[0xf3, 0x0f, 0x1e, 0xfa],
        &[0xf3, 0x0f, 0x1e, 0xfb],
        // rdsspq without shadow stacks; cldemote
        &[0xf3, 0x48, 0x0f, 0x1e, 0xc8],
        &[0x0f, 0x1c, 0x00],
        // prefetchw; a reserved NOP
        &[0x0f, 0x0d, 0x08],
        &[0x0f, 0x19, 0xc0],
    ];
    for code in nops {
        let mut guest = Guest::long_mode();
        // An address that nothing is at.
        guest.set(Register::Rax, 1 << 60);
        let before = guest.state.gpr;
        assert_eq!(guest.run(code), End::Done, "{code:02x?}");
        assert_eq!(guest.state.gpr, before);
    }
}

#[test]
fn cpuid_clears_upper_halves() {
    let mut guest = Guest::long_mode();
    for register in [Register::Rax, Register::Rbx, Register::Rcx, Register::Rdx] {
        guest.set(register, 0xffff_ffff_0000_0000);
    }
    assert_eq!(guest.run(&[0x0f, 0xa2]), End::Done);
    let [eax, ebx, ecx, edx] =
        monovisor_core::cpuid::cpuid(&Default::default(), &guest.state, 0, 0, 0);
    let registers = [Register::Rax, Register::Rbx, Register::Rcx, Register::Rdx];
    assert_eq!(registers.map(|name| guest.get(name)), [eax, ebx, ecx, edx].map(u64::from));
}

#[test]
fn xlat_indexes_with_al_alone() {
    let mut guest = Guest::long_mode();
    guest.ram.write(DATA + 0x42, &[0x99]);
    guest.set(Register::Rbx, DATA);
    guest.set(Register::Rax, 0xabcd_ef42);
    assert_eq!(guest.run(&[0xd7]), End::Done);
    assert_eq!(guest.get(Register::Rax), 0xabcd_ef99);
}

#[test]
fn random_numbers_differ_and_repeat_with_the_machine() {
    let draw = || {
        let mut guest = Guest::long_mode();
        guest.state.rflags |= RFlags::ZERO_FLAG | RFlags::OVERFLOW_FLAG;
        guest.set(Register::Rdx, 0);
        // rdrand rax; rdseed rcx; rdrand dx
        let code = [0x48, 0x0f, 0xc7, 0xf0, 0x48, 0x0f, 0xc7, 0xf9, 0x66, 0x0f, 0xc7, 0xf2];
        assert_eq!(guest.run(&code), End::Done);
        assert_eq!(guest.state.rflags, RFlags::CARRY_FLAG | RFlags::from_bits_retain(2));
        assert!(guest.get(Register::Rdx) < 0x1_0000);
        (guest.get(Register::Rax), guest.get(Register::Rcx))
    };
    let (first, second) = draw();
    assert_ne!(first, second);
    assert_eq!(draw(), (first, second), "a new machine draws the same");
}

#[test]
fn bound_compares_signed() {
    let mut guest = Guest::compatibility();
    guest.ram.write(DATA, &[(-5_i32).to_le_bytes(), 9_i32.to_le_bytes()].concat());
    guest.set(Register::Rax, DATA);
    for (index, inside) in [(-5_i32, true), (9, true), (0, true), (-6, false), (10, false)] {
        guest.state.rip = CODE;
        guest.set(Register::Rcx, u64::from(index as u32));
        let end = guest.run(&[0x62, 0x08]);
        let out = End::Fault(Exception::plain(Vector::BoundRange));
        assert_eq!(end, if inside { End::Done } else { out }, "{index}");
    }
}

#[test]
fn enter_copies_frame_pointers() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rbp, DATA + 0x100);
    guest.ram.write(DATA + 0xf0, &[0x1111_u64.to_le_bytes(), 0x2222_u64.to_le_bytes()].concat());
    // enter 0x20, 3
    assert_eq!(guest.run(&[0xc8, 0x20, 0, 3]), End::Done);
    let words: Vec<u64> = guest
        .bytes(STACK - 32, 32)
        .chunks(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        .collect();
    assert_eq!(words, [STACK - 8, 0x1111, 0x2222, DATA + 0x100]);
    assert_eq!(guest.get(Register::Rbp), STACK - 8);
    assert_eq!(guest.get(Register::Rsp), STACK - 32 - 0x20);
}

#[test]
fn push_all_and_pop_all() {
    let mut guest = Guest::compatibility();
    for (index, register) in Register::ALL.into_iter().take(8).enumerate() {
        if register != Register::Rsp {
            guest.set(register, index as u64 + 0x100);
        }
    }
    // pushad; xor eax, eax; mov edi, eax; popad
    let before = guest.state.gpr;
    assert_eq!(guest.run(&[0x60, 0x31, 0xc0, 0x89, 0xc7, 0x61]), End::Done);
    assert_eq!(guest.state.gpr, before);
    assert_eq!(guest.bytes(STACK - 20, 4), (STACK as u32).to_le_bytes());
    assert_eq!(Guest::long_mode().run(&[0x60]), End::Fault(Exception::UD));
}

/// 0F 18 to 0F 1F are hints or reserved for them: NOPs with any prefix and operand, which is not accessed. Those
/// of CET, MPX and their like are, too, on a processor that has not got them.
#[test]
fn the_reserved_nops() {
    let mut guest = Guest::long_mode();
    // Nothing is mapped where the operands are.
    for register in Register::ALL.into_iter().filter(|register| *register != Register::Rsp) {
        guest.set(register, 1 << 40);
    }
    let before = guest.state.clone();
    for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2], &[0x48], &[0xf3, 0x48]] {
        for opcode in 0x18..=0x1f {
            // Without those that have further bytes: an index, or a displacement alone.
            for modrm in (0..0x40).chain(0xc0..=0xff).filter(|modrm| !matches!(modrm & 0xc7, 4 | 5))
            {
                let code = [prefix, &[0x0f, opcode, modrm]].concat();
                guest.state = before.clone();
                assert_eq!(guest.run(&code), End::Done, "{code:x?}");
                assert_eq!(guest.state.gpr, before.gpr, "{code:x?}");
            }
            let locked = [&[0xf0], prefix, &[0x0f, opcode, 0]].concat();
            guest.state = before.clone();
            assert_eq!(guest.run(&locked), End::Fault(Exception::UD), "{locked:x?}");
        }
    }
}
