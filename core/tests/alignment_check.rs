//! Alignment checking: at privilege level 3 with CR0.AM and EFLAGS.AC, of each kind of access to the
//! multiple that the manual's table says, and not of the processor's own accesses (SDM, "Alignment Check
//! Exception").

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, STACK};
use monovisor_core::Exit;
use monovisor_core::state::{Cr0Flags, RFlags, Register, SegmentRegister, Vector};

const GDT: u64 = 0x6000;
/// The multiple of what may lie anywhere.
const NEVER: u64 = 1;

fn checked(mut guest: Guest) -> Guest {
    guest.state.control.cr0 |= Cr0Flags::ALIGNMENT_MASK;
    guest.state.rflags |= RFlags::ALIGNMENT_CHECK;
    guest
}

fn raised(end: End) -> Option<Vector> {
    match end {
        End::Done => None,
        End::Fault(fault) => Some(fault.vector),
        End::Exit(exit) => panic!("{exit:?}"),
    }
}

/// Runs code with RBX, RSI, RDI (and RSP if `stack`) at each offset, and finds what raises #AC.
fn check(guest: &mut Guest, code: &[u8], alignment: u64, stack: bool) {
    let start = guest.state.clone();
    for offset in 0..17 {
        guest.state.clone_from(&start);
        for register in [Register::Rbx, Register::Rsi, Register::Rdi] {
            guest.set(register, DATA + 0x100 + offset);
        }
        if stack {
            guest.set(Register::Rsp, STACK - 0x100 + offset);
        }
        let expected = (offset % alignment != 0).then_some(Vector::AlignmentCheck);
        let end = guest.run(code);
        assert_eq!(raised(end), expected, "{code:02x?} at {offset}");
    }
    guest.state = start;
}

#[test]
fn each_access_by_its_kind() {
    let cases: [(&[u8], u64); 34] = [
        (&[0x8a, 0x03], NEVER),         // mov al, [rbx]
        (&[0x66, 0x8b, 0x03], 2),       // mov ax, [rbx]
        (&[0x8b, 0x03], 4),             // mov eax, [rbx]
        (&[0x48, 0x8b, 0x03], 8),       // mov rax, [rbx]
        (&[0x48, 0x89, 0x03], 8),       // mov [rbx], rax
        (&[0x66, 0x01, 0x03], 2),       // add [rbx], ax
        (&[0xf0, 0x01, 0x03], 4),       // lock add [rbx], eax
        (&[0x48, 0x87, 0x03], 8),       // xchg [rbx], rax
        (&[0x48, 0x0f, 0xb1, 0x03], 8), // cmpxchg [rbx], rax
        (&[0x0f, 0xc7, 0x0b], 8),       // cmpxchg8b [rbx]
        (&[0x0f, 0xa3, 0x03], 4),       // bt [rbx], eax
        (&[0x0f, 0xba, 0x23, 0x05], 4), // bt dword [rbx], 5
        (&[0x0f, 0xb6, 0x03], NEVER),   // movzx eax, byte [rbx]
        (&[0x0f, 0xb7, 0x03], 2),       // movzx eax, word [rbx]
        (&[0x0f, 0x38, 0xf0, 0x03], 4), // movbe eax, [rbx]
        (&[0x8d, 0x03], NEVER),         // lea eax, [rbx]
        (&[0x0f, 0x18, 0x0b], NEVER),   // prefetcht0 [rbx]
        (&[0x0f, 0xae, 0x3b], NEVER),   // clflush [rbx]
        (&[0x0f, 0x1f, 0x03], NEVER),   // nop dword [rbx]
        (&[0xd7], NEVER),               // xlatb
        (&[0xa4], NEVER),               // movsb
        (&[0x66, 0xa5], 2),             // movsw
        (&[0xa5], 4),                   // movsd
        (&[0x48, 0xab], 8),             // stosq
        (&[0x48, 0xa7], 8),             // cmpsq
        (&[0xd9, 0x03], 4),             // fld dword [rbx]
        (&[0xdd, 0x03], 8),             // fld qword [rbx]
        (&[0xdf, 0x03], 2),             // fild word [rbx]
        (&[0xdb, 0x2b], 8),             // fld tword [rbx]
        (&[0xd9, 0x3b], 2),             // fnstcw [rbx]
        (&[0xf3, 0x0f, 0x10, 0x03], 4), // movss xmm0, [rbx]
        (&[0xf2, 0x0f, 0x10, 0x03], 8), // movsd xmm0, [rbx]
        (&[0x0f, 0x6f, 0x03], 8),       // movq mm0, [rbx]
        (&[0x0f, 0xae, 0x1b], 4),       // stmxcsr [rbx]
    ];
    let mut guest = checked(Guest::user_mode());
    for (code, alignment) in cases {
        check(&mut guest, code, alignment, false);
    }
}

