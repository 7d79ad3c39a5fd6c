//! How wide an address may be, and what decides it: the processor's width for registers that are loaded
//! ahead of their use, the paging mode's (CR4.LA57) for what is executed or accessed at once.

mod common;

use common::guest::{CODE, DATA, End, Guest};
use monovisor_core::cpuid::{Model, feature};
use monovisor_core::state::{
    Cr4Flags, DescriptorTable, Exception, Register, SegmentRegister, Vector,
};

/// With 48 bits, with 57 bits, with neither.
const ADDRESSES: [(u64, bool, bool); 8] = [
    (0x7fff_ffff_fff8, true, true),
    (0xffff_8000_0000_0000, true, true),
    (0x8000_0000_0000, false, true),
    (0xffff_7fff_ffff_fff8, false, true),
    (0x00ff_ffff_ffff_fff8, false, true),
    (0xff00_0000_0000_0000, false, true),
    (0x0100_0000_0000_0000, false, false),
    (1 << 63, false, false),
];

/// Processors of both widths, the wider one in both modes: (it has 57 bits, 5-level paging is on).
const PROCESSORS: [(bool, bool); 3] = [(false, false), (true, false), (true, true)];

const LDT: u64 = 0x82;
const TSS: u64 = 0x89;

/// `address` wherever an instruction may look for it.
fn guest(wide: bool, five_levels: bool, address: u64) -> Guest {
    const TOP: u64 = 0x5000;
    const GDT: u64 = DATA + 0x100;
    let mut guest = Guest::long_mode();
    if !wide {
        let model = Model::default().masked(|feature| *feature != feature::LA57);
        guest.vcpu.set_model(model);
    }
    if five_levels {
        guest.ram.write(TOP, &(guest.state.control.cr3 | 7).to_le_bytes());
        guest.state.control.cr3 = TOP;
        guest.state.control.cr4 |= Cr4Flags::L5_PAGING;
    }
    guest.state.control.cr4 |= Cr4Flags::FSGSBASE;
    guest.state.msr.star = 0x001b_0008 << 32;
    guest.state.msr.sysenter_cs = 8;
    // Selector 8 is an LDT, 0x18 a task.
    guest.state.gdtr = DescriptorTable { base: GDT, limit: 0x27 };
    for (place, access) in [(8, LDT), (0x18, TSS)] {
        let low =
            0xffff | (address & 0xff_ffff) << 16 | access << 40 | (address >> 24 & 0xff) << 56;
        guest.ram.write(GDT + place, &low.to_le_bytes());
        guest.ram.write(GDT + place + 8, &(address >> 32).to_le_bytes());
    }
    // What LGDT, LIDT and INVPCID look at.
    guest.ram.write(DATA, &0xffff_u16.to_le_bytes());
    guest.ram.write(DATA + 2, &address.to_le_bytes());
    guest.ram.write(DATA + 0x40, &[0; 8]);
    guest.ram.write(DATA + 0x48, &address.to_le_bytes());
    guest.set(Register::Rax, address);
    guest.set(Register::Rdx, address);
    guest.set(Register::Rcx, address);
    guest.set(Register::Rbx, DATA);
    guest.set(Register::Rsi, 8);
    guest.set(Register::Rdi, 0x18);
    guest.set(Register::Rbp, 0);
    guest
}

#[test]
fn bases_are_as_wide_as_the_processor() {
    // The error code of what names a selector.
    let rows: [(&[u8], u16); 7] = [
        (&[0xf3, 0x48, 0x0f, 0xae, 0xd0], 0),       // wrfsbase rax
        (&[0xf3, 0x48, 0x0f, 0xae, 0xd8], 0),       // wrgsbase rax
        (&[0x0f, 0x01, 0x13], 0),                   // lgdt [rbx]
        (&[0x0f, 0x01, 0x1b], 0),                   // lidt [rbx]
        (&[0x0f, 0x00, 0xd6], 8),                   // lldt si
        (&[0x0f, 0x00, 0xdf], 0x18),                // ltr di
        (&[0x66, 0x0f, 0x38, 0x82, 0x6b, 0x40], 0), // invpcid rbp, [rbx + 0x40]
    ];
    for (wide, five_levels) in PROCESSORS {
        for (address, in_48, in_57) in ADDRESSES {
            for (code, selector) in rows {
                let legal = if wide { in_57 } else { in_48 };
                let end = guest(wide, five_levels, address).run(code);
                let expected = if legal { End::Done } else { End::Fault(Exception::gp(selector)) };
                assert_eq!(end, expected, "{code:x?} {address:#x} {wide} {five_levels}");
            }
        }
    }
}

