//! Loads and stores of segment registers, far pointers, LAR and its kin, FS and GS bases.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, STACK, WRITABLE};
use monovisor_core::state::{
    Cr0Flags, Cr4Flags, DescriptorTable, Exception, RFlags, Register, SegmentRegister,
};

/// Flat data; data at base 0x100000 with a limit of 0xfff; not present; code; DPL 0 LDT.
const DESCRIPTORS: [u64; 6] = [
    0,
    0x00cf_9200_0000_ffff,
    0x0040_9210_0000_0fff,
    0x0040_1210_0000_0fff,
    0x00af_9a00_0000_ffff,
    0x0000_8200_0000_0067,
];
const FLAT: u64 = 0x08;
const BASED: u64 = 0x10;
const ABSENT: u64 = 0x18;
const TEXT: u64 = 0x20;

fn guest(mut guest: Guest) -> Guest {
    let table: Vec<u8> =
        DESCRIPTORS.iter().flat_map(|descriptor| descriptor.to_le_bytes()).collect();
    guest.ram.write(DATA + 0x4000, &table);
    guest.state.gdtr = DescriptorTable { base: DATA + 0x4000, limit: table.len() as u16 - 1 };
    guest
}

fn with_rax(guest: &mut Guest, rax: u64, code: &[u8]) -> End {
    guest.state.rip = CODE;
    guest.set(Register::Rax, rax);
    guest.run(code)
}

#[test]
fn a_load_takes_the_descriptor() {
    let mut guest = guest(Guest::compatibility());
    // mov fs, ax; mov dl, fs:[0]
    guest.ram.write(0x10_0000, &[0x5a]);
    let code = [0x8e, 0xe0, 0x64, 0x8a, 0x15, 0, 0, 0, 0];
    assert_eq!(with_rax(&mut guest, BASED, &code), End::Done);
    assert_eq!(guest.get(Register::Rdx) & 0xff, 0x5a);
    let fs = guest.state.segments[SegmentRegister::Fs];
    assert_eq!((fs.base, fs.limit, fs.selector), (0x10_0000, 0xfff, BASED as u16));
    // Beyond the limit.
    let code = [0x8e, 0xe0, 0x64, 0x8a, 0x15, 0, 0x10, 0, 0];
    assert_eq!(with_rax(&mut guest, BASED, &code), End::Fault(Exception::GP0));
    assert_eq!(with_rax(&mut guest, 0x100, &[0x8e, 0xe0]), End::Fault(Exception::gp(0x100)));
    let end = with_rax(&mut guest, ABSENT, &[0x8e, 0xe0]);
    assert!(matches!(end, End::Fault(exception) if exception.error_code == Some(ABSENT as u32)));
    // A NULL selector loads, and faults when it is used.
    assert_eq!(with_rax(&mut guest, 0, &[0x8e, 0xe0]), End::Done);
    assert_eq!(with_rax(&mut guest, 0, &[0x64, 0x8a, 0x10]), End::Fault(Exception::GP0));
}

/// SDM, "Limit Checking": whether that faults is left to the processor where the limit is 4 GiB. It does, as
/// with any other limit.
#[test]
fn no_access_wraps_at_4_gib() {
    // mov ecx, [eax]
    let end = with_rax(&mut Guest::protected(), 0xffff_fffd, &[0x8b, 0x08]);
    assert_eq!(end, End::Fault(Exception::GP0));
}

#[test]
fn selectors_are_stored_in_the_operands_width() {
    let mut guest = guest(Guest::long_mode());
    guest.state.segments[SegmentRegister::Ds].selector = 0x1234;
    assert_eq!(with_rax(&mut guest, u64::MAX, &[0x66, 0x8c, 0xd8]), End::Done);
    assert_eq!(guest.get(Register::Rax), 0xffff_ffff_ffff_1234);
    assert_eq!(with_rax(&mut guest, u64::MAX, &[0x8c, 0xd8]), End::Done);
    assert_eq!(guest.get(Register::Rax), 0x1234);
    guest.ram.write(DATA, &[0xff; 8]);
    assert_eq!(with_rax(&mut guest, DATA, &[0x48, 0x8c, 0x18]), End::Done);
    assert_eq!(guest.bytes(DATA, 4), [0x34, 0x12, 0xff, 0xff]);
}

#[test]
fn push_and_pop() {
    let mut guest = guest(Guest::long_mode());
    // push rax; pop fs; push fs; pop rcx
    let code = [0x50, 0x0f, 0xa1, 0x0f, 0xa0, 0x59];
    assert_eq!(with_rax(&mut guest, FLAT, &code), End::Done);
    assert_eq!((guest.get(Register::Rcx), guest.get(Register::Rsp)), (FLAT, STACK));
    // A load that faults leaves RSP.
    assert_eq!(with_rax(&mut guest, 0x200, &[0x50, 0x0f, 0xa1]), End::Fault(Exception::gp(0x200)));
    assert_eq!(guest.get(Register::Rsp), STACK - 8);
}