/// A repeated string instruction stops at the element that is not aligned.
#[test]
fn repeated_strings() {
    let mut guest = checked(Guest::user_mode());
    guest.set(Register::Rsi, DATA);
    guest.set(Register::Rdi, DATA + 0x102);
    guest.set(Register::Rcx, 4);
    assert_eq!(raised(guest.run(&[0xf3, 0x66, 0xa5])), None, "rep movsw");
    guest.state.rip = CODE;
    guest.set(Register::Rdi, DATA + 0x102);
    guest.set(Register::Rsi, DATA);
    guest.set(Register::Rcx, 4);
    assert_eq!(raised(guest.run(&[0xf3, 0xa5])), Some(Vector::AlignmentCheck), "rep movsd");
    assert_eq!((guest.get(Register::Rcx), guest.get(Register::Rsi)), (4, DATA));
}

#[test]
fn pushes_and_pops() {
    let cases: [(&[u8], u64); 9] = [
        (&[0x50], 8),                            // push rax
        (&[0x66, 0x50], 2),                      // push ax
        (&[0x58], 8),                            // pop rax
        (&[0x9c], 8),                            // pushfq
        (&[0x6a, 0x05], 8),                      // push 5
        (&[0xe8, 0, 0, 0, 0], 8),                // call
        (&[0xc8, 0x10, 0, 0], 8),                // enter 16, 0
        (&[0x0f, 0xa0], 8),                      // push fs
        (&[0xff, 0x34, 0x25, 0, 0, 0x20, 0], 8), // push [DATA]
    ];
    let mut guest = checked(Guest::user_mode());
    for (code, alignment) in cases {
        check(&mut guest, code, alignment, true);
    }
}

/// SSE's own rule for 16 bytes is #GP, which this checking does not change.
#[test]
fn sse_by_its_own_rule() {
    for code in [&[0x0f, 0x28, 0x03][..], &[0x0f, 0x58, 0x03], &[0x0f, 0x2b, 0x03]] {
        for offset in [0, 1, 4, 8, 15] {
            let mut guest = checked(Guest::user_mode());
            guest.set(Register::Rbx, DATA + offset);
            let expected = (offset != 0).then_some(Vector::GeneralProtection);
            assert_eq!(raised(guest.run(code)), expected, "{code:02x?} at {offset}");
        }
    }
}

#[test]
fn all_three_conditions_are_needed() {
    for number in 0..8 {
        let [level_3, mask, flag] = [1, 2, 4].map(|bit| number & bit != 0);
        let mut guest = if level_3 { Guest::user_mode() } else { Guest::long_mode() };
        guest.state.control.cr0.set(Cr0Flags::ALIGNMENT_MASK, mask);
        guest.state.rflags.set(RFlags::ALIGNMENT_CHECK, flag);
        guest.set(Register::Rbx, DATA + 1);
        let expected = (number == 7).then_some(Vector::AlignmentCheck);
        assert_eq!(raised(guest.run(&[0x8b, 0x03])), expected);
    }
    // Of the levels, 3 alone.
    for cpl in 0..4 {
        let mut guest = checked(Guest::protected());
        for register in SegmentRegister::ALL {
            let access = guest.state.segments[register].access;
            guest.state.segments[register].access = access.with_dpl(cpl);
        }
        guest.set(Register::Rbx, DATA + 1);
        // mov eax, [ebx]; then what stops at any level
        let end = guest.run(&[0x8b, 0x03, 0x0f, 0x0b]);
        let expected = if cpl == 3 { Vector::AlignmentCheck } else { Vector::InvalidOpcode };
        assert_eq!(raised(end), Some(expected), "at level {cpl}");
    }
}

/// #AC comes behind what makes the address no address at all, and has an error code of 0.
#[test]
fn order_and_error_code() {
    let mut guest = checked(Guest::user_mode());
    guest.set(Register::Rbx, DATA + 1);
    let End::Fault(fault) = guest.run(&[0x8b, 0x03]) else { panic!("a fault") };
    assert_eq!((fault.vector, fault.error_code), (Vector::AlignmentCheck, Some(0)));
    for (address, expected) in
        [((1 << 47) + 1, Vector::GeneralProtection), ((1 << 47) - 3, Vector::GeneralProtection)]
    {
        let mut guest = checked(Guest::user_mode());
        guest.set(Register::Rbx, address);
        assert_eq!(raised(guest.run(&[0x8b, 0x03])), Some(expected), "{address:#x}");
    }
    let mut guest = checked(Guest::user_mode());
    guest.set(Register::Rsp, (1 << 47) + 9);
    assert_eq!(raised(guest.run(&[0x50])), Some(Vector::StackFault), "push");
    // Across pages, of which the second is not there.
    let mut guest = checked(Guest::user_mode());
    guest.map(PAGES + 0x1000, 0);
    guest.set(Register::Rbx, PAGES + 0xffe);
    let End::Fault(fault) = guest.run(&[0x8b, 0x03]) else { panic!("a fault") };
    assert_eq!((fault.vector, fault.payload), (Vector::PageFault, PAGES + 0x1000));
}