#[test]
fn registers_of_models_are_as_wide_as_the_processor() {
    for (wide, five_levels) in PROCESSORS {
        for (address, in_48, in_57) in ADDRESSES {
            for number in [0x175, 0x176, 0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0102] {
                let mut guest = guest(wide, five_levels, address);
                guest.set(Register::Rcx, number);
                guest.set(Register::Rdx, address >> 32);
                // wrmsr
                let end = guest.run(&[0x0f, 0x30]);
                let legal = if wide { in_57 } else { in_48 };
                let expected = if legal { End::Done } else { End::Fault(Exception::GP0) };
                assert_eq!(end, expected, "{number:#x} {address:#x} {wide} {five_levels}");
            }
        }
    }
}

#[test]
fn what_is_used_at_once_is_as_wide_as_the_mode() {
    let rows: [&[u8]; 6] = [
        &[0xff, 0xe0],       // jmp rax
        &[0xff, 0xd0],       // call rax
        &[0x50, 0xc3],       // push rax; ret
        &[0x48, 0x8b, 0x00], // mov rax, [rax]
        &[0x48, 0x0f, 0x07], // sysretq
        &[0x48, 0x0f, 0x35], // sysexitq
    ];
    for (wide, five_levels) in PROCESSORS {
        for (address, in_48, in_57) in ADDRESSES {
            for code in rows {
                let end = guest(wide, five_levels, address).run(code);
                let End::Fault(fault) = end else { panic!("{code:x?} {address:#x}: {end:?}") };
                // Nothing is mapped there.
                let legal = if five_levels { in_57 } else { in_48 };
                let expected = if legal { Vector::PageFault } else { Vector::GeneralProtection };
                assert_eq!(fault.vector, expected, "{code:x?} {address:#x} {wide} {five_levels}");
            }
        }
    }
}

/// What a register took is still checked when it is used: behind a system call at its target.
#[test]
fn what_registers_hold_is_checked_where_it_is_used() {
    // syscall; sysenter; mov rax, gs:[0]
    let rows: [(&[u8], bool); 3] = [
        (&[0x0f, 0x05], true),
        (&[0x0f, 0x34], true),
        (&[0x65, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], false),
    ];
    for five_levels in [false, true] {
        for (address, in_48, in_57) in ADDRESSES.into_iter().filter(|(.., in_57)| *in_57) {
            for (code, jumps) in rows {
                let mut guest = guest(true, five_levels, address);
                guest.state.msr.lstar = address;
                guest.state.msr.sysenter_eip = address;
                guest.state.segments[SegmentRegister::Gs].base = address;
                let end = guest.run(code);
                let End::Fault(fault) = end else { panic!("{code:x?} {address:#x}: {end:?}") };
                let legal = if five_levels { in_57 } else { in_48 };
                let expected = if legal { Vector::PageFault } else { Vector::GeneralProtection };
                assert_eq!(fault.vector, expected, "{code:x?} {address:#x} {five_levels}");
                let at = if jumps { address } else { CODE };
                assert_eq!(guest.state.rip, at, "{code:x?} {address:#x} {five_levels}");
            }
        }
    }
}

/// SDM, INVLPG: an address that is not canonical is no error.
#[test]
fn invlpg_takes_any_address() {
    for (wide, five_levels) in PROCESSORS {
        for (address, ..) in ADDRESSES {
            assert_eq!(guest(wide, five_levels, address).run(&[0x0f, 0x01, 0x38]), End::Done);
        }
    }
}

/// A processor without LA57 has neither the mode nor what CR3 would point to.
#[test]
fn without_the_feature_there_is_no_fifth_level() {
    // mov rax, cr4; bts rax, 12; mov cr4, rax
    let code = [0x0f, 0x20, 0xe0, 0x48, 0x0f, 0xba, 0xe8, 12, 0x0f, 0x22, 0xe0];
    assert_eq!(guest(false, false, 0).run(&code), End::Fault(Exception::GP0));
    // With paging off, where the feature could be switched on.
    for (wide, expected) in [(false, End::Fault(Exception::GP0)), (true, End::Done)] {
        let mut guest = Guest::protected();
        if !wide {
            let model = Model::default().masked(|feature| *feature != feature::LA57);
            guest.vcpu.set_model(model);
        }
        // mov eax, cr4; bts eax, 12; mov cr4, eax
        let code = [0x0f, 0x20, 0xe0, 0x0f, 0xba, 0xe8, 12, 0x0f, 0x22, 0xe0];
        assert_eq!(guest.run(&code), expected, "{wide}");
    }
}