#[test]
fn far_pointers() {
    let mut guest = guest(Guest::long_mode());
    guest
        .ram
        .write(DATA, &[&0x1122_3344_5566_7788_u64.to_le_bytes()[..], &[BASED as u8, 0]].concat());
    // lgs rcx, [rax]
    assert_eq!(with_rax(&mut guest, DATA, &[0x48, 0x0f, 0xb5, 0x08]), End::Done);
    assert_eq!(guest.get(Register::Rcx), 0x1122_3344_5566_7788);
    assert_eq!(guest.state.segments[SegmentRegister::Gs].base, 0x10_0000);
    // lgs ecx, [rax] finds its selector at the fourth byte: 0x3344 is beyond the table.
    guest.set(Register::Rcx, 1);
    let end = with_rax(&mut guest, DATA, &[0x0f, 0xb5, 0x08]);
    assert_eq!(end, End::Fault(Exception::gp(0x3344)));
    assert_eq!(guest.get(Register::Rcx), 1);
}

#[test]
fn rights_and_limits() {
    let mut guest = guest(Guest::long_mode());
    let zero = |guest: &Guest| guest.state.rflags.contains(RFlags::ZERO_FLAG);
    // lar ecx, ax; lsl ecx, ax
    let (lar, lsl) = ([0x0f, 0x02, 0xc8], [0x0f, 0x03, 0xc8]);
    assert_eq!(with_rax(&mut guest, FLAT, &lar), End::Done);
    assert_eq!((guest.get(Register::Rcx), zero(&guest)), (0xcf_9200 & 0xf0_ff00, true));
    assert_eq!(with_rax(&mut guest, BASED, &lsl), End::Done);
    assert_eq!((guest.get(Register::Rcx), zero(&guest)), (0xfff, true));
    assert_eq!(with_rax(&mut guest, 0x400, &lsl), End::Done);
    assert_eq!((guest.get(Register::Rcx), zero(&guest)), (0xfff, false));
    // verr ax; verw ax
    for (code, selector, allowed) in [
        (0xe0, TEXT, true),
        (0xe8, TEXT, false),
        (0xe0, FLAT, true),
        (0xe8, FLAT, true),
        (0xe8, 0, false),
    ] {
        assert_eq!(with_rax(&mut guest, selector, &[0x0f, 0x00, code]), End::Done);
        assert_eq!(zero(&guest), allowed, "{code:02x} {selector:x}");
    }
    assert_eq!(Guest::real_mode().run(&[0x0f, 0x00, 0xe0]), End::Fault(Exception::UD));
}

#[test]
fn arpl_raises_the_requested_level() {
    let mut guest = guest(Guest::compatibility());
    for (operand, level, result, zero) in [(0x10, 3, 0x13, true), (0x13, 1, 0x13, false)] {
        guest.set(Register::Rcx, level);
        assert_eq!(with_rax(&mut guest, operand, &[0x63, 0xc8]), End::Done);
        assert_eq!(guest.get(Register::Rax), result);
        assert_eq!(guest.state.rflags.contains(RFlags::ZERO_FLAG), zero);
    }
}

#[test]
fn fs_and_gs_bases() {
    let mut guest = guest(Guest::long_mode());
    guest.ram.write(DATA + 5, &[0x77]);
    // wrfsbase rax; mov dl, fs:[5]; rdfsbase rcx
    let code = [
        0xf3, 0x48, 0x0f, 0xae, 0xd0, 0x64, 0x8a, 0x14, 0x25, 5, 0, 0, 0, 0xf3, 0x48, 0x0f, 0xae,
        0xc1,
    ];
    assert_eq!(with_rax(&mut guest, DATA, &code), End::Fault(Exception::UD));
    guest.state.control.cr4 |= Cr4Flags::FSGSBASE;
    assert_eq!(with_rax(&mut guest, DATA, &code), End::Done);
    assert_eq!((guest.get(Register::Rdx) & 0xff, guest.get(Register::Rcx)), (0x77, DATA));
    assert_eq!(with_rax(&mut guest, 1 << 63, &code), End::Fault(Exception::GP0));
    // swapgs; mov dl, gs:[5]
    guest.set(Register::Rdx, 0);
    guest.state.msr.kernel_gs_base = DATA;
    let code = [0x0f, 0x01, 0xf8, 0x65, 0x8a, 0x14, 0x25, 5, 0, 0, 0];
    assert_eq!(with_rax(&mut guest, 0, &code), End::Done);
    assert_eq!(guest.get(Register::Rdx), 0x77);
}

/// What does not change is not written.
#[test]
fn arpl_leaves_read_only_memory_alone() {
    let mut guest = guest(Guest::compatibility());
    guest.state.control.cr0 |= Cr0Flags::WRITE_PROTECT;
    guest.ram.write(PAGES, &[0x13, 0]);
    guest.map(PAGES, WRITABLE & !2);
    guest.set(Register::Rdi, PAGES);
    for (level, faults) in [(3, false), (1, false)] {
        guest.state.rip = CODE;
        guest.set(Register::Rcx, level);
        // arpl [edi], cx
        assert_eq!(matches!(guest.run(&[0x63, 0x0f]), End::Fault(_)), faults);
    }
    guest.ram.write(PAGES, &[0x12, 0]);
    guest.state.rip = CODE;
    guest.set(Register::Rcx, 3);
    let exception = Exception::page_fault(PAGES, 3);
    assert_eq!(guest.run(&[0x63, 0x0f]), End::Fault(exception));
}