/// A page that the access can't have comes before #AC, too, as the manual lists them (SDM, "Priority Among
/// Concurrent Events"), whoever accesses: handlers, functions, locked instructions, stacks, strings, and
/// what looks at the alignment by itself.
#[test]
fn pages_come_first() {
    let cases: [&[u8]; 14] = [
        &[0x48, 0x8b, 0x03],                   // mov rax, [rbx]
        &[0x48, 0x89, 0x03],                   // mov [rbx], rax
        &[0x48, 0x01, 0x03],                   // add [rbx], rax
        &[0xf0, 0x48, 0x01, 0x03],             // lock add [rbx], rax
        &[0x0f, 0xc7, 0x0b],                   // cmpxchg8b [rbx]
        &[0x48, 0xff, 0x23],                   // jmp [rbx]
        &[0x8e, 0x1b],                         // mov ds, [rbx]
        &[0xdd, 0x03],                         // fld qword [rbx]
        &[0xdb, 0x2b],                         // fld tword [rbx]
        &[0x0f, 0xae, 0x03],                   // fxsave [rbx]
        &[0x0f, 0xf7, 0xc1],                   // maskmovq mm0, mm1
        &[0x66, 0x0f, 0xf7, 0xc1],             // maskmovdqu xmm0, xmm1
        &[0x48, 0xab],                         // stosq
        &[0x48, 0x8d, 0x63, 0x08, 0x6a, 0x00], // lea rsp, [rbx + 8]; push 0
    ];
    for code in cases {
        // The page is there, it is not, only its neighbour is.
        for (at, absent, expected) in [
            (0x103, None, Vector::AlignmentCheck),
            (0x103, Some(0), Vector::PageFault),
            (0xfff, Some(0x1000), Vector::PageFault),
        ] {
            let mut guest = checked(Guest::user_mode());
            if let Some(page) = absent {
                guest.map(PAGES + page, 0);
            }
            guest.set(Register::Rbx, PAGES + at);
            guest.set(Register::Rdi, PAGES + at);
            assert_eq!(raised(guest.run(code)), Some(expected), "{code:02x?} {at:#x} {absent:x?}");
        }
    }
}

/// The processor's own accesses to descriptors are not checked.
#[test]
fn descriptors_may_lie_anywhere() {
    let mut guest = checked(Guest::user_mode());
    (guest.state.gdtr.base, guest.state.gdtr.limit) = (GDT + 3, 0x1f);
    guest.ram.write(GDT + 3 + 0x10, &0x00cf_f300_0000_ffff_u64.to_le_bytes());
    guest.set(Register::Rax, 0x13);
    // mov ds, eax; lar ecx, eax; verr ax
    assert_eq!(raised(guest.run(&[0x8e, 0xd8, 0x0f, 0x02, 0xc8, 0x0f, 0x00, 0xe0])), None);
    assert_eq!(guest.get(Register::Rcx) & 0xff00, 0xf300);
    // From memory the selector is an operand like others.
    guest.state.rip = CODE;
    guest.set(Register::Rbx, DATA + 1);
    assert_eq!(raised(guest.run(&[0x8e, 0x1b])), Some(Vector::AlignmentCheck));
}

/// A handler at privilege level 3 has its frame on the program's stack. Where that is not aligned, the delivery
/// of #AC raises #AC again and again, which a run ends with its budget.
#[test]
fn a_delivery_that_is_checked_itself_comes_to_no_end_but_the_budgets() {
    const IDT: u64 = 0x7000;
    let mut guest = checked(Guest::protected());
    let put = |address: u64, value: u64| assert!(guest.ram.write(address, &value.to_le_bytes()));
    put(GDT + 8, 0x00cf_fb00_0000_ffff);
    put(GDT + 16, 0x00cf_f300_0000_ffff);
    let gate = (CODE & 0xffff) | 0x0b << 16 | 0xee00 << 32 | (CODE >> 16) << 48;
    for vector in [Vector::InvalidOpcode, Vector::AlignmentCheck] {
        put(IDT + vector as u64 * 8, gate);
    }
    let state = &mut guest.state;
    (state.gdtr.base, state.gdtr.limit) = (GDT, 0x17);
    (state.idtr.base, state.idtr.limit) = (IDT, 0x7ff);
    for (register, selector) in [(SegmentRegister::Cs, 0x0b), (SegmentRegister::Ss, 0x13)] {
        let segment = &mut state.segments[register];
        (segment.access, segment.selector) = (segment.access.with_dpl(3), selector);
    }
    // ud2
    assert!(guest.ram.write(CODE, &[0x0f, 0x0b]));
    guest.set(Register::Rsp, STACK - 1);
    guest.vcpu.set_state(&guest.state);
    for _ in 0..3 {
        assert_eq!(guest.vcpu.run(1000), Exit::Budget);
        let state = guest.vcpu.state();
        assert_eq!((state.rip, state.gpr[Register::Rsp]), (CODE, STACK - 1));
        let fault = state.pending.fault.expect("the next of them");
        assert_eq!(fault.vector, Vector::AlignmentCheck);
    }
    assert_eq!(guest.vcpu.retired(), 0);
}
