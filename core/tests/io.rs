//! IN and OUT, INS and OUTS: which port, which data, and who may.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES};
use monovisor_core::state::{
    Access as Rights, Exception, RFlags, Register, SegmentRegister, Vector,
};
use monovisor_core::{Access, Engine, Exit, Space};

fn port(address: u64, size: u8) -> Access {
    Access { space: Space::Port, address, size }
}

#[test]
fn out_leaves_with_the_accumulator() {
    let cases: [(&[u8], Access, u64); 6] = [
        (&[0xe6, 0xf4], port(0xf4, 1), 0x88),
        (&[0x66, 0xe7, 0xf4], port(0xf4, 2), 0x7788),
        (&[0xe7, 0xf4], port(0xf4, 4), 0x5566_7788),
        (&[0xee], port(0x3f8, 1), 0x88),
        (&[0x66, 0xef], port(0x3f8, 2), 0x7788),
        (&[0xef], port(0x3f8, 4), 0x5566_7788),
    ];
    for (code, access, data) in cases {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rax, 0x1122_3344_5566_7788);
        guest.set(Register::Rdx, 0xffff_03f8);
        assert_eq!(guest.run(code), End::Exit(Exit::Write(access, data)));
        assert_eq!(guest.state.rip, CODE + code.len() as u64, "OUT is complete");
        assert_eq!(guest.resume(CODE + code.len() as u64), End::Done);
    }
}

#[test]
fn in_takes_the_answer() {
    let cases: [(&[u8], Access, u64); 3] = [
        (&[0xe4, 0x71], port(0x71, 1), 0x1122_3344_5566_77dd),
        (&[0x66, 0xed], port(0x3f8, 2), 0x1122_3344_5566_ccdd),
        (&[0xed], port(0x3f8, 4), 0xaabb_ccdd),
    ];
    for (code, access, rax) in cases {
        let mut guest = Guest::long_mode();
        guest.set(Register::Rax, 0x1122_3344_5566_7788);
        guest.set(Register::Rdx, 0x3f8);
        assert_eq!(guest.run(code), End::Exit(Exit::Read(access)));
        assert_eq!(guest.state.rip, CODE, "IN is not complete");
        guest.vcpu.answer(0xaabb_ccdd);
        assert_eq!(guest.resume(CODE + code.len() as u64), End::Done);
        assert_eq!(guest.get(Register::Rax), rax);
    }
}

#[test]
fn what_does_nothing_behind_out_has_not_retired() {
    // nop; sfence; lfence; prefetcht0 [rax]
    let nothings: [&[u8]; 4] =
        [&[0x90], &[0x0f, 0xae, 0xf8], &[0x0f, 0xae, 0xe8], &[0x0f, 0x18, 0x08]];
    for nothing in nothings {
        // out dx, al; nothing, twice; inc eax
        let code = [&[0xee], nothing, nothing, &[0xff, 0xc0]].concat();
        let mut guest = Guest::long_mode();
        assert!(matches!(guest.run(&code), End::Exit(Exit::Write(..))));
        assert_eq!((guest.state.rip - CODE, guest.vcpu.retired()), (1, 1), "{nothing:x?}");
        assert_eq!(guest.resume(CODE + code.len() as u64), End::Done);
        assert_eq!((guest.get(Register::Rax), guest.vcpu.retired()), (1, 5), "{nothing:x?}");
    }
}

const TSS: u64 = DATA + 0x8000;
const BITMAP: u16 = 0x68;

/// A guest at privilege level 3 whose TSS has a bitmap of `length` bytes that forbids `forbidden`.
fn with_bitmap(length: u32, forbidden: &[u16]) -> Guest {
    let mut guest = Guest::user_mode();
    let task = &mut guest.state.segments[SegmentRegister::Tr];
    task.base = TSS;
    task.limit = u32::from(BITMAP) + length - 1;
    task.access = Rights(0x8b);
    guest.ram.write(TSS + 0x66, &BITMAP.to_le_bytes());
    let mut bits = vec![0_u8; 0x2001];
    for &port in forbidden {
        bits[usize::from(port / 8)] |= 1 << (port % 8);
    }
    guest.ram.write(TSS + u64::from(BITMAP), &bits);
    guest.set(Register::Rdx, 0x3f8);
    guest
}

/// SDM, "I/O Permission Bit Map".
#[test]
fn user_mode_needs_the_bitmap_or_iopl() {
    const OUT_AL: &[u8] = &[0xee];
    const OUT_EAX: &[u8] = &[0xef];
    let allowed = |mut guest: Guest, code: &[u8]| match guest.run(code) {
        End::Exit(Exit::Write(..)) => true,
        End::Fault(Exception::GP0) => false,
        end => panic!("{end:?}"),
    };
    assert!(allowed(with_bitmap(0x2001, &[]), OUT_AL));
    assert!(allowed(with_bitmap(0x2001, &[0x3f7, 0x3f9]), OUT_AL));
    assert!(!allowed(with_bitmap(0x2001, &[0x3f8]), OUT_AL));
    // A wide access needs all its ports, also those in the next byte of the bitmap.
    assert!(!allowed(with_bitmap(0x2001, &[0x3fb]), OUT_EAX));
    assert!(allowed(with_bitmap(0x2001, &[0x3fc]), OUT_EAX));
    let mut across = with_bitmap(0x2001, &[0x400]);
    across.set(Register::Rdx, 0x3fd);
    assert!(!allowed(across, OUT_EAX));
    // The byte of the port and one more must be within the limit.
    assert!(allowed(with_bitmap(0x3f8 / 8 + 2, &[]), OUT_AL));
    assert!(!allowed(with_bitmap(0x3f8 / 8 + 1, &[]), OUT_AL));
    // IOPL needs no bitmap, and a TSS of 16 bits has none.
    let mut privileged = with_bitmap(0x2001, &[0x3f8]);
    privileged.state.rflags |= RFlags::IOPL_LOW | RFlags::IOPL_HIGH;
    assert!(allowed(privileged, OUT_AL));
    let mut old = with_bitmap(0x2001, &[]);
    old.state.segments[SegmentRegister::Tr].access = Rights(0x83);
    assert!(!allowed(old, OUT_AL));
}

#[test]
fn string_output_sends_each_element() {
    let mut guest = Guest::long_mode();
    guest.ram.write(DATA, b"abc");
    guest.set(Register::Rsi, DATA);
    guest.set(Register::Rcx, 3);
    guest.set(Register::Rdx, 0xe9);
    let code = [0xf3, 0x6e];
    assert_eq!(guest.run(&code), End::Exit(Exit::Write(port(0xe9, 1), u64::from(b'a'))));
    assert_eq!((guest.get(Register::Rsi), guest.get(Register::Rcx)), (DATA + 1, 2));
    assert_eq!(guest.resume(CODE + 2), End::Exit(Exit::Write(port(0xe9, 1), u64::from(b'b'))));
    assert_eq!(guest.resume(CODE + 2), End::Exit(Exit::Write(port(0xe9, 1), u64::from(b'c'))));
    assert_eq!(guest.state.rip, CODE + 2);
    assert_eq!(guest.resume(CODE + 2), End::Done);
    assert_eq!(guest.get(Register::Rcx), 0);
}

#[test]
fn string_input_stores_each_answer() {
    let mut guest = Guest::long_mode();
    guest.set(Register::Rdi, DATA);
    guest.set(Register::Rcx, 3);
    guest.set(Register::Rdx, 0x1f0);
    let code = [0xf3, 0x66, 0x6d];
    let mut end = guest.run(&code);
    for word in [0x1111, 0x2222, 0x3333] {
        assert_eq!(end, End::Exit(Exit::Read(port(0x1f0, 2))));
        guest.vcpu.answer(word);
        end = guest.resume(CODE + 3);
    }
    assert_eq!(end, End::Done);
    assert_eq!(guest.bytes(DATA, 6), [0x11, 0x11, 0x22, 0x22, 0x33, 0x33]);
    assert_eq!((guest.get(Register::Rdi), guest.get(Register::Rcx)), (DATA + 6, 0));
}

/// SDM, INS: a fault of the write comes before the device is read.
#[test]
fn string_input_does_not_lose_what_it_has_read() {
    let mut guest = Guest::long_mode();
    guest.map(PAGES, 0);
    guest.set(Register::Rdi, PAGES);
    let End::Fault(exception) = guest.run(&[0x6c]) else { panic!("a page fault was due") };
    assert_eq!((exception.vector, exception.payload), (Vector::PageFault, PAGES));
}

#[test]
fn compatibility_mode_finds_the_bitmap_above_4_gib() {
    let mut guest = with_bitmap(0x2001, &[0x3f8]);
    let code = &mut guest.state.segments[SegmentRegister::Cs].access;
    *code = Rights(0xc0fb);
    // The last GiB of the address space has the tables of the first.
    guest.ram.write(0x1000 + 511 * 8, &0x2007_u64.to_le_bytes());
    guest.ram.write(0x2000 + 511 * 8, &0x3007_u64.to_le_bytes());
    guest.state.segments[SegmentRegister::Tr].base = 0xffff_ffff_c000_0000 + TSS;
    assert_eq!(guest.run(&[0xee]), End::Fault(Exception::GP0));
    guest.state.rip = CODE;
    guest.set(Register::Rdx, 0x3f9);
    assert!(matches!(guest.run(&[0xee]), End::Exit(Exit::Write(..))));
}
